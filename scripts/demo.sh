#!/bin/sh
# From nothing to a trained network: simulates events of a liquid-argon detector, trains CosmicTagger's A21 network on them, evaluates it on
# other events, and leaves a report. Every command is printed before it runs: they are what anyone would type.
#   scripts/demo.sh [FARANDOLE [FOLDER]]        default: build/farandole, runs
set -eu

farandole=${1:-build/farandole}
runs=${2:-runs}
data=$runs/demo-data

run=$runs/demo
number=2
while [ -e "$run" ] || [ -e "$run-coarse" ] || [ -e "$run-middle" ]; do
    run=$runs/demo-$number
    number=$((number + 1))
done

say() {
    printf '\n$ %s\n' "$*"
    "$@"
}

mkdir -p "$data"
# A file is complete once it has its name: of a second demo the events are those of the first.
[ -e "$data/train.h5" ] || say "$farandole" synth lartpc --events 500 --size 1280x2048 --seed 1 --out "$data/train.h5"
[ -e "$data/test.h5" ] || say "$farandole" synth lartpc --events 40 --size 1280x2048 --seed 2 --out "$data/test.h5"
say "$farandole" train examples/cosmic-tagger-coarse.yaml data.path="$data" run.dir="$run-coarse"
say "$farandole" train examples/cosmic-tagger-coarse.yaml data.path="$data" run.dir="$run-middle" \
    --weights "$run-coarse/checkpoints/last" data.downsample=2 'data.size=[1280,2048]' train.steps=900 optim.lr=0.002
say "$farandole" train examples/cosmic-tagger.yaml data.path="$data" run.dir="$run" --weights "$run-middle/checkpoints/last"

printf '\nThe report, with curves, pictures and figures: %s/report.html\n' "$run"
