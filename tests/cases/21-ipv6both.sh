#!/bin/bash
# "[::]:PORT" and ":PORT" both mean every address of the host, of both families.
# 21b: a way to listen on both families: "[::]:PORT"
set -u; CASE=21b PORT=41528
. "$(dirname "$0")/lib/sample.bash"
grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null || { echo "no IPv6 here"; exit 0; }
both() { # what is written as proxy.listen
  a=$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:$PORT/healthz); b=$(curl -g -s -o /dev/null -w '%{http_code}' "http://[::1]:$PORT/healthz")
  [ "$a$b" = 200200 ] || bad "$1: 127.0.0.1: $a, [::1]: $b; $(ss -ltn | grep -o "[^ ]*:$PORT")"
  f=$(curl -s http://127.0.0.1:$PORT/headers | tr -d '\r' | sed -n 's/^x-forwarded-for: //Ip'); [ "$f" = 127.0.0.1 ] || bad "$1: X-Forwarded-For of an IPv4 client is $f"
}
sed -i "s/127.0.0.1:$PORT/[::]:$PORT/" deploy.toml
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
both "[::]:$PORT"
sed -i "s/\"\[::\]:$PORT/\":$PORT/" deploy.toml; grep -q "\":$PORT\"" deploy.toml || exit 2
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
both ":$PORT"
