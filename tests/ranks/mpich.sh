#!/bin/bash
# A smoke test with MPICH in place of Open MPI: the module is built against it, four ranks train, under data, spatial and both, and have to give the files of
# one rank; what fails on all of them is told once.
#
#   tests/ranks/mpich.sh [--download]
#
# MPICH is taken where Debian puts it (mpich, libmpich-dev); with --download its packages are unpacked below build/ranks, beside whatever MPI is installed.
# The last line counts; 77 where there is no MPICH.
set -eu
cd "$(dirname "$0")/../.."
cli=$(realpath "${FAR_TEST_CLI:-build/farandole}")
out=$PWD/build/ranks/mpich
prefix=/
mkdir -p "$out"
if [ "${1:-}" = --download ]; then
    prefix=$out/root
    [ -e "$prefix" ] || (cd "$out" && apt-get download -q libmpich-dev libmpich12 mpich libslurm38 && for p in *.deb; do dpkg -x "$p" root; done)
fi
header=$(find "$prefix/usr/include" -path '*mpich*/mpi.h' 2>/dev/null | head -1)
library=$(find "$prefix/usr/lib" -name libmpich.so 2>/dev/null | head -1)
mpiexec=$prefix/usr/bin/mpiexec.hydra
if [ -z "$header" ] || [ -z "$library" ] || [ ! -x "$mpiexec" ]; then
    echo "skipped: no MPICH (Debian: mpich, libmpich-dev); --download unpacks it below $out"
    echo "0 passed, 0 failed, 0 refused, 1 skipped"
    exit 77
fi
# MPICH's MPI_STATUSES_IGNORE is the address 1, which gcc 12 takes for an array that is too short
cc -std=c17 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-stringop-overflow -shared -fPIC -Isrc -Iinclude -I"$(dirname "$header")" src/comm/mpi/mpi.c \
    -o "$out/farandole-mpi.so" -L"$(dirname "$library")" -lmpich -lpthread
export FARANDOLE_MPI_MODULE=$out/farandole-mpi.so LD_LIBRARY_PATH=$(dirname "$library"):$(dirname "$library")/slurm${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
words=(data.kind=synthetic data.synthetic.samples=256 "data.synthetic.shape=[1, 12, 12]" data.synthetic.classes=4 model.name=layers
    "model.layers=[{op: conv, out_channels: 4, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, {op: flatten}, {op: linear, out_features: 4}]"
    grain.samples=1 grain.rows=4 grain.min_rows=1 batch=16 threads=1 --quiet)
: >"$folder/x.yaml"
passed=0 failed=0
told() { # NAME VERDICT
    echo "$1 ... $2"
    if [ "$2" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

"$cli" train "$folder/x.yaml" "${words[@]}" train.steps=20 "run.dir=$folder/one"
for layout in data=4 spatial=4 data=2,spatial=2; do
    verdict=ok
    "$mpiexec" -n 4 "$cli" train "$folder/x.yaml" "${words[@]}" train.steps=20 "run.dir=$folder/$layout" --layout "$layout" || verdict="FAILED: exit code $?"
    for kind in model optimizer; do
        cmp "$folder/one/checkpoints/20/$kind.safetensors" "$folder/$layout/checkpoints/20/$kind.safetensors" || verdict="FAILED: $kind.safetensors differs"
    done
    told "$layout" "$verdict"
done

verdict=ok code=0
"$mpiexec" -n 4 "$cli" train "$folder/x.yaml" "${words[@]}" train.steps=20 "run.dir=$folder/bad" optim.lr=1e30 2>"$folder/said" || code=$?
[ "$code" -ne 0 ] && [ "$(grep -c 'error:' "$folder/said")" = 1 ] || verdict="FAILED: exit code $code, $(cat "$folder/said")"
told "a failure is told once" "$verdict"
echo "$passed passed, $failed failed, 0 refused, 0 skipped"
[ "$failed" = 0 ]
