"""Reads the PNG files that farandole writes (8 bits a channel, not interlaced), from the format's definition."""
import struct
import zlib


def read(path):
    """width, height, rows of tuples (or of numbers, for one channel), palette (list of RGB, or None)."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, packed, palette = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body), f"checksum of {kind} in {path}"
        if kind == b"IHDR":
            width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"PLTE":
            palette = [tuple(body[i : i + 3]) for i in range(0, length, 3)]
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    assert bits in (1, 2, 4, 8) and interlaced == 0
    channels = {0: 1, 2: 3, 3: 1}[colour]
    raw, stride, rows, before = zlib.decompress(packed), (width * channels * bits + 7) // 8, [], None
    for y in range(height):
        filter_kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        step = max(1, channels * bits // 8)
        for i in range(stride):
            left = line[i - step] if i >= step else 0
            up = before[i] if before else 0
            corner = before[i - step] if before and i >= step else 0
            guess = left + up - corner
            paeth = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            line[i] = (line[i] + (0, left, up, (left + up) // 2, paeth)[filter_kind]) & 255
        before = line
        values = [line[i * bits // 8] >> (8 - bits - i * bits % 8) & (1 << bits) - 1 for i in range(width * channels)]
        rows.append(values if channels == 1 else [tuple(values[i : i + 3]) for i in range(0, len(values), 3)])
    return width, height, rows, palette
