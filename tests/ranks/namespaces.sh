#!/bin/bash
# Several hosts on one machine: network namespaces joined by wires of a set latency and 1 Gb/s, mpirun across them through a launch agent in place of
# ssh. Small networks of table.py are trained there and have to give the files of one rank; how long ranks wait for each other with nothing to compute is
# told, and a timeline of each is kept in build/ranks/namespaces.
#
#   tests/ranks/namespaces.sh [LATENCY_US...]     as root; some minutes; default: 50 1000
#
# Wires are veth pairs on a bridge, delayed by tc netem. A kernel without netem gets wires of our own (wire.c: tun devices, and a program between them that holds
# packets back). The last line counts; 77 where there can be no namespaces, with the reason.
set -eu
cd "$(dirname "$0")/../.."
cli=$(realpath "${FAR_TEST_CLI:-build/farandole}")
out=$PWD/build/ranks/namespaces
hosts=4
me=far$$
wire_pid=
passed=0 failed=0

skip() {
    echo "skipped: $1"
    echo "0 passed, 0 failed, 0 refused, 1 skipped"
    exit 77
}
remove() {
    [ -z "$wire_pid" ] || kill "$wire_pid" 2>/dev/null || true
    for h in $(seq 0 $((hosts - 1))) switch; do ip netns del "$me-$h" 2>/dev/null || true; done
    wire_pid=
}

[ "$(id -u)" = 0 ] || skip "network namespaces need root"
for tool in ip tc mpirun cc unshare python3; do
    command -v $tool >/dev/null || skip "no $tool (Debian: iproute2, openmpi-bin, gcc, util-linux, python3)"
done
[ -x "$cli" ] && [ -e "$(dirname "$(realpath "$cli")")/farandole-mpi.so" ] || skip "no $cli, or it was built without MPI"
trap remove EXIT
trap 'exit 1' INT TERM
mkdir -p "$out"
ip netns add "$me-0" 2>/dev/null || skip "this system gives no network namespace"
has_netem=yes
ip -n "$me-0" link add v type veth peer name w
tc -n "$me-0" qdisc add dev v root netem delay 1ms 2>/dev/null || has_netem=no
remove
if [ $has_netem = no ]; then
    [ -c /dev/net/tun ] || skip "this kernel has neither netem nor tun devices"
    cc -O2 -o "$out/wire" tests/ranks/wire.c
    echo "fallback: this kernel has no netem; wires are tun devices and tests/ranks/wire.c"
fi

# hosts_make LATENCY_US: one way, between any two hosts
hosts_make() {
    for h in $(seq 0 $((hosts - 1))); do
        ip netns add "$me-$h"
        ip -n "$me-$h" link set lo up
    done
    if [ $has_netem = yes ]; then
        ip netns add "$me-switch"
        ip -n "$me-switch" link add bridge type bridge
        ip -n "$me-switch" link set bridge up
    else
        "$out/wire" $hosts "$1" 1000 >"$out/wire.log" &
        wire_pid=$!
        until grep -q ready "$out/wire.log"; do sleep 0.1; done
    fi
    for h in $(seq 0 $((hosts - 1))); do
        if [ $has_netem = yes ]; then
            ip -n "$me-switch" link add "port$h" type veth peer name net netns "$me-$h"
            ip -n "$me-switch" link set "port$h" master bridge up
            tc -n "$me-$h" qdisc add dev net root netem delay "${1}us" rate 1gbit limit 10000
        else
            ip link set "farw$wire_pid.$h" netns "$me-$h" name net
        fi
        ip -n "$me-$h" addr add "10.77.0.$((h + 1))/24" dev net
        ip -n "$me-$h" link set net up
    done
}

# What mpirun starts in place of ssh: agent HOST COMMAND..., run by a shell in that host's namespace and under its name.
cat >"$out/agent" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
h=\$((\${1##*.} - 1))
shift
exec ip netns exec $me-\$h unshare --uts sh -c "hostname host\$h; \$*"
END
chmod +x "$out/agent"

# everywhere RANKS WORDS...: the command as so many ranks, dealt out over the hosts
everywhere() {
    local ranks=$1 list="" h
    shift
    for h in $(seq 1 $hosts); do list+="${list:+,}10.77.0.$h:$(((ranks + hosts - 1) / hosts))"; done
    ip netns exec "$me-0" unshare --uts sh -c 'hostname host0; exec "$@"' sh \
        mpirun --allow-run-as-root -n "$ranks" --host "$list" --map-by node --bind-to none --oversubscribe --mca plm_rsh_agent "$out/agent" \
        --mca plm_rsh_no_tree_spawn 1 --mca oob_tcp_if_include net --mca btl_tcp_if_include net --mca btl self,vader,tcp --mca pml ob1 \
        --mca btl_vader_single_copy_mechanism none --mca mpi_yield_when_idle 0 "$cli" "$@"
}

one() { # CONFIG: its files on one rank, once
    [ -e "$1.one/checkpoints/20/manifest.json" ] || { rm -rf "$1.one"; "$cli" train "$1" "run.dir=$1.one" threads=1 --quiet; }
}

cell() { # LATENCY_US CONFIG RANKS LAYOUT
    local label run verdict=ok
    label="$(basename "$2" .yaml), $4, $1 us" run="$2.$4.$1"
    rm -rf "$run"
    if ! everywhere "$3" train "$2" "run.dir=$run" threads=1 --layout "$4" --timeline "$run.json" --quiet >"$run.log" 2>&1; then
        verdict="FAILED: $(tail -3 "$run.log")"
    else
        for kind in model optimizer; do
            cmp -s "$2.one/checkpoints/20/$kind.safetensors" "$run/checkpoints/20/$kind.safetensors" || verdict="FAILED: $kind.safetensors differs"
        done
        grep -q "on host$((hosts - 1))" "$run.json" || verdict="FAILED: not every host took part"
        bench/timeline "$run.json" --json | grep '"arriving_under_backward_s": [0-9.e-]*[1-9]' >/dev/null || verdict="FAILED: nothing travels under the backward pass"
    fi
    echo "$label ... $verdict"
    [ "$verdict" != ok ] || bench/timeline "$run.json" | sed 's/^/    /'
    if [ "$verdict" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

PYTHONPATH=tests/ranks python3 - "$out" <<'END'
import json, pathlib, sys, table
for name, network in (("lenet5", "lenet5, adam, dropout"), ("a21", "a21, tall, focal loss")):
    pathlib.Path(sys.argv[1], name + ".yaml").write_text(json.dumps(table.NETWORKS[network], indent=1))
END
for config in "$out/lenet5.yaml" "$out/a21.yaml"; do one "$config"; done
for latency in "${@:-50 1000}"; do
    for us in $latency; do
        hosts_make "$us"
        echo "latency $us us one way: $(ip netns exec "$me-0" ping -c 5 -i 0.2 -q 10.77.0.2 2>/dev/null | tail -1 || echo 'no ping')"
        cell "$us" "$out/lenet5.yaml" 4 data=4
        cell "$us" "$out/lenet5.yaml" 8 data=8
        cell "$us" "$out/a21.yaml" 4 spatial=4
        cell "$us" "$out/a21.yaml" 4 data=2,spatial=2
        remove
    done
done
echo "$passed passed, $failed failed, 0 refused, 0 skipped"
[ "$failed" = 0 ]
