#!/bin/bash
# remove: an app goes with everything that belongs to it, also when the command is killed; another app of the state folder never notices.
set -u; A=b2c29 P=${PORT:-41573}
. "$(dirname "$0")/lib/apps.bash"
Q=$((P + 1))
mkdir -p "$W/${A}one/weights"; echo w > "$W/${A}one/weights/w"
app "${A}one" "$P" one '[model]\npath="weights"'
app "${A}two" "$Q" two ''
( while [ ! -e "$W/stop" ]; do curl -s -m 5 "http://127.0.0.1:$Q/" | grep -q two || echo x >> "$W/failed"; done ) & L=$!
cd "$W/${A}one" || exit 2
$D remove </dev/null >"$W/out" 2>&1; [ $? = 2 ] || wrong "without a terminal: $(tail -2 "$W/out")"
curl -s "http://127.0.0.1:$P/" | grep -q one || wrong "the refused removal has changed something"
rm deploy.toml
for wait in 0.3 0.6; do $D remove "${A}one" --force >"$W/out" 2>&1 & K=$!; sleep "$wait"; kill -9 $K 2>/dev/null; wait $K 2>/dev/null; done
$D list | grep -q "^${A}one" && { $D remove "${A}one" --force >"$W/out" 2>&1 || wrong "the second time: $(tail -3 "$W/out")"; }
touch "$W/stop"; wait $L
[ -e "$W/failed" ] && wrong "$(wc -l < "$W/failed") requests of the other app failed"
[ -z "$(docker ps -aq --filter "label=deployctl.app=${A}one")$(docker images -q "${A}one")" ] || wrong "containers or images are left"
[ -z "$(find "$W/state" -name "${A}one*" ! -name '*.lock')" ] || wrong "files are left: $(find "$W/state" -name "${A}one*" ! -name '*.lock')"
[ "$($D list | cut -d' ' -f1)" = "${A}two" ] || wrong "list: $($D list)"
(cd "$W/${A}two" && $D verify >"$W/out" 2>&1) || wrong "verify of the other app: $(tail -3 "$W/out")"
exit $bad
