#!/usr/bin/env python3
"""Images that are read row by row when a step wants them (data.feed: rows) train to the bits of whole batches, whatever they are stored in; what
cannot be read so is refused with the key that stands against it, and a file that ends in the middle of a step is named."""
import array
import hashlib
import json
import random
import shutil
import struct
import subprocess
import zipfile
import zlib

import cli_run
from cli_run import Skip, expect, farandole

SAMPLES, HEIGHT, WIDTH, CHANNELS, CLASSES = 6, 44, 36, 3, 4
# Grains of a few rows of one sample, so that rows are asked for in many pieces, by two threads.
UNET = ["model=unet", "model.depth=2", "model.width=4", "model.norm=group", "model.groups=2", "batch=2", "eval.batch=2",
        "optim={name: adam, lr: 0.003}", "train.steps=3", "train.eval_every=3", "data.holdout=2", "threads=2", "run.samples=2",
        "grain={samples: 1, rows: 5, min_rows: 1}"]  # fmt: skip


def train(tmp, feed, words, code=0, network=UNET):
    run = tmp / f"run-{feed}"
    shutil.rmtree(run, ignore_errors=True)
    config = tmp / "config.yaml"
    config.write_text("".join(line.replace("=", ": ", 1) + "\n" for line in network))
    return run, expect(farandole("train", config, f"run.dir={run}", f"data.feed={feed}", "--quiet", *words), code)


