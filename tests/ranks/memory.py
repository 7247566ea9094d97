#!/usr/bin/env python3
"""The memory contract of several ranks: what each process takes at its peak beside what was planned for it, and what fills it.

    activations of a rank fall as 1 / ranks, plus rows of neighbours, levels that are not cut, and buffers, each named in the plan
    1.01 x plan + 90 MB  >=  peak  >=  0.95 x plan, for every rank

    tests/ranks/memory.py                        a21 at 640 x 1024, planned and run on 2, 4 and 8 ranks: minutes, 3 GB
    tests/ranks/memory.py --size 1280x2048       in full: 6 GB, longer
    tests/ranks/memory.py --size 320x512 --ranks 2

Ends with a line of counts; with 1 where the contract is broken."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLI = os.environ.get("FAR_TEST_CLI", str(ROOT / "build" / "farandole"))
MORE, LESS, CONSTANT_BYTES = 1.01, 0.95, 90 * 10**6
NAMED = ("halo", "whole_levels", "input", "sums", "packed", "gaps")  # what comes on top of a rank's own share


def words(height, width):
    return ["model={name: uresnet, preset: a21}", "loss={recipe: cosmictagger, name: focal}", "data.kind=synthetic", "batch=1", "optim.name=adam",
            f"data.synthetic.shape=[3, {height}, {width}]", "data.synthetic.classes=3", "data.synthetic.label=map",
            "data.synthetic.samples=2", "data.synthetic.test_samples=1", "train.steps=2", "threads=1"]  # fmt: skip


def told(command, config, *more):
    ran = subprocess.run([CLI, command, config, *more, "--json"], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"{command} {' '.join(more)}: {ran.stderr}")
    return json.loads(ran.stdout)


def mb(count):
    return f"{count / 1e6:8.1f}"


def planned(config, ranks, more):
    """What fills the fullest rank's arena."""
    each = told("plan", config, f"--ranks={ranks}", f"--layout=spatial={ranks}", *more)["each"]
    for rank in each:
        assert sum(rank["fullest"].values()) == rank["arena_bytes"], rank
    fullest = max(each, key=lambda rank: rank["arena_bytes"])
    return dict(fullest["fullest"], arena=fullest["arena_bytes"])


def check_plan(config, counts, more, height):
    whole = told("plan", config, *more)
    one, grains = whole["arena_bytes"], -(-height // whole["grain"]["rows"])
    print(f"one rank: {mb(one)} MB in the arena, {grains} grains of {whole['grain']['rows']} rows\n"
          "planned, MB: ranks      own  share of one |" + " ".join(f"{n:>12}" for n in NAMED), flush=True)  # fmt: skip
    failed = 0
    for ranks in counts:
        plan = planned(config, ranks, more)
        share = min(1.0, -(-grains // ranks) * whole["grain"]["rows"] / height) * one  # grains may not divide by the ranks
        is_kept = plan["own"] <= 1.03 * share
        failed += not is_kept
        print(f"             {ranks:5} {mb(plan['own'])} {mb(share)}     |" + " ".join(f"{plan[n] / 1e6:12.2f}" for n in NAMED)
              + ("" if is_kept else "  BROKEN"), flush=True)  # fmt: skip
    return failed


def check_run(config, ranks, more):
    failed = 0
    for row in told("bench", config, f"--ranks={ranks}", f"--layout=spatial={ranks}", "--steps=1", "--quiet", *more)["ranks"]:
        low, high = LESS * row["planned_bytes"], MORE * row["planned_bytes"] + CONSTANT_BYTES
        is_kept = low <= row["peak_bytes"] <= high
        failed += not is_kept
        print(f"rank {row['rank']} of {ranks}: {mb(row['peak_bytes'])} MB at the peak, {mb(row['planned_bytes'])} planned, at most {mb(high)}"
              + ("" if is_kept else "  BROKEN"), flush=True)  # fmt: skip
    return failed


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--size", default="640x1024")
    asked.add_argument("--ranks", type=int, nargs="*", default=[2, 4, 8])
    asked.add_argument("--plan-only", action="store_true")
    asked = asked.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        config = str(pathlib.Path(tmp, "empty.yaml"))
        pathlib.Path(config).write_text("{}\n")
        more = words(*asked.size.split("x"))
        failed, passed, skipped = check_plan(config, asked.ranks, more, int(asked.size.split('x')[0])), len(asked.ranks), 0
        for ranks in asked.ranks:
            if asked.plan_only:
                skipped += 1
                continue
            broken = check_run(config, ranks, more)
            failed += broken
            passed += ranks
    print(f"{passed - failed} passed, {failed} failed, 0 refused, {skipped} skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
