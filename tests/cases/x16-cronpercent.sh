#!/bin/bash
# Paths with % and spaces in a schedule.
set -u; CASE=c16 PORT=41566
. "$(dirname "$0")/lib/sample.bash"
mkdir "$W/a 50% b"; cp * "$W/a 50% b"; cd "$W/a 50% b" || exit 2
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
unshare --mount sh -c 'mount -t tmpfs tmpfs /etc/cron.d; "$0" watchdog install >../out 2>&1; cat /etc/cron.d/* >../cron' "$D"
line=$(grep ' root ' ../cron | sed 's/^\* \* \* \* \* root //'); [ -z "${SHOW:-}" ] || { cat ../out; echo "$line"; }
# as cron does: a bare % ends the command, \% is %
cmd=$(python3 -c 'import re,sys; s = sys.argv[1]; print(re.split(r"(?<!\\)%", s)[0].replace("\\%", "%"))' "$line"); sh -c "$cmd" >../pass 2>&1 || bad "the pass: $(cat ../pass)"
"$D" watchdog status 2>/dev/null | grep -qi healthy || bad "$("$D" watchdog status)"
