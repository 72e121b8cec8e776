#!/bin/bash
# The containers and the network are gone, and another tool's network has the range, with a server at the old address.
# After recover and two passes, clients get the answer of the app, never that of the other tool's container.
# exit 0 = product right, 1 = wrong (one line says what), 2 = could not be tried
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d ${TMPDIR:-/tmp}/case06n-XXXX); A=s1c06n; P=${PORT:-42552}; export DEPLOYCTL_STATE_DIR=$W/state; bad=0
SID=$(printf %s "$(realpath $W)/state" | sha256sum | cut -c1-8)
clean() { docker ps -aq --filter label=deployctl.state=$SID | xargs -r docker rm -f >/dev/null 2>&1; docker network rm deployctl-$SID >/dev/null 2>&1; docker images -q --filter label=deployctl.state=$SID | sort -u | xargs -r docker rmi -f >/dev/null 2>&1; rm -rf $W; }; trap clean EXIT
wrong() { echo "WRONG: $*"; bad=1; }
app() { # name port text [more toml]: makes a folder with a small model
  mkdir -p $W/$1; printf 'from http.server import *\nclass H(BaseHTTPRequestHandler):\n    def log_message(s,*a): pass\n    def do_GET(s):\n        b=b"%s"; s.send_response(200); s.send_header("Content-Length",str(len(b))); s.end_headers(); s.wfile.write(b)\nThreadingHTTPServer(("",8080),H).serve_forever()\n' "$3" > $W/$1/server.py
  printf 'FROM cases/base:py\nCOPY server.py /\nCMD ["python3","/server.py"]\n' > $W/$1/Dockerfile; printf '[app]\nname="%s"\nport=8080\n[proxy]\nlisten="127.0.0.1:%s"\n[health]\nsuccesses=1\ninterval="50ms"\n%b\n' "$1" "$2" "$4" > $W/$1/deploy.toml
  (cd $W/$1 && $D release >$W/$1.out 2>&1) || { tail -3 $W/$1.out; exit 2; }; }
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
