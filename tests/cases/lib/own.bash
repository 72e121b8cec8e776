# The set-up of a case that writes its own model. Sourced with A, the name of its app, and P, its port.
# Afterwards the case is in an empty folder, with its own state and home folders; all that it makes is removed at its end.
D=${DEPLOYCTL:-deployctl}; export BASE=${BASE:-cases/base:py}
W=$(mktemp -d); export DEPLOYCTL_STATE_DIR=$W/state HOME=$W/home; mkdir -p "$W/app" "$HOME"; cd "$W/app" || exit 2
ID=$(printf %s "$DEPLOYCTL_STATE_DIR" | sha256sum | cut -c1-8)

clean() {
  docker ps -aq --filter "label=deployctl.state=$ID" | xargs -r docker rm -fv
  docker network rm "deployctl-$ID"
  docker images -q --filter "label=deployctl.app=$A" | xargs -r docker rmi -f
  cd /; rm -rf "$W"
} >/dev/null 2>&1
trap clean EXIT

bad() { echo "WRONG: $*"; exit 1; }
ok() { echo "RIGHT: $*"; exit 0; }
# The id of a container of a version.
box() { docker ps -q --filter "label=deployctl.state=$ID" --filter "label=deployctl.version=$1" | head -1; }
# Writes deploy.toml; the arguments are more lines of [health] and of [proxy].
toml() {
  printf '[app]\nname = "%s"\nport = 8080\n[health]\ninterval = "200ms"\ndeadline = "20s"\n%s\n[proxy]\nlisten = "127.0.0.1:%s"\n%s\n' \
    "$A" "${1:-}" "$P" "${2:-}" > deploy.toml
}
