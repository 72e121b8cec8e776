#!/bin/bash
# X-Forwarded-* of a front with TLS reach the model; without them it is http.
set -u; A=b1c01; P=${PORT:-41001}
. "$(dirname "$0")/lib/own.bash"
cat > server.py <<'E'
from http.server import *
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(s):
        b = str(s.headers).encode() if s.path == "/headers" else b"ok"
        s.send_response(200); s.send_header("Content-Length", str(len(b))); s.end_headers(); s.wfile.write(b)
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml; $D release -q || bad "release ended with $?"
U=http://127.0.0.1:$P/headers
got() { tr -d '\r' | grep -i "^$1:" | cut -d' ' -f2- | paste -sd,; }
curl -s $U > plain
curl -s -H 'Host: models.example.com' -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: models.example.com' -H 'X-Forwarded-Port: 443' -H 'X-Forwarded-For: 203.0.113.7' -H 'X-Forwarded-Prefix: /outer' -H 'Forwarded: proto=https' -H 'X-Scheme: https' $U > tls
# Host as nginx's proxy_pass sends it by default: the upstream's; only X-Forwarded-Host has the right one.
curl -s -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: models.example.com' $U > nginx
[ "${SHOW:-}" ] && tail -n 99 plain tls nginx
[ "$(got x-forwarded-proto < plain)" = http ] || bad "without the header: proto is '$(got x-forwarded-proto < plain)'"
for h in proto:https host:models.example.com port:443; do
  v=$(got x-forwarded-${h%%:*} < tls); [ "$v" = ${h#*:} ] || bad "client sent X-Forwarded-${h%%:*} ${h#*:}, model sees '$v'"; done
v=$(got x-forwarded-host < nginx); [ "$v" = models.example.com ] || bad "X-Forwarded-Host models.example.com behind another Host: model sees '$v'"
ok "forwarded headers of the front reach the model"
