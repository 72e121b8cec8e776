#!/bin/bash
# A model whose readiness answers 503, because something that it depends on is down, and which answers requests is not
# restarted and not rolled back: its process lives. Each pass ends with 4, and says that the container is not ready.
# PRESET and READY: a health preset, and its readiness path.
set -u; A=b1c08a; P=${PORT:-41008}
. "$(dirname "$0")/lib/own.bash"
cat > server.py <<'E'
from http.server import *; import os, time
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(s):
        if s.path.startswith("/predict"): time.sleep(5)
        down = s.path == os.environ.get("READY", "/healthz") and os.path.exists("/tmp/down")
        b = b"no database" if down else b"ok"
        s.send_response(503 if down else 200); s.send_header("Content-Length", str(len(b))); s.end_headers(); s.wfile.write(b)
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml; printf '[watchdog]\nbackoff = "1s"\n' >> deploy.toml; sed -i 's/20s/10s/' deploy.toml
[ "${PRESET:-}" ] && { sed -i "s/^\[health\]/&\npreset = \"$PRESET\"/" deploy.toml; printf '[run]\nenv = { READY = "%s" }\n' $READY >> deploy.toml; }
$D release v1 -q || bad "release v1: $?"; echo "# 2" >> server.py; $D release v2 -q || bad "release v2: $?"
b=$(box v2); was=$(docker inspect -f '{{.State.StartedAt}}' $b); docker exec $b touch /tmp/down; sleep 1
curl -s -o /dev/null -w '%{http_code} %{time_total}' --max-time 20 http://127.0.0.1:$P/predict > $W/predict & c=$!; sleep .5
for i in 1 2 3 4 5 6 7 8; do $D watchdog run > $W/w$i.txt 2>&1; [ "${SHOW:-}" ] && { echo "pass $i: $?"; cat $W/w$i.txt; }
  [ "$(docker inspect -f '{{.State.StartedAt}}' $b 2>/dev/null)" = "$was" ] || { docker exec $b touch /tmp/down 2>/dev/null; was=$(docker inspect -f '{{.State.StartedAt}}' $b); n=$((${n:-0}+1)); }; sleep 1; done
wait $c; [ "${SHOW:-}" ] && $D history && $D status
[ ${n:-0} = 0 ] || bad "$n restarts in 8 passes ($(grep -hm1 restarted $W/w?.txt | head -1 | cut -c1-150)); the open request got: $(cat $W/predict)"
[ "$(cut -d' ' -f1 < $W/predict)" = 200 ] || bad "the open request got $(cat $W/predict)"
[ "$($D watchdog run --json 2>/dev/null | grep -o '"outcome": *"[a-z]*"')" = '"outcome": "degraded"' ] || bad "a pass does not call it degraded"
grep -q 'is not ready' $W/w1.txt || bad "the first pass does not say that it is not ready: $(head -1 $W/w1.txt)"
ok "not restarted; the pass says: $(head -1 $W/w1.txt)"
