#!/bin/bash
# The image's HEALTHCHECK says unhealthy while the health path answers 200: live, the pass is good, nothing is restarted.
set -u; CASE=c11 PORT=41561
. "$(dirname "$0")/lib/sample.bash"
echo 'HEALTHCHECK --interval=1s --retries=1 CMD false' >> Dockerfile
"$D" release >../out 2>&1 || bad "release: $(sed -n '/^error/,$p' ../out)"
sleep 4; "$D" watchdog run >../pass 2>&1; rc=$?; h=$(docker inspect -f '{{.State.Health.Status}} restarts={{.RestartCount}}' "$(box v1)")
[ -z "${SHOW:-}" ] || { echo "rc=$rc $h"; cat ../pass; "$D" status; }
[ $rc = 0 ] && [ "$h" = "unhealthy restarts=0" ] || bad "rc=$rc $h $(cat ../pass)"
