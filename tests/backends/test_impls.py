#!/usr/bin/env python3
"""No convolution of the listed networks, at their usual sizes, forward or backward, runs oneDNN's reference code or ours.

What small ops (a few numbers each: statistics, losses) still run reference code is printed beside.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

CLASSES = ["data.synthetic.classes=1000"]
MAP = ["data.synthetic.label=map", "data.synthetic.classes=3", "batch=1"]
CASES = [
    ("lenet5", ["data.synthetic.shape=[1, 28, 28]", "batch=128"]),
    ("resnet18", ["data.synthetic.shape=[3, 224, 224]", "batch=16", *CLASSES]),
    ("resnet50", ["data.synthetic.shape=[3, 224, 224]", "batch=16", *CLASSES]),
    ("alexnet_bn", ["data.synthetic.shape=[3, 227, 227]", "batch=16", *CLASSES]),
    ("a21", ["data.synthetic.shape=[3, 640, 1024]", *MAP]),
    ("uresnet", ["data.synthetic.shape=[3, 640, 1024]", *MAP]),
    ("polaris", ["data.synthetic.shape=[3, 640, 1024]", *MAP]),
    ("unet", ["data.synthetic.shape=[3, 256, 256]", *MAP]),
]
SMALL = {"norm_finalize", "norm_finalize_each", "norm_running", "norm_fixed", "norm_dparam", "norm_dparam_sum", "norm_dx_sum",
         "ce_loss", "ce_loss_dx", "fill", "loss_scale", "clip_scale", "lars_rate", "lamb_ratio"}


def check(name, settings, folder):
    """Why the case fails, or None; and what to print."""
    config = os.path.join(folder, "x.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("seed: 1\n")
    command = [os.environ.get("FAR_TEST_CLI", "build/farandole"), "plan", config, "--json", "data.kind=synthetic", "memory=900G",
               f"model.name={name}", *settings]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return result.stderr, ""
    calls = [i for i in json.loads(result.stdout)["instructions"] if i["kind"] == "call"]
    convs = [i for i in calls if i["op"] in ("conv", "conv_dx", "conv_dw")]
    slow = collections.Counter(i["op"] for i in calls if i["impl"].startswith("ref"))
    text = f"{len(convs)} convolution calls, {sum(slow.values())} small reference calls"
    bad = [f"{i['name']} ({i['op']}): {i['impl']}" for i in convs if "ref" in i["impl"].split(":")[0]]
    bad += [f"{op}: reference" for op in slow if op not in SMALL]
    if not convs:
        bad.append("no convolutions in the plan")
    return ("; ".join(bad) if bad else None), text


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in CASES:
            why, text = check(name, settings, folder)
            print(f"{name}: {text}")
            print(f"{name}_has_no_reference_convolution ... {'ok' if why is None else 'FAILED: ' + why}")
            passed += why is None
            failed += why is not None
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
