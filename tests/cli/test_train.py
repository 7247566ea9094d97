#!/usr/bin/env python3
"""Training, evaluation and resuming from the command line, end to end on made-up data."""
import json
import re
import signal
import struct
import subprocess
import sys
import time

import cli_run
from cli_run import expect, farandole, ok_json, start, tiny_config


def train(tmp, name, *words, config=None):
    return ok_json("train", config or tiny_config(tmp), f"run.dir={tmp / name}", "--json", "--quiet", *words)


def case_writes_a_run(tmp):
    ran = expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r"), 0, "done: 32 steps", "digest", "farandole eval", "loss")
    assert "step 1/32" in ran.stderr and "eval" in ran.stderr, ran.stderr
    assert "\r" not in ran.stderr and "\033" not in ran.stderr, "control characters in a pipe"
    for name in ("config.yaml", "plan.json", "metrics.jsonl", "checkpoints/last/model.safetensors", "checkpoints/32/manifest.json"):
        assert (tmp / "r" / name).is_file(), name
    rows = [json.loads(line) for line in (tmp / "r/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 32 and any("eval/accuracy" in row for row in rows)


def case_log(tmp):
    ran = expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r"), 0)
    log = (tmp / "r/log.txt").read_text()
    first, rest = log.split("\n", 1)
    assert "farandole" in first and first[:2] == "20", first
    for line in (ran.stderr + ran.stdout).splitlines():
        assert line in log or "run folder" in line, f"{line!r} is not in log.txt:\n{log}"
    assert "step 32/32  epoch 2" in log and "step 1/32  epoch 1" in log, log
    # a resumed run goes on below, a quiet one too; how it ended stays there
    expect(farandole("train", "--resume", tmp / "r", "--quiet", "train.steps=40", "optim.lr=1e38"), 1)
    log = (tmp / "r/log.txt").read_text()
    assert log.startswith(first + "\n" + rest) and "the loss is" in log[len(first) + len(rest):], log


def case_learns(tmp):
    done = train(tmp, "r", "train.epochs=6")
    assert done["ending"] == "done" and done["step"] == 96 and done["scores"]["accuracy"] > 0.9, done


def case_quiet(tmp):
    ran = expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet"), 0)
    assert ran.stdout == "" and ran.stderr == "", ran.stdout + ran.stderr


def case_batch_norm_of_single_images_is_warned_of(tmp):
    config = tmp / "norms.yaml"
    config.write_text("data: {kind: synthetic, synthetic: {samples: 8, test_samples: 4, shape: [3, 64, 64]}}\n"
                      "model: {name: resnet18, width: 4}\ntrain.steps: 1\n")  # fmt: skip

    def said(*words):
        ran = expect(farandole("train", config, f"run.dir={tmp}/r{len(list(tmp.iterdir()))}", *words), 0)
        return "model.norm=instance" in ran.stderr

    assert said("batch=1") and said("batch=4", "model.group_samples=1")
    assert not said("batch=4") and not said("batch=1", "model.norm=instance") and not said("batch=1", "model.norm=group", "model.groups=2")


def case_same_digest_on_any_threads(tmp):
    digests = {train(tmp, f"r{n}", "--threads", n)["digest"] for n in (1, 2, 3)}
    assert len(digests) == 1, digests
    assert train(tmp, "other", "seed=1")["digest"] not in digests


def case_config_of_a_run_trains_the_same(tmp):
    first = train(tmp, "a")
    second = train(tmp, "b", config=tmp / "a/config.yaml")
    assert first["digest"] == second["digest"]


def case_run_folder_is_not_overwritten(tmp):
    train(tmp, "r")
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r"), 2, "--resume")


def case_eval(tmp):
    done = train(tmp, "r")
    scores = ok_json("eval", tmp / "r", "--checkpoint", "last", "--json", "--quiet")["scores"]
    assert scores["loss"] == done["scores"]["loss"] and scores["accuracy"] == done["scores"]["accuracy"], (scores, done)
    expect(farandole("eval", tmp / "r"), 0, "accuracy", "checkpoints/")
    expect(farandole("eval", tmp / "r", "--checkpoint", "16"), 0, "checkpoints/16")
    expect(farandole("eval", tmp / "r", "--checkpoint", "17"), 2, "16", "32", "best", "last")
    expect(farandole("eval", tiny_config(tmp)), 2, "weights")
    expect(farandole("eval", tiny_config(tmp), "--weights", tmp / "r/checkpoints/last/model.safetensors"), 0, "accuracy")
    expect(farandole("eval", tiny_config(tmp), "--weights", tmp / "none"), 3, "none")
    expect(farandole("eval", tmp / "r", "--weights", "x", "--checkpoint", "last"), 2)


def case_damaged_weights(tmp):
    train(tmp, "r")
    path = tmp / "r/checkpoints/last/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    expect(farandole("eval", tmp / "r", "--checkpoint", "last"), 3, "model.safetensors")


def flip_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def case_resume_from_a_damaged_checkpoint(tmp):
    train(tmp, "r", "train.steps=24", "train.checkpoint_every=8", "train.eval_every=100")
    flip_bit(tmp / "r/checkpoints/24/model.safetensors")
    ran = expect(farandole("train", "--resume", tmp / "r", "train.steps=25"), 0, "24/model.safetensors is damaged", "tensor")
    assert "going on from checkpoint 16" in ran.stderr and "25 steps" not in ran.stdout, ran.stderr
    for name in ("8", "16", "24", "25"):
        if (tmp / "r/checkpoints" / name).is_dir():
            flip_bit(tmp / f"r/checkpoints/{name}/optimizer.safetensors")
    expect(farandole("train", "--resume", tmp / "r", "train.steps=26"), 3, "25/optimizer.safetensors is damaged")


def case_full_disk(tmp):
    wide = ["model.layers=[{op: flatten}, {op: linear, out_features: 2000}, {op: linear, out_features: 4}]"]
    train(tmp, "wide", "train.steps=10", *wide)
    # a limit on the size of files takes the part of a disk that fills up in the middle
    words = [cli_run.CLI, "train", "--resume", tmp / "wide", "train.steps=20", "--quiet"]
    ran = subprocess.run(["bash", "-c", 'ulimit -f 200; exec "$@"', "-", *map(str, words)], capture_output=True, text=True)
    expect(ran, 1, "checkpoint 16 was not written", "File too large")
    assert sorted(p.name for p in (tmp / "wide/checkpoints").iterdir()) == ["10", "best", "last"]
    expect(farandole("eval", tmp / "wide"), 0, "checkpoints/")
    done = ok_json("train", "--resume", tmp / "wide", "train.steps=20", "--json", "--quiet")
    assert done["steps"] == 10, done


def case_does_not_fit(tmp):
    big = [tiny_config(tmp), f"run.dir={tmp}/r", "data.synthetic.shape=[1, 512, 512]", "batch=64", "memory=200M"]
    ran = expect(farandole("train", *big), 4, "nothing was started", "What would fit: batch=", "data.downsample=")
    assert not (tmp / "r").exists()
    for change in re.findall(r"((?:batch|data.downsample)=\d+) \(", ran.stderr):
        expect(farandole("plan", *big, change), 0)
        key, value = change.split("=")
        worse = f"{key}={int(value) * 2 if key == 'batch' else int(value) - 1}"
        expect(farandole("plan", *big, worse), 4)
    expect(farandole("plan", *big, "memory=1M"), 4, "a smaller network")
    unet = ["examples/unet-synthetic.yaml", "threads=1", "exec.spill=none"]
    some, most = (ok_json("plan", *unet, f"exec.recompute={how}", "--json")["process_bytes"] for how in ("auto", "most"))
    unet.append(f"memory={(some + most) // 2 + (40 << 20)}")
    expect(farandole("plan", *unet), 4, "What would fit: exec.spill=most (", "exec.recompute=most (", "batch=")
    expect(farandole("plan", *unet, "exec.recompute=most"), 0)


def case_weights_of_another_run(tmp):
    first = train(tmp, "a", "train.epochs=6")
    second = train(tmp, "b", "train.steps=1", "optim.lr=1e-9", "--weights", tmp / "a/checkpoints/last")
    assert second["scores"]["accuracy"] > first["scores"]["accuracy"] - 0.2


def case_loss_that_is_not_finite(tmp):
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "optim.lr=1e38"), 1, "the loss is nan", "First bad tensor", "optim.lr")


