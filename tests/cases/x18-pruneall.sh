#!/bin/bash
# `docker system prune -a` at night (stopped containers and their images go): status says that the rollback is not possible
# any more, the watchdog repairs nothing wrongly, rollback says why it cannot, and the next release works.
set -u; CASE=c18 PORT=41568
. "$(dirname "$0")/lib/sample.bash"
printf '[rollout]\nkeep_warm = "0s"\n' >> deploy.toml
"$D" release >../out 2>&1 && echo '# 2' >> server.py && "$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
docker ps -aq --filter label=deployctl.app=$N --filter status=exited | xargs -r docker rm >/dev/null; docker rmi $N:v1 >/dev/null
"$D" watchdog run >../pass 2>&1; rc=$?; "$D" status >../status; "$D" rollback >../back 2>&1; rb=$?; echo '# 3' >> server.py; "$D" release v3 >../out 2>&1; r3=$?
[ -z "${SHOW:-}" ] || { cat ../pass ../status; sed -n '/^error/,$p' ../back; echo "$rc $rb $r3"; }
[ $rc = 0 ] && [ $rb != 0 ] && [ $r3 = 0 ] && grep -qi gone ../status && ! grep -q "built again from its commit" ../status && grep -q "^error" ../back || bad "pass $rc, rollback $rb, release $r3; $(grep rollback ../status); $(grep -A3 ^error ../back)"
