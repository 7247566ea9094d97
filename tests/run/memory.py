#!/usr/bin/env python3
"""The memory contract: what a training process takes at its peak beside what `farandole plan` says it will.

    1.01 x plan + 40 MB  >=  peak  >=  0.95 x plan

Each case plans, then trains four steps on made-up data, evaluates and writes a checkpoint, as any training does at its end. The
peak is the kernel's own figure for that process (ru_maxrss, from wait4); the plan is process_bytes of `farandole plan --json`.

    tests/run/memory.py            all eleven cases; takes some minutes and 4 GB
    tests/run/memory.py --short    four small ones, as in make check
    tests/run/memory.py NAME...    these

FAR_TEST_CLI names the command. Ends with 1 when a case breaks the contract, with 77 where it cannot be measured.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLI = os.environ.get("FAR_TEST_CLI", str(ROOT / "build" / "farandole"))

MORE = 1.01  # of the plan, on top of which ...
CONSTANT_BYTES = 40 * 10**6  # ... code, libraries and stacks come
LESS = 0.95
LIMIT_S = 1800


def images(channels, height, width, classes, kind="class"):
    return [f"data.synthetic.shape=[{channels}, {height}, {width}]", f"data.synthetic.classes={classes}", f"data.synthetic.label={kind}"]


# name: settings. Three of them take more than 2 GB.
CASES = {
    "lenet5": ["model=lenet5", "batch=256", *images(1, 28, 28, 10)],
    "resnet18": ["model=resnet18", "batch=32", "optim.name=lars", "optim.clip_norm=1", *images(3, 64, 64, 10)],
    "resnet50": ["model=resnet50", "batch=24", "optim.momentum=0.9", *images(3, 224, 224, 1000)],
    "alexnet_bn": ["model=alexnet_bn", "batch=32", "optim.name=lamb", *images(3, 224, 224, 1000)],
    "unet": ["model=unet", "batch=5", "optim.name=adam", *images(1, 256, 256, 4, "map")],
    "uresnet": ["model={name: uresnet, preset: uresnet}", "batch=1", "optim.name=adam", *images(3, 320, 512, 3, "map")],
    "a21": ["model={name: uresnet, preset: a21}", "batch=1", "optim.name=rmsprop", *images(3, 640, 1024, 3, "map")],
    "layers": ["model.name=layers", "model.layers=[{op: conv, out_channels: 32, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, "
               "{op: max_pool, kernel: 2}, {op: conv, out_channels: 64, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, "
               "{op: global_avg_pool}, {op: linear, out_features: 10}]",
               "batch=512", "optim.ema=0.99", "data.augment={flip: true, crop_pad: 4, normalize: true}", *images(3, 32, 32, 10)],
    "unet_on_disk": ["model=unet", "batch=5", "optim.name=adam", "exec.spill=most", *images(1, 256, 256, 4, "map")],
    "small_on_disk": ["model=unet", "model.width=16", "batch=5", "optim.name=adam", "exec.spill=most", *images(1, 256, 256, 4, "map")],
    "sizes": ["model=unet", "model.width=24", "batch=4", "data.augment.crop=128", "data.synthetic.vary=0.6", *images(1, 420, 360, 4, "map")],
}  # fmt: skip
SHORT = ["lenet5", "resnet18", "small_on_disk", "sizes"]


def settings(name, threads):
    batch = next(int(word[6:]) for word in CASES[name] if word.startswith("batch="))
    return [*CASES[name], "data.kind=synthetic", f"data.synthetic.samples={4 * batch}", f"data.synthetic.test_samples={2 * batch}",
            "train.steps=4", "train.eval_every=1000", "train.checkpoint_every=1000", f"threads={threads}"]  # fmt: skip


def planned_bytes(config, words):
    """process_bytes; it stands in the first lines, and the whole plan is long."""
    plan = subprocess.Popen([CLI, "plan", config, *words, "--json"], stdout=subprocess.PIPE, text=True)
    head = plan.stdout.read(4096)
    plan.stdout.read()
    found = re.search(r'"process_bytes": (\d+)', head)
    if plan.wait() != 0 or found is None:
        sys.exit(f"farandole plan failed: {' '.join(words)}")
    return int(found[1])


def peak_bytes(config, words):
    """Peak of the process, from the kernel."""
    with open(os.devnull, "w") as null:
        child = subprocess.Popen([CLI, "train", config, *words, "--quiet"], stdout=null)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"farandole train failed ({child.returncode}): {' '.join(words)}")
    return usage.ru_maxrss * 1024


def is_sanitized():
    """A sanitizer's own memory would be measured."""
    cache = pathlib.Path(os.environ.get("FAR_TEST_BUILD", "/nowhere"), "CMakeCache.txt")
    return cache.is_file() and re.search(r"^FAR_SANITIZE:\w+=\S", cache.read_text(), re.M) is not None


def measure(name, threads, folder):
    config = folder / "empty.yaml"
    config.write_text("")
    words = settings(name, threads)
    plan = planned_bytes(config, words)
    peak = peak_bytes(config, [*words, f"run.dir={folder / name}"])
    shutil.rmtree(folder / name)
    return plan, peak


def judge(plan, peak):
    if peak > MORE * plan + CONSTANT_BYTES:
        return "BROKEN: more than promised"
    return "BROKEN: less than 0.95 of the plan" if peak < LESS * plan else "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[[], *CASES], help="cases; default: all")
    parser.add_argument("--short", action="store_true", help="only " + " and ".join(SHORT))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    broken = 0
    if is_sanitized():
        print("a sanitizer's build: its memory is not ours")
        return 77
    print(f"{'case':12} {'plan':>10} {'peak':>10} {'peak/plan':>10} {'over':>10}")
    for name in args.name or (SHORT if args.short else CASES):
        with tempfile.TemporaryDirectory(prefix="farandole-") as tmp:
            plan, peak = measure(name, args.threads, pathlib.Path(tmp))
        verdict = judge(plan, peak)
        broken += verdict != "ok"
        print(f"{name:12} {plan / 1e6:7.1f} MB {peak / 1e6:7.1f} MB {peak / plan:10.4f} {(peak - plan) / 1e6:7.1f} MB  {verdict}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
