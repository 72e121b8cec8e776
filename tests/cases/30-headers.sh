#!/bin/bash
# Headers of up to 60 kB that a model takes when it is asked directly reach it through the proxy too.
set -u; CASE=30a PORT=${PORT:-41547}
. "$(dirname "$0")/lib/sample.bash"
python3 - <<'E'
t = open("server.py").read().replace('protocol_version = "HTTP/1.1"', 'protocol_version = "HTTP/1.1"; ').replace("import os, time", "import os, time, http.server, http.client\nhttp.client._MAXLINE = 1 << 20").replace('str(self.headers).encode()', 'str(len(self.headers.get("X-Big", ""))).encode()')
open("server.py", "w").write(t)
E
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
for n in 20000 30000 32000 40000 60000; do h=$(head -c $n /dev/zero | tr '\0' a)
  p=$(curl -s -w ' %{http_code}' -H "X-Big: $h" http://127.0.0.1:$PORT/headers | tr '\n' ' '); d=$(curl -s -w ' %{http_code}' -H "X-Big: $h" http://$(address v1):8080/headers | tr '\n' ' '); [ -z "${SHOW:-}" ] || echo "$n: proxy '$p' direct '$d'"; [ "${p##* }" = "${d##* }" ] || lost="${lost:-} $n (direct ${d##* }, proxy ${p##* }: $p)"; done
"$D" doctor >../doctor; "$D" proxy status >>../doctor; [ -z "${SHOW:-}" ] || { cat ../doctor; docker logs $(docker ps -q --filter label=deployctl.role=proxy --filter "label=deployctl.state=$(printf %s "$W/state" | sha256sum | cut -c1-8)") 2>&1 | grep BAD | cut -c1-200; }
[ -z "${lost:-}" ] || bad "header bytes that work direct and not through the proxy:$lost"
