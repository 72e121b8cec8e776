#!/bin/bash
# What `watchdog install` finds in its environment and a pass needs (DOCKER_CONFIG, proxies, TMPDIR) is kept for cron, or
# named as left out. A proxy with a password is left out: others can read a schedule.
set -u; CASE=19 PORT=41524
. "$(dirname "$0")/lib/sample.bash"
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
# a private /etc/cron.d: the machine's own is never touched
DOCKER_CONFIG=${TMPDIR:-/tmp}/cfg HTTPS_PROXY=http://proxy.example:3128 NO_PROXY=10.0.0.0/8 http_proxy=http://me:hunter2@proxy.example:3128 TMPDIR=/tmp SSL_CERT_FILE=/etc/ca.pem XDG_STATE_HOME=/x \
  unshare --mount sh -c 'mount -t tmpfs tmpfs /etc/cron.d; "$0" watchdog install >../out 2>&1; cat /etc/cron.d/* >../cron 2>/dev/null' "$D"
[ -z "${SHOW:-}" ] || cat ../out ../cron
lost=; for v in DOCKER_CONFIG HTTPS_PROXY NO_PROXY TMPDIR http_proxy; do grep -q $v ../out ../cron || lost="$lost $v"; done
grep -q hunter2 ../out ../cron && bad "the password of a proxy is in the schedule or in a message"
[ -z "$lost" ] || bad "neither in the schedule nor named:$lost"
