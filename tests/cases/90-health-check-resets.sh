#!/bin/bash
# The proxy's checks do not reset connections of a healthy server that sends head and body in two writes.
set -u; A=b1c90; P=${PORT:-41090}; D=${DEPLOYCTL:-deployctl}; export BASE=${BASE:-cases/base:py}
W=$(mktemp -d); export DEPLOYCTL_STATE_DIR=$W/state HOME=$W/home; mkdir -p $W/app $HOME; cd $W/app
ID=$(printf %s $DEPLOYCTL_STATE_DIR | sha256sum | cut -c1-8)
clean() { docker rm -fv $(docker ps -aq --filter label=deployctl.state=$ID); docker network rm deployctl-$ID
  docker rmi -f $(docker images -q --filter label=deployctl.app=$A); cd /; rm -rf $W; } >/dev/null 2>&1
trap clean EXIT; bad() { echo "WRONG: $*"; exit 1; }; ok() { echo "RIGHT: $*"; exit 0; }
box() { docker ps -q --filter label=deployctl.state=$ID --filter label=deployctl.version=$1 | head -1; }
toml() { printf '[app]\nname = "%s"\nport = 8080\n[health]\ninterval = "200ms"\ndeadline = "20s"\n%s\n[proxy]\nlisten = "127.0.0.1:%s"\n%s\n' $A "${1:-}" $P "${2:-}" > deploy.toml; }
# ----
cat > server.py <<'E'
from http.server import *; import time
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); time.sleep(.01); s.wfile.write(b"ok" * 20000)
    def log_message(s, *a): pass
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml; $D release v1 -q || bad "release: $?"; sleep 6; n=$(docker logs $(box v1) 2>&1 | grep -c 'Error:')
[ $n = 0 ] || bad "$n tracebacks in 6 s at rest: '$(docker logs $(box v1) 2>&1 | grep -m1 Error:)'"; ok "no error in the log"
