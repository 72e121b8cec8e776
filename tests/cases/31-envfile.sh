#!/bin/bash
# 31: env_file is read as docker run --env-file and, for quotes, Docker Compose read it; what would not arrive as it is
# written is refused with its line and a way out.
set -u; CASE=31 PORT=41549
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
python3 - <<'E'
t = open("server.py").read().replace('str(self.headers).encode()', '__import__("json").dumps({k: v for k, v in os.environ.items() if k[:1] in "ABCDFGHK" and len(k) < 4}, ensure_ascii=False).encode()')
open("server.py", "w").write(t)
E
cat > env.list <<'E'
A="x y"
B='{"k": "v"}'
C="--a" "--b"
D=x # note
G=a#b
H='it''s'
E
printf '[run]\nenv_file = "env.list"\n' >> deploy.toml
"$D" release >../out 2>&1 || bad "release: $(tail -4 ../out)"
got=$(curl -s http://127.0.0.1:$PORT/headers); dock=$(docker run --rm --env-file env.list --entrypoint python3 $N:v1 -c 'import json,os;print(json.dumps({k: os.environ.get(k) for k in "ABCDGH"}, ensure_ascii=False))')
sh=$(set -a; eval "$(grep -v '^C' env.list)"; python3 -c 'import json,os;print(json.dumps({k: os.environ.get(k) for k in "ABDGH"}, ensure_ascii=False))')
msg() { printf "$1\n" > env.list; "$D" config check 2>&1 | tr '\n' '|'; echo " rc=${PIPESTATUS[0]}"; }
[ -z "${SHOW:-}" ] || { echo "deployctl: $got"; echo "docker:    $dock"; echo "shell:     $sh"; for l in 'E' 'F.G=1' 'F-G=1' 'K="-----BEGIN\nabc\n-----END"' 'A=1\nA=2' '=x' 'X=' ' Y = z ' 'export Z=1'; do echo "$l: $(E=1 msg "$l")"; done; }
c=$(echo "$got" | python3 -c 'import json,sys;print(json.load(sys.stdin)["C"])')
[ "$c" = '"--a" "--b"' ] || bad "C=\"--a\" \"--b\" reached the model as: $c; K over lines: $(msg 'K="-----BEGIN\nabc\n-----END"')"
msg 'K="-----BEGIN\nabc\n-----END"' | grep -qiE 'secrets|run.env|several lines|quote' || bad "K over lines: $(msg 'K="-----BEGIN\nabc\n-----END"')"
