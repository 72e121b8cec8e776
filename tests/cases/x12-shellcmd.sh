#!/bin/bash
# Shell-form CMD whose child ignores SIGTERM: stopping takes stop_timeout, not more, and nothing fails.
set -u; CASE=c12 PORT=${PORT:-41562}
. "$(dirname "$0")/lib/sample.bash"
sed -i 's/^if __name__.*/import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n&/' server.py; sed -i 's/^CMD.*/CMD cd \/app \&\& python3 -u server.py; echo done/' Dockerfile
printf '[run]\nstop_timeout = "2s"\n[rollout]\nkeep_warm = "0s"\n' >> deploy.toml
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"; echo '# 2' >> server.py
s=$(date +%s); "$D" release >../out 2>&1; rc=$?; t=$(($(date +%s) - s)); [ -z "${SHOW:-}" ] || { echo "rc=$rc t=$t"; tail -3 ../out; }
[ $rc = 0 ] && [ $t -le 10 ] && [ -z "$(box v1)" ] || bad "rc=$rc after ${t}s $(tail -2 ../out)"
