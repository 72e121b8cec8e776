#!/bin/bash
# One thread, a health check of 1.5 s, a timeout of 2 s: ready within 15 s, and at rest the checks leave the model most
# of its time.
set -u; CASE=27 PORT=${PORT:-41543}
. "$(dirname "$0")/lib/sample.bash"
sed -i 's/ThreadingHTTPServer(("", 8080)/HTTPServer(("", 8080)/; s/    def do_GET(self):/&\n        self.close_connection = True\n        if self.path == "\/healthz": time.sleep(1.5)/' server.py
sed -i 's/"20s"/"60s"\ntimeout = "2s"/' deploy.toml
s=$(date +%s); "$D" release >../out 2>&1; rc=$?; t=$(($(date +%s) - s))
[ -z "${SHOW:-}" ] || { echo "rc=$rc t=$t"; sed -n '/wait until/,$p' ../out | tail -12; }
[ $rc = 0 ] || bad "rc=$rc after ${t}s: $(grep -A1 ^error ../out | tr '\n' '|')"
sum=0; for i in $(seq 20); do a=$(date +%s%N); curl -s -m 30 -o /dev/null http://127.0.0.1:$PORT/x; sum=$((sum + ($(date +%s%N) - a) / 1000000)); sleep 0.3; done
[ -z "${SHOW:-}" ] || { echo "mean of a GET at rest: $((sum / 20)) ms"; "$D" status; }
[ $t -le 15 ] && [ $((sum / 20)) -le 1000 ] || bad "ready after ${t}s, a GET of a model at rest takes $((sum / 20)) ms in the mean"
