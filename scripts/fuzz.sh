#!/bin/bash
# Runs each fuzz target: fuzz.sh build-folder seconds [name-regex].
# New inputs stay in the build folder, seeds untouched. An input that took too long is tried again alone: on a busy machine a process may
# stand still for a while, which is no finding.
set -u
build=$1
seconds=$2
only=${3:-}
root=$(cd "$(dirname "$0")/.." && pwd)
passed=0
failed=0

# Sets inputs and slow, for the line that is printed.
fuzz_one() {
    local left=$seconds began input
    inputs=0
    slow=0
    while :; do
        began=$SECONDS
        # rss: a small file that makes the reader take gigabytes is a finding
        "$build/fuzz/$target" -max_total_time="$left" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
            -artifact_prefix="$build/fuzz/found/$target-" "$work" ${seeds:+"$seeds"} >"$log" 2>&1 </dev/null
        local status=$?
        inputs=$((inputs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1 | grep . || echo 0)))
        [ "$status" -ne 0 ] || return 0
        input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        [[ $input == */$target-timeout-* ]] || return 1
        "$build/fuzz/$target" -timeout=10 "$input" >>"$log" 2>&1 </dev/null || return 1
        rm -f "$input"
        slow=$((slow + 1))
        left=$((left - (SECONDS - began)))
        [ "$left" -gt 0 ] || return 0
    done
}

while read -r target; do
    [[ $target =~ $only ]] || continue
    work=$build/fuzz/corpus/$target
    seeds=$root/tests/fuzz/corpus/${target#fuzz_}
    mkdir -p "$work" "$build/fuzz/found"
    [ -d "$seeds" ] || seeds=
    log=$build/fuzz/$target.log
    if fuzz_one; then
        passed=$((passed + 1))
        echo "ok      $target: $inputs inputs"
        sed -n 's/^tally: /        /p' "$log"
    else
        failed=$((failed + 1))
        echo "FAILED  $target"
        tail -n 60 "$log"
    fi
    [ "$slow" -eq 0 ] || echo "        $slow inputs took more than 10 s, but not when tried again alone"
done <"$build/fuzz/list.txt"
if [ $((passed + failed)) -eq 0 ]; then
    echo "no target matches '$only' in $build"
    failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
