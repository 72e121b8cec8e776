#!/bin/bash
# An image that runs as root writes into a folder of another user (./hf, uid 1000), as with docker run; or the hint names cap_add/user.
set -u; A=b1c15; P=${PORT:-41015}
. "$(dirname "$0")/lib/own.bash"
cat > server.py <<'E'
from http.server import *
open("/root/.cache/huggingface/x", "w").write("x"); open("/app/private").read()
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
echo p > private; printf 'FROM %s\nCOPY server.py /app/\nCOPY --chown=1000:1000 private /app/\nRUN chmod 600 /app/private\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
mkdir hf; chown 1000:1000 hf; echo hf > .dockerignore; toml; printf '[run]\nvolumes = ["./hf:/root/.cache/huggingface"]\n' >> deploy.toml
docker build -q -t $A:run --label deployctl.app=$A . > /dev/null 2>&1; docker run -d --name $A-run --label deployctl.state=$ID -v $PWD/hf:/root/.cache/huggingface $A:run > /dev/null; sleep 1; run=$(docker inspect -f '{{.State.Status}}' $A-run); docker rm -f $A-run > /dev/null; rm -f hf/x
$D release v1 > $W/out.txt 2>&1; rc=$?
[ "${SHOW:-}" ] && { echo "docker run: $run"; grep -v '^  [SR -]' $W/out.txt; }
[ $rc = 0 ] && ok "live"
grep -q 'next:.*\(cap_add\|user\)' $W/out.txt && ok "the hint: $(grep next: $W/out.txt)"
bad "docker run: $run; release: exit $rc, '$(grep -m1 -i 'Permission' $W/out.txt)', '$(grep next: $W/out.txt)'"
