#!/bin/bash
# The proxy is built again and replaced while clients send requests on connections that they keep, and one reads an
# answer that does not end: no request fails, the answer is whole, and doctor names the new program.
set -u; CASE=20u PORT=${PORT:-41571}
. "$(dirname "$0")/lib/sample.bash"
python3 - <<'E'
t = open("server.py").read().replace("    def do_GET(self):\n", '''    def do_GET(self):
        if self.path == "/long":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            while not os.path.exists("/end"): self.wfile.write(b"2\\r\\n.\\n\\r\\n"); time.sleep(0.1)
            return self.wfile.write(b"4\\r\\nend\\n\\r\\n0\\r\\n\\r\\n")
''')
open("server.py", "w").write(t)
E
"$D" release >../out 2>&1 || bad "release: $(tail -3 ../out)"
proxy=deployctl-proxy-$(printf %s "$W/state" | sha256sum | cut -c1-8); old=$(docker inspect -f '{{.Id}}' "$proxy")
curl -sN "http://127.0.0.1:$PORT/long" >../long & long=$!
cat >../clients.py <<'E'
import http.client, os, sys, threading
failed, count = [], 0
def client():
    global count
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
    while not os.path.exists(sys.argv[2]):
        try:
            connection.request("GET", "/x"); reply = connection.getresponse(); reply.read(); count += 1
            if reply.status != 200: failed.append(reply.status)
            if reply.getheader("Connection") == "close": connection.close()
        except (OSError, http.client.HTTPException) as error:
            failed.append(repr(error)); connection.close()
threads = [threading.Thread(target=client) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(f"{len(failed)} of {count} failed {failed[:3]}")
E
python3 ../clients.py "$PORT" ../stop >../clients & clients=$!
sleep 1; timeout 300 "$D" proxy upgrade >../upgrade 2>&1; rc=$?
new=$(docker inspect -f '{{.Id}}' "$proxy"); "$D" doctor >../doctor; "$D" proxy status >../status
docker exec "$(box v1)" touch /end; wait $long; touch ../stop; wait $clients
[ -z "${SHOW:-}" ] || cat ../upgrade ../doctor ../status ../clients
[ $rc = 0 ] || bad "proxy upgrade: $rc: $(tail -4 ../upgrade)"
[ "$new" != "$old" ] || bad "the same container runs"
grep -q '^0 of [1-9]' ../clients || bad "$(cat ../clients)"
[ "$(tail -1 ../long)" = end ] || bad "the long answer was cut: $(wc -l <../long) lines"
grep -q 'proxy: running, HAProxy [0-9.]*.*image built 0 days ago; the previous proxy still has 1 open request' ../doctor || bad "doctor: $(grep proxy ../doctor)"
for _ in $(seq 20); do "$D" recover >../recover 2>&1; [ "$(docker ps -aq --filter "name=$proxy" | wc -l)" = 1 ] && exit 0; sleep 1; done
bad "the old proxy is still there: $(docker ps -a --filter "name=$proxy" --format '{{.Names}} {{.Status}}' | tr '\n' ' ')"
