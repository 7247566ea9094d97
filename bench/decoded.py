#!/usr/bin/env python3
"""What decoding costs a training: an experiment on photographs in an archive, and on the same pixels decoded beforehand, taking turns.
    bench/decoded.py CONFIG ARCHIVE_OR_FOLDER [--rounds 5] [--steps 6] [--farandole build/farandole] [key=value ...]
The training pictures, all brought to the size that most of them have, are written as one array of bytes (build/bench/decoded, some 640 kB a
picture of 400 x 533), which `data.kind: npy` reads. Both sides augment in the same way, from the same number of pixels.
Needs Pillow and NumPy (Debian: python3-pil python3-numpy)."""
import argparse
import collections
import io
import json
import pathlib
import statistics
import subprocess
import tarfile

import numpy as np
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENDINGS = (".jpg", ".jpeg", ".png")


def members(path):
    """(path inside, bytes) of all pictures."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            yield str(file.relative_to(path)), file.read_bytes()
        return
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            if member.isfile() and member.name.lower().endswith(ENDINGS):
                yield member.name, tar.extractfile(member).read()


def training_pictures(path):
    """(class, bytes) of the training part: folders are classes."""
    found = [(pathlib.PurePosixPath(name).parts, data) for name, data in members(path) if name.lower().endswith(ENDINGS)]
    train = [(parts, data) for parts, data in found if "train" in parts[:-2]] or found
    return [(parts[-2], data) for parts, data in train]


def decode(pictures, folder):
    """train-images.npy, train-labels.npy; the size."""
    decoded = [(name, ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")) for name, data in pictures]
    size = collections.Counter(image.size for _, image in decoded).most_common(1)[0][0]
    classes = sorted({name for name, _ in decoded})
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(decoded), size[1], size[0], 3)
    array = np.lib.format.open_memmap(folder / "train-images.npy", "w+", np.uint8, shape)
    for i, (_, image) in enumerate(decoded):
        array[i] = np.asarray(image if image.size == size else image.resize(size, Image.BILINEAR))
    array.flush()
    np.save(folder / "train-labels.npy", np.array([classes.index(name) for name, _ in decoded], np.int32))
    return size


def bench(args, path, kind):
    words = [args.farandole, "bench", args.config, f"data.path={path}", f"data.kind={kind}", *args.keys, "--steps", str(args.steps), "--json",
             "--quiet"]  # fmt: skip
    return json.loads(subprocess.check_output([str(word) for word in words], text=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("path", type=pathlib.Path)
    parser.add_argument("keys", nargs="*", metavar="key=value")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--farandole", type=pathlib.Path, default=ROOT / "build" / "farandole")
    args = parser.parse_args()
    folder = ROOT / "build" / "bench" / "decoded"
    pictures = training_pictures(args.path)
    size = decode(pictures, folder)
    print(f"{len(pictures)} training pictures, decoded to {size[0]} x {size[1]}; {args.rounds} rounds of {args.steps} steps each way")
    ways, told = (("files", args.path, "images"), ("decoded", folder, "npy")), collections.defaultdict(list)
    for k in range(args.rounds):
        for name, path, kind in ways if k % 2 == 0 else ways[::-1]:
            told[name].append(bench(args, path, kind))
    for name, rounds in told.items():
        rate, cpu, waiting = (statistics.median(t[key] for t in rounds) for key in ("samples_per_s", "cpu_s", "waiting_for_data_s"))
        print(f"{name:8} {rate:8.2f} images/s   {1000 * cpu / rounds[0]['batch']:8.2f} ms of processor time an image   "
              f"{1000 * waiting:.1f} ms a step waiting for data")
    speed = sorted(a["samples_per_s"] / b["samples_per_s"] for a, b in zip(told["files"], told["decoded"]))
    cpu = sorted(b["cpu_s"] / a["cpu_s"] for a, b in zip(told["files"], told["decoded"]))
    for name, ratios in (("speed", speed), ("speed by processor time", cpu)):
        print(f"{name}: from files {statistics.median(ratios):.3f} of that from decoded pixels ({ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
