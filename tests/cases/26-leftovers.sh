#!/bin/bash
# 26: what builds leave behind (untagged stages of the classic builder) is bounded, or doctor says how much it is.
set -u; CASE=26 PORT=41542
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
trap 'clean; docker images -q -f dangling=true -f label=b2c26 | xargs -r docker rmi -f >/dev/null 2>&1' EXIT
printf 'FROM %s AS builder\nLABEL b2c26=1\nCOPY server.py /x.py\nRUN head -c 20M /dev/urandom > /x\nFROM %s\nCOPY --from=builder /x.py /app/server.py\nCMD ["python3", "-u", "/app/server.py"]\n' "$BASE" "$BASE" > Dockerfile
sed -i '/^\[health\]/i [build]\nbuilder = "classic"' deploy.toml; printf '[retention]\nversions = 2\n[rollout]\nkeep_warm = "0s"\n' >> deploy.toml
for i in 1 2 3 4 5 6; do echo "# $i" >> server.py; "$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"; done
"$D" prune >../prune 2>&1; "$D" doctor >../doctor 2>&1; n=$(docker images -q -f dangling=true -f label=b2c26 | wc -l); v=$(docker images -q $N | wc -l)
[ -z "${SHOW:-}" ] || { cat ../prune ../doctor; docker images -f dangling=true -f label=b2c26; docker images $N; }
[ "$n" -le 2 ] && exit 0
grep -qiE 'dangling|image prune|builder prune|build cache|unnamed|left by builds' ../prune ../doctor && exit 0
bad "$n untagged builder stages after 6 releases with $v versions kept; prune: $(tr '\n' '|' <../prune) doctor: $(grep disk ../doctor)"
