#!/usr/bin/env python3
"""Small pictures and what Pillow makes of them: tests/data/pictures. Needs Pillow and NumPy of the versions below, in an environment of its own:
    python3 -m venv /tmp/pictures && /tmp/pictures/bin/pip install pillow==9.4.0 numpy==1.24.2
    /tmp/pictures/bin/python tests/data/make_pictures.py
Files that are committed were made by exactly these; any other version may change their bytes."""
import pathlib

import numpy as np
import PIL
from PIL import Image

VERSIONS = {"PIL": "9.4.0", "numpy": "1.24.2"}
HERE = pathlib.Path(__file__).resolve().parent / "pictures"


def value(y, x, c):
    """The picture of all resizing tests; test_resize.c has the same formula."""
    return ((y * 37 + x * 101 + c * 59 + (y * x) % 17 * 13) % 256).astype(np.uint8)


def picture(height, width, channels):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return value(y, x, c)


# height, width, channels, box (y, x, height, width), size wanted
RESIZES = [
    (9, 11, 1, (0, 0, 9, 11), (9, 11)),  # itself
    (9, 11, 3, (2, 3, 5, 7), (5, 7)),  # a crop
    (23, 37, 3, (0, 0, 23, 37), (10, 12)),  # smaller
    (23, 37, 3, (0, 0, 23, 37), (31, 64)),  # larger
    (23, 37, 3, (4, 5, 17, 29), (16, 16)),  # pixels around the box count
    (23, 37, 1, (0, 0, 1, 37), (3, 5)),  # one row
    (23, 37, 3, (22, 36, 1, 1), (4, 2)),  # one pixel, at the corner
    (64, 48, 3, (0, 0, 64, 48), (3, 5)),  # much smaller
    (64, 48, 4, (7, 1, 50, 40), (7, 80)),  # smaller and larger at once
    (5, 4, 2, (0, 0, 5, 4), (1, 1)),
]  # fmt: skip


def resizes():
    lines = []
    for i, (height, width, channels, (y, x, box_height, box_width), (out_height, out_width)) in enumerate(RESIZES):
        pixels = picture(height, width, channels)
        box = (x, y, x + box_width, y + box_height)
        size = (out_width, out_height)
        planes = [Image.fromarray(pixels[:, :, c].astype(np.float32)) for c in range(channels)]  # mode F: not rounded
        smooth = np.stack([np.asarray(p.resize(size, Image.BILINEAR, box=box)) for p in planes], axis=2)
        near = np.stack([np.asarray(p.resize(size, Image.NEAREST, box=box)) for p in planes], axis=2)
        np.save(HERE / f"resize_{i}.npy", smooth)
        np.save(HERE / f"nearest_{i}.npy", near.astype(np.int32))
        lines.append(f"{height} {width} {channels} {y} {x} {box_height} {box_width} {out_height} {out_width}\n")
    (HERE / "resizes.txt").write_text("".join(lines))


def main():
    have = {"PIL": PIL.__version__, "numpy": np.__version__}
    if have != VERSIONS:
        raise SystemExit(f"these pictures are made with {VERSIONS}, here are {have}")
    HERE.mkdir(exist_ok=True)
    resizes()


if __name__ == "__main__":
    main()
