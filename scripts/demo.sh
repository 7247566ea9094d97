#!/bin/sh
# From nothing to a trained network: simulates events of a liquid-argon detector, trains CosmicTagger's A21 network on them, evaluates it on
# other events, and leaves a report. Every command is printed before it runs: they are what anyone would type.
#   scripts/demo.sh [FARANDOLE [FOLDER [short|long]]]       default: build/farandole, runs, short; long learns for most of an hour, from more events
set -eu

farandole=${1:-build/farandole}
runs=${2:-runs}
case ${3:-short} in
short) name=demo events=500 ;;
long) name=hour events=1500 ;;
*)
    echo "$0: a demonstration is short or long, not $3" >&2
    exit 64
    ;;
esac
data=$runs/$name-data

run=$runs/$name
number=2
while [ -e "$run" ] || [ -e "$run-coarse" ] || [ -e "$run-middle" ]; do
    run=$runs/$name-$number
    number=$((number + 1))
done

say() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# The first steps, on images of a fraction of the resolution: learn NAME [settings]
learn() {
    stage=$1
    shift
    say "$farandole" train examples/cosmic-tagger-coarse.yaml data.path="$data" run.dir="$run-$stage" "$@"
}

mkdir -p "$data"
# A file is complete once it has its name: of a second demo the events are those of the first.
[ -e "$data/train.h5" ] || say "$farandole" synth lartpc --events "$events" --size 1280x2048 --seed 1 --out "$data/train.h5"
[ -e "$data/test.h5" ] || say "$farandole" synth lartpc --events 40 --size 1280x2048 --seed 2 --out "$data/test.h5"
if [ "$name" = demo ]; then
    learn coarse
    learn middle --weights "$run-coarse/checkpoints/last" data.downsample=2 'data.size=[1280,2048]' train.steps=900 optim.lr=0.002
    settings=
else
    learn coarsest data.downsample=4 'data.size=[2048,2048]' train.steps=4000 optim.lr=0.005
    learn coarse --weights "$run-coarsest/checkpoints/last" train.steps=8000 optim.lr=0.004
    learn middle --weights "$run-coarse/checkpoints/last" data.downsample=2 'data.size=[1280,2048]' train.steps=5000 optim.lr=0.002
    settings='train.steps=1800 train.eval_every=900 loss.class_weights=[1,3,5]'
fi
# shellcheck disable=SC2086
say "$farandole" train examples/cosmic-tagger.yaml data.path="$data" run.dir="$run" --weights "$run-middle/checkpoints/last" $settings

printf '\nThe report, with curves, pictures and figures: %s/report.html\n' "$run"
