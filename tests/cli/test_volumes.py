#!/usr/bin/env python3
"""Volumes from the command line: a 3-D U-Net on made-up balls and on NumPy arrays of one's own."""
import random
import struct
import sys

import cli_run
from cli_run import ROOT, expect, farandole, ok_json

EXAMPLE = ROOT / "examples/unet3d-synthetic.yaml"
SHORT = ["train.steps=4", "data.synthetic.samples=8", "data.synthetic.test_samples=4"]


def write_npy(path, dtype, shape, data):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


def case_the_example_learns(tmp):
    done = ok_json("train", EXAMPLE, f"run.dir={tmp}/r", "--json", "--quiet")
    assert done["scores"]["miou"] > 0.45 and done["scores"]["accuracy"] > 0.94, done
    scores = ok_json("eval", tmp / "r", "--checkpoint", "last", "--json", "--quiet")["scores"]
    assert scores["miou"] == done["scores"]["miou"], (scores, done)
    assert (tmp / "r/report.html").exists()


def case_same_bits_on_any_threads_and_after_a_break(tmp):
    words = ["train", EXAMPLE, *SHORT, "grain.rows=2", "--json", "--quiet"]
    digests = {ok_json(*words, f"run.dir={tmp}/{n}", "--threads", n)["digest"] for n in (1, 3)}
    ok_json(*words, f"run.dir={tmp}/part", "train.steps=2")
    digests.add(ok_json("train", "--resume", tmp / "part", "train.steps=4", "--json", "--quiet")["digest"])
    assert len(digests) == 1, digests


def case_arrays_of_ones_own(tmp):
    rng = random.Random(1)
    size = 12 * 4 * 8 * 8
    labels = bytes(rng.randrange(2) for _ in range(size))
    write_npy(tmp / "train-labels.npy", "|u1", (12, 4, 8, 8), labels)
    pixels = bytes(200 * k + rng.randrange(50) for k in labels)
    write_npy(tmp / "train-images.npy", "|u1", (12, 4, 8, 8), pixels)
    words = ["train", EXAMPLE, f"data.path={tmp}", "data.kind=volumes", "data.holdout=4", "train.epochs=30", "data.augment.flip=true", "data.augment.normalize=true"]  # fmt: skip
    done = ok_json(*words, f"run.dir={tmp}/r", "--json", "--quiet")
    assert done["scores"]["accuracy"] > 0.9, done
    expect(farandole(*words, f"run.dir={tmp}/x", "model.depth=3"), 2, "the depth 4 is odd at level 2 (1)")
    expect(farandole(*words, f"run.dir={tmp}/x", "model.name=uresnet"), 2, "[N, C, H, W]", "4x1x4x8x8")
    expect(farandole(*words, f"run.dir={tmp}/x", "data.kind=npy"), 3, "train-labels.npy")


def case_augmentations_of_images_are_refused(tmp):
    for key in ("data.augment.vflip=true", "data.augment.turns=true", "data.augment.crop_pad=2", "data.augment.erase=0.5",
                "data.augment.cutout=4", "data.augment.crop=[8, 8]", "data.size=[8, 8]", "data.downsample=1"):  # fmt: skip
        expect(farandole("plan", EXAMPLE, key), 2, key.split("=")[0], "not on volumes (of 8 slices)")
    expect(farandole("plan", EXAMPLE, "data.synthetic.shape=[1, 8]"), 2, "depth, height and width")
    expect(farandole("plan", EXAMPLE, "data.synthetic.shape=[1, 32, 32]"), 2, "unet3d expects an input [N, C, D, H, W]")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