def outcome(run):
    """Weights, and losses and scores on the way; the pictures of samples."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    weights = hashlib.sha256((run / "checkpoints/3/model.safetensors").read_bytes()).hexdigest()
    pictures = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((run / "samples").glob("*.png"))}
    return weights, [{k: v for k, v in row.items() if k not in ("time_s", "train/samples_per_s")} for row in rows], pictures


def check_same(tmp, *words, network=UNET):
    want, got = (outcome(train(tmp, feed, words, network=network)[0]) for feed in ("batches", "rows"))
    assert got == want, f"rows gave {got}, batches {want}"
    assert any("eval/loss" in row for row in want[1]) and want[2], want


# ---- files ----

def pixels(seed=1, samples=SAMPLES, channels=CHANNELS):
    """Of sixteen values, so that packing finds something to do."""
    draw = random.Random(seed)
    return [bytes(draw.randrange(16) ** 2 for _ in range(HEIGHT * WIDTH * channels)) for _ in range(samples)]


def maps(seed=2):
    draw = random.Random(seed)
    return [bytes(draw.randrange(CLASSES) for _ in range(HEIGHT * WIDTH)) for _ in range(SAMPLES)]


def npy(kind, shape, data):
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    head += " " * ((64 - (10 + len(head) + 1) % 64) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


def images_npy():
    return npy("|u1", (SAMPLES, HEIGHT, WIDTH, CHANNELS), b"".join(pixels()))


def labels_npy():
    return npy("|u1", (SAMPLES, HEIGHT, WIDTH), b"".join(maps()))


def put_npz(path, method, **arrays):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in arrays.items():
            file.writestr(f"{name}.npy", data)


def tiff(data, channels, tile):
    """One page of bytes in tiles of `tile` rows and 16 columns, packed; tile 0: one strip, as it is."""
    blocks = [data]
    if tile:
        blocks = []
        for top in range(0, HEIGHT, tile):
            for left in range(0, WIDTH, 16):
                block = bytearray(tile * 16 * channels)
                for y in range(top, min(top + tile, HEIGHT)):
                    row = data[(y * WIDTH + left) * channels : (y * WIDTH + min(left + 16, WIDTH)) * channels]
                    at = (y - top) * 16 * channels
                    block[at : at + len(row)] = row
                blocks.append(zlib.compress(bytes(block)))
    n, many = len(blocks), len(blocks) > 1
    count = 10 if tile else 9
    extra_at = 8 + 2 + 12 * count + 4
    bits, offsets = extra_at, extra_at + 8
    counts, at = offsets + 4 * n, offsets + 8 * n
    places = []
    for block in blocks:
        places.append(at)
        at += len(block)
    tags = [(256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, channels, bits if channels == 3 else 8), (259, 3, 1, 8 if tile else 1),
            (262, 3, 1, 2 if channels == 3 else 1), (277, 3, 1, channels)]  # fmt: skip
    where = [(4, n, offsets if many else places[0]), (4, n, counts if many else len(blocks[0]))]
    if tile:
        tags += [(322, 3, 1, 16), (323, 3, 1, tile), (324, *where[0]), (325, *where[1])]
    else:
        tags += [(273, *where[0]), (278, 3, 1, HEIGHT), (279, *where[1])]
    assert len(tags) == count
    ifd = struct.pack("<H", count) + b"".join(struct.pack("<HHII", *t) for t in sorted(tags)) + b"\0\0\0\0"
    tables = struct.pack("<4H", 8, 8, 8, 0) + struct.pack(f"<{n}I", *places) + struct.pack(f"<{n}I", *map(len, blocks))
    return b"II*\0" + struct.pack("<I", 8) + ifd + tables + b"".join(blocks)


def put_tiffs(tmp, tile):
    for name in ("images", "labels"):
        (tmp / name).mkdir()
    for i, (image, label) in enumerate(zip(pixels(), maps())):
        (tmp / f"images/{i}.tif").write_bytes(tiff(image, CHANNELS, tile))
        (tmp / f"labels/{i}.tif").write_bytes(tiff(label, 1, tile))
    return ["data.kind=segmentation", f"data.path={tmp}", f"data.classes={CLASSES}"]


# ---- every reader ----

def case_made_up_images(tmp):
    words = ["data.kind=synthetic", "data.synthetic.samples=6", "data.synthetic.test_samples=2", "data.synthetic.label=map",
             f"data.synthetic.classes={CLASSES}"]  # fmt: skip
    check_same(tmp, *words, f"data.synthetic.shape=[2,{HEIGHT},{WIDTH}]", "data.augment={flip: true, vflip: true, normalize: true}")
    check_same(tmp, *words, f"data.synthetic.shape=[2,{2 * HEIGHT},{2 * WIDTH}]", "data.downsample=1")
    check_same(tmp, *words, "data.synthetic.shape=[2,60,50]", "data.augment.crop=[40,32]", "data.augment.cutout=9")
    check_same(tmp, *words, "data.synthetic.shape=[2,60,50]", "data.synthetic.vary=0.4", "data.size=[60,52]", "data.fit=pad", "data.augment.erase=0.5")
    check_same(tmp, *words, "data.synthetic.shape=[2,60,50]", "data.synthetic.vary=0.4", "data.augment.crop=[32,32]")  # evaluated whole
    check_same(tmp, *words, "data.synthetic.shape=[2,8,20,24]", "model=unet3d", "data.augment.flip=true")


def case_one_class_an_image(tmp):
    words = ["data.kind=synthetic", "data.synthetic.samples=16", "data.synthetic.test_samples=3", "data.synthetic.classes=4",
             f"data.synthetic.shape=[1,{HEIGHT},{WIDTH}]", "model.name=lenet5"]  # fmt: skip
    network = [word for word in UNET if not word.startswith("model")]
    check_same(tmp, *words, "data.augment.crop_pad=2", "data.augment.brightness=0.4", network=network)


def case_idx(tmp):
    images = struct.pack(">BBBBIIII", 0, 0, 8, 4, SAMPLES, HEIGHT, WIDTH, CHANNELS) + b"".join(pixels())
    labels = struct.pack(">BBBBIII", 0, 0, 8, 3, SAMPLES, HEIGHT, WIDTH) + b"".join(maps())
    (tmp / "images.idx").write_bytes(images)
    (tmp / "labels.idx").write_bytes(labels)
    check_same(tmp, f"data.images={tmp}/images.idx", f"data.labels={tmp}/labels.idx", "data.augment.flip=true")


def case_npy(tmp):
    (tmp / "x.npy").write_bytes(images_npy())
    (tmp / "y.npy").write_bytes(labels_npy())
    check_same(tmp, f"data.images={tmp}/x.npy", f"data.labels={tmp}/y.npy", "data.mean=[0.4]", "data.std=[0.2]")


def case_npz(tmp):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        put_npz(tmp / "x.npz", method, images=images_npy(), labels=labels_npy())
        check_same(tmp, f"data.path={tmp}/x.npz", "data.augment.vflip=true")


def case_raw(tmp):
    values = array.array("f", (v / 7.0 for image in pixels(channels=1) for v in image))
    (tmp / "x.raw").write_bytes(b"head" + values.tobytes())
    (tmp / "x.raw.json").write_text(json.dumps({"shape": [SAMPLES, HEIGHT, WIDTH], "type": "float32", "offset": 4}))
    (tmp / "y.npy").write_bytes(labels_npy())
    check_same(tmp, f"data.images={tmp}/x.raw", f"data.labels={tmp}/y.npy", "data.augment.log1p=true")


def case_hdf5(tmp):
    code = """