def case_patience(tmp):
    still = ["optim.lr=1e-30", "train.eval_every=4", "train.epochs=8"]
    ran = expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "train.patience=3", *still), 0, "done early: 16 steps",
                 "ends early at step 16 of 128: accuracy has not got better than ", "farandole eval")  # fmt: skip
    assert ran.stderr.count("ends early") == 1, ran.stderr
    assert json.loads((tmp / "r/run.json").read_text())["ending"] == "early"
    assert (tmp / "r/checkpoints/last").readlink().name == "16" and (tmp / "r/checkpoints/best").readlink().name == "4"
    again = expect(farandole("train", "--resume", tmp / "r"), 0, "done early: 0 steps")
    assert "ends early at step 16" in again.stderr, again.stderr
    assert train(tmp, "longer", "train.patience=5", *still)["step"] == 24
    # a break in the middle changes nothing
    train(tmp, "part", "train.patience=5", *still, "train.steps=12")
    last = ok_json("train", "--resume", tmp / "part", "train.steps=128", "--json", "--quiet")
    assert last["ending"] == "early" and last["step"] == 24, last
    # what learns goes on, unless more is asked of it
    learns = ["train.eval_every=16", "train.patience=2", "eval.metric=loss", "train.epochs=6"]
    assert train(tmp, "learns", *learns)["ending"] == "done"
    assert train(tmp, "slowly", *learns, "train.min_delta=10")["step"] == 48
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/x", "train.patience=-1"), 2, "train.patience")


