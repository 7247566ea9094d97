#!/bin/bash
# Ranks under Slurm: srun over all nodes gives the bits of one rank, and SIGTERM to the job ends it with 75 and a checkpoint. Needs a cluster
# that srun reaches (SLURM_CONF); with less than two tasks of room it is skipped, saying so.
#   tests/ranks/slurm.sh [NODES [TASKS]]     default: 4 8
set -u
cd "$(dirname "$0")/../.." || exit 2
cli=$(realpath "${FAR_TEST_CLI:-build/farandole}")
nodes=${1:-4} tasks=${2:-8}
if ! command -v srun >/dev/null || ! timeout 20 srun -N"$nodes" -n"$tasks" true 2>/dev/null; then
    echo "skipped: no Slurm with $nodes nodes and $tasks tasks (srun, SLURM_CONF)"
    exit 77
fi
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
words=(data.kind=synthetic data.synthetic.samples=256 "data.synthetic.shape=[1, 12, 12]" data.synthetic.classes=4 model.name=layers
    "model.layers=[{op: conv, out_channels: 4, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, {op: flatten}, {op: linear, out_features: 4}]"
    grain.samples=1 --quiet --threads 1)
: >"$folder/x.yaml"
failed=0

"$cli" train "$folder/x.yaml" "${words[@]}" batch=16 train.steps=20 "run.dir=$folder/one" || failed=1
srun --mpi=pmix -N"$nodes" -n"$tasks" "$cli" train "$folder/x.yaml" "${words[@]}" batch=16 train.steps=20 "run.dir=$folder/all" || failed=1
for kind in model optimizer; do
    cmp "$folder/one/checkpoints/20/$kind.safetensors" "$folder/all/checkpoints/20/$kind.safetensors" || failed=1
done

srun --job-name=farandole-slurm-test --mpi=pmix -N"$nodes" -n"$tasks" "$cli" train "$folder/x.yaml" "${words[@]}" batch=16 train.steps=1000000 "run.dir=$folder/stopped" \
    2>"$folder/said" &
sleep 8
scancel --signal=TERM --name=farandole-slurm-test
wait $!
code=$?
[ "$code" -eq 75 ] && grep -q "stopped on request" "$folder/said" && [ -e "$folder/stopped/checkpoints/last/manifest.json" ] || failed=1
[ "$failed" -eq 0 ] || cat "$folder/said"
echo "srun ended with $code after SIGTERM"
[ "$failed" -eq 0 ] && echo "1 passed, 0 failed" || echo "0 passed, 1 failed"
exit "$failed"
