#!/bin/bash
# A one-threaded model that works on one request for 20 s is not restarted by a pass of the watchdog with the default
# rules: it is busy. The pass prints nothing and ends with 0, and its JSON says that it is busy with 1 request.
set -u; A=b1c09; P=${PORT:-41009}
. "$(dirname "$0")/lib/own.bash"
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
