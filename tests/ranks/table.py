#!/usr/bin/env python3
"""The same bits on any number of ranks: small networks trained for 20 steps under every layout, SHA-256 of what comes out.

    tests/ranks/table.py [--only REGEX]     trains what is not known yet, prints the table; stop it and start it again as you like
    tests/ranks/table.py --refused          only plans: which cells are refused, by which rule. tests/ranks/refused.txt is this

A cell is a network under one layout. It counts only if every rank computes at least one grain, forward and backward; cells in which some
rank would have none are refused before they run. Results lie in build/ranks, kept for one build of the program."""
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLI = os.environ.get("FAR_TEST_CLI", str(ROOT / "build" / "farandole"))
OUT = ROOT / "build" / "ranks"
REFUSED = ROOT / "tests" / "ranks" / "refused.txt"
STEPS = 20
RANKS = (1, 2, 3, 4, 6, 7, 8)
BOTH = ("data=2,spatial=2", "data=2,spatial=3", "data=3,spatial=2", "data=2,spatial=4", "data=4,spatial=2")


def network(shape, batch, rows, model, optim, label="class", samples=1, augment=None, loss=None):
    made = {"shape": shape, "classes": 3, "label": label, "samples": 4 * batch, "test_samples": batch, "noise": 0.3}
    return {"data": {"kind": "synthetic", "synthetic": made, "augment": augment or {"flip": True}}, "model": model, "batch": batch,
            "train.steps": STEPS, "grain": {"samples": samples, "rows": rows, "min_rows": 1, "dense": 1}, "optim": optim,
            "loss": loss or {}}  # fmt: skip


A21 = {"name": "uresnet", "preset": "a21", "width": 2, "depth": 3, "bottleneck": 8, "blocks_deep": 1, "kernel_deep": 3}
URESNET = {"name": "uresnet", "width": 4, "depth": 3, "bottleneck": 16, "blocks_deep": 1, "blocks_final": 1}
RESNET = {"name": "resnet", "preset": "resnet18", "width": 8}
CONVS = [{"op": "conv", "out_channels": 8, "kernel": 5, "stride": 2, "pad": 2}, {"op": "batch_norm", "act": "relu"},
         {"op": "max_pool", "kernel": 3, "stride": 2}, {"op": "conv", "out_channels": 16, "kernel": 3, "pad": 1},
         {"op": "batch_norm", "act": "relu"}, {"op": "max_pool", "kernel": 3, "stride": 2}, {"op": "flatten"},
         {"op": "linear", "out_features": 32}, {"op": "relu"}, {"op": "dropout", "p": 0.5}, {"op": "linear", "out_features": 3}]  # fmt: skip
