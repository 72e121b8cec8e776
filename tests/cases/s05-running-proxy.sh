#!/bin/bash
# The running proxy is told (over its own socket) to send one app's requests to a container of another app, and to name
# another version. After a pass and a recovery, clients get the answer of their app, and its version.
# exit 0 = product right, 1 = wrong (one line says what), 2 = could not be tried
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d ${TMPDIR:-/tmp}/case05p-XXXX); A=s1c05p; P=${PORT:-42544}; export DEPLOYCTL_STATE_DIR=$W/state; bad=0
SID=$(printf %s "$(realpath $W)/state" | sha256sum | cut -c1-8)
clean() { docker ps -aq --filter label=deployctl.state=$SID | xargs -r docker rm -f >/dev/null 2>&1; docker network rm deployctl-$SID >/dev/null 2>&1; docker images -q --filter label=deployctl.state=$SID | sort -u | xargs -r docker rmi -f >/dev/null 2>&1; rm -rf $W; }; trap clean EXIT
wrong() { echo "WRONG: $*"; bad=1; }
app() { # name port text [more toml]: makes a folder with a small model
  mkdir -p $W/$1; printf 'from http.server import *\nclass H(BaseHTTPRequestHandler):\n    def log_message(s,*a): pass\n    def do_GET(s):\n        b=b"%s"; s.send_response(200); s.send_header("Content-Length",str(len(b))); s.end_headers(); s.wfile.write(b)\nThreadingHTTPServer(("",8080),H).serve_forever()\n' "$3" > $W/$1/server.py
  printf 'FROM cases/base:py\nCOPY server.py /\nCMD ["python3","/server.py"]\n' > $W/$1/Dockerfile; printf '[app]\nname="%s"\nport=8080\n[proxy]\nlisten="127.0.0.1:%s"\n[health]\nsuccesses=1\ninterval="50ms"\n%b\n' "$1" "$2" "$4" > $W/$1/deploy.toml
  (cd $W/$1 && $D release >$W/$1.out 2>&1) || { tail -3 $W/$1.out; exit 2; }; }
app ${A}x $P XX; app ${A}y $((P+1)) YY; cd $W/${A}x
IP=$(docker inspect ${A}y-v1-blue-1-$SID -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
tell() { python3 -c "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(\"$W/state/proxy/run/master.sock\"); s.sendall((\"@1 \"+sys.argv[1]+\"\n\").encode()); s.shutdown(1); s.recv(4096)" "$1"; }
tell "set server ${A}x_blue/s1 addr $IP port 8080"; tell "set server ${A}x_blue/b1 addr $IP port 8080"; tell "set map /etc/deployctl/versions.map ${A}x_blue v99"; sleep 2
$D watchdog run >/dev/null 2>&1; w=$?; $D recover >$W/r 2>&1; $D verify >/dev/null 2>&1; v=$?; $D doctor >/dev/null 2>&1; d=$?; $D status >$W/s 2>&1; a=$(curl -si 127.0.0.1:$P/ | tr -d "\r" | grep -iE "x-model|YY|XX" | tr "\n" " ")
case "$a" in *YY*) wrong "after watchdog ($w), recover, verify ($v), doctor ($d), status ($(head -1 $W/s | tr -s " ")) clients of ${A}x still get: $a";; *v99*) wrong "X-Model-Version still says: $a";; esac
exit $bad