import sys, numpy, h5py
x, y = (numpy.load(sys.argv[1] + name) for name in ("/x.npy", "/y.npy"))
with h5py.File(sys.argv[1] + "/x.h5", "w") as file:
    file.create_dataset("images", data=x, chunks=(1, 7, 9, 3), compression="gzip", shuffle=True)
    file.create_dataset("labels", data=y, chunks=(2, 11, 36))
"""
    (tmp / "x.npy").write_bytes(images_npy())
    (tmp / "y.npy").write_bytes(labels_npy())
    if subprocess.run(["/usr/bin/python3", "-c", code, str(tmp)], capture_output=True).returncode != 0:
        raise Skip("no h5py")
    check_same(tmp, "data.kind=arrays", f"data.path={tmp}/x.h5", "data.augment.flip=true")


def case_liquid_argon(tmp):
    expect(farandole("synth", "lartpc", "--events", 5, "--size", "64x96", "--out", tmp / "x.h5", "--quiet"), 0)
    words = ["data.kind=lartpc", f"data.path={tmp}/x.h5", "data.augment={log1p: true, vflip: true}", "model=a21", "model.width=2", "model.depth=2", "model.bottleneck=4"]
    network = [word for word in UNET if not word.startswith("model")]
    check_same(tmp, *words, network=network)
    check_same(tmp, *words, "data.lartpc.keep=1", network=network)


def case_land_and_sea(tmp):
    draw, size = random.Random(5), 128
    coast = [draw.randrange(size) for _ in range(size)]
    mask = bytes(int(x > coast[y]) for y in range(size) for x in range(2 * size))
    put_npz(tmp / "mask.npz", zipfile.ZIP_DEFLATED, mask=npy("|b1", (size, 2 * size), mask))
    words = ["data.kind=landmask", f"data.path={tmp}/mask.npz", "data.landmask.view=4"]
    check_same(tmp, *words, "data.landmask.window=32", "data.landmask.windows=8", "data.landmask.test_windows=3",
               "data.landmask.held_out=[60,120]")  # fmt: skip


def case_tiff(tmp):
    for tile in (16, 0):
        for name in ("images", "labels"):
            shutil.rmtree(tmp / name, ignore_errors=True)
        words = put_tiffs(tmp, tile)
        if "without libtiff" in farandole("plan", *words).stderr:
            raise Skip("built without libtiff")
        check_same(tmp, *words, "data.augment.flip=true")


def case_bands(tmp):
    """Steps that go through images band by band ask for rows again in the backward pass; by themselves they take no batches."""
    (tmp / "x.npy").write_bytes(images_npy())
    (tmp / "y.npy").write_bytes(labels_npy())
    words = [f"data.images={tmp}/x.npy", f"data.labels={tmp}/y.npy", "data.augment.vflip=true", "run.samples=0"]
    want = outcome(train(tmp, "batches", words)[0])
    for feed in ("batches", "rows", "auto"):
        assert outcome(train(tmp, feed, [*words, "exec.bands=always"])[0]) == want, feed
    plans = [cli_run.ok_json("plan", tmp / "config.yaml", *words, "exec.bands=always", f"data.feed={feed}", "--json") for feed in ("auto", "rows", "batches")]
    assert plans[0]["data_bytes"] == plans[1]["data_bytes"] < plans[2]["data_bytes"] // 4, [p["data_bytes"] for p in plans]


def predictions(tmp, name, *words):
    """All files, byte by byte."""
    expect(farandole("predict", tmp / "run-batches", "--out", tmp / name, "--format", "tiff", "--probabilities", "--quiet", *words), 0)
    return {p.name: p.read_bytes() for p in sorted((tmp / name).iterdir())}


def case_predictions_in_bands(tmp):
    """What a network gives of images that go through it band by band is written in rows: the same files."""
    words = ["data.kind=synthetic", "data.synthetic.samples=6", "data.synthetic.test_samples=3", "data.synthetic.label=map",
             f"data.synthetic.classes={CLASSES}", f"data.synthetic.shape=[2,{HEIGHT},{WIDTH}]"]  # fmt: skip
    if "without libtiff" in farandole("predict", train(tmp, "batches", words)[0], "--format", "tiff").stderr:
        raise Skip("built without libtiff")
    want = predictions(tmp, "whole")
    assert len(want) == 7, want.keys()
    assert predictions(tmp, "bands", "exec.bands=always") == want
    assert predictions(tmp, "rows", "data.feed=rows") == want
    assert predictions(tmp, "batches", "exec.bands=always", "data.feed=batches") == want
    tall = [f"data.synthetic.shape=[2,600,{WIDTH}]"]
    want = predictions(tmp, "tall", *tall)
    assert predictions(tmp, "tall-bands", "exec.bands=always", *tall) == want  # several bands of rows
    padded = [*tall, "data.size=[640,44]", "data.fit=pad"]
    assert predictions(tmp, "padded-bands", "exec.bands=always", *padded) == predictions(tmp, "padded", *padded)
    assert not [p for p in tmp.rglob("predictions.??????")]
    run = tmp / "run-batches"
    expect(farandole("predict", run, "--out", tmp / "png", "exec.bands=always", *tall), 1, "600 x 36", "--format tiff")


def case_rows_are_named_where_they_would_fit(tmp):
    words = ["data.kind=synthetic", "data.synthetic.samples=6", "data.synthetic.test_samples=2", "data.synthetic.label=map", "exec.spill=none",
             f"data.synthetic.classes={CLASSES}", "data.synthetic.shape=[8,1024,1024]", "model.depth=1", "model.width=2", "grain.rows=64"]  # fmt: skip
    (tmp / "config.yaml").write_text("".join(line.replace("=", ": ", 1) + "\n" for line in UNET))
    rows, batches = (cli_run.ok_json("plan", tmp / "config.yaml", "--json", *words, f"data.feed={feed}")["process_bytes"] for feed in ("rows", "batches"))
    assert rows + (200 << 20) < batches, (rows, batches)
    expect(farandole("plan", tmp / "config.yaml", *words, f"memory={rows + (60 << 20)}"), 4, "data.feed=rows (")


# ---- what goes wrong ----

def case_what_needs_whole_images_is_refused(tmp):
    words = ["data.kind=synthetic", "data.synthetic.samples=6", "data.synthetic.test_samples=2", "data.synthetic.label=map",
             f"data.synthetic.classes={CLASSES}", "data.synthetic.shape=[2,32,32]"]  # fmt: skip
    for key, value in (("data.augment.turns", "true"), ("data.augment.contrast", "0.3"), ("data.augment.resized_crop", "true"),
                       ("data.on_error", "skip"), ("data.fit", "resize")):  # fmt: skip
        more = ["data.size=16"] if key == "data.fit" else []
        _, ran = train(tmp, "rows", [*words, f"{key}={value}", *more], code=2)
        assert key in ran.stderr, ran.stderr


def check_fault(tmp, words, good, damage, mend, *parts):
    """After `good` batches something cannot be read: the checkpoint stays, and serves once the file is whole again."""
    words = [*words, "data.shuffle=false", "data.holdout=0", "train.checkpoint_every=1", "run.samples=0"]
    run, _ = train(tmp, "rows", words)
    want = [(run / f"checkpoints/{step}/model.safetensors").read_bytes() for step in (good, 3)]
    damage()
    run, ran = train(tmp, "rows", words, code=3)
    for part in parts:
        assert part in ran.stderr, ran.stderr
    assert (run / f"checkpoints/{good}/model.safetensors").read_bytes() == want[0]
    assert not (run / f"checkpoints/{good + 1}").exists()
    mend()
    expect(farandole("train", "--resume", run, "--quiet"), 0)
    assert (run / "checkpoints/3/model.safetensors").read_bytes() == want[1]


def case_a_picture_that_is_cut_short(tmp):
    words, path = put_tiffs(tmp, 16), tmp / "images/3.tif"
    if "without libtiff" in farandole("plan", *words).stderr:
        raise Skip("built without libtiff")
    whole = path.read_bytes()
    check_fault(tmp, words, 1, lambda: path.write_bytes(whole[: len(whole) // 2]), lambda: path.write_bytes(whole), "3.tif", "cut short", "sample 3")


def case_an_archive_that_is_damaged(tmp):
    path = tmp / "x.npz"
    # more than is read when the file is opened; what was packed is found damaged by its checksum, at the end of the last image
    values = array.array("q", (v for image in pixels() for v in image))
    put_npz(path, zipfile.ZIP_DEFLATED, images=npy("<i8", (SAMPLES, HEIGHT, WIDTH, CHANNELS), values.tobytes()), labels=labels_npy())
    whole = path.read_bytes()
    at = whole.index(b"labels.npy") * 11 // 12  # the images come first
    bad = whole[:at] + random.Random(3).randbytes(50) + whole[at + 50 :]
    words = [f"data.path={path}", f"data.classes={CLASSES}"]
    check_fault(tmp, words, 2, lambda: path.write_bytes(bad), lambda: path.write_bytes(whole), "x.npz", "images: damaged near byte", "sample 5")


if __name__ == "__main__":
    cli_run.main(__import__("__main__"))
