#!/bin/bash
# What `watchdog install` finds in its environment and a pass needs (DOCKER_CONFIG, proxies, TMPDIR) is kept for cron, or
# named as left out. A proxy with a password is left out: others can read a schedule.
set -u; CASE=19 PORT=41524
# -- set-up, the same in every case: $DEPLOYCTL, $BASE; own state folder, proxy and network, all removed at the end
D=${DEPLOYCTL:-deployctl}; BASE=${BASE:-cases/base:py}; N=b2c$CASE; mkdir -p ${TMPDIR:-/tmp}/cases
W=$(mktemp -d "${TMPDIR:-/tmp}/cases/$N.XXXX"); export DEPLOYCTL_STATE_DIR=$W/state DEPLOYCTL_NO_COLOR=1; mkdir "$W/app"; cd "$W/app" || exit 2
clean() {
  id=$(printf %s "$W/state" | sha256sum | cut -c1-8); [ -z "${KEEP:-}" ] || { echo "kept: $W ($id)"; return; }
  docker ps -aq --filter "label=deployctl.app=$N" --filter "label=deployctl.state=$id" | xargs -r docker rm -fv >/dev/null 2>&1
  docker ps -aq --filter "label=deployctl.state=$id" | xargs -r docker rm -fv >/dev/null 2>&1
  docker network ls -q --filter "label=deployctl.state=$id" | xargs -r docker network rm >/dev/null 2>&1
  docker images --format '{{.Repository}}:{{.Tag}}' "$N" | xargs -r docker rmi -f >/dev/null 2>&1;  docker images -q -f dangling=true -f "label=deployctl.app=$N" | xargs -r docker rmi -f >/dev/null 2>&1; cd /; rm -rf "$W"
}
trap clean EXIT
bad() { echo "FAIL $CASE: $*"; exit 1; }
box() { docker ps -q --filter "label=deployctl.app=$N" --filter "label=deployctl.version=$1" | head -1; }
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(box "$1")"; }
cat > deploy.toml <<E
[app]
name = "$N"
port = 8080
[health]
interval = "200ms"
deadline = "20s"
[proxy]
listen = "127.0.0.1:$PORT"
E
printf 'FROM %s\nCOPY server.py /app/server.py\nCMD ["python3", "-u", "/app/server.py"]\n' "$BASE" > Dockerfile
cat > server.py <<'E'
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer, HTTPServer
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body, code=200):
        self.send_response(code); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer(b"ok" if self.path == "/healthz" else str(self.headers).encode() if self.path == "/headers" else self.path.encode())
    def log_message(self, *a): pass
if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), H).serve_forever()
E
# -- the case
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
# a private /etc/cron.d: the machine's own is never touched
DOCKER_CONFIG=${TMPDIR:-/tmp}/cfg HTTPS_PROXY=http://proxy.example:3128 NO_PROXY=10.0.0.0/8 http_proxy=http://me:hunter2@proxy.example:3128 TMPDIR=/tmp SSL_CERT_FILE=/etc/ca.pem XDG_STATE_HOME=/x \
  unshare --mount sh -c 'mount -t tmpfs tmpfs /etc/cron.d; "$0" watchdog install >../out 2>&1; cat /etc/cron.d/* >../cron 2>/dev/null' "$D"
[ -z "${SHOW:-}" ] || cat ../out ../cron
lost=; for v in DOCKER_CONFIG HTTPS_PROXY NO_PROXY TMPDIR http_proxy; do grep -q $v ../out ../cron || lost="$lost $v"; done
grep -q hunter2 ../out ../cron && bad "the password of a proxy is in the schedule or in a message"
[ -z "$lost" ] || bad "neither in the schedule nor named:$lost"
