#!/bin/bash
# Run.read_only = true: a server that needs a temporary folder (gunicorn, tempfile) goes live, or there is a key for a tmpfs and the hint names it.
set -u; A=b1c14; P=${PORT:-41014}
. "$(dirname "$0")/lib/own.bash"
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
