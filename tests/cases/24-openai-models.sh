#!/bin/bash
# A server with the API of OpenAI that has only /v1/models, or only /health: the preset openai finds the path.
set -u; CASE=24 PORT=${PORT:-41571}
. "$(dirname "$0")/lib/sample.bash"
sed -i 's/^\[health\]/&\npreset = "openai"/' deploy.toml; cp server.py ../server.py
for path in /v1/models /health; do
  sed "s|self.answer(b\"ok\" if self.path == \"/healthz\" else|self.answer(b\"ok\") if self.path == \"$path\" else self.answer(b\"no\", 404) if self.path in (\"/health\", \"/v1/models\") else self.answer(|" ../server.py > server.py
  "$D" release >../out 2>&1; rc=$?
  [ $rc = 0 ] || bad "$path: rc=$rc: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
  [ "$(curl -s "http://127.0.0.1:$PORT/x")" = /x ] || bad "$path: no answer"
  "$D" proxy down --force >/dev/null 2>&1; "$D" proxy up >/dev/null 2>&1
  for _ in $(seq 50); do "$D" proxy status | grep -q '1 UP' && break; sleep 0.2; done
  "$D" proxy status | grep -q '1 UP' || bad "$path: after a restart the proxy reports $("$D" proxy status | tail -1)"
done
