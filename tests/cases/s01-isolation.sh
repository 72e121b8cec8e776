#!/bin/bash
# The network of the containers is isolated: nothing but the host, where the proxy runs, opens a connection to a model.
# The model of one app asks the model of another app directly, past the proxy (and past its TLS, its limits, its route).
# exit 0 = product right, 1 = wrong (one line says what), 2 = could not be tried
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d ${TMPDIR:-/tmp}/case01i-XXXX); A=s1c01i; P=${PORT:-42540}; export DEPLOYCTL_STATE_DIR=$W/state; bad=0
SID=$(printf %s "$(realpath $W)/state" | sha256sum | cut -c1-8)
clean() { docker ps -aq --filter label=deployctl.state=$SID | xargs -r docker rm -f >/dev/null 2>&1; docker network rm deployctl-$SID >/dev/null 2>&1; docker images -q --filter label=deployctl.state=$SID | sort -u | xargs -r docker rmi -f >/dev/null 2>&1; rm -rf $W; }; trap clean EXIT
wrong() { echo "WRONG: $*"; bad=1; }
app() { # name port text [more toml]: makes a folder with a small model
  mkdir -p $W/$1; printf 'from http.server import *\nclass H(BaseHTTPRequestHandler):\n    def log_message(s,*a): pass\n    def do_GET(s):\n        b=b"%s"; s.send_response(200); s.send_header("Content-Length",str(len(b))); s.end_headers(); s.wfile.write(b)\nThreadingHTTPServer(("",8080),H).serve_forever()\n' "$3" > $W/$1/server.py
  printf 'FROM cases/base:py\nCOPY server.py /\nCMD ["python3","/server.py"]\n' > $W/$1/Dockerfile; printf '[app]\nname="%s"\nport=8080\n[proxy]\nlisten="127.0.0.1:%s"\n[health]\nsuccesses=1\ninterval="50ms"\n%b\n' "$1" "$2" "$4" > $W/$1/deploy.toml
  (cd $W/$1 && $D release >$W/$1.out 2>&1) || { tail -3 $W/$1.out; exit 2; }; }
app ${A}x $P XX; app ${A}y $((P+1)) YSECRET
IP=$(docker inspect ${A}y-v1-blue-1-$SID -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
got=$(docker exec ${A}x-v1-blue-1-$SID python3 -c "import urllib.request as u; print(u.urlopen(\"http://$IP:8080/internal\",timeout=3).read().decode())" 2>&1 | tail -1)
[ "$got" = YSECRET ] && wrong "the container of ${A}x reads http://$IP:8080/internal of ${A}y: $got"
exit $bad
