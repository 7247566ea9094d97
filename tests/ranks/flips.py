#!/usr/bin/env python3
"""After a random step one random bit of one random rank is wrong: the comparison of checksums names the rank, the tensor and the step, no
checkpoint holds the bit, and going on ends with the bits of an undisturbed run.

    tests/ranks/flips.py [--runs N] [--seed S]     default: 20 runs; the seed of a run is printed"""
import argparse
import pathlib
import random
import re
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import test_train_ranks as ranks_test  # noqa: E402
from cli_run import expect, farandole, tiny_config  # noqa: E402

STEPS = 48
WORDS = [f"train.steps={STEPS}", "train.checkpoint_every=12", "train.eval_every=12", "run.samples=0", "optim.name=lars", "optim.lr=0.1", "--quiet"]


def due(step, every):
    """The first step at or after `step` at which ranks compare."""
    return next(s for s in range(step, STEPS + 1) if s % every == 0 or s % 12 == 0)


def one_run(tmp, seed, want):
    draw = random.Random(f"flip {seed}")
    ranks, step, every = draw.choice((2, 3, 4)), draw.randint(1, STEPS), draw.choice((1, 4, 7, 100))
    wrong, run = draw.randrange(ranks), tmp / f"r{seed}"
    said = expect(farandole("train", tiny_config(tmp), f"run.dir={run}", *WORDS, f"--ranks={ranks}", f"--flip={wrong}:{step}",
                            f"train.compare_every={every}"), 1).stderr  # fmt: skip
    found = re.search(r'error: (rank .*) (?:of|in) ((?:parameter|statistic|optimizer state) "[^"]+").* after step (\d+)[;:]', said)
    assert found, said
    assert int(found[3]) == due(step, every), f"found after step {found[3]}, not {due(step, every)}: {said}"
    assert f"rank {wrong} on" in found[1], said
    assert ("no majority" in said) == (ranks == 2), said
    expect(farandole("train", "--resume", run, *WORDS, f"--ranks={draw.choice((1, 2, 3))}"), 0)
    assert ranks_test.tensors_of(run) == want, "a checkpoint has other bits"
    shutil.rmtree(run)
    return f"{ranks} ranks, rank {wrong} wrong after step {step}: {found[2]}, after step {found[3]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="farandole-flips-"))
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/whole", *WORDS), 0)
    want, failed = ranks_test.tensors_of(tmp / "whole"), 0
    for seed in range(args.seed, args.seed + args.runs):
        try:
            print(f"seed {seed}: {one_run(tmp, seed, want)}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"seed {seed}: FAILED: {error}", flush=True)
    shutil.rmtree(tmp)
    print(f"{args.runs - failed} passed, {failed} failed, 0 refused, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
