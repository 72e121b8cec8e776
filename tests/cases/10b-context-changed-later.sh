#!/bin/bash
# A version is live, and then `docker context use` names another engine (for something else): no command makes a second
# copy there, and status, doctor and the watchdog name both engines.
set -u; A=case10b; P=${PORT:-41010}
. "$(dirname "$0")/lib/own.bash"
cat > server.py <<'E'
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
toml '' ''; printf '[watchdog]\nbackoff = "1s"\n' >> deploy.toml
S=$W/b.sock; BR=b1br$((RANDOM%9999)); ip link add $BR type bridge; ip addr add 10.199.$((RANDOM%250)).1/24 dev $BR; ip link set $BR up  # never --bridge=none: that engine would remove docker0 of the other one
setsid dockerd -H unix://$S --data-root $W/d2 --exec-root $W/x2 -p $W/d2.pid --bridge=$BR --iptables=false --ip-forward=false > $W/d2.log 2>&1 & d2=$!
trap 'docker context use default > /dev/null 2>&1; E="docker -H unix://$S"; $E rm -fv $($E ps -aq) > /dev/null 2>&1; $E network prune -f > /dev/null 2>&1; kill $d2; wait $d2 2>/dev/null; umount $W/x2/netns/* 2>/dev/null; ip link del $BR; clean' EXIT
$D release v1 -q || bad "release v1: $?"; was=$(docker inspect -f '{{.State.StartedAt}}' $(box v1))
for i in $(seq 60); do docker -H unix://$S info > /dev/null 2>&1 && break; sleep .5; done
docker save $BASE $A:v1 $(docker images --format '{{.Repository}}:{{.Tag}}' deployctl-proxy) | docker -H unix://$S load -q > /dev/null || bad "the second engine did not start: $(tail -2 $W/d2.log)"
docker context create bb --docker host=unix://$S > /dev/null 2>&1; docker context use bb > /dev/null 2>&1
$D status > $W/st.txt 2>&1; $D doctor > $W/doc.txt 2>&1; for i in 1 2 3; do $D watchdog run > $W/w$i.txt 2>&1; echo "exit $?" >> $W/w$i.txt; sleep 1; done
two=$(docker -H unix://$S ps -aq | wc -l)
[ "${SHOW:-}" ] && { head -50 $W/st.txt $W/doc.txt $W/w?.txt; docker -H unix://$S ps -a --format '{{.Names}} {{.Status}}'; curl -s -m 3 -o /dev/null -w '%{http_code}\n' http://127.0.0.1:$P/; }
grep -qi 'another engine\|other engine\|docker context' $W/st.txt $W/w1.txt $W/doc.txt || bad "status and doctor: 'deployctl recover'; the pass acts on the other engine ($two containers there): '$(head -1 $W/w1.txt | cut -c1-140)'"
[ "$two" = 0 ] || bad "$two containers were made on the other engine"
ok "nothing was made on the other engine"
