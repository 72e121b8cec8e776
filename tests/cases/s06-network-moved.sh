#!/bin/bash
# The containers and the network are gone, and another tool's network has the range, with a server at the old address.
# After recover and two passes, clients get the answer of the app, never that of the other tool's container.
# exit 0 = product right, 1 = wrong (one line says what), 2 = could not be tried
A=s1c06n; P=${PORT:-42552}
. "$(dirname "$0")/lib/apps.bash"
app $A $P GOOD; cd $W/$A; N=deployctl-$SID; C=$A-v1-blue-1-$SID
SUB=$(docker network inspect $N -f '{{(index .IPAM.Config 0).Subnet}}'); IP=$(docker inspect $C -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
docker rm -f $C >/dev/null; docker network rm $N >/dev/null; docker network create --subnet $SUB s1stranger >/dev/null || exit 2
docker run -d --name s1stranger --network s1stranger --ip $IP $A:v1 python3 -c 'from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s):
        b=b"STRANGER"; s.send_response(200); s.send_header("Content-Length","8"); s.end_headers(); s.wfile.write(b)
ThreadingHTTPServer(("",8080),H).serve_forever()' >/dev/null
$D recover >$W/r 2>&1; r=$?; sleep 3; $D watchdog run >$W/w 2>&1; w=$?; $D watchdog run >>$W/w 2>&1; w2=$?; $D status >$W/s 2>&1; $D verify >/dev/null 2>&1; v=$?; sleep 2; a=$(curl -s -m 10 127.0.0.1:$P/ | head -1)
[ "$a" = GOOD ] || wrong "recover $r ($(tail -1 $W/r)), watchdog $w $w2, verify $v, status ($(head -1 $W/s | tr -s ' ')): clients get '$a' from $IP, a container of somebody else's network; ours is at $(docker inspect $C -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')"
docker rm -f s1stranger >/dev/null; docker ps -aq --filter label=deployctl.state=$SID | xargs -r docker rm -f >/dev/null; docker network rm s1stranger >/dev/null
exit $bad
