#!/bin/bash
# x03: the options of SELinux, :z and :Z, are taken, with ro and rw.
set -u; CASE=x03 PORT=41553
. "$(dirname "$0")/lib/sample.bash"
mkdir d; for o in z ro,Z rw,z; do sed -i '/^\[run\]/,$d' deploy.toml; printf '[run]\nvolumes = ["./d:/d:%s"]\n' $o >> deploy.toml; "$D" config check >../out 2>&1 || lost="${lost:-}$o: $(sed -n 2p ../out); "; done
[ -z "${lost:-}" ] || bad "$lost"
