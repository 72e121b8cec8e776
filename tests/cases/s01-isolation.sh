#!/bin/bash
# The network of the containers is isolated: nothing but the host, where the proxy runs, opens a connection to a model.
# The model of one app asks the model of another app directly, past the proxy (and past its TLS, its limits, its route).
# exit 0 = product right, 1 = wrong (one line says what), 2 = could not be tried
A=s1c01i; P=${PORT:-42540}
. "$(dirname "$0")/lib/apps.bash"
app ${A}x $P XX; app ${A}y $((P+1)) YSECRET
IP=$(docker inspect ${A}y-v1-blue-1-$SID -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
got=$(docker exec ${A}x-v1-blue-1-$SID python3 -c "import urllib.request as u; print(u.urlopen(\"http://$IP:8080/internal\",timeout=3).read().decode())" 2>&1 | tail -1)
[ "$got" = YSECRET ] && wrong "the container of ${A}x reads http://$IP:8080/internal of ${A}y: $got"
exit $bad
