#!/bin/bash
# An image that CI has built is released from a folder with nothing but deploy.toml; its tag moves, and nothing changes.
set -u; CASE=25 PORT=${PORT:-41572}
. "$(dirname "$0")/lib/sample.bash"
docker build -q -t "$N-ci:1" . >/dev/null || exit 2
trap 'docker rmi -f "$N-ci:1" >/dev/null 2>&1; clean' EXIT
mkdir ../host && cp deploy.toml ../host && cd ../host || exit 2
"$D" config check >../out 2>&1 || bad "config check: $(tail -2 ../out)"
"$D" release --image "$N-ci:1" >../out 2>&1 || bad "release: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
[ "$(curl -s "http://127.0.0.1:$PORT/x")" = /x ] || bad "no answer"
"$D" release v2 --image "$N-ci:1" >../out 2>&1 && bad "the same image was released again"
sed -i 's/self.path.encode())$/b"new")/' ../app/server.py; docker build -q -t "$N-ci:1" ../app >/dev/null || exit 2
[ "$(curl -s "http://127.0.0.1:$PORT/x")" = /x ] || bad "the tag has moved, and the live version with it"
"$D" release --image "$N-ci:1" >../out 2>&1 || bad "release of v2: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
[ "$(curl -s "http://127.0.0.1:$PORT/x")" = new ] || bad "v2 does not answer"
"$D" diff v1 v2 | grep -q '~ image/layer-' || bad "diff names no layer: $("$D" diff v1 v2)"
"$D" show v2 | grep -q "from image  $N-ci:1" || bad "show does not name the image"
"$D" release --image "$N-ci:nothing" >../out 2>&1 && bad "an unknown image was released"
grep -qE "there is no image|the engine does not have" ../out || bad "an unknown image: $(tail -3 ../out | tr '\n' '|')"
"$D" verify >../out 2>&1 || bad "verify: $(tail -3 ../out)"
