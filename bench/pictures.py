#!/usr/bin/env python3
"""Photographs to batches, a core: Farandole's loader against Pillow and NumPy, in one process, taking turns.
    bench/pictures.py ARCHIVE_OR_FOLDER [--size 224] [--rounds 7] [--pillow VERSION] [--json]
All decode, take a part (or the middle), resize it, flip it, and normalise to float32; what Pillow does on bytes it may do on bytes, once as it is
and once with its scaled decoding (`draft`, to no less than twice the size, as ours). torchvision's own transforms run where it is installed.
Counted is CPU time of the process, so that others on the machine disturb little. Pillow is installed into build/bench/pillow-VERSION;
`--pillow installed` takes that of the Python at work. The library is taken from build/release (make)."""
import argparse
import ctypes
import io
import json
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
    def __init__(self, files, size, batch, is_random, is_draft=False):
        import numpy as np
        from PIL import Image, ImageOps

        self.np, self.Image, self.ImageOps = np, Image, ImageOps
        self.files, self.size, self.is_random, self.is_draft = files, size, is_random, is_draft
        self.batch = np.empty((batch, size, size, 3), np.float32)
        self.mean, self.std = np.array(MEAN, np.float32) * 255, np.array(STD, np.float32) * 255

    def scaled(self, image, width, height, to_width, to_height):
        """Of a JPEG the decoder's own reduction: a region of width x height keeps twice the pixels that are wanted. The factor of sides."""
        if not self.is_draft:
            return 1.0
        before = image.size[0]
        by = min(width / (2 * to_width), height / (2 * to_height))
        if by >= 2:
            image.draft("RGB", (int(image.size[0] / by), int(image.size[1] / by)))
        return image.size[0] / before

    def picture(self, data):
        image, size = self.Image.open(io.BytesIO(data)), self.size
        if self.is_random:
            box = random_part(*image.size)
            share = self.scaled(image, box[2] - box[0], box[3] - box[1], size, size)
            image = self.ImageOps.exif_transpose(image).convert("RGB")
            image = image.resize((size, size), self.Image.BILINEAR, box=[min(share * v, image.size[i % 2]) for i, v in enumerate(box)])
            return image.transpose(self.Image.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image
        scale = int(size / 0.875) / min(image.size)
        wanted = [int(side * scale) for side in image.size]
        self.scaled(image, *image.size, *wanted)
        image = self.ImageOps.exif_transpose(image).convert("RGB")
        if (image.size[0] < image.size[1]) != (wanted[0] < wanted[1]):
            wanted.reverse()
        image = image.resize(wanted, self.Image.BILINEAR)
        x, y = (image.size[0] - size) // 2, (image.size[1] - size) // 2
        return image.crop((x, y, x + size, y + size))

    def next(self):
        for i in range(len(self.batch)):
            pixels = self.np.asarray(self.picture(random.choice(self.files)))
            self.np.subtract(pixels, self.mean, out=self.batch[i])
            self.batch[i] /= self.std


class Torchvision:
    def __init__(self, files, size, batch, is_random):
        import torch
        from PIL import Image
        from torchvision import transforms as t

        torch.set_num_threads(1)
        self.stack, self.Image, self.files, self.count = torch.stack, Image, files, batch
        place = [t.RandomResizedCrop(size), t.RandomHorizontalFlip()] if is_random else [t.Resize(int(size / 0.875)), t.CenterCrop(size)]
        self.transform = t.Compose([*place, t.ToTensor(), t.Normalize(MEAN, STD)])

    def next(self):
        self.batch = self.stack([self.transform(self.Image.open(io.BytesIO(random.choice(self.files))).convert("RGB")) for _ in range(self.count)])


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


def others(files, args, is_random):
    """{name: what makes batches}: those that are installed."""
    import PIL

    found = {f"Pillow {PIL.__version__}": Pillow(files, args.size, args.batch, is_random),
             f"Pillow {PIL.__version__} with draft": Pillow(files, args.size, args.batch, is_random, True)}  # fmt: skip
    try:
        import torchvision

        found[f"torchvision {torchvision.__version__}"] = Torchvision(files, args.size, args.batch, is_random)
    except ImportError:
        pass
    return found


def measure(lib, files, args, is_random):
    """{name: seconds of a batch, one a round}, ours as "farandole"."""
    random.seed(1)
    makers = {"farandole": Farandole(lib, args.path, args.size, args.batch, is_random), **others(files, args, is_random)}
    for maker in makers.values():
        maker.next()
    times = {name: [] for name in makers}
    for _ in range(args.rounds):
        for name, maker in makers.items():
            times[name].append(seconds(maker.next))
    lib.bench_close()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pillow", default="11.0.0", metavar="VERSION")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.inside and args.pillow != "installed":
        in_environment(args.pillow)
    lib, files = library(), training_files(args.path)
    kinds = {"random parts, flips": measure(lib, files, args, True), "middle": measure(lib, files, args, False)}
    if args.json:
        print(json.dumps({"batch": args.batch, "pictures": len(files), "kinds": kinds}))
        return
    for kind, times in kinds.items():
        ours = times.pop("farandole")
        print(f"{kind:20} farandole {args.batch / statistics.median(ours):7.1f} images/s")
        for name, theirs in times.items():
            ratios = sorted(t / m for m, t in zip(ours, theirs))
            print(f"{'':20} {name} {args.batch / statistics.median(theirs):7.1f} images/s   "
                  f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
