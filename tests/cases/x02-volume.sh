#!/bin/bash
# x02: a VOLUME in the image: what a version wrote there is not lost silently, but kept, or named with what keeps it.
set -u; CASE=x02 PORT=41552
. "$(dirname "$0")/lib/sample.bash"
echo 'VOLUME /data' >> Dockerfile; printf '[retention]\nversions = 2\n[rollout]\nkeep_warm = "0s"\n' >> deploy.toml
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
docker exec "$(box v1)" sh -c 'echo precious > /data/x'
echo '# 2' >> server.py; "$D" release >../out 2>&1; echo '# 3' >> server.py; "$D" release >>../out 2>&1; echo '# 4' >> server.py; "$D" release >>../out 2>&1
got=$(docker exec "$(box v4)" cat /data/x 2>&1)
[ -z "${SHOW:-}" ] || grep -v -E '^ +(Step|--->|Rem|Succ)' ../out
[ "$got" = precious ] && exit 0
grep -qi volume <(grep -v Step ../out; "$D" doctor; "$D" config check) && exit 0
bad "v4 has in /data: $got; nothing was said"
