#!/bin/bash
# A person replaces the live container by one of the same name, labels, image and address that runs another program, with
# another environment and a mount: `verify` names each of these differences, and shows no value of a variable.
A=case05r; P=${PORT:-42542}
. "$(dirname "$0")/lib/apps.bash"
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
