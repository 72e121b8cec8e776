#!/bin/bash
# The server has no /healthz (404): the hint asks about health.path.
set -u; CASE=17c PORT=${PORT:-41519}
. "$(dirname "$0")/lib/sample.bash"
sed -i 's/self.answer(b"ok" if self.path == "\/healthz" else/self.answer(b"no", 404) if self.path == "\/healthz" else self.answer(/; s/self.path.encode())$/self.path.encode())/' server.py
sed -i "s/20s/${DEADLINE:-10s}/" deploy.toml
python3 -m py_compile server.py || bad "server.py"
s=$(date +%s); "$D" release >../out 2>&1; rc=$?; t=$(($(date +%s) - s))
[ -z "${SHOW:-}" ] || { cat ../out; echo "rc=$rc t=$t"; }
grep -q 404 ../out && grep -q 'health.path' ../out && exit 0
bad "rc=$rc after ${t}s: $(tail -4 ../out | tr '\n' '|')"
