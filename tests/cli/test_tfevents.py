#!/usr/bin/env python3
"""TensorBoard's event file says what metrics.jsonl says. The decoder here shares nothing with the encoder: formats from their definitions."""
import json
import math
import struct
import sys

from cli_run import expect, farandole, main, tiny_config


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unmask(masked):
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def records(data):
    """TFRecord: u64 length, masked CRC of it, payload, masked CRC of that."""
    at = 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        assert unmask(length_crc) == crc32c(data[at : at + 8]), f"checksum of the length at byte {at}"
        payload = data[at + 12 : at + 12 + length]
        assert len(payload) == length, "torn record"
        assert unmask(struct.unpack_from("<I", data, at + 12 + length)[0]) == crc32c(payload), f"checksum of the payload at byte {at}"
        yield payload
        at += 16 + length


def fields(data):
    """(number, value) of a protocol buffer."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            value = varint()
        elif kind in (1, 5):
            code, size = ("<d", 8) if kind == 1 else ("<f", 4)
            value = struct.unpack_from(code, data, at)[0]
            at += size
        else:
            assert kind == 2, f"wire type {kind}"
            size = varint()
            value = data[at : at + size]
            at += size
        yield tag >> 3, value


def events(path):
    for record in records(path.read_bytes()):
        event = {"scalars": {}, "step": 0}
        for number, value in fields(record):
            if number == 1:
                event["time"] = value
            elif number == 2:
                event["step"] = value
            elif number == 3:
                event["version"] = value.decode()
            elif number == 7:
                event["session"] = dict(fields(value))
            else:
                assert number == 5, f"field {number}"
                for inner, item in fields(value):
                    assert inner == 1
                    pair = dict(fields(item))
                    event["scalars"][pair[1].decode()] = pair[2]
        yield event


def files(folder):
    return sorted(folder.glob("events.out.tfevents.*"))


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def check_same(folder, found):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == len(found)
    for row, event in zip(rows, found):
        assert event["step"] == row.pop("step")
        assert event["scalars"] == {key: f32(value) for key, value in row.items()}, (row, event)


def case_same_as_metrics(tmp):
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet"), 0)
    (path,) = files(tmp / "r")
    found = list(events(path))
    assert found[0]["version"] == "brain.Event:2" and not found[0]["scalars"], found[0]
    assert all(1.7e9 < event["time"] < 1e10 for event in found)
    check_same(tmp / "r", found[1:])


def case_resumed(tmp):
    many = ["train.steps=40", "train.checkpoint_every=20"]
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", *many[1:], "train.steps=20"), 0)
    expect(farandole("train", "--resume", tmp / "r", "--quiet", *many), 0)
    paths = files(tmp / "r")
    assert len(paths) == 2, paths
    first, second = (list(events(path)) for path in paths)
    # a session that starts at step 21: TensorBoard forgets what it had from there on
    assert second[1]["session"] == {1: 1} and second[1]["step"] == 21, second[1]
    check_same(tmp / "r", first[1:] + second[2:])


def case_not_finite(tmp):
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "optim.lr=1e38"), 1)
    for event in events(files(tmp / "r")[0]):
        assert all(isinstance(value, float) for value in event["scalars"].values()) and not math.isnan(event["time"])


def case_a_new_start_removes_old_events(tmp):
    (tmp / "r").mkdir()
    (tmp / "r/events.out.tfevents.0000000001.1.farandole").write_bytes(b"old")
    (tmp / "r/events.out.tfevents.0000000001.other").write_bytes(b"not ours")
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet"), 0)
    assert len(files(tmp / "r")) == 2 and (tmp / "r/events.out.tfevents.0000000001.other").exists()


if __name__ == "__main__":
    main(sys.modules[__name__])
