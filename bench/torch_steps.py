#!/usr/bin/env python3
"""PyTorch's side of bench/compare: training steps of a network of tests/golden/models.py, when asked (turns.py says how).
    bench/torch_steps.py NETWORK SHAPE [--options JSON] [--classes N] [--loss NAME] [--channels-last] [--threads N]
One batch of random numbers is stepped on again and again, so no data are read. Needs PyTorch and NumPy (Debian: python3-torch)."""
import argparse
import json
import os
import pathlib
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("shape", help="as 16x3x224x224")
    parser.add_argument("--options", default="{}", help="of the network's builder")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--loss", default="cross_entropy")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="default: all cores; by itself PyTorch takes fewer on some machines")
    parser.add_argument("--versions", action="store_true", help="print what is installed, as JSON")
    return parser.parse_args()


def cores():
    return len(os.sched_getaffinity(0))


def label_shape(args, shape):
    """One a sample, a pixel, or a pixel of each plane."""
    if args.network == "uresnet":
        return shape
    return (shape[0], *shape[2:]) if args.network.startswith("unet") else shape[:1]


class Training:
    def __init__(self, args):
        import torch

        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"))
        import models

        torch.set_num_threads(args.threads or cores())
        torch.manual_seed(0)
        shape = tuple(int(n) for n in args.shape.split("x"))
        self.model = getattr(models, args.network)(**json.loads(args.options))
        self.loss_of = models.LOSSES[args.loss]
        self.x = torch.rand(shape)
        self.labels = torch.randint(args.classes, label_shape(args, shape))
        if args.channels_last:
            layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
            self.model, self.x = self.model.to(memory_format=layout), self.x.contiguous(memory_format=layout)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(self.model(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def versions():
    import re

    import torch

    onednn = re.search(r"MKL-DNN v(\S+)", torch.__config__.show())
    return {"torch": torch.__version__, "onednn": onednn.group(1) if onednn else "none", "threads": cores()}


def main():
    args = arguments()
    if args.versions:
        print(json.dumps(versions()))
        return
    training = Training(args)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.monotonic()
            training.step()
            seconds.append(time.monotonic() - began)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
