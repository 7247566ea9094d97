#!/usr/bin/env python3
"""Kills a training at random moments (SIGKILL), resumes it each time, and compares the weights with those of a run left alone.

    tests/run/kills.py [--kills 50] [--seed 1] [--farandole build/farandole]
"""
import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

SETTINGS = ["data.kind=synthetic", "data.synthetic.shape=[1, 28, 28]", "data.synthetic.samples=640", "model.name=lenet5",
            "batch=32", "train.steps=120", "train.checkpoint_every=7", "train.eval_every=40", "train.keep=2", "optim.name=adam",
            "optim.lr=0.002", "data.augment.flip=true", "data.augment.crop_pad=2", "threads=2", "optim.clip_norm=1"]


def weights(folder):
    """SHA-256 of the last checkpoint's model file."""
    with open(os.path.join(folder, "checkpoints", "last", "model.safetensors"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def losses(folder):
    """step -> loss as the metrics have it; a step twice is an error."""
    found = {}
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        for line in file:
            match = re.search(r'"step": (\d+).*"train/loss": ([0-9.e+-]+)', line)
            if match:
                assert match.group(1) not in found, f"step {match.group(1)} is logged twice"
                found[match.group(1)] = match.group(2)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--farandole", default=os.environ.get("FAR_TEST_CLI", "build/farandole"))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    work = tempfile.mkdtemp(prefix="farandole-kills-")
    config = os.path.join(work, "x.yaml")
    open(config, "w", encoding="utf-8").write("seed: 3\n")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    alone = os.path.join(work, "alone")
    begin = time.monotonic()
    subprocess.run([args.farandole, "train", config, *SETTINGS, f"run.dir={alone}"], check=True, **quiet)
    length = time.monotonic() - begin
    done = wrong = finished = 0
    while done < args.kills:
        folder = os.path.join(work, f"run{finished}")
        first = True
        while True:
            command = [args.farandole, "train", *([config, *SETTINGS, f"run.dir={folder}"] if first else ["--resume", folder])]
            process = subprocess.Popen(command, **quiet)
            first = first and not os.path.exists(os.path.join(folder, "config.yaml"))
            try:
                # more kills than runs: most of a run's lives end early
                process.wait(timeout=rng.uniform(0.0, length * 0.6) if done < args.kills else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                process.stderr.close()
                done += 1
                first = not os.path.exists(os.path.join(folder, "config.yaml"))
                if first:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            errors = process.stderr.read().decode()
            process.stderr.close()
            if process.returncode != 0:
                print(f"a resumed run failed with {process.returncode}: {errors}")
                wrong += 1
            break
        finished += 1
        if weights(folder) != weights(alone) or losses(folder) != losses(alone):
            wrong += 1
            print(f"{folder}: other weights or losses than the run left alone (kept for a look)")
    print(f"{done} kills over {finished} runs of {length:.1f} s; {wrong} of them ended with other weights")
    if wrong == 0:
        shutil.rmtree(work)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
