#!/bin/bash
# The proxy's checks do not reset connections of a healthy server that sends head and body in two writes.
set -u; A=b1c90; P=${PORT:-41090}
. "$(dirname "$0")/lib/own.bash"
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
