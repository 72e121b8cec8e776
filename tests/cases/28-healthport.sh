#!/bin/bash
# The API on 8080, the health path on 8081, as TorchServe and TensorFlow Serving have it: health.port.
set -u; CASE=28a PORT=${PORT:-41545}
. "$(dirname "$0")/lib/sample.bash"
python3 - <<'E'
t = open("server.py").read()
t = t.replace('b"ok" if self.path == "/healthz" else', 'b"ok" if self.path == "/healthz" and self.server.server_port == 8081 else').replace("    ThreadingHTTPServer((", '    import threading; threading.Thread(target=ThreadingHTTPServer(("", 8081), H).serve_forever, daemon=True).start()\n    ThreadingHTTPServer((', 1)
t = t.replace('self.answer(b"ok" if', 'self.answer(b"no", 404) if self.path == "/healthz" and self.server.server_port == 8080 else self.answer(b"ok" if')
open("server.py", "w").write(t)
E
sed -i 's/^\[health\]/&\nport = 8081/; s/20s/5s/' deploy.toml; "$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || sed -n '/^error/,$p' ../out
[ $rc = 0 ] && [ "$(curl -s http://127.0.0.1:$PORT/x)" = /x ] && exit 0
bad "rc=$rc: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
