#!/bin/bash
# An image whose entrypoint must be PID 1 (s6-overlay): live, or the failure names run.init.
set -u; CASE=c01 PORT=${PORT:-41551}
. "$(dirname "$0")/lib/sample.bash"
printf '#!/bin/sh\n[ $$ = 1 ] || { echo "s6-overlay-suexec: fatal: can only run as pid 1" >&2; exit 100; }\nexec python3 -u /app/server.py\n' > init; chmod +x init
sed -i 's/^CMD.*/COPY init \/init\nENTRYPOINT ["\/init"]/' Dockerfile
"$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || sed -n '/^error/,$p' ../out
[ $rc = 0 ] && exit 0
sed -n '/^error/,$p' ../out | grep -q 'run.init' && exit 0
bad "rc=$rc: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
