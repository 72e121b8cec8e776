#!/bin/bash
# Probes of an app with proxy.host = "models.example.com" ask for that name.
set -u; A=b1c07a; P=${PORT:-41007}; D=${DEPLOYCTL:-deployctl}; export BASE=${BASE:-cases/base:py}
W=$(mktemp -d); export DEPLOYCTL_STATE_DIR=$W/state HOME=$W/home; mkdir -p $W/app $HOME; cd $W/app
ID=$(printf %s $DEPLOYCTL_STATE_DIR | sha256sum | cut -c1-8)
clean() { docker rm -fv $(docker ps -aq --filter label=deployctl.state=$ID); docker network rm deployctl-$ID
  docker rmi -f $(docker images -q --filter label=deployctl.app=$A); cd /; rm -rf $W; } >/dev/null 2>&1
trap clean EXIT; bad() { echo "WRONG: $*"; exit 1; }; ok() { echo "RIGHT: $*"; exit 0; }
box() { docker ps -q --filter label=deployctl.state=$ID --filter label=deployctl.version=$1 | head -1; }
toml() { printf '[app]\nname = "%s"\nport = 8080\n[health]\ninterval = "200ms"\ndeadline = "20s"\n%s\n[proxy]\nlisten = "127.0.0.1:%s"\n%s\n' $A "${1:-}" $P "${2:-}" > deploy.toml; }
# ----
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
