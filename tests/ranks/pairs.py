#!/usr/bin/env python3
"""A checkpoint fits any layout: saved under each of 12 layouts and numbers of ranks, reopened under every other, continued: the same bits.

    tests/ranks/pairs.py [--only REGEX]     all 144 pairs, those not known yet; stop it and start it again as you like
    tests/ranks/pairs.py --chain            a covering set: each layout goes on from another's checkpoint, one after the other

Held against one rank's training without a break: parameters and optimizer state, at the checkpoint and after going on across the end of an
epoch. Results lie in build/ranks, kept for one build of the program."""
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLI = os.environ.get("FAR_TEST_CLI", str(ROOT / "build" / "farandole"))
OUT = ROOT / "build" / "ranks"
SAVED, END = 3, 6  # an epoch has 4 steps
LAYOUTS = ("data=1", "data=2", "data=3", "data=4", "data=8", "spatial=2", "spatial=3", "spatial=4", "spatial=8", "data=2,spatial=2",
           "data=3,spatial=2", "data=2,spatial=4")  # fmt: skip
# The dense layer's weight and its state take several pieces of a checkpoint, so that they are cut between ranks.
LAYERS = [{"op": "conv", "out_channels": 8, "kernel": 5, "pad": 2}, {"op": "batch_norm", "act": "relu"},
          {"op": "max_pool", "kernel": 2, "stride": 2}, {"op": "conv", "out_channels": 8, "kernel": 3, "pad": 1},
          {"op": "batch_norm", "act": "relu"}, {"op": "flatten"}, {"op": "linear", "out_features": 600}, {"op": "relu"},
          {"op": "dropout", "p": 0.3}, {"op": "linear", "out_features": 3}]  # fmt: skip
DATA = {"kind": "synthetic", "augment": {"flip": True, "crop_pad": 2},
        "synthetic": {"shape": [1, 32, 16], "classes": 3, "samples": 32, "test_samples": 8, "noise": 0.3}}  # fmt: skip
CONFIG = {"data": DATA, "model": {"name": "layers", "layers": LAYERS}, "batch": 8,
          "grain": {"samples": 1, "rows": 4, "min_rows": 1, "dense": 1}, "optim": {"name": "adam", "lr": 0.003, "clip_norm": 0.5},
          "schedule": {"name": "cosine", "unit": "steps", "decay": 50}}  # fmt: skip


def ranks_of(layout):
    ranks = 1
    for number in re.findall(r"\d+", layout):
        ranks *= int(number)
    return ranks


def train(layout, steps, *words):
    ranks = ranks_of(layout)
    more = ["--ranks", str(ranks), "--layout", layout] if ranks > 1 else []
    words = [*map(str, words), f"train.steps={steps}", "train.eval_every=1000", "train.keep=0", "run.samples=0", "--threads", "1", "--quiet"]
    ran = subprocess.run([CLI, "train", *words, *more], capture_output=True, text=True)
    assert ran.returncode == 0, f"{layout}, {steps} steps: exit code {ran.returncode}\n{ran.stderr}"


def begin(folder, layout, steps, *words):
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.parent / "pairs.yaml"
    config.write_text(json.dumps(CONFIG))  # JSON is YAML
    train(layout, steps, config, f"run.dir={folder}", *words)


def digest(folder, step):
    last = folder / "checkpoints" / str(step)
    whole = b"".join(hashlib.sha256((last / f"{kind}.safetensors").read_bytes()).digest() for kind in ("model", "optimizer"))
    return hashlib.sha256(whole).hexdigest()[:16]


def saved_under(layout, base):
    folder = base / f"saved-{layout}"
    shutil.rmtree(folder, ignore_errors=True)
    begin(folder, layout, SAVED)
    return folder


def one_pair(saved, layout, base):
    """The digest after going on from the folder `saved` under a layout."""
    folder = base / "pair"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder, symlinks=True)
    train(layout, END, "--resume", folder)
    return digest(folder, END)


def chain(base):
    """Each layout goes on for a step from the checkpoint of the one before, the first from the last's; how many links there were."""
    order = [*LAYOUTS[::2], *LAYOUTS[1::2], LAYOUTS[0]]
    begin(base / "alone", LAYOUTS[0], len(order), "train.checkpoint_every=1")
    for step, layout in enumerate(order, 1):
        if step == 1:
            begin(base / "chain", layout, step)
        else:
            train(layout, step, "--resume", base / "chain")
        want, got = digest(base / "alone", step), digest(base / "chain", step)
        assert got == want, f"{order[step - 2]}, then {layout}: step {step} has other bits: {got}, not {want}"
    return len(order) - 1


def build_of():
    files = [pathlib.Path(CLI).resolve(), pathlib.Path(CLI).resolve().parent / "farandole-mpi.so"]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files) + json.dumps(CONFIG).encode()).hexdigest()[:16]


def all_pairs(only):
    store = OUT / f"pairs-{build_of()}.json"
    known = json.loads(store.read_text()) if store.exists() else {}
    base = pathlib.Path(tempfile.mkdtemp(prefix="farandole-pairs-"))
    begin(base / "alone", LAYOUTS[0], END, "train.checkpoint_every=1")
    want = {step: digest(base / "alone", step) for step in (SAVED, END)}
    for saved in LAYOUTS:
        wanted = [layout for layout in LAYOUTS if f"{saved} to {layout}" not in known and re.search(only, f"{saved} to {layout}")]
        if not wanted:
            continue
        folder = saved_under(saved, base)
        is_same = digest(folder, SAVED) == want[SAVED]
        for layout in wanted:
            known[f"{saved} to {layout}"] = "equal" if is_same and one_pair(folder, layout, base) == want[END] else "differs"
            print(f"{saved} to {layout}: {known[f'{saved} to {layout}']}", flush=True)
            OUT.mkdir(parents=True, exist_ok=True)
            store.with_suffix(".part").write_text(json.dumps(known, indent=1))
            store.with_suffix(".part").rename(store)
        shutil.rmtree(folder)
    shutil.rmtree(base)
    return [known.get(f"{a} to {b}", "unknown") for a in LAYOUTS for b in LAYOUTS]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="regular expression on 'LAYOUT to LAYOUT'")
    parser.add_argument("--chain", action="store_true")
    args = parser.parse_args()
    if args.chain:
        base = pathlib.Path(tempfile.mkdtemp(prefix="farandole-pairs-"))
        print(f"{chain(base)} passed, 0 failed, 0 refused, 0 skipped")
        shutil.rmtree(base)
        return 0
    verdicts = all_pairs(args.only)
    counts = {what: verdicts.count(what) for what in ("equal", "differs", "unknown")}
    print(f"{counts['equal']} passed, {counts['differs']} failed, 0 refused, {counts['unknown']} skipped")
    return 1 if counts["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
