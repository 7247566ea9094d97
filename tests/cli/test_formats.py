#!/usr/bin/env python3
"""The same images and label maps in every kind of file train the same network, to the bit; and what predict writes as TIFF is what Pillow reads."""
import json
import os
import random
import re
import struct
import subprocess
import sys
import zipfile
import zlib

import tiff_read
from cli_run import Skip, expect, farandole, main, ok_json
from test_predict import MAPS, train, write_png

N, H, W = 8, 48, 80
CONFIG = "model: {name: unet, width: 4, depth: 2}\nbatch: 4\ntrain.epochs: 1\ndata: {classes: 3, size: [48, 80]}\n"
SYSTEM_PYTHON = "/usr/bin/python3"


def samples():
    """Images of bytes and maps of three classes, flat."""
    chosen = random.Random(3)
    out = []
    for _ in range(N):
        centre = (chosen.randrange(H), chosen.randrange(W))
        label = [min(2, 300 // (1 + (y - centre[0]) ** 2 + (x - centre[1]) ** 2)) for y in range(H) for x in range(W)]
        out.append((bytes(70 * k + chosen.randrange(60) for k in label), bytes(label)))
    return out


def npy(values, shape):
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    head += b" " * (117 - len(head)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + values


def write_tiff(path, values, tile, big):
    """One channel of bytes in deflated tiles, plain or Big, of either byte order."""
    e, number, size = (">", "Q", 8) if big else ("<", "I", 4)
    blocks = []
    for y in range(0, H, tile):
        for x in range(0, W, tile):
            rows = [values[v * W + x : v * W + min(x + tile, W)] if v < H else b"" for v in range(y, y + tile)]
            blocks.append(zlib.compress(b"".join(row.ljust(tile, b"\0") for row in rows)))
    data, places = b"MM\0\x2b\0\x08\0\0" + bytes(8) if big else b"II\x2a\0" + bytes(4), []
    for block in blocks:
        places.append(len(data))
        data += block
    tables = []
    for table in (places, [len(block) for block in blocks]):
        tables.append(len(data))
        data += struct.pack(f"{e}{len(table)}{number}", *table)
    kind = 16 if big else 4
    tags = [(256, 4, 1, W), (257, 4, 1, H), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1), (322, 4, 1, tile), (323, 4, 1, tile),
            (324, kind, len(blocks), tables[0]), (325, kind, len(blocks), tables[1])]  # fmt: skip
    at = len(data)
    data += struct.pack(e + ("Q" if big else "H"), len(tags))
    for tag, form, count, value in tags:
        code = {3: "H", 4: "I", 16: "Q"}[form] if count == 1 else number
        data += struct.pack(f"{e}HH{number}", tag, form, count) + struct.pack(e + code, value).ljust(size, b"\0")
    data += bytes(size)
    where = struct.pack(e + number, at)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:8] + where + data[16:] if big else data[:4] + where + data[8:])


def run(tmp, name, *words):
    (tmp / "config.yaml").write_text(CONFIG)
    return farandole("train", tmp / "config.yaml", f"run.dir={tmp / name}", *words)


def digest_of(ran):
    return re.search(r"digest +([0-9a-f]{64})", expect(ran, 0).stdout).group(1)


def digest(tmp, name, *words):
    return digest_of(run(tmp, name, *words))


def arrays(tmp):
    images = b"".join(image for image, _ in samples())
    labels = b"".join(label for _, label in samples())
    return images, labels


