#!/bin/bash
# The proxy's own checks of a healthy model (the server of the standard library, head and body in two writes, 20 ms
# between them) leave no error in its log.
set -u; CASE=17f PORT=${PORT:-41570}
. "$(dirname "$0")/lib/sample.bash"
sed -i "s/self.end_headers(); self.wfile/self.end_headers(); time.sleep(0.02); self.wfile/" server.py
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
sleep 20; n=$("$D" logs --tail 100000 2>/dev/null | grep -cE 'BrokenPipeError|ConnectionResetError'); [ -z "${SHOW:-}" ] || { "$D" logs | tail -5; }
[ "$n" = 0 ] || bad "$n tracebacks (BrokenPipe/ConnectionReset) in 20 s of a healthy model at rest"
