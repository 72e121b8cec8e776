#!/bin/bash
# The first part must hold; the rest only says more when it does not. [engine] has subnet and mtu as well.
# 22: a network made by hand (own range, own MTU) under deployctl's name is used; or a key says the range and the MTU
set -u; CASE=22 PORT=41529
. "$(dirname "$0")/lib/sample.bash"
id=$(printf %s "$W/state" | sha256sum | cut -c1-8); trap 'docker network rm deployctl-$id >/dev/null 2>&1; clean; docker network rm deployctl-$id >/dev/null 2>&1' EXIT
docker network create --subnet 10.99.0.0/18 -o com.docker.network.driver.mtu=1400 deployctl-$id >/dev/null
"$D" release >../out 2>&1; rc=$?
[ -z "${SHOW:-}" ] || sed -n '/^error/,$p' ../out
if [ $rc = 0 ]; then m=$(docker exec "$(box v1)" cat /sys/class/net/eth0/mtu); [ "$m" = 1400 ] && exit 0 || bad "MTU $m"; fi
"$D" config schema | grep -qiE '"(mtu|subnet)"' && exit 0
# the way that nobody is told of: the label
docker network rm deployctl-$id >/dev/null; docker network create --subnet 10.99.0.0/18 --label deployctl.state=$id -o com.docker.network.driver.mtu=1400 deployctl-$id >/dev/null
"$D" release >../out2 2>&1; r2=$?; m=$(docker exec "$(box v2 || box v1)" cat /sys/class/net/eth0/mtu 2>/dev/null)
bad "rc=$rc: $(grep -A2 ^error ../out | tr '\n' '|') no key; with the undocumented label: rc=$r2 MTU ${m:-?} $(grep -A2 ^error ../out2 | tr '\n' '|')"
