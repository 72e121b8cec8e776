#!/bin/bash
# Probes of an app with proxy.host = "models.example.com" ask for that name.
set -u; A=b1c07a; P=${PORT:-41007}
. "$(dirname "$0")/lib/own.bash"
cat > server.py <<'E'
import os, re
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s):
        h = s.headers.get("Host", ""); n = h.rsplit(":", 1)[0] if re.search(r":\d+$", h) else h
        good = n == "models.example.com" if os.environ["V"] == "name" else bool(re.fullmatch(r"[0-9.]+", n))
        b = b"ok" if good else b"bad host " + h.encode()
        s.send_response(200 if good else 400); s.send_header("Content-Length", str(len(b))); s.end_headers(); s.wfile.write(b)
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml '' 'host = ["models.example.com"]'; printf '[run]\nenv = { V = "name" }\n' >> deploy.toml; sed -i 's/"20s"/"6s"/' deploy.toml
$D release v1 > $W/out.txt 2>&1; rc=$?
[ "${SHOW:-}" ] && grep -v '^  [SR -]' $W/out.txt
[ $rc = 0 ] || bad "release: exit $rc, $(grep -m1 why $W/out.txt), hint: $(grep next $W/out.txt)"
c=$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: models.example.com' http://127.0.0.1:$P/); [ $c = 200 ] || bad "live, and clients get $c"
$D watchdog run > $W/w.txt 2>&1; wrc=$?; [ $wrc = 0 ] || bad "live, and the watchdog: exit $wrc $(tail -2 $W/w.txt)"
ok "live; probes ask for models.example.com"
