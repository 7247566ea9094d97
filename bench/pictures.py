#!/usr/bin/env python3
"""Photographs to batches, a core: Farandole's loader against Pillow and NumPy, in one process, taking turns.
    bench/pictures.py ARCHIVE_OR_FOLDER [--size 224] [--rounds 7] [--pillow VERSION]
Both decode, take a part (or the middle), resize it, flip it, and normalise to float32, channels last; what Pillow does on bytes it may do on
bytes. Counted is CPU time of the process, so that others on the machine disturb little. Pillow is installed into build/bench/pillow-VERSION;
the library is taken from build/release (make)."""
import argparse
import ctypes
import io
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tarfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def in_environment(version):
    """This script again, with the Python that has Pillow."""
    folder = BUILD / f"pillow-{version}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.check_call([python, "-m", "pip", "--quiet", "install", f"pillow=={version}", "numpy"])
    os.execv(python, [str(python), *sys.argv, "--inside"])


def library():
    BUILD.mkdir(parents=True, exist_ok=True)
    shared = BUILD / "pictures.so"
    requires = "yaml-0.1 jansson libxxhash zlib hwloc libjpeg spng libarchive hdf5"
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", *requires.split()], text=True).split()
    subprocess.check_call(["cc", "-O2", "-fPIC", "-shared", "-o", shared, ROOT / "bench" / "pictures.c", f"-I{ROOT / 'include'}",
                           ROOT / "build" / "release" / "libfarandole.a", *flags, "-ldnnl", "-lpthread", "-lm"])
    lib = ctypes.CDLL(str(shared))
    lib.bench_error.restype = ctypes.c_char_p
    return lib


def training_files(path):
    """The bytes of the training pictures, as the library sees them."""
    endings = (".jpg", ".jpeg", ".png")
    if path.is_dir():
        found = [p.read_bytes() for p in sorted(path.rglob("*")) if p.suffix.lower() in endings and "/val" not in str(p)]
    else:
        with tarfile.open(path) as tar:
            names = [m for m in tar.getmembers() if m.name.lower().endswith(endings)]
            found = [tar.extractfile(m).read() for m in names if "train/" in m.name or not any("train/" in n.name for n in names)]
    return found


def random_part(width, height):
    """torchvision's RandomResizedCrop.get_params."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            x, y = random.randint(0, width - w), random.randint(0, height - h)
            return x, y, x + w, y + h
    return 0, 0, width, height


class Pillow:
    def __init__(self, files, size, batch, is_random):
        import numpy as np
        from PIL import Image, ImageOps

        self.np, self.Image, self.ImageOps = np, Image, ImageOps
        self.files, self.size, self.is_random = files, size, is_random
        self.batch = np.empty((batch, size, size, 3), np.float32)
        self.mean, self.std = np.array(MEAN, np.float32) * 255, np.array(STD, np.float32) * 255

    def picture(self, data):
        image = self.ImageOps.exif_transpose(self.Image.open(io.BytesIO(data))).convert("RGB")
        size = self.size
        if self.is_random:
            image = image.resize((size, size), self.Image.BILINEAR, box=random_part(*image.size))
            return image.transpose(self.Image.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image
        width, height = image.size
        scale = int(size / 0.875) / min(width, height)
        image = image.resize((int(width * scale), int(height * scale)), self.Image.BILINEAR)
        x, y = (image.size[0] - size) // 2, (image.size[1] - size) // 2
        return image.crop((x, y, x + size, y + size))

    def next(self):
        for i in range(len(self.batch)):
            pixels = self.np.asarray(self.picture(random.choice(self.files)))
            self.np.subtract(pixels, self.mean, out=self.batch[i])
            self.batch[i] /= self.std


class Farandole:
    def __init__(self, lib, path, size, batch, is_random):
        self.lib, self.images = lib, ctypes.POINTER(ctypes.c_float)()
        self.check(lib.bench_open(str(path).encode(), size, batch, int(is_random)))

    def check(self, status):
        if status != 0:
            raise SystemExit(self.lib.bench_error().decode())

    def next(self):
        self.check(self.lib.bench_next(ctypes.byref(self.images)))


def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pillow", default="11.0.0", metavar="VERSION")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.inside:
        in_environment(args.pillow)
    lib, files = library(), training_files(args.path)
    for is_random in (True, False):
        random.seed(1)
        ours = Farandole(lib, args.path, args.size, args.batch, is_random)
        theirs = Pillow(files, args.size, args.batch, is_random)
        ours.next()
        theirs.next()
        times = [(seconds(ours.next), seconds(theirs.next)) for _ in range(args.rounds)]
        lib.bench_close()
        mine, other = (statistics.median(t) for t in zip(*times))
        ratios = sorted(t / m for m, t in times)
        kind = "random parts, flips" if is_random else "middle"
        print(f"{kind:20} farandole {args.batch / mine:7.1f} images/s   Pillow {args.pillow} {args.batch / other:7.1f} images/s   "
              f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
