#!/bin/bash
# Runs each fuzz target: fuzz.sh build-folder seconds [name-regex].
# New inputs stay in the build folder, seeds untouched.
set -u
build=$1
seconds=$2
only=${3:-}
root=$(cd "$(dirname "$0")/.." && pwd)
passed=0
failed=0

while read -r target; do
    [[ $target =~ $only ]] || continue
    work=$build/fuzz/corpus/$target
    seeds=$root/tests/fuzz/corpus/${target#fuzz_}
    mkdir -p "$work" "$build/fuzz/found"
    [ -d "$seeds" ] || seeds=
    log=$build/fuzz/$target.log
    # rss: a small file that makes the reader take gigabytes is a finding
    if "$build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/fuzz/found/$target-" "$work" ${seeds:+"$seeds"} >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "ok      $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
        sed -n 's/^tally: /        /p' "$log"
    else
        failed=$((failed + 1))
        echo "FAILED  $target"
        tail -n 60 "$log"
    fi
done <"$build/fuzz/list.txt"
if [ $((passed + failed)) -eq 0 ]; then
    echo "no target matches '$only' in $build"
    failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
