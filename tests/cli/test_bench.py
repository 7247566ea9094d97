#!/usr/bin/env python3
"""farandole bench: figures that agree with each other, advice, and nothing written. How fast it is is no matter here."""
import json
import os
import subprocess
import sys

from cli_run import CLI, LIMIT_S, expect, farandole, main, ok_json, tiny_config


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
