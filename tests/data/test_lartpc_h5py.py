#!/usr/bin/env python3
"""Files of liquid-argon images against an independent reader, h5py: the layout that is written, and every pixel that is read, also of files that
h5py wrote in its own way. Skipped without h5py."""
import os
import subprocess
import sys

from h5py_cases import BUILD, ROOT, h5py, np, run

CLI = os.environ.get("FAR_TEST_CLI", str(ROOT / "build" / "farandole"))

IMAGE, LABEL = "/Data/sparse2d_sbndwire_group", "/Data/sparse2d_sbnd_cosmicseg_group"
PARTICLES = "/Data/particle_sbndneutrino_group"

# name: chunk, size of a record, fields with their offsets; as the published files are
LAYOUT = {"/Events/event_id": (100, 24, {"run": 0, "subrun": 8, "event": 16})}
for group in (IMAGE, LABEL):
    LAYOUT[group + "/extents"] = (10, 16, {"first": 0, "N": 8})
    LAYOUT[group + "/voxel_extents"] = (100, 16, {"first": 0, "N": 8, "ID": 12})
    LAYOUT[group + "/voxels"] = (1000, 16, {"id": 0, "value": 8})
    LAYOUT[group + "/image_meta"] = (
        100, 72, {"valid": 0, "projection_id": 8, "image_sizes": 16, "number_of_voxels": 32, "origin": 48})  # fmt: skip
LAYOUT[PARTICLES + "/extents"] = (100, 16, {"first": 0, "N": 8})
LAYOUT[PARTICLES + "/particles"] = (
    500, 344, {"id": 0, "pdg": 20, "px": 24, "vtx": 48, "energy_init": 184, "process": 200, "ancestor_vtx": 312})  # fmt: skip


