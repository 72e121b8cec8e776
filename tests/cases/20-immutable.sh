#!/bin/bash
# Registry with immutable tags, v1 pushed, fails its probes, fixed and released again as v1: one try, a hint that the name is taken.
set -u; CASE=20 PORT=${PORT:-41525}
. "$(dirname "$0")/lib/sample.bash"
cat > ../registry.py <<'E'
# A small registry: argv = port, mode (open | immutable | auth)
import base64, hashlib, json, sys, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, mode = int(sys.argv[1]), sys.argv[2]
blobs, manifests, up, tries = {}, {}, {}, []
class R(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def say(self, code, body=b"", **h):
        self.send_response(code); self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for k, v in h.items(): self.send_header(k.replace("_", "-"), str(v))
        if "Content_Length" not in h: self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body if self.command != "HEAD" else b"")
    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            out = []
            while n := int(self.rfile.readline().split(b";")[0], 16): out.append(self.rfile.read(n)); self.rfile.readline()
            self.rfile.readline(); return b"".join(out)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))
    def any(self):
        data, (path, _, query) = self.body(), self.path.partition("?")
        if path == "/tries": return self.say(200, str(len(tries)).encode())
        if mode == "auth" and self.headers.get("Authorization") != "Basic " + base64.b64encode(b"me:secret").decode():
            return self.say(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', WWW_Authenticate='Basic realm="r"')
        if path == "/v2/": return self.say(200, b"{}")
        kind, _, ref = path.removeprefix("/v2/").partition("/blobs/")[2].rpartition("/") if "/blobs/" in path else ("", "", path.rpartition("/")[2])
        if "/blobs/uploads" in path:
            if self.command == "POST": u = uuid.uuid4().hex; up[u] = b""; return self.say(202, Location=path.rstrip("/") + "/" + u, Range="0-0", Docker_Upload_UUID=u)
            up[ref] += data
            if self.command == "PATCH": return self.say(202, Location=path, Range=f"0-{max(0, len(up[ref]) - 1)}", Docker_Upload_UUID=ref)
            d = query.split("digest=")[1].split("&")[0].replace("%3A", ":"); blobs[d] = up.pop(ref); return self.say(201, Docker_Content_Digest=d, Location=path)
        store = blobs if "/blobs/" in path else manifests
        if self.command == "PUT":
            tries.append(ref); d = "sha256:" + hashlib.sha256(data).hexdigest()
            if mode == "immutable" and (ref in manifests or len(sys.argv) > 3):
                return self.say(400, json.dumps({"errors": [{"code": "TAG_INVALID", "message": f"The image tag '{ref}' already exists in the 'bug' repository and cannot be overwritten because the repository is immutable."}]}).encode(), Content_Type="application/json")
            manifests[ref] = manifests[d] = (data, self.headers["Content-Type"]); return self.say(201, Docker_Content_Digest=d)
        found = store.get(ref)
        if found is None: return self.say(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        data, kind = found if isinstance(found, tuple) else (found, "application/octet-stream")
        self.say(200, data, Content_Type=kind, Docker_Content_Digest="sha256:" + hashlib.sha256(data).hexdigest())
    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = any
ThreadingHTTPServer(("127.0.0.1", port), R).serve_forever()
E
REG=$(python3 -c "import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); print(s.getsockname()[1])")
python3 ../registry.py $REG immutable & R=$!; trap 'kill $R; clean' EXIT
printf '[registry]\npush = "127.0.0.1:%s/b2c20"\n' "$REG" >> deploy.toml; sed -i 's/20s/3s/' deploy.toml
cp server.py ../good.py; sed -i 's/"\/healthz"/"\/no"/; s/self.path.encode())$/b"x") if self.path != "\/healthz" else self.answer(b"no", 503)/' server.py
python3 -c 'compile(open("server.py").read(),"s","exec")' || bad server.py
sleep 0.5; "$D" release v1 >../out1 2>&1; a=$(curl -s 127.0.0.1:$REG/tries)
cp ../good.py server.py; s=$(date +%s); "$D" release v1 >../out 2>&1; rc=$?; t=$(($(date +%s) - s)); b=$(curl -s 127.0.0.1:$REG/tries)
[ -z "${SHOW:-}" ] || { tail -5 ../out1; sed -n '/push/,$p' ../out; }
[ $rc = 0 ] && exit 0
[ $((b - a)) = 1 ] && sed -n '/^ *next/,$p' ../out | grep -qiE 'version|v2|taken|exists' && exit 0
bad "rc=$rc after ${t}s, $((b - a)) tries: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
