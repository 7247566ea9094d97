#!/usr/bin/env python3
"""Every config in examples/ can be planned, and those that need no data train."""
import gzip
import json
import os
import struct
import sys

import cli_run
from cli_run import ROOT, Skip, expect, farandole, ok_json

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def fake_mnist(folder, count=512):
    """The four files of MNIST, with rows of bars instead of digits."""
    for part, samples in (("train", count), ("t10k", 64)):
        images = b"".join(bytes(255 if (x * (k % 10 + 1)) % 28 < 14 else 0 for _ in range(28) for x in range(28)) for k in range(samples))
        labels = bytes(k % 10 for k in range(samples))
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb", compresslevel=1) as out:
            out.write(struct.pack(">4i", 0x803, samples, 28, 28) + images)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb", compresslevel=1) as out:
            out.write(struct.pack(">2i", 0x801, samples) + labels)


def events(folder, size="1280x2048"):
    for part, seed in (("train", 1), ("test", 2)):
        expect(farandole("synth", "lartpc", "--events", "2", "--seed", seed, "--size", size, "--out", folder / f"{part}.h5", "--quiet"), 0)


def case_there_are_some():
    assert {"fashion-mnist", "lenet5", "synthetic", "resnet18-synthetic", "unet-synthetic", "unet3d-synthetic", "sizes-synthetic"} <= {p.stem for p in EXAMPLES}


def case_each_names_its_command():
    for path in EXAMPLES:
        assert f"farandole train examples/{path.name}" in path.read_text(), path


def case_each_plans(tmp):
    fake_mnist(tmp)
    (tmp / "lartpc").mkdir()
    events(tmp / "lartpc")
    for path in EXAMPLES:
        text = path.read_text()
        folder = tmp / "lartpc" if "kind: lartpc" in text else tmp
        words = [] if "kind: synthetic" in text else [f"data.path={folder}"]
        expect(farandole("plan", path, *words), 0, "memory", "batch")


def case_synthetic_trains(tmp):
    done = ok_json("train", ROOT / "examples/synthetic.yaml", f"run.dir={tmp}/r", "--json", "--quiet")
    assert done["scores"]["accuracy"] > 0.95, done


def case_unet_trains(tmp):
    done = ok_json("train", ROOT / "examples/unet-synthetic.yaml", f"run.dir={tmp}/r", "--json", "--quiet", "train.epochs=3")
    assert done["scores"]["miou"] > 0.4, done


def case_sizes_trains(tmp):
    done = ok_json("train", ROOT / "examples/sizes-synthetic.yaml", f"run.dir={tmp}/r", "--json", "--quiet", "train.epochs=3")
    assert done["scores"]["miou"] > 0.4, done


def case_cosmic_tagger_trains(tmp):
    events(tmp, "384x512")
    done = ok_json("train", ROOT / "examples/cosmic-tagger.yaml", f"data.path={tmp}", f"run.dir={tmp}/r", "--json", "--quiet",
                   "train.steps=20", "schedule.warmup_steps=5", "train.eval_every=20")  # fmt: skip
    assert {"iou/cosmic", "iou/neutrino", "non_background"} <= set(done["scores"]), done
    lines = [json.loads(line) for line in (tmp / "r/metrics.jsonl").read_text().splitlines()]
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < 0.9 * losses[0], losses


def case_mnist_trains(tmp):
    fake_mnist(tmp)
    done = ok_json("train", ROOT / "examples/lenet5.yaml", f"data.path={tmp}", f"run.dir={tmp}/r", "--json", "--quiet")
    assert done["scores"]["accuracy"] > 0.9, done


def case_fashion_mnist_begins_to_learn(tmp):
    path = os.environ.get("FAR_TEST_FASHION_MNIST", str(ROOT / "data/fashion-mnist"))
    if not os.path.isdir(path):
        raise Skip("no Fashion-MNIST; FAR_TEST_FASHION_MNIST names its folder")
    done = ok_json("train", ROOT / "examples/fashion-mnist.yaml", f"data.path={path}", f"run.dir={tmp}/r", "--json", "--quiet",
                   "train.steps=60", "train.eval_every=60", "schedule.name=constant", "schedule.warmup_epochs=0")  # fmt: skip
    assert done["scores"]["accuracy"] > 0.6, done


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