def dense(file, group, event, height, width):
    """[H, W, 3] of one event, by the layout's description alone."""
    out = np.zeros((height, width, 3), np.float32)
    planes = file[group + "/extents"][event]
    for row in range(int(planes["first"]), int(planes["first"]) + int(planes["N"])):
        extents = file[group + "/voxel_extents"][row]
        voxels = file[group + "/voxels"][int(extents["first"]):int(extents["first"]) + int(extents["N"])]
        ids = voxels["id"].astype(np.int64)
        out[ids % height, ids // height, int(extents["ID"])] = voxels["value"]
    return out


def ours(path):
    subprocess.run([str(BUILD / "tests/data/test_lartpc"), "--no-fork", "dump"], check=True, capture_output=True, cwd=ROOT,
                   env=dict(os.environ, FAR_LARTPC_FILE=str(path)))
    return np.fromfile(f"{path}.raw", np.uint32)


def check_pixels(path):
    raw, at = ours(path), 0
    with h5py.File(path, "r") as file:
        width, height = (int(n) for n in file[IMAGE + "/image_meta"][0]["number_of_voxels"])
        for event in range(len(file[IMAGE + "/extents"])):
            for group, kind in ((IMAGE, np.float32), (LABEL, np.int32)):
                got = raw[at:at + height * width * 3].view(kind).reshape(height, width, 3)
                want = dense(file, group, event, height, width)
                assert np.array_equal(got, want), f"{path}: event {event} of {group}: {np.sum(got != want)} pixels differ"
                at += got.size
    assert at == raw.size


def case_layout(tmp):
    with h5py.File(tmp / "ours.h5", "r") as file:
        for name, (chunk, size, offsets) in LAYOUT.items():
            table = file[name]
            found = {field: entry[1] for field, entry in table.dtype.fields.items()}
            assert table.ndim == 1 and table.maxshape == (None,) and table.chunks == (chunk,), f"{name}: {table.chunks}"
            assert table.compression == "gzip" and table.compression_opts == 1, name
            assert table.dtype.itemsize == size and offsets.items() <= found.items(), f"{name}: {found}"
            for field in table.dtype.fields.values():
                assert field[0].base.byteorder in "<=|", name  # little-endian
        assert np.array_equal(file[IMAGE + "/voxels"]["id"], file[LABEL + "/voxels"]["id"])
        assert set(np.unique(file[LABEL + "/voxels"]["value"])) == {0, 1, 2}
        assert file[IMAGE + "/voxels"]["value"].min() >= 5
        meta = file[IMAGE + "/image_meta"][:]
        assert list(meta["projection_id"]) == [0, 1, 2] * 3 and (meta["valid"] == 1).all()
        assert (meta["number_of_voxels"] == [512, 320]).all()
        extents, particles = file[PARTICLES + "/extents"][:], file[PARTICLES + "/particles"][:]
        assert extents["N"].sum() == len(particles) and (extents["N"] >= 2).all()
        for first in extents["first"]:
            assert abs(particles[int(first)]["pdg"]) in (12, 14)  # the neutrino comes first
            assert particles[int(first) + 1]["process"] == b"primary"
            assert tuple(particles[int(first) + 1]["vtx"]) == tuple(particles[int(first)]["vtx"])


def case_simulated_pixels(tmp):
    check_pixels(tmp / "ours.h5")


def write_theirs(tmp, filters):
    """The same events, the second way round: planes and tables in another order, fields turned round, other types, chunks and filters."""
    with h5py.File(tmp / "ours.h5", "r") as old, h5py.File(tmp / "theirs.h5", "w", libver="latest") as new:
        for group in (LABEL, IMAGE):
            voxels, extents, meta = (old[f"{group}/{name}"][:] for name in ("voxels", "voxel_extents", "image_meta"))
            order = [8, 7, 6, 2, 1, 0, 3, 4, 5]
            moved = np.zeros(9, [("note", "S3"), ("ID", ">i8"), ("N", "<i4"), ("first", ">u4")])
            parts, at = [], 1  # a voxel that belongs to nobody comes first
            for row, k in enumerate(order):
                first, count = int(extents[k]["first"]), int(extents[k]["N"])
                parts.append(voxels[first:first + count])
                moved[row] = (b"abc", extents[k]["ID"], count, at)
                at += count
            all_voxels = np.zeros(at, [("value", ">f8"), ("id", "<i8")])
            for name in ("value", "id"):
                all_voxels[name][1:] = np.concatenate(parts)[name]
            events = np.zeros(3, [("N", "u1"), ("first", "<u2")])
            events["N"], events["first"] = 3, [0, 3, 6]
            new.create_dataset(f"{group}/voxels", data=all_voxels, chunks=(777,), compression="gzip", compression_opts=6, shuffle=True)
            new.create_dataset(f"{group}/voxel_extents", data=moved, compression=filters if group == LABEL else None)
            new.create_dataset(f"{group}/extents", data=events, fletcher32=True)
            new.create_dataset(f"{group}/image_meta", data=meta[order])


def case_written_by_h5py(tmp):
    write_theirs(tmp, "gzip")
    check_pixels(tmp / "theirs.h5")


# How h5py lays a file out: byte order and kinds of numbers, chunks and filters, and for each group the order in which the nine planes lie in it
# (event 0 has rows 0 to 2; an event's planes stay side by side).
STYLES = [
    ("one block, no compression", "<", {}, ([0, 1, 2, 3, 4, 5, 6, 7, 8], [2, 0, 1, 8, 7, 6, 5, 4, 3])),
    ("big-endian, gzip 9, odd chunks", ">", {"chunks": (37,), "compression": "gzip", "compression_opts": 9}, ([8, 6, 7, 0, 1, 2, 3, 4, 5],) * 2),
    ("shuffled bytes, one chunk of all", "<", {"shuffle": True, "compression": "gzip", "maxshape": (None,)}, ([3, 4, 5, 1, 2, 0, 6, 8, 7], [5, 3, 4, 6, 8, 7, 2, 1, 0])),
    ("small chunks", "<", {"chunks": (5,)}, ([0, 1, 2, 3, 4, 5, 6, 7, 8], [6, 7, 8, 0, 1, 2, 3, 4, 5])),
    ("checksums", ">", {"fletcher32": True, "chunks": (2048,)}, ([6, 7, 8, 3, 4, 5, 0, 1, 2],) * 2),
]  # fmt: skip
EMPTY = 4  # this plane of theirs has no voxel


def write_styled(tmp, e, filters, orders):
    """Images and labels each in an order of their own; fields backwards with a stranger between them; a plane is empty."""
    with h5py.File(tmp / "ours.h5", "r") as old, h5py.File(tmp / "styled.h5", "w") as new:
        for group, order in zip((IMAGE, LABEL), orders):
            voxels, extents, meta = (old[f"{group}/{name}"][:] for name in ("voxels", "voxel_extents", "image_meta"))
            rows = np.zeros(9, [("ID", e + "u2"), ("stranger", "S5"), ("N", e + "i8"), ("first", e + "i4")])
            size = np.zeros(9, [("number_of_voxels", e + "i4", 2), ("stranger", "f4"), ("projection_id", e + "i2")])
            parts, at = [], 0
            for row, k in enumerate(order):
                first, count = int(extents[k]["first"]), 0 if k == EMPTY else int(extents[k]["N"])
                rows[row] = (extents[k]["ID"], b"other", count, at)
                parts.append(voxels[first:first + count])
                at += count
            size["number_of_voxels"], size["projection_id"] = meta["number_of_voxels"][order], meta["projection_id"][order]
            pixels = np.zeros(at, [("value", e + "f4"), ("stranger", "i1"), ("id", e + "u4")])
            for name in ("value", "id"):
                pixels[name] = np.concatenate(parts)[name]
            events = np.zeros(3, [("stranger", "f8"), ("N", e + "u2"), ("first", e + "u8")])
            events["N"], events["first"] = 3, [min(order.index(3 * event + p) for p in range(3)) for event in range(3)]
            for name, table in (("voxels", pixels), ("voxel_extents", rows), ("extents", events), ("image_meta", size)):
                fits = {k: v for k, v in filters.items() if k != "chunks" or v[0] <= len(table)}
                new.create_dataset(f"{group}/{name}", data=table, **fits)


def case_styles_of_others(tmp):
    for name, endian, filters, orders in STYLES:
        write_styled(tmp, endian, filters, orders)
        try:
            check_pixels(tmp / "styled.h5")
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        with h5py.File(tmp / "styled.h5", "r") as file:  # it is what it should be
            table = file[IMAGE + "/voxels"]
            assert table.chunks == filters.get("chunks", table.chunks) and table.compression == filters.get("compression"), name
            assert 0 in file[LABEL + "/voxel_extents"]["N"] and table.dtype["id"].str == endian + "u4", name


def case_filter_that_is_not_there(tmp):
    """A filter of h5py's own: said, not guessed."""
    write_theirs(tmp, "lzf")
    try:
        ours(tmp / "theirs.h5")
    except subprocess.CalledProcessError as error:
        text = error.stderr.decode()
        assert "FAR_E_FORMAT" in text and "voxel_extents" in text and "lzf" in text, text
    else:
        raise AssertionError("read without the filter")


def prepare(tmp):
    subprocess.run([CLI, "synth", "lartpc", "--events", "3", "--size", "320x512", "--seed", "4", "--quiet", "--out",
                    str(tmp / "ours.h5")], check=True, capture_output=True, cwd=ROOT)  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(globals(), prepare))
