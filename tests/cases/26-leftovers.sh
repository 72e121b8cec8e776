#!/bin/bash
# 26: what builds leave behind (untagged stages of the classic builder) is bounded, or doctor says how much it is.
set -u; CASE=26 PORT=41542
. "$(dirname "$0")/lib/sample.bash"
trap 'clean; docker images -q -f dangling=true -f label=b2c26 | xargs -r docker rmi -f >/dev/null 2>&1' EXIT
printf 'FROM %s AS builder\nLABEL b2c26=1\nCOPY server.py /x.py\nRUN head -c 20M /dev/urandom > /x\nFROM %s\nCOPY --from=builder /x.py /app/server.py\nCMD ["python3", "-u", "/app/server.py"]\n' "$BASE" "$BASE" > Dockerfile
sed -i '/^\[health\]/i [build]\nbuilder = "classic"' deploy.toml; printf '[retention]\nversions = 2\n[rollout]\nkeep_warm = "0s"\n' >> deploy.toml
for i in 1 2 3 4 5 6; do echo "# $i" >> server.py; "$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"; done
"$D" prune >../prune 2>&1; "$D" doctor >../doctor 2>&1; n=$(docker images -q -f dangling=true -f label=b2c26 | wc -l); v=$(docker images -q $N | wc -l)
[ -z "${SHOW:-}" ] || { cat ../prune ../doctor; docker images -f dangling=true -f label=b2c26; docker images $N; }
[ "$n" -le 2 ] && exit 0
grep -qiE 'dangling|image prune|builder prune|build cache|unnamed|left by builds' ../prune ../doctor && exit 0
bad "$n untagged builder stages after 6 releases with $v versions kept; prune: $(tr '\n' '|' <../prune) doctor: $(grep disk ../doctor)"
