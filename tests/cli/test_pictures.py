#!/usr/bin/env python3
"""Pictures of all sizes through the command: trained on, evaluated whole, damaged ones named or left out."""
import json
import pathlib
import random
import struct
import sys
import zlib

import cli_run
from cli_run import expect, farandole

# A network without a fixed size of input, small.
NET = ["model.name=layers", "model.layers=[{op: conv, out_channels: 4, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, "
       "{op: global_avg_pool}, {op: linear, out_features: 2}]", "batch=4", "optim.lr=0.05", "train.epochs=2"]  # fmt: skip
UNET = ["model.name=unet", "model.depth=2", "model.width=4", "batch=4", "optim.lr=0.05", "train.epochs=2"]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(path, height, width, channels, pixel):
    """pixel(y, x): as many bytes as there are channels."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(y, x)) for x in range(width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def damage(path):
    """The head stays good, the pixels do not."""
    data = path.read_bytes()
    at = data.index(b"IDAT") + 4
    path.write_bytes(data[:at] + b"\xff" * 8 + data[at + 8 :])


def classes(tmp, count=12):
    """Two classes, red and blue, of sizes 9 to 24."""
    draw = random.Random(3)
    for part in ("train", "val"):
        for i in range(count):
            name = ("blue", "red")[i % 2]
            level = draw.randrange(100, 250)
            colour = (20, 20, level) if name == "blue" else (level, 20, 20)
            png(tmp / part / name / f"{i:02}.png", draw.randrange(9, 24), draw.randrange(9, 24), 3, lambda y, x: colour)
    return tmp


def maps(tmp, count=10, label=lambda v: v):
    """Bright squares on dark ground, and where they are."""
    draw = random.Random(5)
    for i in range(count):
        height, width, y0, x0 = draw.randrange(15, 40), draw.randrange(15, 40), draw.randrange(8), draw.randrange(8)
        inside = lambda y, x: int(y0 <= y < y0 + 6 and x0 <= x < x0 + 6)
        png(tmp / "images" / f"{i:02}.png", height, width, 1, lambda y, x: [40 + 150 * inside(y, x)])
        png(tmp / "labels" / f"{i:02}.png", height, width, 1, lambda y, x: [label(inside(y, x))])
    return tmp


def metrics(run):
    return [json.loads(line) for line in pathlib.Path(run, "metrics.jsonl").read_text().splitlines()]


def config(tmp, net):
    path = pathlib.Path(tmp, "config.yaml")
    path.write_text("".join(line.replace("=", ": ", 1) + "\n" for line in net))
    return path


def train(tmp, net, *words, code=0, says=()):
    """On the data in tmp/d."""
    return expect(farandole("train", config(tmp, net), f"run.dir={tmp}/run", f"data.path={tmp}/d", *words), code, *says)


def case_classes_of_all_sizes(tmp):
    classes(tmp / "d")
    expect(farandole("plan", config(tmp, NET), f"data.path={tmp}/d"), 2, "data.size", "data.augment.crop")
    train(tmp, NET, "data.size=16", "data.augment.resized_crop=true", "data.augment.flip=true",
          "data.augment.hue=0.02", "train.epochs=30", "optim.lr=0.3", "train.eval_every=90")  # fmt: skip
    assert metrics(tmp / "run")[-1]["eval/accuracy"] == 1.0, metrics(tmp / "run")[-1]


def case_nothing_to_evaluate_on(tmp):
    (classes(tmp / "d") / "train").rename(tmp / "all")
    ran = train(tmp, NET, "data.size=16", f"data.path={tmp}/all", "train.epochs=1", says=["data.holdout=0.2", "farandole predict"])
    assert "farandole eval" not in ran.stdout + ran.stderr, ran.stdout
    ran = train(tmp, NET, "data.size=16", f"data.path={tmp}/all", "train.epochs=1", "data.holdout=6", f"run.dir={tmp}/again")
    assert "data.holdout" not in ran.stderr, ran.stderr
    expect(farandole("eval", tmp / "again"), 0, "  blue\n", "  red\n")  # recall of each class, by its name


def case_maps_are_evaluated_whole(tmp):
    maps(tmp / "d")
    plan = expect(farandole("plan", config(tmp, UNET), f"data.path={tmp}/d", "data.augment.crop=16", "data.holdout=3"), 0)
    assert "whole images in 3 sizes" in plan.stdout, plan.stdout
    train(tmp, UNET, "data.augment.crop=16", "data.holdout=3", "train.epochs=20")
    assert metrics(tmp / "run")[-1]["eval/accuracy"] > 0.9, metrics(tmp / "run")[-1]


def case_a_damaged_picture_stops_by_name(tmp):
    damage(classes(tmp / "d") / "train" / "red" / "05.png")
    train(tmp, NET, "data.size=16", code=3, says=["red/05.png", "data.on_error=skip leaves such samples out"])


def case_pictures_of_another_kind(tmp):
    (classes(tmp / "d") / "train" / "red" / "x.gif").write_bytes(b"GIF89a")
    train(tmp, NET, "data.size=16", code=3, says=["red/x.gif", "convert it"])


def case_damaged_pictures_are_left_out(tmp):
    classes(tmp / "d")
    for name in ("train/red/05.png", "val/blue/02.png", "val/red/07.png"):
        damage(tmp / "d" / name)
    ran = train(tmp, NET, "data.size=16", "data.on_error=skip", "data.augment.normalize=true",
                says=["left out: ", "red/05.png", "blue/02.png", "could not be read"])  # fmt: skip
    for name in ("train/red/05.png", "val/blue/02.png"):
        assert ran.stderr.count(name) == 1, ran.stderr  # named once, not once an epoch
    rows = metrics(tmp / "run")
    assert rows[-1]["eval/skipped"] == 2, rows[-1]
    counts = [row["train/skipped"] for row in rows if "train/skipped" in row]
    assert counts[-1] == 2 and counts == sorted(counts), counts  # once an epoch
    assert "train/skipped" not in rows[0] or rows[0]["train/skipped"] == 1, rows[0]
    # predictions are of those that could be read
    scores = json.loads(expect(farandole("eval", tmp / "run", "--json", "data.on_error=skip", cwd=tmp), 0).stdout)
    assert scores["scores"]["accuracy"] == rows[-1]["eval/accuracy"]
    return ran


def case_damaged_headers_too(tmp):
    bad = classes(tmp / "d") / "train" / "red" / "05.png"
    bad.write_bytes(bad.read_bytes()[:20])
    train(tmp, NET, "data.size=16", code=3, says=["red/05.png", "cut short"])
    train(tmp, NET, "data.size=16", "data.on_error=skip", says=["left out: ", "red/05.png"])


def case_batches_of_one_that_is_left_out(tmp):
    damage(maps(tmp / "d") / "images" / "04.png")
    train(tmp, UNET, "data.augment.crop=16", "data.holdout=0.3", "batch=1", "data.on_error=skip",
          "loss.dice=0.5", says=["04.png"])  # fmt: skip


def case_mostly_damaged_is_an_error(tmp):
    for path in list((classes(tmp / "d", 24) / "train").glob("*/*.png"))[:12]:
        damage(path)
    train(tmp, NET, "data.size=16", "data.on_error=skip", code=3, says=["more than the tenth"])


def case_labels_of_no_class(tmp):
    maps(tmp / "d", label=lambda v: 9 * v)
    train(tmp, UNET, "data.augment.crop=16", "data.holdout=3", "data.classes=3", code=3, says=["label 9, but there are 3 classes", ".png: row", "data.label_values"])


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
