#!/usr/bin/env python3
"""farandole synth, and training on what it wrote."""
import signal
import sys

import cli_run
from cli_run import expect, farandole, start

SMALL = ("--size", "64x128", "--quiet")
NET = ["model.name=uresnet", "model.width=2", "model.depth=2", "model.blocks=1", "model.blocks_deep=1", "model.blocks_final=0",
       "model.bottleneck=4", "loss.recipe=cosmictagger", "loss.name=focal", "batch=1", "train.steps=3", "data.augment.log1p=true"]  # fmt: skip


def synth(path, *more):
    return expect(farandole("synth", "lartpc", *SMALL, "--out", path, *more), 0, str(path))


def config(tmp, *more):
    """A file with no key of its own that is not given here."""
    (tmp / "net.yaml").write_text("batch: 1\n")
    return [tmp / "net.yaml", *NET, f"run.dir={tmp}/runs", *more]


def case_words(tmp):
    out = ("--out", tmp / "x.h5")
    expect(farandole("synth"), 2, "lartpc")
    expect(farandole("synth", "lartpcc", *out), 2, "lartpcc", "lartpc")
    expect(farandole("synth", "lartpc"), 2, "--out")
    expect(farandole("synth", "lartpc", "--events", "0", *out), 2, "--events 0")
    expect(farandole("synth", "lartpc", "--events", "1e3", *out), 2, "--events 1e3")
    expect(farandole("synth", "lartpc", "--size", "640", *out), 2, "--size 640", "1280x2048")
    expect(farandole("synth", "lartpc", "--size", "640x", *out), 2, "--size 640x")
    expect(farandole("synth", "lartpc", "--size", "8x8", *out), 2, "8 x 8")
    expect(farandole("synth", "lartpc", "--seed", "-1", *out), 2, "--seed -1")
    expect(farandole("synth", "lartpc", "--planes", "4", *out), 2, "--planes 4", "3")
    expect(farandole("synth", "lartpc", "--size", "100000x100000", *out), 2, "2^32 pixels")
    expect(farandole("synth", "lartpc", "--evnts", "1", *out), 2, "--events")
    ran = expect(farandole("synth", "lartpc", *SMALL, "--out", tmp / "no" / "x.h5"), 1, "no/x.h5")
    assert "HDF5-DIAG" not in ran.stderr, ran.stderr
    assert list(tmp.iterdir()) == []


def case_same_seed_same_bytes(tmp):
    synth(tmp / "a.h5", "--events", 4, "--seed", 9)
    synth(tmp / "b.h5", "--events", 4, "--seed", 9)
    synth(tmp / "c.h5", "--events", 4, "--seed", 10)
    a, b, c = ((tmp / name).read_bytes() for name in ("a.h5", "b.h5", "c.h5"))
    assert a == b and a != c


def case_progress_and_stopping(tmp):
    process = start("synth", "lartpc", "--events", "100000", "--out", tmp / "long.h5")
    for line in process.stderr:
        if line.startswith("events "):
            break
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=cli_run.LIMIT_S)
    assert process.returncode == 75 and "stopped after" in rest, rest
    assert list(tmp.iterdir()) == [], "something is left"


def case_train_on_it(tmp):
    synth(tmp / "train.h5", "--events", 4)
    synth(tmp / "test.h5", "--events", 2, "--first", 4)
    places = (f"data.path={tmp}", f"data.path={tmp}/train.h5 data.holdout=1",
              f"data.images={tmp}/train.h5 data.test_images={tmp}/test.h5")  # fmt: skip
    for k, where in enumerate(places):
        expect(farandole("train", *config(tmp, f"run.dir={tmp}/run{k}"), *where.split()), 0, "done")
    text = expect(farandole("plan", *config(tmp, f"data.path={tmp}/train.h5", "data.downsample=1")), 0).stdout
    assert "16 of 32 rows" in text, text  # of 64


def case_data_that_is_wrong(tmp):
    synth(tmp / "train.h5")
    path = f"data.path={tmp}/train.h5"
    expect(farandole("train", *config(tmp, path, "data.lartpc.image=wire")), 3, "sparse2d_wire_group", "sparse2d_sbndwire_group")
    expect(farandole("train", *config(tmp, path, "data.lartpc.label=")), 2, "labels")
    expect(farandole("train", *config(tmp, f"data.path={tmp}/none.h5")), 3, "none.h5")
    expect(farandole("train", *config(tmp, f"data.path={tmp}/net.yaml", "data.kind=lartpc")), 3, "net.yaml", "HDF5")
    data = (tmp / "train.h5").read_bytes()
    (tmp / "train.h5").write_bytes(data[: len(data) // 2])
    expect(farandole("train", *config(tmp, path)), 3, "train.h5", "truncated")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
