#!/bin/bash
# A user in group docker listens on a port below 1024: works, or the reason is the right one (privileged port).
set -u; CASE=c05 PORT=987
. "$(dirname "$0")/lib/sample.bash"
cd "$W" && chmod 755 "$W" && mkdir -p state && chown -R 12345 "$W"; cd app
export HOME=$W; setpriv --reuid 12345 --regid 12345 --clear-groups "$D" --version >/dev/null 2>&1 || { echo "other users cannot run $D"; exit 77; }
setpriv --reuid 12345 --regid "$(stat -c %g /var/run/docker.sock)" --clear-groups "$D" release >../out 2>&1; rc=$?
setpriv --reuid 12345 --regid "$(stat -c %g /var/run/docker.sock)" --clear-groups "$D" doctor >../doctor 2>&1
[ -z "${SHOW:-}" ] || { cat /proc/sys/net/ipv4/ip_unprivileged_port_start; sed -n '/^error/,$p' ../out; cat ../doctor; }
[ $rc = 0 ] && [ "$(curl -s http://127.0.0.1:$PORT/x)" = /x ] && exit 0
sed -n '/^ *next/,$p' ../out | grep -qiE '1024|privileged|root|unprivileged_port' && exit 0
bad "rc=$rc: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
