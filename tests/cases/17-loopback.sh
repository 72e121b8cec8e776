#!/bin/bash
# A server that listens on 127.0.0.1 only: the failure names that.
set -u; CASE=17a PORT=${PORT:-41517}
. "$(dirname "$0")/lib/sample.bash"
sed -i 's/("", 8080)/("127.0.0.1", 8080)/' server.py; sed -i "s/20s/${DEADLINE:-10s}/" deploy.toml
s=$(date +%s); "$D" release >../out 2>&1; rc=$?; t=$(($(date +%s) - s))
[ -z "${SHOW:-}" ] || { cat ../out; echo "rc=$rc t=$t"; }
grep -q 'refused' ../out && grep -qE '0\.0\.0\.0|127\.0\.0\.1:8080|loopback' ../out && exit 0
bad "rc=$rc after ${t}s: $(grep -E 'hint|why|ready' ../out | tail -3 | tr '\n' '|')"
