"""Reads the tiled BigTIFFs that farandole writes (one page, channels side by side, deflate), from the format's definition."""
import struct
import zlib

SIZES = {1: 1, 3: 2, 4: 4, 16: 8}
CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def tags_of(data):
    assert data[:8] == struct.pack("<2sHHH", b"II", 43, 8, 0), data[:8]
    at = struct.unpack_from("<Q", data, 8)[0]
    count, tags = struct.unpack_from("<Q", data, at)[0], {}
    for i in range(count):
        tag, kind, values = struct.unpack_from("<HHQ", data, at + 8 + 20 * i)
        where = at + 8 + 20 * i + 12
        if values * SIZES[kind] > 8:
            where = struct.unpack_from("<Q", data, where)[0]
        tags[tag] = struct.unpack_from(f"<{values}{CODES[kind]}", data, where)
    assert struct.unpack_from("<Q", data, at + 8 + 20 * count)[0] == 0, "one page"
    return tags


def unpredict(tile, predictor, columns, samples, size):
    """Floating point as TIFF's predictor 3 has it: bytes in planes, differences along the row."""
    if predictor == 1:
        return tile
    assert predictor == 3
    out, row = bytearray(len(tile)), columns * samples * size
    for start in range(0, len(tile), row):
        line = bytearray(tile[start : start + row])
        for i in range(samples, row):
            line[i] = (line[i] + line[i - samples]) & 255
        count = columns * samples
        for i in range(count):
            for b in range(size):
                out[start + i * size + size - 1 - b] = line[b * count + i]
    return bytes(out)


def read(path):
    """width, height, samples a pixel, flat values, palette (list of RGB) or None"""
    data = path.read_bytes()
    tags = tags_of(data)
    (width,), (height,), (samples,), (tile_w,), (tile_h,) = (tags[t] for t in (256, 257, 277, 322, 323))
    size, form = tags[258][0] // 8, tags.get(339, (1,))[0]
    code = {(1, 1): "B", (4, 2): "i", (4, 3): "f"}[(size, form)]
    values, at = [0] * (width * height * samples), 0
    assert tags[259] == (8,) and set(tags[258]) == {8 * size}
    for y in range(0, height, tile_h):
        for x in range(0, width, tile_w):
            raw = zlib.decompress(data[tags[324][at] : tags[324][at] + tags[325][at]])
            raw = unpredict(raw, tags.get(317, (1,))[0], tile_w, samples, size)
            tile = struct.unpack(f"<{tile_w * tile_h * samples}{code}", raw)
            for v in range(min(tile_h, height - y)):
                n = min(tile_w, width - x) * samples
                to = ((y + v) * width + x) * samples
                values[to : to + n] = tile[v * tile_w * samples : v * tile_w * samples + n]
            at += 1
    palette = None
    if 320 in tags:
        palette = list(zip(*(tags[320][256 * c : 256 * c + 256] for c in range(3))))
    return width, height, samples, values, palette
