#!/bin/bash
# Image EXPOSEs 5000 and serves there, app.port = 8080: the failure names 5000.
set -u; CASE=17b PORT=${PORT:-41518}
. "$(dirname "$0")/lib/sample.bash"
sed -i 's/("", 8080)/("", 5000)/' server.py; echo 'EXPOSE 5000' >> Dockerfile; sed -i "s/20s/${DEADLINE:-10s}/" deploy.toml
s=$(date +%s); "$D" release >../out 2>&1; rc=$?; t=$(($(date +%s) - s))
[ -z "${SHOW:-}" ] || { cat ../out; echo "rc=$rc t=$t"; }
# the builder's own "EXPOSE 5000" line does not count
sed -n '/wait until/,$p' ../out | grep -q 5000 && exit 0
bad "rc=$rc after ${t}s: $(tail -4 ../out | tr '\n' '|')"