def write_npy(path, dtype, shape, data):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


def case_nan_in_the_data(tmp):
    pixels = [0.5] * (32 * 64)
    pixels[21 * 64 + 5] = float("nan")
    write_npy(tmp / "train-images.npy", "<f4", (32, 8, 8), struct.pack(f"<{len(pixels)}f", *pixels))
    write_npy(tmp / "train-labels.npy", "|u1", (32,), bytes(k % 4 for k in range(32)))
    ran = farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "data.kind=npy", f"data.path={tmp}", "data.holdout=8", "train.epochs=4")
    expect(ran, 1, 'input "image"', "sample 21", "as read from the data", "look at that sample")


def case_resume_after_the_end(tmp):
    done = train(tmp, "r")
    again = ok_json("train", "--resume", tmp / "r", "--json", "--quiet")
    assert again["steps"] == 0 and again["digest"] == done["digest"]


def case_resume_under_another_instruction_set(tmp):
    train(tmp, "r", "train.steps=20")
    bits = json.loads((tmp / "r/checkpoints/last/manifest.json").read_text())["bits"]
    assert bits["libraries"]["oneDNN"].count(".") == 2 and bits["libraries"]["farandole"], bits
    if bits["isa"].startswith("base"):
        raise cli_run.Skip("this processor has one instruction set only")
    words = ["train", "--resume", tmp / "r", "--quiet", "train.steps=24", "exec.isa=base"]
    expect(farandole(*words), 2, "instruction set", bits["isa"], "now base", "--accept-other-bits", "exec.isa")
    expect(farandole(*words, "--accept-other-bits"), 0, "last bits")
    expect(farandole("train", tiny_config(tmp), "--accept-other-bits"), 2, "--resume")


def case_resume_with_more_steps(tmp):
    whole = train(tmp, "whole", "train.steps=40")
    train(tmp, "part", "train.steps=20")
    again = ok_json("train", "--resume", tmp / "part", "--json", "--quiet", "train.steps=40")
    assert again["steps"] == 20 and again["digest"] == whole["digest"]


