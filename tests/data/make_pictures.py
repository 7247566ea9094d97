#!/usr/bin/env python3
"""Small pictures and what Pillow makes of them: tests/data/pictures. Needs Pillow and NumPy of the versions below, in an environment of its own:
    python3 -m venv /tmp/pictures && /tmp/pictures/bin/pip install pillow==9.4.0 numpy==1.24.2
    /tmp/pictures/bin/python tests/data/make_pictures.py
Files that are committed were made by exactly these; any other version may change their bytes."""
import io
import pathlib
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

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


# --- files to decode; what Pillow shows is kept as an array of bytes ---

HEIGHT, WIDTH = 45, 61


def smooth():
    """Colours that change slowly, so that JPEG's channels stay near each other, and a few edges."""
    y, x = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    rgb = np.stack([y * 5 + x, 255 - x * 4, 128 + 100 * np.sin(x / 7 + y / 9)], axis=2)
    rgb[10:20, 15:40] = 255 - rgb[10:20, 15:40]
    return rgb.clip(0, 255).astype(np.uint8)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(array, bits, colour, interlaced=False):
    """PNG files that Pillow does not write. array: [H, W, samples], whole bytes."""
    step = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [array[y::dy, x::dx] for y, x, dy, dx in step] if interlaced else [array]
    big = [p.astype(">u2" if bits == 16 else "u1") for p in passes if p.size > 0]
    rows = b"".join(b"\0" + row.tobytes() for p in big for row in p)
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, colour, 0, 0, int(interlaced))
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(rows, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpegs():
    rgb = Image.fromarray(smooth())
    for name, subsampling in [("444", 0), ("422", 1), ("420", 2)]:
        yield f"jpeg_{name}.jpg", rgb, dict(quality=88, subsampling=subsampling)
    yield "jpeg_progressive.jpg", rgb, dict(quality=88, progressive=True)
    yield "jpeg_grey.jpg", rgb.convert("L"), dict(quality=88)
    yield "jpeg_cmyk.jpg", rgb.convert("CMYK"), dict(quality=88)
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"jpeg_turn{turn}.jpg", rgb.crop((0, 0, 40, 29)), dict(quality=88, exif=exif)


def pngs():
    rgb = Image.fromarray(smooth())
    grey = rgb.convert("L")
    alpha = Image.fromarray((255 - smooth()[:, :, 0]).astype(np.uint8))
    yield "png_grey1.png", grey.convert("1"), {}
    yield "png_grey8.png", grey, {}
    yield "png_rgb.png", rgb, {}
    yield "png_rgba.png", Image.merge("RGBA", [*rgb.split(), alpha]), {}
    yield "png_grey_alpha.png", Image.merge("LA", [grey, alpha]), {}
    for bits in [1, 2, 4, 8]:
        yield f"png_palette{bits}.png", rgb.quantize(2**bits, dither=Image.Dither.NONE), dict(bits=bits)
    clear = rgb.quantize(16, dither=Image.Dither.NONE)
    yield "png_palette_clear.png", clear, dict(bits=4, transparency=3)


def decodes():
    lines = []
    for name, image, options in [*jpegs(), *pngs()]:
        file = io.BytesIO()
        image.save(file, format="JPEG" if name.endswith("jpg") else "PNG", **options)
        (HERE / name).write_bytes(file.getvalue())
        shown = ImageOps.exif_transpose(Image.open(HERE / name))
        is_grey = shown.mode in ("1", "L", "LA")
        array = np.asarray(shown.convert("L" if is_grey else "RGB"))
        np.save(HERE / f"{name}.npy", array if array.ndim == 3 else array[:, :, None])
        lines.append(f"{name}\n")
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(3), indexing="ij")
    wide = ((y * 1031 + x * 257 + c * 7919) % 65536).astype(np.uint16)
    for name, array, bits, colour, interlaced in [
        ("png_grey16.png", wide[:, :, :1], 16, 0, False),
        ("png_rgb16.png", wide, 16, 2, False),
        ("png_interlaced.png", smooth(), 8, 2, True),
        ("png_interlaced16.png", wide[:, :, :1], 16, 0, True),
    ]:
        (HERE / name).write_bytes(png(array, bits, colour, interlaced))
        np.save(HERE / f"{name}.npy", array.astype(np.int32) if bits == 16 else array)
        if bits == 8:  # the writer above is right
            assert (np.asarray(Image.open(HERE / name).convert("RGB")) == array).all()
        lines.append(f"{name}\n")
    (HERE / "decodes.txt").write_text("".join(lines))


def main():
    have = {"PIL": PIL.__version__, "numpy": np.__version__}
    if have != VERSIONS:
        raise SystemExit(f"these pictures are made with {VERSIONS}, here are {have}")
    HERE.mkdir(exist_ok=True)
    resizes()
    decodes()


if __name__ == "__main__":
    main()
