#!/bin/bash
# A person replaces the live container by one of the same name, labels, image and address that runs another program, with
# another environment and a mount: `verify` names each of these differences, and shows no value of a variable.
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d ${TMPDIR:-/tmp}/case-XXXX); A=case05r; P=${PORT:-42542}; export DEPLOYCTL_STATE_DIR=$W/state; bad=0
SID=$(printf %s "$(realpath $W)/state" | sha256sum | cut -c1-8)
clean() { docker ps -aq --filter label=deployctl.state=$SID | xargs -r docker rm -f >/dev/null 2>&1; docker network rm deployctl-$SID >/dev/null 2>&1; docker images -q --filter label=deployctl.state=$SID | sort -u | xargs -r docker rmi -f >/dev/null 2>&1; rm -rf $W; }; trap clean EXIT
wrong() { echo "WRONG: $*"; bad=1; }
app() { # name port text [more toml]: makes a folder with a small model
  mkdir -p $W/$1; printf 'from http.server import *\nclass H(BaseHTTPRequestHandler):\n    def log_message(s,*a): pass\n    def do_GET(s):\n        b=b"%s"; s.send_response(200); s.send_header("Content-Length",str(len(b))); s.end_headers(); s.wfile.write(b)\nThreadingHTTPServer(("",8080),H).serve_forever()\n' "$3" > $W/$1/server.py
  printf 'FROM cases/base:py\nCOPY server.py /\nCMD ["python3","/server.py"]\n' > $W/$1/Dockerfile; printf '[app]\nname="%s"\nport=8080\n[proxy]\nlisten="127.0.0.1:%s"\n[health]\nsuccesses=1\ninterval="50ms"\n%b\n' "$1" "$2" "$4" > $W/$1/deploy.toml
  (cd $W/$1 && $D release >$W/$1.out 2>&1) || { tail -3 $W/$1.out; exit 2; }; }
app $A $P GOOD; C=$A-v1-blue-1-$SID; cd $W/$A
IP=$(docker inspect $C -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"); docker inspect $C -f "{{json .Config.Labels}}" > $W/l; docker rm -f $C >/dev/null
python3 - $W/l $C $IP deployctl-$SID $A:v1 <<X || exit 2
import json,subprocess,sys
f,c,ip,net,img=sys.argv[1:]; a=["docker","run","-d","--name",c,"--network",net,"--ip",ip,"--restart","always","-v","/etc:/host:ro","-e","X=evil"]
for k,v in json.load(open(f)).items(): a+=["--label",k+"="+v]
code="from http.server import *\nclass H(BaseHTTPRequestHandler):\n def do_GET(s):\n  s.send_response(200);s.send_header(\"Content-Length\",\"4\");s.end_headers();s.wfile.write(b\"EVIL\")\nThreadingHTTPServer((\"\",8080),H).serve_forever()"
r=subprocess.run([*a,img,"python3","-c",code],capture_output=True,text=True); sys.exit(r.returncode)
X
sleep 2; $D verify >$W/v 2>&1; v=$?; $D doctor >$W/d 2>&1; d=$?; $D watchdog run >$W/w 2>&1; w=$?; a=$(curl -s 127.0.0.1:$P/)
[ $v = 0 ] && [ "$a" = EVIL ] && wrong "clients get \"$a\" from another command, with another environment and /etc mounted; verify $v ($(tail -1 $W/v | cut -c1-32)), doctor $d, watchdog $w"
for word in command environment volumes; do grep -q "another $word\|other $word" $W/v || wrong "verify does not name the $word: $(tail -3 $W/v)"; done
grep -q evil $W/v && wrong "verify shows the value of a variable"
exit $bad
