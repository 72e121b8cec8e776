#!/bin/bash
# An image that runs nginx as root in front of the model (mlflow, sagemaker) goes live; or the hint names the capabilities, soon.
set -u; A=b1c05; P=${PORT:-41005}
. "$(dirname "$0")/lib/own.bash"
T=nginxbase-b1; docker image inspect $T > /dev/null 2>&1 || printf 'FROM %s\nRUN apt-get update && apt-get install -y --no-install-recommends nginx-light && rm -rf /var/lib/apt/lists/*\n' $BASE | docker build -q -t $T --label deployctl.app=$A - > /dev/null 2>&1
echo 'error_log /dev/stderr; events{} http{ access_log off; server{ listen 8080; location /ping { return 200 "ok"; } } }' > nginx.conf
printf 'FROM %s\nCOPY nginx.conf /etc/nginx/nginx.conf\nCMD ["nginx","-g","daemon off;"]\n' $T > Dockerfile
docker image inspect $T > /dev/null 2>&1 || { echo "nginx cannot be installed"; exit 77; }
docker build -q -t $A:run --label deployctl.app=$A . > /dev/null 2>&1; docker run -d --rm --name $A-run --label deployctl.state=$ID $A:run > /dev/null; sleep 1
docker exec $A-run python3 -c 'import urllib.request as u; print("docker run:", u.urlopen("http://127.0.0.1:8080/ping").status)'; docker rm -f $A-run > /dev/null
for caps in '' 'cap_add = ["CHOWN"]'; do
  toml 'preset = "sagemaker"'; printf '[run]\n%s\n' "$caps" >> deploy.toml; s=$(date +%s); $D release > $W/out.txt 2>&1; rc=$?; t=$(($(date +%s)-s))
  [ "${SHOW:-}" ] && { echo "--- '$caps': exit $rc, $t s"; tail -n 25 $W/out.txt; }
  [ $rc = 0 ] || { grep next: $W/out.txt | grep -q cap_add && [ $t -lt 12 ]; } || w="${w:-}with '$caps': exit $rc after $t s, '$(grep -m1 error: $W/out.txt)', hint '$(grep next: $W/out.txt)'; "
done
toml 'preset = "sagemaker"'; printf '[run]\ncap_add = ["CHOWN","SETGID","SETUID"]\n' >> deploy.toml; $D release > $W/out.txt 2>&1; [ "${SHOW:-}" ] && echo "with the three: $?"
[ "${w:-}" ] && bad "$w"; ok "nginx goes live, or the hint names cap_add at once"
