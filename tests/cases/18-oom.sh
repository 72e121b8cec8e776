#!/bin/bash
# Killed for its memory while it loads: the failure says so and names run.memory.
set -u; CASE=18a PORT=${PORT:-41521}
. "$(dirname "$0")/lib/sample.bash"
printf '[run]\nmemory = "64m"\n' >> deploy.toml
sed -i 's/^if __name__.*/print("loading", flush=True); b = bytearray(300 << 20)\n&/' server.py
"$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || cat ../out
sed -n '/^error/,$p' ../out | grep -qi 'memory' && exit 0
bad "rc=$rc: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
