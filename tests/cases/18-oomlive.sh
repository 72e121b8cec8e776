#!/bin/bash
# A live model is restarted by the engine after it ran out of memory: the next pass says so, and `events` keeps it.
set -u; CASE=18c PORT=41523
. "$(dirname "$0")/lib/sample.bash"
printf '[run]\nmemory = "64m"\n' >> deploy.toml
sed -i 's/    def do_GET(self):/&\n        if self.path == "\/eat": bytearray(300 << 20)/' server.py
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
curl -s http://127.0.0.1:$PORT/eat; sleep 3
"$D" watchdog run >../pass 2>&1; rc=$?; "$D" status >../status 2>&1; "$D" history >>../status 2>&1
docker inspect -f 'oom={{.State.OOMKilled}} exit={{.State.ExitCode}} restarts={{.RestartCount}}' "$(box v1)" >../real
[ -z "${SHOW:-}" ] || cat ../real ../pass ../status
"$D" events --kind ended >>../status 2>&1
grep -q 'out of memory' ../pass && grep -q 'out of memory' ../status && exit 0
bad "rc=$rc, engine: $(cat ../real); pass: $(tr '\n' '|' <../pass) status: $(grep restarts ../status)"
