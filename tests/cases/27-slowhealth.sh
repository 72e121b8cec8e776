#!/bin/bash
# One thread, a health check of 1.5 s, a timeout of 2 s: ready within 15 s, and at rest the checks leave the model most
# of its time.
set -u; CASE=27 PORT=${PORT:-41543}
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
sed -i 's/ThreadingHTTPServer(("", 8080)/HTTPServer(("", 8080)/; s/    def do_GET(self):/&\n        self.close_connection = True\n        if self.path == "\/healthz": time.sleep(1.5)/' server.py
sed -i 's/"20s"/"60s"\ntimeout = "2s"/' deploy.toml
s=$(date +%s); "$D" release >../out 2>&1; rc=$?; t=$(($(date +%s) - s))
[ -z "${SHOW:-}" ] || { echo "rc=$rc t=$t"; sed -n '/wait until/,$p' ../out | tail -12; }
[ $rc = 0 ] || bad "rc=$rc after ${t}s: $(grep -A1 ^error ../out | tr '\n' '|')"
sum=0; for i in $(seq 20); do a=$(date +%s%N); curl -s -m 30 -o /dev/null http://127.0.0.1:$PORT/x; sum=$((sum + ($(date +%s%N) - a) / 1000000)); sleep 0.3; done
[ -z "${SHOW:-}" ] || { echo "mean of a GET at rest: $((sum / 20)) ms"; "$D" status; }
[ $t -le 15 ] && [ $((sum / 20)) -le 1000 ] || bad "ready after ${t}s, a GET of a model at rest takes $((sum / 20)) ms in the mean"
