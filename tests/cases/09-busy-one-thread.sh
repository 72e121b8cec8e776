#!/bin/bash
# A one-threaded model that works on one request for 20 s is not restarted by a pass of the watchdog with the default
# rules: it is busy. The pass prints nothing and ends with 0, and its JSON says that it is busy with 1 request.
set -u; A=b1c09; P=${PORT:-41009}; D=${DEPLOYCTL:-deployctl}; export BASE=${BASE:-cases/base:py}
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
    def do_GET(s):
        if s.path == "/predict": time.sleep(20)
        s.send_response(200); s.send_header("Content-Length", "2"); s.end_headers(); s.wfile.write(b"ok")
HTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml; $D release v1 -q || bad "release: $?"
curl -s -o /dev/null -w '%{http_code} after %{time_total} s' http://127.0.0.1:$P/predict > $W/r & c=$!; sleep 2
$D watchdog run > $W/w.txt 2>&1; rc=$?; $D watchdog run --json > $W/w.json 2>/dev/null; wait $c
[ "${SHOW:-}" ] && cat $W/w.txt && docker logs $(box v1) 2>&1 | tail -5
[ "$(cut -d' ' -f1 < $W/r)" = 200 ] || bad "pass: exit $rc '$(head -1 $W/w.txt | cut -c1-120)'; the request got $(cat $W/r)"
grep -q 'busy with 1 request' $W/w.json || bad "the pass does not say that it is busy: $(cat $W/w.json)"
[ $rc = 0 ] || bad "the pass ended with $rc"
ok "200; the pass: exit $rc '$(head -1 $W/w.txt)'"
