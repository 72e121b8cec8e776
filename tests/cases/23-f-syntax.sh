#!/bin/bash
# A Dockerfile that needs BuildKit (syntax), built by the classic builder: builds, or the hint says BuildKit/buildx.
set -u; CASE=23f PORT=${PORT:-41535}
. "$(dirname "$0")/lib/sample.bash"
sed -i '/^\[health\]/i [build]\nbuilder = "classic"' deploy.toml
if [ syntax = platform ]; then sed -i 's/^FROM /FROM --platform=$BUILDPLATFORM /' Dockerfile; else printf 'RUN --mount=type=cache,target=/root/.cache true\n' >> Dockerfile; fi
"$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || { tail -8 Dockerfile; sed -n '/^error/,$p' ../out; }
[ $rc = 0 ] && exit 0
sed -n '/^ *next/,$p' ../out | grep -qiE 'buildkit|buildx' && exit 0
bad "rc=$rc: $(sed -n '/^error/,$p' ../out | grep -vE '^    ' | tr '\n' '|')"
