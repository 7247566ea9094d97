#!/usr/bin/env python3
"""Pictures that cost a decoder what photographs do, where there are none: clouds in octaves with grain, about 0.6 bytes a pixel.
    bench/photographs.py FOLDER [--count 200]
Needs Pillow and NumPy (Debian: python3-pil python3-numpy)."""
import argparse
import pathlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT, QUALITY = 500, 375, 90
OCTAVES = ((4, 90), (16, 40), (64, 16), (250, 7))  # columns of random values, their reach


def picture(draw):
    pixels = np.full((HEIGHT, WIDTH, 3), 128.0, np.float32)
    for columns, reach in OCTAVES:
        coarse = draw.uniform(-reach, reach, (columns * HEIGHT // WIDTH, columns, 3)).astype(np.float32)
        for c in range(3):
            pixels[:, :, c] += np.asarray(Image.fromarray(coarse[:, :, c], "F").resize((WIDTH, HEIGHT), Image.BICUBIC))
    pixels += draw.normal(0, 3, (HEIGHT, WIDTH, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    draw = np.random.default_rng(0)
    for i in range(args.count):
        path = args.folder / "ab"[i % 2] / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            picture(draw).save(path, quality=QUALITY)


if __name__ == "__main__":
    main()
