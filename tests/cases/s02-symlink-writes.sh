#!/bin/bash
# Another user owns the folder in which root runs `deployctl init`, and has put links and pipes under the names that a
# temporary file could have: no file outside the folder is written, and no command waits for the other end of a pipe.
# A folder that others can write to also gets no schedule of the watchdog, and the state folder is private.
[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || { echo "needs root and setpriv"; exit 77; }
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d "${TMPDIR:-/tmp}/case-XXXX"); chmod 755 "$W"; bad=0
trap 'rm -rf "$W"' EXIT; wrong() { echo "WRONG: $*"; bad=1; }
export DEPLOYCTL_STATE_DIR=$W/state; as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
mkdir "$W/theirs"; chown 65534:65534 "$W/theirs"; mkdir -m 700 "$W/rootonly"; echo precious > "$W/rootonly/victim"; chmod 600 "$W/rootonly/victim"
cd "$W/theirs" || exit 2
for name in deploy.toml.tmp .deploy.toml.tmp; do as ln -s "$W/rootonly/victim" $name; done
"$D" init >/dev/null 2>&1 || wrong "init: $?"
[ "$(cat "$W/rootonly/victim")" = precious ] || wrong "init, run by root, overwrote a file through a link"
[ "$(stat -c %a "$W/rootonly/victim")" = 600 ] || wrong "init changed the mode of a file through a link"
rm -f ./* ./.deploy*; as mkfifo deploy.toml.tmp
timeout 10 "$D" init >/dev/null 2>&1 || wrong "init at a pipe deploy.toml.tmp: $?"
rm -f ./*; as ln -s "$W/rootonly/victim" deploy.toml
timeout 10 "$D" init --force >/dev/null 2>&1 || wrong "init --force at a link: $?"
[ "$(cat "$W/rootonly/victim")" = precious ] || wrong "init --force wrote through a link"
"$D" watchdog install >out 2>&1; code=$?
[ $code = 2 ] && grep -q "belongs to" out || wrong "watchdog install of another user's deploy.toml: $code, $(head -1 out)"
mkdir -m 755 "$W/state2" && touch "$W/state2/ledger.db" && DEPLOYCTL_STATE_DIR=$W/state2 "$D" metrics >/dev/null 2>&1
[ "$(stat -c %a "$W/state" "$W/state2" | sort -u)" = 700 ] || wrong "a state folder is not private: $(stat -c '%a %n' "$W"/state*)"
exit $bad
