# The set-up of a case with one or more apps that answer a fixed text. Sourced with A, the beginning of their names, and
# P, a port. All that it makes is removed at its end. `bad` is 1 after `wrong`.
D=${DEPLOYCTL:-deployctl}; W=$(mktemp -d "${TMPDIR:-/tmp}/case-XXXX"); export DEPLOYCTL_STATE_DIR=$W/state; bad=0
SID=$(printf %s "$(realpath $W)/state" | sha256sum | cut -c1-8)
clean() { docker ps -aq --filter label=deployctl.state=$SID | xargs -r docker rm -f >/dev/null 2>&1; docker network rm deployctl-$SID >/dev/null 2>&1; docker images -q --filter label=deployctl.state=$SID | sort -u | xargs -r docker rmi -f >/dev/null 2>&1; rm -rf $W; }; trap clean EXIT
wrong() { echo "WRONG: $*"; bad=1; }
app() { # name port text [more toml]: makes a folder with a small model
  mkdir -p $W/$1; printf 'from http.server import *\nclass H(BaseHTTPRequestHandler):\n    def log_message(s,*a): pass\n    def do_GET(s):\n        b=b"%s"; s.send_response(200); s.send_header("Content-Length",str(len(b))); s.end_headers(); s.wfile.write(b)\nThreadingHTTPServer(("",8080),H).serve_forever()\n' "$3" > $W/$1/server.py
  printf 'FROM cases/base:py\nCOPY server.py /\nCMD ["python3","/server.py"]\n' > $W/$1/Dockerfile; printf '[app]\nname="%s"\nport=8080\n[proxy]\nlisten="127.0.0.1:%s"\n[health]\nsuccesses=1\ninterval="50ms"\n%b\n' "$1" "$2" "$4" > $W/$1/deploy.toml
  (cd $W/$1 && $D release >$W/$1.out 2>&1) || { tail -3 $W/$1.out; exit 2; }; }
