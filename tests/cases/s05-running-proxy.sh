#!/bin/bash
# The running proxy is told (over its own socket) to send one app's requests to a container of another app, and to name
# another version. After a pass and a recovery, clients get the answer of their app, and its version.
# exit 0 = product right, 1 = wrong (one line says what), 2 = could not be tried
A=s1c05p; P=${PORT:-42544}
. "$(dirname "$0")/lib/apps.bash"
app ${A}x $P XX; app ${A}y $((P+1)) YY; cd $W/${A}x
IP=$(docker inspect ${A}y-v1-blue-1-$SID -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
tell() { python3 -c "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(\"$W/state/proxy/run/master.sock\"); s.sendall((\"@1 \"+sys.argv[1]+\"\n\").encode()); s.shutdown(1); s.recv(4096)" "$1"; }
tell "set server ${A}x_blue/s1 addr $IP port 8080"; tell "set server ${A}x_blue/b1 addr $IP port 8080"; tell "set map /etc/deployctl/versions.map ${A}x_blue v99"; sleep 2
$D watchdog run >/dev/null 2>&1; w=$?; $D recover >$W/r 2>&1; $D verify >/dev/null 2>&1; v=$?; $D doctor >/dev/null 2>&1; d=$?; $D status >$W/s 2>&1; a=$(curl -si 127.0.0.1:$P/ | tr -d "\r" | grep -iE "x-model|YY|XX" | tr "\n" " ")
case "$a" in *YY*) wrong "after watchdog ($w), recover, verify ($v), doctor ($d), status ($(head -1 $W/s | tr -s " ")) clients of ${A}x still get: $a";; *v99*) wrong "X-Model-Version still says: $a";; esac
exit $bad
