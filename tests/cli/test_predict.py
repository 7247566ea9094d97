#!/usr/bin/env python3
"""farandole predict: maps, overlays, probabilities and classes, of labelled and of unlabelled images."""
import ast
import csv
import json
import random
import struct
import sys
import zlib

import png_read
import tiff_read
from cli_run import expect, farandole, main, ok_json, tiny_config

MAPS = ("data: {kind: synthetic, synthetic: {label: map, samples: 64, test_samples: 5, shape: [1, 16, 16], classes: 3}}\n"
        "model: {name: unet, width: 4, depth: 2, norm: batch}\nbatch: 8\ntrain.epochs: 2\noptim: {name: adam, lr: 0.01}\n")  # fmt: skip


def train(tmp, name, text=None, *words):
    config = tiny_config(tmp)
    if text:
        config = tmp / f"{name}.yaml"
        config.write_text(text)
    expect(farandole("train", config, f"run.dir={tmp / name}", "--quiet", *words), 0)
    return tmp / name


def npy(path):
    """Flat values and shape."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    length = struct.unpack_from("<H", data, 8)[0]
    header = ast.literal_eval(data[10 : 10 + length].decode().strip())
    assert (10 + length) % 64 == 0 and not header["fortran_order"]
    code = {"|u1": "B", "<i4": "i", "<f4": "f"}[header["descr"]]
    shape, count = header["shape"], 1
    for extent in shape:
        count *= extent
    assert len(data) == 10 + length + count * struct.calcsize(code)
    return struct.unpack_from(f"<{count}{code}", data, 10 + length), shape


def write_npy(path, values, shape):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(values))


def write_png(path, values, width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    raw = b"".join(b"\0" + bytes(values[y * width : (y + 1) * width]) for y in range(height))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))  # fmt: skip


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def case_maps(tmp):
    run = train(tmp, "r", MAPS)
    told = ok_json("predict", run, "--overlay", "--probabilities", "--json", "--quiet")
    out = run / "predictions"
    assert told["samples"] == 5 and told["files"] == 16 and told["folder"] == str(out)
    rows = rows_of(out / "predictions.csv")
    assert [row["file"] for row in rows] == [f"{i:06}.png" for i in range(5)]
    expect(farandole("predict", run, "--format", "npy", "--out", tmp / "new/deep", "--quiet"), 0)
    tiff = farandole("predict", run, "--format", "tiff", "--probabilities", "--out", tmp / "tiff", "--quiet")
    has_tiff = "built without libtiff" not in tiff.stderr
    expect(tiff, 0 if has_tiff else 1)
    right = 0
    for i, row in enumerate(rows):
        width, height, lines, palette = png_read.read(out / row["file"])
        classes = [v for line in lines for v in line]
        assert (width, height) == (16, 16) and palette[0] != palette[1] != palette[2]
        array, shape = npy(tmp / f"new/deep/{i:06}.npy")
        assert shape == (16, 16) and list(array) == classes, "PNG and NPY tell the same"
        shares, shape = npy(out / f"{i:06}-probabilities.npy")
        assert shape == (3, 16, 16)
        if has_tiff:
            width, height, samples, values, colours = tiff_read.read(tmp / f"tiff/{i:06}.tif")
            assert (width, height, samples, values) == (16, 16, 1, classes) and colours[0] != colours[1] != colours[2]
            width, height, samples, values, colours = tiff_read.read(tmp / f"tiff/{i:06}-probabilities.tif")
            assert samples == 3 and [values[3 * at + k] for k in range(3) for at in range(256)] == list(shares)
        for at in range(256):
            of_pixel = shares[at::256]
            assert abs(sum(of_pixel) - 1) < 1e-5 and of_pixel[classes[at]] == max(of_pixel)
        assert [int(row[f"pixels_of_class_{k}"]) for k in range(3)] == [classes.count(k) for k in range(3)]
        width, height, lines, palette = png_read.read(out / f"{i:06}-overlay.png")
        assert (width, height, palette) == (16, 16, None)
        coloured = [at for at, rgb in enumerate(rgb for line in lines for rgb in line) if len(set(rgb)) > 1]
        assert set(coloured) == {at for at in range(256) if classes[at] > 0}, "colours where a class is"
        right += int(row["pixels_right"])
    scores = ok_json("eval", run, "--json", "--quiet")["scores"]
    assert abs(right / 1280 - scores["accuracy"]) < 1e-9 and told["right"] == right / 1280, (right / 1280, scores)


def case_classes(tmp):
    run = train(tmp, "r", None, "train.epochs=6")
    told = ok_json("predict", run, "--probabilities", "--top", 2, "--json", "--quiet")
    rows = rows_of(run / "predictions/predictions.csv")
    assert told["samples"] == len(rows) == 64 and told["files"] == 2
    shares, shape = npy(run / "predictions/probabilities.npy")
    assert shape == (64, 4)
    right = 0
    for i, row in enumerate(rows):
        assert int(row["sample"]) == i and row["name"] == "" and "class_3" not in row
        of_sample = shares[4 * i : 4 * i + 4]
        assert abs(sum(of_sample) - 1) < 1e-5 and of_sample[int(row["class_1"])] == max(of_sample)
        assert abs(float(row["probability_1"]) - max(of_sample)) < 1e-5 >= float(row["probability_2"]) - float(row["probability_1"])
        right += row["truth"] == row["class_1"]
    accuracy = ok_json("eval", run, "--json", "--quiet")["scores"]["accuracy"]
    assert right / 64 == accuracy == told["right"], (right / 64, accuracy)
    expect(farandole("predict", run / "checkpoints/best", "--format", "jsonl", "--out", tmp / "j", "--quiet"), 0)
    lines = [json.loads(line) for line in (tmp / "j/predictions.jsonl").read_text().splitlines()]
    assert [line["classes"][0]["class"] for line in lines] == [int(row["class_1"]) for row in rows]
    assert len(lines[0]["classes"]) == 4 and lines[0]["name"] is None and lines[0]["truth"] == int(rows[0]["truth"])


def make_arrays(tmp):
    """Four classes by the place of a bright square, on a ground of 90: moments that are not those of a single image."""
    chosen = random.Random(1)
    for part, count in (("train", 128), ("test", 24)):
        labels = [chosen.randrange(4) for _ in range(count)]
        pixels = []
        for label in labels:
            y0, x0 = divmod(label, 2)
            pixels += [chosen.randrange(70, 110) + (100 if y // 6 == y0 and x // 6 == x0 else 0) for y in range(12) for x in range(12)]
        write_npy(tmp / f"{part}-images.npy", pixels, [count, 12, 12])
        write_npy(tmp / f"{part}-labels.npy", labels, [count])
    return pixels, labels


ARRAYS = ("data.augment.normalize: true\nmodel: {name: layers, layers: [{op: conv, out_channels: 4, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, "
          "{op: flatten}, {op: linear, out_features: 4}]}\nbatch: 16\noptim.lr: 0.05\ntrain.epochs: 4\n")  # fmt: skip


def case_unlabelled(tmp):
    pixels, labels = make_arrays(tmp)
    run = train(tmp, "r", ARRAYS, f"data.path={tmp}")
    config = (run / "config.yaml").read_text()
    assert "mean: [0." in config and "std: [0." in config and "classes: 4" in config and "recipe: classify" in config and "kind: npy" in config, config
    ok_json("predict", run, "--json", "--quiet", "--probabilities")
    rows = rows_of(run / "predictions/predictions.csv")
    assert sum(row["truth"] == row["class_1"] for row in rows) >= 20, "it has learnt"
    # the same images without labels, one at a time too: normalised by the moments of the training data
    expect(farandole("predict", run, "--images", tmp / "test-images.npy", "--out", tmp / "u", "--quiet"), 0)
    write_npy(tmp / "one.npy", pixels[:144], [1, 12, 12])
    expect(farandole("predict", run, "--images", tmp / "one.npy", "--out", tmp / "o", "--quiet"), 0)
    bare = rows_of(tmp / "u/predictions.csv")
    assert [(r["class_1"], r["probability_1"]) for r in bare] == [(r["class_1"], r["probability_1"]) for r in rows]
    assert all(r["truth"] == "" for r in bare) and rows_of(tmp / "o/predictions.csv")[0]["probability_1"] == rows[0]["probability_1"]
    # as an IDX file
    (tmp / "some-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 24, 12, 12) + bytes(pixels))
    expect(farandole("predict", run, "--images", tmp / "some-idx3-ubyte", "--out", tmp / "i", "--quiet"), 0)
    assert (tmp / "i/predictions.csv").read_text() == (tmp / "u/predictions.csv").read_text()


def case_folder_of_pictures(tmp):
    pixels, labels = make_arrays(tmp)
    run = train(tmp, "r", ARRAYS, f"data.path={tmp}")
    names = ["b.png", "a,\"b.png", "c.d.png"]
    for i, name in enumerate(names):
        write_png(tmp / "photos" / name, pixels[144 * i : 144 * (i + 1)], 12, 12)
    expect(farandole("predict", run, "--images", tmp / "photos", "--quiet"), 0)
    found = {row["name"]: row["class_1"] for row in rows_of(run / "predictions/predictions.csv")}
    expect(farandole("predict", run, "--images", tmp / "test-images.npy", "--out", tmp / "u", "--quiet"), 0)
    want = [row["class_1"] for row in rows_of(tmp / "u/predictions.csv")]
    for i, name in enumerate(names):
        got = [value for key, value in found.items() if key in (name, name[:-4])]
        assert got == [want[i]], f"{name} in {found}, expected {want[i]}"


def case_maps_keep_the_names_of_pictures(tmp):
    run = train(tmp, "r", MAPS)
    names = ["cell.png", "deep cell.png", "..er.d.png"]
    for name in names:
        write_png(tmp / "photos" / name, range(256), 16, 16)
    ran = farandole("predict", run, "--images", tmp / "photos", "--out", tmp / "out", "--overlay", "--quiet")
    expect(ran, 0)
    files = sorted(str(path.relative_to(tmp / "out")) for path in (tmp / "out").rglob("*.png"))
    rows = rows_of(tmp / "out/predictions.csv")
    assert sorted(row["file"] for row in rows) == [name for name in files if "overlay" not in name], files
    assert len(files) == 2 * len(rows) and "cell.png" in files and not any("/" in name or name.startswith(".") for name in files), files


def case_errors(tmp):
    run = train(tmp, "r")
    maps = train(tmp, "m", MAPS)
    expect(farandole("predict"), 2, "name a run")
    expect(farandole("predict", run, "--format", "png"), 2, "csv or jsonl")
    expect(farandole("predict", maps, "--format", "csv"), 2, "png, npy or tiff")
    expect(farandole("predict", run, "--format", "gif"), 2, "gif")
    expect(farandole("predict", run, "--overlay"), 2, "--overlay")
    expect(farandole("predict", run, "--top", "0"), 2, "--top 0")
    expect(farandole("predict", run, "--images", tmp / "none"), 3, "none")
    (tmp / "empty").mkdir()
    expect(farandole("predict", run, "--images", tmp / "empty"), 3, "empty")
    expect(farandole("predict", run, "--checkpoint", "17"), 2, "best", "last")
    expect(farandole("predict", run / "checkpoints/best", "--checkpoint", "last"), 2, "is a checkpoint")
    expect(farandole("predict", tiny_config(tmp)), 2, "weights")
    expect(farandole("predict", run, "--out", run / "config.yaml"), 3, "config.yaml")
    write_npy(tmp / "wide.npy", [0] * 300, [1, 12, 25])
    expect(farandole("predict", run, "--images", tmp / "wide.npy"), 2)
    assert not (run / "predictions/predictions.csv").exists(), "nothing half written stays"


if __name__ == "__main__":
    main(sys.modules[__name__])
