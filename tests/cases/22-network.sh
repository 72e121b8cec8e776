#!/bin/bash
# The first part must hold; the rest only says more when it does not. [engine] has subnet and mtu as well.
# 22: a network made by hand (own range, own MTU) under deployctl's name is used; or a key says the range and the MTU
set -u; CASE=22 PORT=41529
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
id=$(printf %s "$W/state" | sha256sum | cut -c1-8); trap 'docker network rm deployctl-$id >/dev/null 2>&1; clean; docker network rm deployctl-$id >/dev/null 2>&1' EXIT
docker network create --subnet 10.99.0.0/18 -o com.docker.network.driver.mtu=1400 deployctl-$id >/dev/null
"$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || sed -n '/^error/,$p' ../out
if [ $rc = 0 ]; then m=$(docker exec "$(box v1)" cat /sys/class/net/eth0/mtu); [ "$m" = 1400 ] && exit 0 || bad "MTU $m"; fi
"$D" config schema | grep -qiE '"(mtu|subnet)"' && exit 0
# the way that nobody is told of: the label
docker network rm deployctl-$id >/dev/null; docker network create --subnet 10.99.0.0/18 --label deployctl.state=$id -o com.docker.network.driver.mtu=1400 deployctl-$id >/dev/null
"$D" release >../out2 2>&1; r2=$?; m=$(docker exec "$(box v2 || box v1)" cat /sys/class/net/eth0/mtu 2>/dev/null)
bad "rc=$rc: $(grep -A2 ^error ../out | tr '\n' '|') no key; with the undocumented label: rc=$r2 MTU ${m:-?} $(grep -A2 ^error ../out2 | tr '\n' '|')"