ADAM = {"name": "adam", "lr": 0.002, "clip_norm": 0.5}
LARS = {"name": "lars", "lr": 0.5, "momentum": 0.9, "weight_decay": 0.0001}
SGD = {"name": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": True, "clip_norm": 1.0}

NETWORKS = {
    "lenet5, adam, dropout": network([1, 28, 28], 16, 4, {"name": "lenet5", "dropout": 0.3}, ADAM, samples=2),
    "lenet5, short last grain": network([1, 28, 28], 15, 4, {"name": "lenet5"}, SGD, samples=2),
    "resnet18, statistics of the batch, lars": network([3, 64, 64], 8, 8, RESNET, LARS, augment={"flip": True, "crop_pad": 4}),
    "resnet18, statistics of one sample": network([3, 64, 64], 8, 8, dict(RESNET, group_samples=1, dropout=0.2), SGD),
    "a21, tall, focal loss": network([3, 128, 16], 8, 8, A21, ADAM, "map", loss={"recipe": "cosmictagger", "name": "focal"}),
    "uresnet, tall": network([3, 128, 16], 8, 8, URESNET, SGD, "map", loss={"recipe": "cosmictagger"}),
    "unet, group norm": network([1, 64, 32], 8, 8, {"name": "unet", "width": 8, "depth": 2, "norm": "group", "groups": 4}, SGD, "map",
                                loss={"dice": 0.5}),
    "unet3d": network([1, 16, 16, 16], 8, 2, {"name": "unet3d", "width": 4, "depth": 2, "groups": 2, "dropout": 0.1}, ADAM, "map"),
    "convolutions and dense layers": network([3, 67, 67], 8, 8, {"name": "layers", "layers": CONVS}, LARS,
                                             augment={"flip": True, "erase": 0.3}),
}  # fmt: skip


def layouts():
    yield 1, "data=1"
    for ranks in RANKS[1:]:
        yield ranks, f"data={ranks}"
    for ranks in RANKS[1:]:
        yield ranks, f"spatial={ranks}"
    for layout in BOTH:
        yield eval(re.sub(r"data=(\d+),spatial=(\d+)", r"\1*\2", layout)), layout


def config_of(name):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / (re.sub(r"\W+", "-", name) + ".yaml")
    path.write_text(json.dumps(NETWORKS[name], indent=1))  # JSON is YAML
    return path


def run(*words):
    return subprocess.run([CLI, *map(str, words)], capture_output=True, text=True)


def plan_of(name, ranks, layout):
    ran = run("plan", config_of(name), "--json", "--ranks", ranks, "--layout", layout) if ranks > 1 else run("plan", config_of(name), "--json")
    assert ran.returncode == 0, f"{name}, {layout}: {ran.stderr}"
    return json.loads(ran.stdout)


def refusal(plan):
    """The rule that refuses a cell, None: it counts."""
    idle = [each["rank"] for each in plan.get("each", []) if each["grain_calls"] == 0]
    return f"rank {idle[0]} has no grain" if idle else None


def refused_lines():
    lines, total = [], 0
    for name in NETWORKS:
        for ranks, layout in layouts():
            total += 1
            why = refusal(plan_of(name, ranks, layout))
            if why:
                lines.append(f"{name}: {layout}: {why}")
                print(lines[-1], flush=True)
    return lines, total


def digests(folder):
    last = folder / "checkpoints" / str(STEPS)
    return [hashlib.sha256((last / f"{kind}.safetensors").read_bytes()).hexdigest() for kind in ("model", "optimizer")]


def train(name, ranks, layout):
    folder = OUT / "run"
    shutil.rmtree(folder, ignore_errors=True)
    words = ["--ranks", ranks, "--layout", layout] if ranks > 1 else []
    began = time.monotonic()
    ran = run("train", config_of(name), f"run.dir={folder}", "run.samples=0", "--threads", 1, "--quiet", *words)
    assert ran.returncode == 0, f"{name}, {layout}: exit code {ran.returncode}\n{ran.stderr}"
    return digests(folder), time.monotonic() - began


def cell(name, ranks, layout):
    plan = plan_of(name, ranks, layout)
    why = refusal(plan)
    if why:
        return {"refused": why}
    digest, seconds = train(name, ranks, layout)
    each = plan.get("each", [])
    return {"model": digest[0], "optimizer": digest[1], "seconds": round(seconds, 2), "grain_calls": [e["grain_calls"] for e in each],
            "messages": [e["sent"] for e in each], "bytes": [e["sent_bytes"] for e in each]}  # fmt: skip


def span(numbers, unit=1.0):
    low, high = min(numbers) / unit, max(numbers) / unit
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


def table(known):
    """The table as text; how many cells are equal, differ, are refused."""
    counts, lines = {"equal": 0, "differs": 0, "refused": 0}, []
    for name in NETWORKS:
        one = known.get(f"{name}: data=1")
        if not one:
            continue
        lines.append(f"\n{name}: model {one['model'][:16]}, optimizer {one['optimizer'][:16]}")
        for ranks, layout in layouts():
            got = known.get(f"{name}: {layout}")
            if not got or ranks == 1:
                continue
            if "refused" in got:
                verdict, words = "refused", got["refused"]
            else:
                verdict = "equal" if (got["model"], got["optimizer"]) == (one["model"], one["optimizer"]) else "differs"
                words = (f"calls a rank {span(got['grain_calls'])}, messages {span(got['messages'])}, kB {span(got['bytes'], 1e3)}, "
                         f"{got['seconds']:.1f} s")  # fmt: skip
            counts[verdict] += 1
            lines.append(f"  {layout:18} {verdict:8} {words}")
    return "\n".join(lines), counts


def build_of():
    """What results hold for: the program, its module, the table's networks."""
    files = [pathlib.Path(CLI).resolve(), pathlib.Path(CLI).resolve().parent / "farandole-mpi.so"]
    words = b"".join(f.read_bytes() for f in files) + json.dumps(NETWORKS).encode()
    return hashlib.sha256(words).hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="regular expression on 'NETWORK: LAYOUT'")
    parser.add_argument("--refused", action="store_true")
    args = parser.parse_args()
    if args.refused:
        lines, total = refused_lines()
        print(f"{len(lines)} of {total} cells are refused")
        return 0
    store = OUT / f"{build_of()}.json"
    known = json.loads(store.read_text()) if store.exists() else {}
    for name in NETWORKS:
        for ranks, layout in layouts():
            key = f"{name}: {layout}"
            if key in known or not (ranks == 1 or re.search(args.only, key)):
                continue
            known[key] = cell(name, ranks, layout)
            part = store.with_suffix(".part")
            part.write_text(json.dumps(known, indent=1))
            part.rename(store)
            print(key, known[key].get("refused") or known[key]["model"][:16], flush=True)
    text, counts = table(known)
    print(text)
    promised = REFUSED.read_text().splitlines()
    unknown = [f"{k}: {v['refused']}" for k, v in known.items() if "refused" in v and f"{k}: {v['refused']}" not in promised]
    print(f"\n{counts['equal']} equal, {counts['differs']} differ, {counts['refused']} refused, of them {len(unknown)} not in refused.txt")
    return 1 if counts["differs"] or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