def case_what_is_made_again_changes_no_bit(tmp):
    few = ["data.synthetic.samples=64", "data.synthetic.test_samples=16", "batch=8", "schedule.name=constant"]
    done = {}
    for how in ("none", "auto", "most"):
        done[how] = train(tmp, how, "train.steps=4", f"exec.recompute={how}", *few, config="examples/unet-synthetic.yaml")
    arena = {how: json.loads((tmp / how / "plan.json").read_text())["arena_bytes"] for how in done}
    assert arena["most"] < arena["auto"] < 0.9 * arena["none"], arena
    assert done["none"]["digest"] == done["auto"]["digest"] == done["most"]["digest"], done
    train(tmp, "part", "train.steps=2", "exec.recompute=most", *few, config="examples/unet-synthetic.yaml")
    again = ok_json("train", "--resume", tmp / "part", "--json", "--quiet", "train.steps=4", "exec.recompute=none")
    assert again["steps"] == 2 and again["digest"] == done["none"]["digest"]


def wait_for_step(run):
    """Until a line of progress says that training has begun."""
    for line in run.stderr:
        if line.startswith("step "):
            return
    raise AssertionError(f"ended with {run.wait()} before a step")


def wait_for_metrics(run, folder, step):
    """Until the metrics tell of a step after `step`: at once on a fast machine too, where progress lines would come too late."""
    path = folder / "metrics.jsonl"
    while run.poll() is None:
        lines = path.read_text().splitlines() if path.exists() else []
        if any("train/loss" in line and json.loads(line)["step"] > step for line in lines[-2:-1]):
            return
        time.sleep(0.002)
    raise AssertionError(f"ended with {run.wait()} before a step")


def case_stop_and_resume(tmp):
    many = ["train.steps=6000", "train.eval_every=2000", "train.checkpoint_every=2500", "train.log_every=20"]
    whole = train(tmp, "whole", *many)
    endings, step = [], 0
    for number in (signal.SIGTERM, signal.SIGINT):
        words = ["--resume", tmp / "part"] if endings else [tiny_config(tmp), f"run.dir={tmp / 'part'}", *many]
        run = start("train", *words, "--threads", 1 + len(endings), "--json")
        wait_for_metrics(run, tmp / "part", step)
        run.send_signal(number)
        out, err = run.communicate(timeout=cli_run.LIMIT_S)
        assert run.returncode == 75, f"{run.returncode}\n{err}"
        assert "--resume" in err and "error" not in err, err
        endings.append(json.loads(out))
        assert endings[-1]["ending"] == "stopped" and step < endings[-1]["step"] < 6000, endings
        step = endings[-1]["step"]
    last = ok_json("train", "--resume", tmp / "part", "--json", "--quiet")
    assert last["ending"] == "done" and last["steps"] == 6000 - step
    assert last["digest"] == whole["digest"] and last["scores"] == whole["scores"], (last, whole)
    steps = [json.loads(line)["step"] for line in (tmp / "part/metrics.jsonl").read_text().splitlines() if "train/loss" in line]
    assert steps == sorted(set(steps)), "a step is twice in metrics.jsonl"
    times = [json.loads(line)["time_s"] for line in (tmp / "part/metrics.jsonl").read_text().splitlines()]
    assert times == sorted(times), "time went back"


def case_second_signal_ends_at_once(tmp):
    # the references are slow: one step takes seconds, so that the first signal is still waiting for its end
    run = start("train", tiny_config(tmp), f"run.dir={tmp}/r", "exec.backend=reference", "batch=256", "data.synthetic.shape=[1, 160, 160]",
                "train.steps=100", "data.synthetic.test_samples=1")  # fmt: skip
    wait_for_step(run)
    run.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    was_running = run.poll() is None
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert was_running and run.returncode == -signal.SIGTERM, f"{run.returncode}\n{err}"


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
