#!/bin/bash
# `docker context use` names another engine than the default one: the builder and the SDK use the one of the context.
set -u; A=case10; P=${PORT:-41010}
. "$(dirname "$0")/lib/own.bash"
mkdir -p $HOME/.docker/cli-plugins; ln -s ${BUILDX:-docker-buildx-plugin-path-not-set} $HOME/.docker/cli-plugins/docker-buildx
docker buildx version > /dev/null 2>&1 || { echo "no buildx (\$BUILDX names the plugin)"; exit 77; }
cat > server.py <<'E'
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' $BASE > Dockerfile
S=$W/b.sock; BR=b1br$((RANDOM%9999)); ip link add $BR type bridge; ip addr add 10.199.$((RANDOM%250)).1/24 dev $BR; ip link set $BR up  # never --bridge=none: that engine would remove docker0 of the other one
setsid dockerd -H unix://$S --data-root $W/d2 --exec-root $W/x2 -p $W/d2.pid --bridge=$BR --iptables=false --ip-forward=false > $W/d2.log 2>&1 & d2=$!
trap 'DOCKER_CONTEXT=default; E="docker -H unix://$S"; $E rm -fv $($E ps -aq) > /dev/null 2>&1; $E network prune -f > /dev/null 2>&1; kill $d2; wait $d2 2>/dev/null; umount $W/x2/netns/* 2>/dev/null; ip link del $BR; docker context use default > /dev/null 2>&1; clean' EXIT
for i in $(seq 60); do docker -H unix://$S info > /dev/null 2>&1 && break; sleep .5; done
docker save $BASE $(docker images --format '{{.Repository}}:{{.Tag}}' deployctl-proxy) | docker -H unix://$S load -q > /dev/null || bad "the second engine did not start: $(tail -2 $W/d2.log)"
docker context create bb --docker host=unix://$S > /dev/null; docker context use bb > /dev/null
toml; $D doctor > $W/doc.txt 2>&1; drc=$?; $D release v1 > $W/out.txt 2>&1; rc=$?
[ "${SHOW:-}" ] && { cat $W/doc.txt; grep -v '^  #' $W/out.txt; echo "on b: $(docker -H unix://$S images -q $A | wc -l) image(s); on the default: $(docker -H unix:///var/run/docker.sock images -q $A | wc -l)"; }
[ $rc = 0 ] && ok "released"
grep -qi 'docker context\|DOCKER_HOST\|two engines' $W/doc.txt $W/out.txt || bad "doctor: exit $drc; release: exit $rc, '$(grep -m1 error: $W/out.txt)', '$(grep -m1 next: $W/out.txt)'"
ok "it says that the engines differ"
