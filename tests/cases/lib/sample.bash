# The set-up of a case that begins with a sample model. Sourced with CASE, the end of its app's name, and PORT.
# Afterwards the case is in the folder of the sample; all that it makes is removed at its end, unless KEEP is set.
D=${DEPLOYCTL:-deployctl}; BASE=${BASE:-cases/base:py}; N=b2c$CASE; mkdir -p ${TMPDIR:-/tmp}/cases
W=$(mktemp -d "${TMPDIR:-/tmp}/cases/$N.XXXX"); export DEPLOYCTL_STATE_DIR=$W/state DEPLOYCTL_NO_COLOR=1; mkdir "$W/app"; cd "$W/app" || exit 2
clean() {
  id=$(printf %s "$W/state" | sha256sum | cut -c1-8); [ -z "${KEEP:-}" ] || { echo "kept: $W ($id)"; return; }
  docker ps -aq --filter "label=deployctl.app=$N" --filter "label=deployctl.state=$id" | xargs -r docker rm -fv >/dev/null 2>&1
  docker ps -aq --filter "label=deployctl.state=$id" | xargs -r docker rm -fv >/dev/null 2>&1
  docker network ls -q --filter "label=deployctl.state=$id" | xargs -r docker network rm >/dev/null 2>&1
  docker images --format '{{.Repository}}:{{.Tag}}' "$N" | xargs -r docker rmi -f >/dev/null 2>&1;  docker images -q -f dangling=true -f "label=deployctl.app=$N" | xargs -r docker rmi -f >/dev/null 2>&1; cd /; rm -rf "$W"
}
trap clean EXIT
bad() { echo "FAIL $CASE: $*"; exit 1; }
box() { docker ps -q --filter "label=deployctl.app=$N" --filter "label=deployctl.version=$1" | head -1; }
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(box "$1")"; }
cat > deploy.toml <<E
[app]
name = "$N"
port = 8080
[health]
interval = "200ms"
deadline = "20s"
[proxy]
listen = "127.0.0.1:$PORT"
E
printf 'FROM %s\nCOPY server.py /app/server.py\nCMD ["python3", "-u", "/app/server.py"]\n' "$BASE" > Dockerfile
cat > server.py <<'E'
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer, HTTPServer
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body, code=200):
        self.send_response(code); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer(b"ok" if self.path == "/healthz" else str(self.headers).encode() if self.path == "/headers" else self.path.encode())
    def log_message(self, *a): pass
if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), H).serve_forever()
E
