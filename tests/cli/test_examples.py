#!/usr/bin/env python3
"""Every config in examples/ can be planned, and those that need no data train."""
import gzip
import json
import os
import struct
import sys

import cli_run
import test_pictures as pictures
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


def small_map(folder, height=1024, width=4096):
    """Land in squares, as the map of the Earth is: other than 0 is sea."""
    stripe = bytes(x // 192 % 2 for x in range(width))
    other = bytes(1 - value for value in stripe)
    (folder / "map.raw").write_bytes(b"".join(stripe if y // 160 % 2 else other for y in range(height)))
    (folder / "map.raw.json").write_text(json.dumps({"shape": [height, width], "type": "bool"}))


def data_of(tmp, path):
    """The words that give an example small data of the kind it wants."""
    text, folder = path.read_text(), tmp / path.stem
    if "kind: synthetic" in text:
        return []
    if not folder.exists():
        folder.mkdir()
        if "kind: landmask" in text:
            small_map(folder)
        elif "kind: lartpc" in text:
            events(folder)
        elif "labels_as: instances" in text:
            pictures.maps(folder)
            (folder / "labels").rename(folder / "instances")
        elif "resized_crop" in text:
            pictures.classes(folder)
        else:
            fake_mnist(folder)
    if "kind: landmask" in text:
        return [f"data.path={folder}/map.raw", "data.landmask.window=256", "data.landmask.windows=4", "data.landmask.test_windows=2"]
    few = ["batch=4"] if "labels_as: instances" in text or "resized_crop" in text else []
    return [f"data.path={folder}", *few]


def case_there_are_some():
    assert {"fashion-mnist", "lenet5", "synthetic", "resnet18-synthetic", "unet-synthetic", "unet3d-synthetic", "sizes-synthetic", "nuclei", "clothing"} <= {p.stem for p in EXAMPLES}


def case_each_names_its_command():
    for path in EXAMPLES:
        assert f"farandole train examples/{path.name}" in path.read_text(), path


def case_each_plans(tmp):
    for path in EXAMPLES:
        expect(farandole("plan", path, *data_of(tmp, path)), 0, "memory", "batch")


def case_nuclei_trains(tmp):
    path = ROOT / "examples/nuclei.yaml"
    done = ok_json("train", path, *data_of(tmp, path), f"run.dir={tmp}/r", "--json", "--quiet", "model.width=4", "model.depth=2", "batch=4",
                   "data.augment.crop=32", "train.steps=150", "train.eval_every=150", "optim.lr=0.01", "schedule.warmup_steps=5")  # fmt: skip
    assert done["scores"]["foreground_iou"] > 0.6, done


def case_clothing_trains(tmp):
    path = ROOT / "examples/clothing.yaml"
    done = ok_json("train", path, *data_of(tmp, path), f"run.dir={tmp}/r", "--json", "--quiet", "model.width=8", "data.size=32", "batch=4",
                   "train.epochs=6", "schedule.warmup_epochs=0")  # fmt: skip
    assert done["scores"]["accuracy"] > 0.8, done


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
    ok_json("train", ROOT / "examples/cosmic-tagger-coarse.yaml", f"data.path={tmp}", f"run.dir={tmp}/coarse", "--json", "--quiet",
            "data.size=[512, 512]", "data.downsample=2", "train.steps=2", "schedule.warmup_steps=1")  # fmt: skip
    done = ok_json("train", ROOT / "examples/cosmic-tagger.yaml", f"data.path={tmp}", f"run.dir={tmp}/r", "--json", "--quiet",
                   "--weights", tmp / "coarse/checkpoints/last",
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
