#!/usr/bin/env python3
"""The programs in examples/c: built with the public headers only, run, each under a hundred lines."""
import os
import pathlib
import subprocess
import sys

import cli_run
from cli_run import ROOT, expect, tiny_config

BUILD = pathlib.Path(os.environ.get("FAR_TEST_BUILD", ROOT / "build/release"))
SOURCES = sorted((ROOT / "examples/c").glob("*.c"))


def example(name, *words, cwd=None):
    return subprocess.run([BUILD / "examples" / name, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=cli_run.LIMIT_S)


def case_each_is_short_and_explained():
    assert {path.stem for path in SOURCES} == {"own_network", "train", "zoo"}, "a new example needs a case here"
    for path in SOURCES:
        lines = path.read_text().splitlines()
        assert len(lines) < 100, f"{path.name} has {len(lines)} lines"
        assert any("pkg-config --cflags --libs farandole" in line for line in lines[:8]), f"{path.name} does not say how it is built"


def case_own_network():
    ran = expect(example("own_network"), 0, "stem.weight", "16x3x3x3", "classes.bias", "24554 parameters")
    assert "no gradient" not in ran.stdout, ran.stdout


def case_zoo():
    expect(example("zoo"), 0, "resnet", "unet3d", "a21")
    expect(example("zoo", "uresnet", "depth=4", "width=8", "norm=group"), 0, "parameters, 3 x logits 1x3x")
    expect(example("zoo", "uresnt"), 1, "uresnet")
    expect(example("zoo", "unet", "widht=8"), 1, "width")


def case_train(tmp):
    ran = expect(example("train", tiny_config(tmp), "train.epochs=1", f"run.dir={tmp}/r"), 0, "MB planned", "step 16 of 16", "accuracy")
    assert (tmp / "r/checkpoints/16/manifest.json").exists(), ran.stdout
    expect(example("train", tiny_config(tmp), "optim.lrr=1"), 1, "FAR_E_CONFIG", "optim.lr")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
