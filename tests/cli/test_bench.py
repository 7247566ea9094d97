#!/usr/bin/env python3
"""farandole bench: figures that agree with each other, advice, and nothing written. How fast it is is no matter here."""
import importlib.machinery
import importlib.util
import json
import math
import os
import subprocess
import sys

from cli_run import CLI, LIMIT_S, ROOT, expect, farandole, main, ok_json, tiny_config

sys.path.insert(0, str(ROOT / "bench"))
LOADER = importlib.machinery.SourceFileLoader("roofline", str(ROOT / "bench" / "roofline"))
roofline = importlib.util.module_from_spec(importlib.util.spec_from_loader("roofline", LOADER))
LOADER.exec_module(roofline)


def case_figures(tmp):
    config = tiny_config(tmp)
    told = ok_json("bench", config, "--steps", 20, "--threads", 2, "--json", "--quiet", cwd=tmp)
    assert told["steps"] == 20 and told["batch"] == 16 and told["threads"] == 2
    assert 0 < told["least_s"] <= told["step_s"] <= told["most_s"]
    # the rate is over everything that happens between steps, so that it cannot beat the steps themselves
    assert 0 < told["samples_per_s"] <= 16 / told["least_s"]
    # two threads that compute and one that prepares batches can use no more processor time than this
    assert 0 < told["cpu_s"] <= 3 * 16 / told["samples_per_s"], told
    plan = ok_json("plan", config, "--json", "--threads", 2, cwd=tmp)
    assert told["flops"] == plan["flops"] and told["planned_bytes"] > 0 and told["peak_bytes"] > 0
    assert told["peak_flops_per_s"] > 1e8 and told["bandwidth_bytes_per_s"] > 1e8
    assert abs(told["share_of_peak"] - told["flops"] / told["step_s"] / told["peak_flops_per_s"]) < 1e-9
    names = [row["name"] for row in told["families"]]
    assert {"convolution", "normalisation", "optimizer"} <= set(names), names
    seconds = [row["forward_s"] + row["backward_s"] + row["update_s"] for row in told["families"]]
    assert seconds == sorted(seconds, reverse=True) and min(seconds) > 0
    conv = told["families"][names.index("convolution")]
    assert conv["forward_s"] > 0 and conv["backward_s"] > 0 and conv["update_s"] == 0 and conv["flops"] > 0 and conv["bytes"] > 0
    assert len(told["most_expensive"]) == 3
    shares = [row["share"] for row in told["most_expensive"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.0001, shares
    assert all(len(row["advice"]) > 30 for row in told["most_expensive"])
    assert os.listdir(tmp) == ["tiny.yaml"], os.listdir(tmp)
    check_nodes(told)


def check_nodes(told):
    """Rows of single nodes, and the table that bench/roofline makes of them."""
    nodes = told["nodes"]
    assert abs(sum(node["flops"] for node in nodes) / told["flops"] - 1) < 1e-9
    assert all(0 < node["least_s"] <= node["mean_s"] * 1.000001 and node["bytes"] > 0 and node["calls"] > 0 for node in nodes), nodes
    forward, d_weight = (next(node for node in nodes if node["op"] == op) for op in ("conv", "conv_dw"))
    x, weight, y = forward["shapes"][0], forward["shapes"][1], forward["shapes"][-1]
    # each tensor once, whatever the number of grains; packed weights may be padded
    assert 1 <= forward["bytes"] / (4 * sum(math.prod(shape) for shape in forward["shapes"])) < 1.1, forward
    assert d_weight["around_s"] > 0 and forward["flops"] == 2 * math.prod(y) * math.prod(weight[1:]), forward
    layers, others = roofline.collect(told)
    assert f"{x[1]} to {y[1]}, {weight[2]}x{weight[3]}, {x[2]}x{x[3]}" in layers, layers.keys()
    assert others["norm_stats"].seconds > 0 and others["norm_stats"].impls
    conv = layers[roofline.geometry(forward)]["forward"]
    machine = roofline.machine_of(told)
    assert abs(conv.share() - max(conv.flops / machine["flops"], conv.bytes / machine["bytes"]) / conv.seconds) < 1e-9 or conv.count > 1


def case_text(tmp):
    ran = expect(farandole("bench", tiny_config(tmp), "--seconds", "0.2", cwd=tmp), 0, "samples/s", "GFLOP/s of this machine", "at the peak",
                 "convolution", "most expensive")  # fmt: skip
    assert [line[2] for line in ran.stdout.splitlines() if line[2:4] in ("1 ", "2 ", "3 ")] == ["1", "2", "3"], ran.stdout


def case_of_a_run(tmp):
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet"), 0)
    before = {path: path.stat().st_mtime_ns for path in (tmp / "r").rglob("*")}
    expect(farandole("bench", tmp / "r", "batch=8", "--steps", 5, "--quiet"), 0, "batch 8")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp / "r").rglob("*")}


def case_turns(tmp):
    words = [CLI, "bench", str(tiny_config(tmp)), "--turns"]
    ran = subprocess.run(words, input="1\n4\n", capture_output=True, text=True, cwd=tmp, timeout=LIMIT_S)
    assert ran.returncode == 0 and not ran.stderr, ran
    turns = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [len(turn) for turn in turns] == [1, 4] and min(turns[0] + turns[1]) > 0, turns
    assert os.listdir(tmp) == ["tiny.yaml"], os.listdir(tmp)
    for line in ("0", "x", "2x", "1001"):
        ran = subprocess.run(words, input=f"1\n{line}\n", capture_output=True, text=True, timeout=LIMIT_S)
        assert ran.returncode == 2 and f"not '{line}'" in ran.stderr and len(ran.stdout.splitlines()) == 1, ran


def case_errors(tmp):
    expect(farandole("bench"), 2, "config file")
    expect(farandole("bench", tiny_config(tmp), "--steps", "none"), 2, "--steps none")
    expect(farandole("bench", tiny_config(tmp), "--seconds", "-1"), 2, "--seconds -1")
    expect(farandole("bench", tiny_config(tmp), "data.kind=idx", "data.path=nowhere"), 3, "nowhere")


if __name__ == "__main__":
    main(sys.modules[__name__])
