#!/usr/bin/env python3
"""A random rank of three is killed at a random moment, again and again: the others end within ten seconds, what was promised is there, and
going on ends with the bits of an undisturbed run.

    tests/ranks/kills.py [--runs N] [--seed S]     default: 20 runs; the seed of a run is printed"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import cli_run  # noqa: E402
import test_train_ranks as ranks_test  # noqa: E402
from cli_run import expect, farandole, start, tiny_config  # noqa: E402

WORDS = ["train.steps=400", "train.checkpoint_every=3", "train.eval_every=40", "run.samples=0", "--quiet"]
LIMIT_S = 10.0


def killed_once(tmp, name, draw):
    """Starts a training on three ranks and kills one; what became of it, the seconds until all had ended."""
    words = ["--resume", tmp / name] if (tmp / name / "config.yaml").exists() else [tiny_config(tmp), f"run.dir={tmp / name}"]
    ran = start("train", *words, *WORDS, "--ranks=3")
    rank = draw.randrange(3)
    until = time.monotonic() + cli_run.LIMIT_S
    while (pid := ranks_test.process_of(tmp, rank)) is None and ran.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(draw.uniform(0.0, 3.0))  # while starting, training, evaluating or writing
    if ran.poll() is not None or pid is None:
        return "done", 0.0, ran.communicate()
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    said = ran.communicate(timeout=60)
    return ("done" if ran.returncode == 0 else f"rank {rank}"), time.monotonic() - began, said


def checkpoints_are_whole(run):
    for manifest in (run / "checkpoints").glob("[0-9]*/manifest.json"):
        for name in ("model", "optimizer"):
            assert (manifest.parent / f"{name}.safetensors").stat().st_size > 0, manifest


def one_run(tmp, seed, want):
    draw = random.Random(f"kill {seed}")
    name = f"r{seed}"
    what, seconds, (out, err) = killed_once(tmp, name, draw)
    assert seconds < LIMIT_S, f"the others took {seconds:.1f} s to end"
    assert all(ranks_test.process_of(tmp / name, r) is None for r in range(3)), "ranks are left"
    if what != "done":
        assert err.count("error:") == 1 and "of 3 on" in err, err
    if (tmp / name / "checkpoints").exists():
        checkpoints_are_whole(tmp / name)
    begun = (tmp / name / "config.yaml").exists()
    words = ["--resume", tmp / name] if begun else [tiny_config(tmp), f"run.dir={tmp / name}"]
    expect(farandole("train", *words, *WORDS, f"--ranks={draw.choice((1, 2, 3))}"), 0)
    got = ranks_test.checkpoints_of(tmp / name)
    for file in ("400/model.safetensors", "400/optimizer.safetensors"):
        assert got[file] == want[file], f"{file} has other bits"
    shutil.rmtree(tmp / name)
    return what, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="farandole-kills-"))
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/whole", *WORDS), 0)
    want, failed, longest = ranks_test.checkpoints_of(tmp / "whole"), 0, 0.0
    for seed in range(args.seed, args.seed + args.runs):
        try:
            what, seconds = one_run(tmp, seed, want)
            longest = max(longest, seconds)
            print(f"seed {seed}: {what}, {seconds:.1f} s", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"seed {seed}: FAILED: {error}", flush=True)
    shutil.rmtree(tmp)
    print(f"{args.runs - failed} passed, {failed} failed; at most {longest:.1f} s from the kill to the end of all ranks")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
