#!/bin/bash
# A version that cannot be repaired has not recovered in a pass that only waits for its next attempt: each pass over an
# app that answers nothing ends with 4, and none says that the app has recovered.
set -u; A=b1c08c; P=${PORT:-41008}
. "$(dirname "$0")/lib/own.bash"
cat > server.py <<'E'
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml; $D release v1 -q || bad "release v1: $?"; docker rm -f $(box v1) > /dev/null; docker rmi -f $A:v1 > /dev/null
for i in 1 2 3; do $D watchdog run > $W/w$i.txt 2>&1; echo "exit $?" >> $W/w$i.txt; done
[ "${SHOW:-}" ] && { head -9 $W/w?.txt; curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:$P/; $D watchdog status 2>&1 | head; }
grep -l 'recovered' $W/w?.txt > /dev/null && bad "nothing runs (clients get $(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:$P/)), and pass 2 says '$(head -1 $W/w2.txt)', $(tail -1 $W/w2.txt)"
[ "$(cat $W/w?.txt | grep -c '^exit 4')" = 3 ] || bad "not every pass ends with 4: $(grep -h ^exit $W/w?.txt | tr '\n' ' ')"
ok "no pass calls it well"
