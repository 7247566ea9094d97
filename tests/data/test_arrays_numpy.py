#!/usr/bin/env python3
"""Arrays in .npy, .npz and HDF5 files that NumPy and h5py wrote, element by element. Skipped without them."""
import os
import subprocess
import sys

from h5py_cases import BUILD, ROOT, h5py, np, run

TYPES = ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<i8", ">i8", "<f4", ">f4", "<f8", ">f8"]


def numbers(shape, kind):
    """Numbers that fill the type's range, as far as f32 holds them exactly."""
    dtype = np.dtype(kind)
    values = np.arange(np.prod(shape), dtype=np.int64) * 2654435761 % 8388593
    if dtype.kind == "f":
        return (values / 8 - 500000).astype(dtype).reshape(shape)
    bits = min(8 * dtype.itemsize, 23)
    values %= 1 << bits
    return (values - (1 << (bits - 1)) if dtype.kind == "i" else values).astype(dtype).reshape(shape)


def check(path, images, labels=None, channels_first=False, name="images", label_name="labels"):
    env = dict(os.environ, FAR_ARRAY_FILE=str(path), FAR_ARRAY_IMAGES=name)
    if labels is not None:
        env["FAR_ARRAY_LABELS"] = label_name
    if channels_first:
        env["FAR_ARRAY_CHANNELS_FIRST"] = "1"
    subprocess.run([str(BUILD / "tests/data/test_arrays"), "--no-fork", "dump"], check=True, capture_output=True, cwd=ROOT, env=env)
    raw, at = np.fromfile(f"{path}.raw", np.uint32), 0
    images = images[None] if images.ndim == 2 else images
    labels = labels[None] if labels is not None and labels.ndim == 2 else labels
    for n, image in enumerate(images):
        image = np.moveaxis(image, 0, -1) if channels_first else image
        want = image.astype(np.float32)
        if image.dtype == np.uint8:
            want = want / np.float32(255)
        got = raw[at : at + want.size].view(np.float32)
        assert np.array_equal(got, want.ravel()), f"{path}: image {n}: {np.sum(got != want.ravel())} differ"
        at += want.size
        if labels is not None:
            want = np.atleast_1d(labels[n]).astype(np.int32).ravel()
            assert np.array_equal(raw[at : at + want.size].view(np.int32), want), f"{path}: labels {n}"
            at += want.size
    assert at == raw.size


def case_every_type(tmp):
    for kind in TYPES:
        images = numbers((2, 5, 7), kind)
        np.save(tmp / "x.npy", images)
        check(tmp / "x.npy", images)
        np.savez_compressed(tmp / "x.npz", images=images)
        check(tmp / "x.npz", images)
        with h5py.File(tmp / "x.h5", "w") as file:
            file.create_dataset("images", data=images, chunks=(1, 2, 3), compression="gzip", shuffle=True)
        check(tmp / "x.h5", images)


def case_labels_and_names(tmp):
    images, classes, maps = numbers((6, 33, 20, 3), "u1"), np.arange(6) % 4, numbers((6, 33, 20), "<u2") % 9
    for save in (np.savez, np.savez_compressed):
        save(tmp / "x.npz", x_train=images, y_train=classes, other=np.zeros(3))
        check(tmp / "x.npz", images, classes, name="x_train", label_name="y_train")
        save(tmp / "x.npz", x_train=images, maps=maps)
        check(tmp / "x.npz", images, maps, name="x_train", label_name="maps")
    with h5py.File(tmp / "x.h5", "w", libver="latest") as file:
        file.create_dataset("a/b/images", data=images, chunks=(2, 8, 8, 3), compression="gzip", fletcher32=True)
        file.create_dataset("maps", data=maps, chunks=(1, 33, 4), maxshape=(None, 33, 20))
        file.create_dataset("truth", data=classes.astype(">i4"))
    check(tmp / "x.h5", images, maps, name="a/b/images", label_name="maps")
    check(tmp / "x.h5", images, classes, name="/a/b/images", label_name="truth")


def case_one_large_picture(tmp):
    """[H, W], packed to several pieces of the reader's."""
    image, mask = numbers((700, 900), "<u2"), (numbers((700, 900), "u1") > 99)
    np.savez_compressed(tmp / "x.npz", images=image, labels=mask)
    check(tmp / "x.npz", image, mask)
    with h5py.File(tmp / "x.h5", "w") as file:
        file.create_dataset("images", data=image, chunks=(64, 64), compression="gzip")
        file.create_dataset("labels", data=mask, chunks=(128, 900))
    check(tmp / "x.h5", image, mask)


def case_channels_first(tmp):
    images = numbers((3, 4, 10, 12), "<f4")
    with h5py.File(tmp / "x.h5", "w") as file:
        file.create_dataset("images", data=images, chunks=(1, 1, 5, 5))
    check(tmp / "x.h5", images, channels_first=True)
    np.savez_compressed(tmp / "x.npz", images=images)
    check(tmp / "x.npz", images, channels_first=True)


def case_filter_that_is_not_there(tmp):
    with h5py.File(tmp / "x.h5", "w") as file:
        file.create_dataset("images", data=numbers((3, 40, 40), "u1"), compression="lzf")
    try:
        check(tmp / "x.h5", numbers((3, 40, 40), "u1"))
    except subprocess.CalledProcessError as error:
        text = (error.stdout + error.stderr).decode()
        assert "FAR_E_FORMAT" in text and "images" in text and "lzf" in text, text
    else:
        raise AssertionError("read without the filter")


if __name__ == "__main__":
    sys.exit(run(globals()))
