#!/bin/bash
# Run.read_only = true: a server that needs a temporary folder (gunicorn, tempfile) goes live, or there is a key for a tmpfs and the hint names it.
set -u; A=b1c14; P=${PORT:-41014}; D=${DEPLOYCTL:-deployctl}; export BASE=${BASE:-cases/base:py}
W=$(mktemp -d); export DEPLOYCTL_STATE_DIR=$W/state HOME=$W/home; mkdir -p $W/app $HOME; cd $W/app
ID=$(printf %s $DEPLOYCTL_STATE_DIR | sha256sum | cut -c1-8)
clean() { docker rm -fv $(docker ps -aq --filter label=deployctl.state=$ID); docker network rm deployctl-$ID
  docker rmi -f $(docker images -q --filter label=deployctl.app=$A); cd /; rm -rf $W; } >/dev/null 2>&1
trap clean EXIT; bad() { echo "WRONG: $*"; exit 1; }; ok() { echo "RIGHT: $*"; exit 0; }
box() { docker ps -q --filter label=deployctl.state=$ID --filter label=deployctl.version=$1 | head -1; }
toml() { printf '[app]\nname = "%s"\nport = 8080\n[health]\ninterval = "200ms"\ndeadline = "20s"\n%s\n[proxy]\nlisten = "127.0.0.1:%s"\n%s\n' $A "${1:-}" $P "${2:-}" > deploy.toml; }
# ----
cat > server.py <<'E'
from http.server import *; import tempfile
tempfile.mkstemp()
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml; printf '[run]\nread_only = true\n' >> deploy.toml
$D release v1 > $W/out.txt 2>&1; rc=$?
[ "${SHOW:-}" ] && { grep -v '^  [SR -]' $W/out.txt; printf 'tmpfs = ["/tmp"]\n' >> deploy.toml; $D config check; }
[ $rc = 0 ] && { docker exec $(box v1) sh -c 'touch /app/x' 2>/dev/null && bad "the file system is not read-only"; ok "live"; }
grep -qi 'next:.*tmpfs' $W/out.txt && ok "the hint names a tmpfs"
bad "release: exit $rc, '$(grep -m1 why $W/out.txt)', '$(grep next: $W/out.txt)'"
