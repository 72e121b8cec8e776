#!/bin/bash
# Ended by a signal (139 segmentation fault, 132 illegal instruction: AVX) or 127: the failure says it in words.
set -u; CASE=18d PORT=${PORT:-41571}
. "$(dirname "$0")/lib/sample.bash"
cp server.py ../good.py
for s in "11 139 segmentation|SIGSEGV" "4 132 illegal|SIGILL" "6 134 abort|SIGABRT"; do set -- $s; { echo "import os; os.kill(os.getpid(), $1)"; cat ../good.py; } > server.py; "$D" release >../out 2>&1; [ -z "${SHOW:-}" ] || sed -n '/^error/,$p' ../out; sed -n '/^error/,$p' ../out | grep -qiE "$3" || lost="${lost:-}$(grep -m1 why ../out); "; done
[ -z "${lost:-}" ] || bad "$lost"
