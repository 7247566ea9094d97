"""The networks of the comparison, for both sides."""
import collections
import json
import pathlib
import random
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench" / "compare"
DIGITS = 60_000  # as MNIST

# keys: of our configuration, beside the data. torch: a builder of tests/golden/models.py with its options. bar, plain_bar: how many times
# as fast as the best PyTorch, and as PyTorch as it is installed.
Network = collections.namedtuple("Network", "title keys torch options shape classes label loss bar plain_bar")

COSMIC = {"model": {"name": "uresnet", "preset": "a21"}, "loss": {"recipe": "cosmictagger", "name": "focal"}}


def a21(height, width, plain_bar):
    return Network(f"uresnet a21, {height} x {width} x 3, batch 1", COSMIC, "uresnet", {"preset": "a21"}, (1, 3, height, width), 3, "map",
                   "focal", 1.8, plain_bar)  # fmt: skip


NETWORKS = {
    "a21-640": a21(640, 1024, None),
    "a21-1280": a21(1280, 2048, 4.0),
    "resnet50": Network("resnet50, 224 x 224, batch 16", {"model": {"name": "resnet", "preset": "resnet50"}}, "resnet50", {}, (16, 3, 224, 224),
                        1000, "class", "cross_entropy", 1.25, None),
    "unet": Network("unet (31 M parameters), 256 x 256, batch 4", {"model": {"name": "unet"}}, "unet", {}, (4, 1, 256, 256), 2, "map",
                    "cross_entropy", 1.25, None),
    "lenet5": Network("lenet5, batch 128", {"model": {"name": "lenet5"}}, "lenet5", {}, (128, 1, 28, 28), 10, "digits", "cross_entropy", 3.0, None),
    "unet3d": Network("unet3d, 64 x 64 x 64, batch 1", {"model": {"name": "unet3d"}}, "unet3d", {"norm": "group"}, (1, 1, 64, 64, 64), 2, "map",
                      "cross_entropy", 1.0, None),
}  # fmt: skip


def digits():
    """A folder with files as MNIST's, of random bytes."""
    folder = FOLDER / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", DIGITS), ("t10k", DIGITS // 6)):
        draw = random.Random(count)
        images, labels = folder / f"{part}-images-idx3-ubyte", folder / f"{part}-labels-idx1-ubyte"
        if not labels.exists():
            images.write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + draw.randbytes(count * 28 * 28))
            labels.write_bytes(struct.pack(">2I", 0x801, count) + bytes(draw.randrange(10) for _ in range(count)))
    return folder


def data_of(network):
    if network.label == "digits":
        return {"kind": "idx", "path": str(digits())}
    batch = network.shape[0]
    made = {"shape": list(network.shape[1:]), "classes": network.classes, "label": network.label, "samples": 8 * batch, "test_samples": batch}
    return {"kind": "synthetic", "synthetic": made}


def config(name):
    """Writes our configuration of the network; its path. JSON is YAML."""
    network = NETWORKS[name]
    keys = {"data": data_of(network), "batch": network.shape[0], "optim": {"name": "sgd", "lr": 0.01, "momentum": 0.9}, **network.keys}
    keys["loss"] = {**keys.get("loss", {}), "train_metrics": False}  # PyTorch's side counts none
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.yaml"
    path.write_text(json.dumps(keys, indent=1) + "\n")
    return path
