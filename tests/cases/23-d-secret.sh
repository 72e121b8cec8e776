#!/bin/bash
# 23d: a build that needs a secret, with buildx: build.secrets gives it, and it is not in the image.
set -u; CASE=23d PORT=41538
. "$(dirname "$0")/lib/sample.bash"
export PIP_TOKEN=s3cr3t-tok3n
if [ -x "${BUILDX:-}" ]; then export DOCKER_CONFIG=$W/docker; mkdir -p "$DOCKER_CONFIG/cli-plugins"; ln -s "$BUILDX" "$DOCKER_CONFIG/cli-plugins/docker-buildx"; fi
docker buildx version >/dev/null 2>&1 || { echo "no buildx"; exit 77; }
sed -i '/^\[health\]/i [build]\nsecrets = { pip = "env:PIP_TOKEN" }' deploy.toml
echo 'RUN --mount=type=secret,id=pip,required=true wc -c </run/secrets/pip >/n' >> Dockerfile
"$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || { sed -n '/^error/,$p' ../out; sed -i '/^secrets/d' deploy.toml; "$D" release 2>&1 | sed -n '/^error/,$p'; }
[ $rc = 0 ] || bad "rc=$rc: $(sed -n '/^error/,$p' ../out | tr '\n' '|')"
docker history --no-trunc $N:v1 | grep -q s3cr3t && bad "the secret is in the image's history"
[ "$(docker run --rm --entrypoint cat $N:v1 /n)" = 12 ] || bad "the secret did not arrive"
