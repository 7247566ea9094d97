#!/usr/bin/env python3
"""Evaluation and prediction on several ranks: the same scores, files and pictures as one rank's, byte for byte. Skipped where there is no MPI."""
import json
import sys

import cli_run
import test_pictures
from cli_run import expect, farandole, ok_json
from test_train_ranks import need_mpi

SGD = {"name": "sgd", "lr": 0.02, "momentum": 0.9}
# 13 test samples: no number of ranks divides them, nor does the batch
MAPS = {"data": {"kind": "synthetic", "synthetic": {"shape": [3, 32, 16], "classes": 3, "label": "map", "samples": 16, "test_samples": 13},
                 "augment": {"vflip": True, "crop_pad": 2, "cutout": 6}},
        "model": {"name": "uresnet", "preset": "a21", "width": 2, "depth": 2, "bottleneck": 4, "blocks_deep": 1, "kernel_deep": 3},
        "loss": {"recipe": "cosmictagger"}, "grain": {"samples": 1, "rows": 8, "min_rows": 1}, "batch": 4, "optim": SGD, "train.steps": 4,
        "threads": 1}  # fmt: skip
CLASSES = dict(MAPS, model={"name": "lenet5"}, loss={},
               data={"kind": "synthetic", "synthetic": {"shape": [1, 28, 28], "classes": 4, "samples": 16, "test_samples": 13}})  # fmt: skip
VOLUMES = dict(MAPS, model={"name": "unet3d", "width": 4, "depth": 1, "groups": 2}, loss={}, grain={"samples": 1, "rows": 2, "min_rows": 1},
               data={"kind": "synthetic", "synthetic": {"shape": [1, 8, 8, 8], "classes": 2, "label": "map", "samples": 8, "test_samples": 5}})  # fmt: skip
LAYOUTS = ("data=3", "spatial=4", "data=2,spatial=2")


def config(tmp, what, **changes):
    path = tmp / "x.yaml"
    path.write_text(json.dumps(dict(what, **changes)))
    return path


def on(layout):
    ranks = eval(layout.replace("data=", "").replace("spatial=", "").replace(",", "*"))
    return ["--ranks", ranks, "--layout", layout]


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def same_files(one, other):
    want, got = files(one), files(other)
    assert want.keys() == got.keys(), (want.keys() ^ got.keys())
    for name in want:
        assert want[name] == got[name], f"{other}: {name} differs"


def scores(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k.startswith("eval/")} for row in rows]


def everything(tmp, what, *words, layouts=LAYOUTS, predict=("--probabilities",)):
    """Trained, scored and predicted by one rank, then by several."""
    need_mpi()
    path = config(tmp, what)
    expect(farandole("train", path, f"run.dir={tmp}/one", "--quiet", *words), 0)
    want = ok_json("eval", tmp / "one", "--json", "--quiet")
    expect(farandole("predict", tmp / "one", "--out", tmp / "p1", "--quiet", *predict), 0)
    assert len(want["scores"]) > 1 and len(files(tmp / "p1")) > 0
    run = tmp / "several"
    expect(farandole("train", path, f"run.dir={run}", "--quiet", *words, *on(layouts[-1])), 0)
    assert scores(tmp / "one") == scores(run)
    same_files(tmp / "one/samples", run / "samples")
    for layout in layouts:
        out = tmp / f"p {layout}"
        got = ok_json("eval", tmp / "one", "--json", "--quiet", *on(layout))
        assert got == want, (layout, got, want)
        expect(farandole("predict", tmp / "one", "--out", out, "--quiet", *on(layout), *predict), 0)
        same_files(tmp / "p1", out)


def case_label_maps(tmp):
    everything(tmp, MAPS, predict=["--probabilities", "--overlay"])


def case_classes(tmp):
    everything(tmp, CLASSES, layouts=LAYOUTS[:1])


def case_volumes(tmp):
    everything(tmp, VOLUMES, layouts=LAYOUTS[1:2], predict=["--format=npy"])


def case_more_ranks_than_samples(tmp):
    few = json.loads(json.dumps(MAPS))
    few["data"]["synthetic"]["test_samples"] = 1
    everything(tmp, few, layouts=("data=5",))


def beside(tmp, run, name, layout, *words):
    """A run scored and predicted by one rank and by several."""
    want = ok_json("eval", run, "--json", "--quiet", *words)
    assert ok_json("eval", run, "--json", "--quiet", *words, *on(layout)) == want, layout
    for out, more in ((f"{name} one", []), (f"{name} several", on(layout))):
        expect(farandole("predict", run, "--out", tmp / out, "--quiet", *words, *more), 0)
    same_files(tmp / f"{name} one", tmp / f"{name} several")
    return files(tmp / f"{name} one")


def case_pictures_of_all_sizes(tmp):
    """Each size has a plan of its own."""
    need_mpi()
    test_pictures.maps(tmp / "d")
    path = test_pictures.config(tmp, [*test_pictures.UNET, "data.augment.crop=16", f"data.path={tmp}/d", "data.holdout=4", "eval.batch=3"])
    words = ["grain.rows=8", "grain.min_rows=1", "grain.samples=1"]
    expect(farandole("train", path, f"run.dir={tmp}/one", "--quiet", *words), 0)
    assert len(beside(tmp, tmp / "one", "p", LAYOUTS[-1])) == 5


def case_what_cannot_be_read_counts_for_nothing(tmp):
    need_mpi()
    test_pictures.classes(tmp / "d")
    net = [*test_pictures.NET, "data.size=16", f"data.path={tmp}/d", "data.on_error=skip", "grain.samples=1"]
    expect(farandole("train", test_pictures.config(tmp, net), f"run.dir={tmp}/one", "--quiet"), 0)
    pictures = sorted((tmp / "d/val").glob("*/*.png"))
    for path in (pictures[1], pictures[10]):
        test_pictures.damage(path)
    made = beside(tmp, tmp / "one", "p", LAYOUTS[0])
    assert made["predictions.csv"].count(b"\n") == 11
    for path in pictures[:9]:
        test_pictures.damage(path)
    for ranks in (1, 3):  # ten of twelve: no rank by itself has that many
        expect(farandole("eval", tmp / "one", "--quiet", "--ranks", ranks), 3, "10 samples could not be read in this epoch of 12")


def case_errors_are_told_once(tmp):
    need_mpi()
    expect(farandole("train", config(tmp, MAPS), f"run.dir={tmp}/r", "--quiet"), 0)
    (tmp / "file").write_text("in the way")
    for words, code, part in (
        (["eval", tmp / "r", "--ranks=3", "--layout=data=2"], 2, "are 2 ranks, not 3"),
        (["eval", "--ranks=2"], 2, "evaluate what"),
        (["predict", tmp / "r", "--ranks=2", "--out", tmp / "file/there"], 3, "cannot make the folder"),
        (["predict", tmp / "r", "--ranks=2", "--format=csv"], 2, "--format png, npy or tiff"),
        (["predict", config(tmp, MAPS), "--ranks=2"], 2, "predictions need weights"),
    ):
        ran = expect(farandole(*words), code, part)
        assert (ran.stdout + ran.stderr).count("error:") == 1, ran.stdout + ran.stderr


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