def case_arrays_give_the_same_bits(tmp):
    images, labels = arrays(tmp)
    shape, digests = (N, H, W), {}
    (tmp / "npy").mkdir()
    (tmp / "npy/train-images.npy").write_bytes(npy(images, shape))
    (tmp / "npy/train-labels.npy").write_bytes(npy(labels, shape))
    digests["npy"] = digest(tmp, "a", f"data.path={tmp / 'npy'}")
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        (tmp / name).mkdir()
        with zipfile.ZipFile(tmp / name / "train.npz", "w", method) as file:
            file.writestr("images.npy", npy(images, shape))
            file.writestr("labels.npy", npy(labels, shape))
        digests[name] = digest(tmp, f"run-{name}", f"data.path={tmp / name}")
        digests[name + " by name"] = digest(tmp, f"run-{name}-2", f"data.path={tmp / name / 'train.npz'}")
    (tmp / "raw").mkdir()
    for part, values in (("images", images), ("labels", labels)):
        (tmp / f"raw/train-{part}.raw").write_bytes(b"head" + values)
        (tmp / f"raw/train-{part}.raw.json").write_text(json.dumps({"shape": shape, "type": "uint8", "offset": 4}))
    digests["raw"] = digest(tmp, "b", f"data.path={tmp / 'raw'}")
    digests["files"] = digest(tmp, "c", f"data.images={tmp / 'raw/train-images.raw'}", f"data.labels={tmp / 'npy/train-labels.npy'}")
    assert len(set(digests.values())) == 1, digests
    kinds = {name: [line for line in (tmp / name / "config.yaml").read_text().splitlines() if "kind:" in line] for name in "ab"}
    assert "npy" in kinds["a"][0] and "arrays" in kinds["b"][0], kinds


def case_pictures_give_the_same_bits(tmp):
    for i, (image, label) in enumerate(samples()):
        write_png(tmp / f"png/images/{i}.png", image, W, H)
        write_png(tmp / f"png/labels/{i}.png", label, W, H)
        write_tiff(tmp / f"tiff/images/{i}.tif", image, 32, i % 2 == 0)
        write_tiff(tmp / f"tiff/labels/{i}.tiff", label, 16, i % 2 == 1)
    png = digest(tmp, "p", f"data.path={tmp / 'png'}")
    ran = run(tmp, "t", f"data.path={tmp / 'tiff'}")
    if "built without libtiff" in ran.stderr:
        raise Skip("built without libtiff")
    assert digest_of(ran) == png
    assert "segmentation" in (tmp / "t/config.yaml").read_text()
    # a tile that is damaged: named, or left out
    path = tmp / "tiff/images/5.tif"
    data = bytearray(path.read_bytes())
    data[40:60] = bytes(20)
    path.write_bytes(data)
    expect(run(tmp, "d", f"data.path={tmp / 'tiff'}"), 3, "5.tif: tile 0 of the TIFF", "data.on_error=skip")
    expect(run(tmp, "s", f"data.path={tmp / 'tiff'}", "data.on_error=skip"), 0)
    # one picture by itself
    told = ok_json("predict", tmp / "p", "--images", tmp / "tiff/images/4.tif", "--format", "tiff", "--json", "--quiet")
    assert told["samples"] == 1 and (tmp / "p/predictions/4.tif").exists(), told


PILLOW = """
import sys
from PIL import Image
image = Image.open(sys.argv[1])
print(image.size[0], image.size[1], image.mode, *image.getdata())
"""


def case_pillow_reads_what_predict_writes(tmp):
    made = train(tmp, "r", MAPS)
    ran = farandole("predict", made, "--format", "tiff", "--quiet")
    if "built without libtiff" in ran.stderr:
        raise Skip("built without libtiff")
    expect(ran, 0)
    python = SYSTEM_PYTHON if os.path.exists(SYSTEM_PYTHON) else sys.executable
    for i in range(5):
        path = made / f"predictions/{i:06}.tif"
        width, height, _, values, _ = tiff_read.read(path)
        pillow = subprocess.run([python, "-c", PILLOW, str(path)], capture_output=True, text=True)
        if "No module" in pillow.stderr:
            raise Skip("Pillow is not installed")
        assert pillow.returncode == 0, pillow.stderr
        assert pillow.stdout.split() == [str(width), str(height), "P", *map(str, values)]


if __name__ == "__main__":
    main(sys.modules[__name__])
