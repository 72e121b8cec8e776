#!/bin/bash
# 31: env_file is read as docker run --env-file and, for quotes, Docker Compose read it; what would not arrive as it is
# written is refused with its line and a way out.
set -u; CASE=31 PORT=41549
. "$(dirname "$0")/lib/sample.bash"
python3 - <<'E'
t = open("server.py").read().replace('str(self.headers).encode()', '__import__("json").dumps({k: v for k, v in os.environ.items() if k[:1] in "ABCDFGHK" and len(k) < 4}, ensure_ascii=False).encode()')
open("server.py", "w").write(t)
E
cat > env.list <<'E'
A="x y"
B='{"k": "v"}'
C="--a" "--b"
D=x # note
G=a#b
H='it''s'
E
echo env.list > .dockerignore; printf '[run]\nenv_file = "env.list"\n' >> deploy.toml
"$D" release >../out 2>&1 || bad "release: $(tail -4 ../out)"
got=$(curl -s http://127.0.0.1:$PORT/headers); dock=$(docker run --rm --env-file env.list --entrypoint python3 $N:v1 -c 'import json,os;print(json.dumps({k: os.environ.get(k) for k in "ABCDGH"}, ensure_ascii=False))')
sh=$(set -a; eval "$(grep -v '^C' env.list)"; python3 -c 'import json,os;print(json.dumps({k: os.environ.get(k) for k in "ABDGH"}, ensure_ascii=False))')
msg() { printf "$1\n" > env.list; "$D" config check 2>&1 | tr '\n' '|'; echo " rc=${PIPESTATUS[0]}"; }
[ -z "${SHOW:-}" ] || { echo "deployctl: $got"; echo "docker:    $dock"; echo "shell:     $sh"; for l in 'E' 'F.G=1' 'F-G=1' 'K="-----BEGIN\nabc\n-----END"' 'A=1\nA=2' '=x' 'X=' ' Y = z ' 'export Z=1'; do echo "$l: $(E=1 msg "$l")"; done; }
c=$(echo "$got" | python3 -c 'import json,sys;print(json.load(sys.stdin)["C"])')
[ "$c" = '"--a" "--b"' ] || bad "C=\"--a\" \"--b\" reached the model as: $c; K over lines: $(msg 'K="-----BEGIN\nabc\n-----END"')"
msg 'K="-----BEGIN\nabc\n-----END"' | grep -qiE 'secrets|run.env|several lines|quote' || bad "K over lines: $(msg 'K="-----BEGIN\nabc\n-----END"')"
