#!/bin/bash
# The reader of a release's messages goes away at any line (| head, | grep -q, a tee that dies, ssh that drops), or the
# disk of its log is full: the release goes live and exits with 0 as it would have, and no deployment is left open.
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d ${TMPDIR:-/tmp}/case-XXXX); export DEPLOYCTL_STATE_DIR=$W/state; A=case06p; P=${PORT:-42530}; mkdir $W/m; cd $W/m; bad=0
cat > server.py <<'X'
from http.server import *
class H(BaseHTTPRequestHandler):
    def log_message(s,*a): pass
    def do_GET(s):
        b=open('/n').read().encode(); s.send_response(200); s.send_header('Content-Length',str(len(b))); s.end_headers(); s.wfile.write(b)
ThreadingHTTPServer(('',8080),H).serve_forever()
X
printf 'FROM cases/base:py\nCOPY server.py n /\nCMD ["python3","/server.py"]\n' > Dockerfile
printf '[app]\nname="%s"\nport=8080\n[proxy]\nlisten="127.0.0.1:%s"\n[health]\nsuccesses=1\ninterval="50ms"\n' $A $P > deploy.toml
echo 0 > n; $D release >/dev/null 2>&1 || { echo cannot release; exit 2; }
total=$(echo x > n; $D release 2>&1 | wc -l)
for k in 1 $((total-11)) $((total-9)) $((total-8)) $((total-7)) $((total-6)) $((total-5)) $((total-4)) $((total-3)) $((total-2)) $((total-1)); do
  echo $k > n; $D release 2>&1 | head -$k > $W/h; rc=${PIPESTATUS[0]}; sleep 1
  s=$($D status --json | python3 -c 'import json,sys; d=json.load(sys.stdin); o=d["deployment"]; print(d["live"]["version"], ("open@"+str(o["step"])) if o else "closed")')
  a=$(curl -s 127.0.0.1:$P/); want=$([ "$a" = $k ] && echo new || echo old)
  echo "  reader gone after line $k ($(tail -1 $W/h)): rc $rc, traffic on the $want version, deployment $s"
  case "$s" in *open*) echo "WRONG: deployment left open"; bad=1;; esac
  [ $rc = 0 -a $want = old ] && { echo "WRONG: exit code 0, and nothing was released"; bad=1; }
  $D recover >/dev/null 2>&1
done
for c in $(docker ps -aq --filter label=deployctl.app=$A); do docker rm -f $c; done >/dev/null; i=$(printf %s $(realpath $W/state) | sha256sum | cut -c1-8); docker rm -f deployctl-proxy-$i >/dev/null; docker network rm deployctl-$i >/dev/null; docker rmi -f $(docker images -q $A) >/dev/null 2>&1; rm -rf $W; exit $bad
