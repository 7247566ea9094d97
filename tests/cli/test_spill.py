#!/usr/bin/env python3
"""A training that does not fit in the memory it is given trains all the same, to the same bits, with tensors waiting on disk; and what goes
wrong with the disk is told."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import time

import cli_run
from cli_run import expect, farandole, ok_json

# Tensors of some hundred kB: less is not worth a disk.
UNET = ["data.kind=synthetic", "data.synthetic.samples=16", "data.synthetic.test_samples=4", "data.synthetic.shape=[1, 168, 128]",
        "data.synthetic.label=map", "data.synthetic.classes=3", "model=unet", "model.width=8", "model.depth=3", "batch=4",
        "optim={name: adam, lr: 0.003}", "train.steps=6", "train.eval_every=3", "train.checkpoint_every=3", "threads=2"]  # fmt: skip
CONSTANT = 40 << 20  # code, libraries and stacks, which a limit has to hold as well


def config(tmp):
    path = tmp / "unet.yaml"
    path.write_text("".join(line.replace("=", ": ", 1) + "\n" for line in UNET))
    return path


def train(tmp, name, *words):
    ran = expect(farandole("train", config(tmp), f"run.dir={tmp / name}", "--quiet", *words), 0)
    assert not spill_files(tmp), spill_files(tmp)
    return weights(tmp / name), ran


def weights(run):
    """And losses and scores on the way."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    files = [(run / "checkpoints/last" / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")]
    return files, [{k: v for k, v in row.items() if k not in ("time_s", "train/samples_per_s")} for row in rows]


def spill_files(tmp):
    return [str(p) for p in tmp.rglob("*spill*") if p.is_file()]


def planned(tmp, *words):
    return ok_json("plan", config(tmp), "--json", *words)


def case_any_memory_gives_the_same_weights(tmp):
    want, _ = train(tmp, "all", "exec.spill=none")
    all_bytes = planned(tmp, "exec.spill=none")["process_bytes"]
    least = planned(tmp, "exec.spill=most")
    assert least["process_bytes"] < 0.8 * all_bytes and least["spill_bytes"] > 0, (all_bytes, least["process_bytes"])
    written = 0
    for i in range(4):
        memory = least["process_bytes"] + (all_bytes - least["process_bytes"]) * (3 - i) // 4 + CONSTANT + (1 << 20)
        plan = planned(tmp, f"memory={memory}")
        assert plan["process_bytes"] + CONSTANT <= memory, (plan["process_bytes"], memory)
        assert plan["written_bytes"] >= 0.9 * written > -1, plan["written_bytes"]
        written = plan["written_bytes"]
        assert train(tmp, f"within{i}", f"memory={memory}")[0] == want
    assert train(tmp, "most", "exec.spill=most", "exec.order=reversed")[0] == want
    assert train(tmp, "packed", "exec.spill=most", "exec.pack=always")[0] == want
    assert train(tmp, "again", "exec.spill=most", "exec.recompute=most", "exec.order=random")[0] == want
    scores = [ok_json("eval", tmp / "all", "--json", f"exec.spill={how}") for how in ("none", "most")]
    assert scores[0] == scores[1], scores


# What the first layer gives waits while the widest are at work.
LONG_SKIP = ("model={name: layers, layers: [{op: conv, name: first, out_channels: 32, kernel: 3, pad: 1}, {op: leaky_relu}, "
             "{op: conv, out_channels: 48, kernel: 3, pad: 1}, {op: leaky_relu}, {op: conv, out_channels: 48, kernel: 3, pad: 1}, {op: leaky_relu}, "
             "{op: conv, out_channels: 8, kernel: 3, pad: 1}, {op: leaky_relu, name: last}, {op: concat, inputs: [last, first]}, "
             "{op: conv, out_channels: 3, kernel: 1}]}")  # fmt: skip


def case_images_each_in_its_own_size(tmp):
    """Their evaluation takes more than the training, in small crops: all sizes get by with the memory there is."""
    path = tmp / "sizes.yaml"
    path.write_text("".join(line.replace("=", ": ", 1) + "\n" for line in UNET if not line.startswith("model")))
    words = [path, LONG_SKIP, "data.synthetic.shape=[1, 344, 264]", "data.synthetic.vary=0.15", "data.synthetic.test_samples=9",
             "data.augment.crop=64", "eval.batch=2"]  # fmt: skip
    bytes_of = lambda *more: ok_json("plan", *words, "--json", *more)["process_bytes"]  # noqa: E731
    all_bytes, least = bytes_of("exec.spill=none"), bytes_of("exec.spill=most")
    assert least < 0.9 * all_bytes, (least, all_bytes)
    memory = least + (all_bytes - least) // 4 + CONSTANT + (4 << 20)  # the heap counts, and sanitizers have another
    assert bytes_of(f"memory={memory}") + CONSTANT <= memory
    expect(farandole("plan", *words, "exec.spill=none", f"memory={memory}"), 4, "exec.spill=most")
    runs = {}
    for name, how in (("all", "exec.spill=none"), ("within", f"memory={memory}"), ("most", "exec.spill=most")):
        train = expect(farandole("train", *words, f"run.dir={tmp / name}", how, "log.level=debug"), 0)
        ran = expect(farandole("eval", tmp / "all", "--json", how, "log.level=debug"), 0)
        log = train.stderr + ran.stderr + (tmp / name / "log.txt").read_text()
        assert name == "most" or "more memory than was planned" not in log, log
        on_disk = log.count(" that wait on disk, in ")
        assert on_disk == 0 if name == "all" else on_disk >= 3, (name, log)  # of several sizes, after one another
        runs[name] = (weights(tmp / name), ran.stdout)
    assert runs["within"] == runs["all"] and runs["most"] == runs["all"]


def case_what_cannot_be_is_refused(tmp):
    ran = expect(farandole("train", config(tmp), f"run.dir={tmp / 'r'}", "memory=42M"), 4, "nothing was started", "all on disk that can wait")
    assert not (tmp / "r").exists()
    need = re.search(r"the plan needs (\d+\.?\d*) MB", ran.stderr)
    assert need, ran.stderr
    expect(farandole("plan", config(tmp), f"memory={int(1e6 * (float(need[1]) + 1.5))}"), 0, "wait on disk")
    expect(farandole("plan", config(tmp), f"memory={int(1e6 * (float(need[1]) - 1))}"), 4)
    all_bytes = planned(tmp, "exec.spill=none")["process_bytes"]
    expect(farandole("plan", config(tmp), "exec.spill=none", f"memory={all_bytes + CONSTANT - (1 << 20)}"), 4, "exec.spill=most")


def case_the_plan_tells(tmp):
    ran = expect(farandole("plan", config(tmp), "exec.spill=most"), 0, "tensors of ", "wait on disk", "go there in a step", "come back",
                 "if it moves 1.0 GB/s")  # fmt: skip
    assert "recompute " in ran.stdout, ran.stdout
    assert "wait on disk" not in expect(farandole("plan", config(tmp)), 0).stdout
    plan = planned(tmp, "exec.spill=most")
    moved = [i for i in plan["instructions"] if i["kind"] in ("write", "read")]
    assert sum(t[2] - t[1] for i in moved for t in i["touches"] if t[3] == "w") == plan["written_bytes"] + plan["read_bytes"]
    assert max(b["offset"] + b["bytes"] for b in plan["buffers"] if b["in"] == "spill") == plan["spill_bytes"]
    ranks = expect(farandole("plan", config(tmp), "exec.spill=most", "--ranks", 2), 0)
    assert ranks.stdout.count("of tensors wait there") == 2, ranks.stdout


def case_a_checkpoint_knows_nothing_of_it(tmp):
    want, _ = train(tmp, "all", "exec.spill=none")
    for name, first, then in (("a", "none", "most"), ("b", "most", "none")):
        expect(farandole("train", config(tmp), f"run.dir={tmp / name}", "--quiet", "train.steps=3", f"exec.spill={first}"), 0)
        expect(farandole("train", "--resume", tmp / name, "--quiet", "train.steps=6", f"exec.spill={then}"), 0)
        assert weights(tmp / name) == want


def case_the_first_bad_tensor_is_the_same(tmp):
    said = []
    for how in ("none", "most"):
        ran = expect(farandole("train", config(tmp), f"run.dir={tmp / how}", "optim.lr=1e30", f"exec.spill={how}"), 1, "First bad tensor")
        said.append(re.search(r"First bad tensor: [^;]*", ran.stderr)[0])
    assert said[0] == said[1], said


TALL = ["batch=1", "data.synthetic.samples=6", "data.synthetic.shape=[1, 4096, 192]", "data.synthetic.test_samples=1", "model={name: uresnet, preset: stream}",
        "loss={recipe: segment, name: focal}", "grain={samples: 1, rows: 128}", "run.samples=0", "train.steps=3"]  # fmt: skip


def case_bands_give_the_same_weights(tmp):
    """Of long tensors windows are in memory. Where not even all that can wait on disk is enough, `auto` takes to them by itself."""
    want, _ = train(tmp, "all", "exec.spill=none", *TALL)
    most = planned(tmp, "exec.spill=most", "exec.recompute=most", *TALL)
    bands = planned(tmp, "exec.spill=most", "exec.recompute=most", "exec.bands=always", *TALL)
    assert bands["arena_bytes"] < 0.4 * most["arena_bytes"], (bands["arena_bytes"], most["arena_bytes"])
    assert train(tmp, "bands", "exec.spill=most", "exec.bands=always", *TALL)[0] == want
    assert train(tmp, "order", "exec.bands=always", "exec.order=reversed", *TALL)[0] == want
    assert train(tmp, "packed", "exec.spill=most", "exec.bands=always", "exec.pack=always", *TALL)[0] == want
    assert train(tmp, "made", "exec.spill=most", "exec.bands=always", "exec.recompute=all", *TALL)[0] == want
    memory = (planned(tmp, "exec.spill=most", *TALL)["process_bytes"] + bands["process_bytes"]) // 2 + CONSTANT
    expect(farandole("plan", config(tmp), f"memory={memory}", "exec.bands=none", *TALL), 4, "nothing was started")
    assert planned(tmp, f"memory={memory}", *TALL)["process_bytes"] + CONSTANT <= memory
    assert train(tmp, "auto", f"memory={memory}", *TALL)[0] == want
    said = [re.search(r"First bad tensor: [^;]*", expect(farandole("train", config(tmp), f"run.dir={tmp / how}", "optim.lr=1e30", f"exec.bands={how}",
                      "exec.spill=most", *TALL), 1, "First bad tensor").stderr)[0] for how in ("none", "always")]  # fmt: skip
    assert said[0] == said[1], said


def case_ranks_each_for_itself(tmp):
    if not (pathlib.Path(cli_run.CLI).resolve().parent / "farandole-mpi.so").exists() or shutil.which("mpirun") is None:
        raise cli_run.Skip("no MPI (Debian: libopenmpi-dev, openmpi-bin)")
    os.environ["ASAN_OPTIONS"] = ":".join([*filter(None, [os.environ.get("ASAN_OPTIONS")]), "detect_leaks=0"])  # MPI leaves blocks behind
    cut = ["grain.samples=1", "grain.rows=24", "grain.min_rows=1", "threads=1"]
    want, _ = train(tmp, "one", "exec.spill=none", *cut)
    assert train(tmp, "two", "exec.spill=most", "--ranks", 2, "--layout", "spatial=2", *cut)[0] == want
    expect(farandole("verify", config(tmp), "exec.spill=most", "--ranks", 2, "--layout", "data=2", *cut), 0, "equal ")


def case_the_timeline_shows_it(tmp):
    expect(farandole("train", config(tmp), f"run.dir={tmp / 'r'}", "--quiet", "exec.spill=most", "--timeline", tmp / "t.json"), 0)
    events = [e for e in json.loads((tmp / "t.json").read_text())["traceEvents"] if e.get("cat") == "disk"]
    plan = planned(tmp, "exec.spill=most")
    steps = sum(1 for e in events if e["name"].startswith("write ") and e["args"]["instruction"] == events[0]["args"]["instruction"])
    assert steps > 0 and sum(e["args"]["bytes"] for e in events) == steps * (plan["written_bytes"] + plan["read_bytes"]), steps
    assert all(e["dur"] >= 0 for e in events)


# ---- disks ----


def running(tmp, name, *words):
    """A training in the midst of its steps, that would last for minutes."""
    words = ["train", config(tmp), f"run.dir={tmp / name}", "exec.spill=most", "train.steps=1000000", "train.eval_every=2000000",
             "train.checkpoint_every=3", *words]  # fmt: skip
    child = cli_run.start(*words)
    until = time.monotonic() + cli_run.LIMIT_S / 3
    while not (tmp / name / "checkpoints/last").exists():
        assert child.poll() is None and time.monotonic() < until, child.communicate()
        time.sleep(0.01)
    return child


def spill_fd(child):
    for path in pathlib.Path(f"/proc/{child.pid}/fd").iterdir():
        target = os.readlink(path)
        if target.endswith("(deleted)") and re.search(r"/(#\d+|\.farandole-\w+) ", target):
            return path
    raise AssertionError([os.readlink(p) for p in pathlib.Path(f"/proc/{child.pid}/fd").iterdir()])


def ends_told(tmp, name, child, *parts):
    """The run says what went wrong, and its last checkpoint is good."""
    out, err = child.communicate(timeout=cli_run.LIMIT_S)
    assert child.returncode == 1, (child.returncode, out, err)
    for part in ("spill file", "tensor ", *parts):
        assert part in err, f"no {part!r} in {err}"
    assert not spill_files(tmp)
    step = int((tmp / name / "checkpoints/last").readlink().name)
    done = ok_json("train", "--resume", tmp / name, f"train.steps={step + 2}", "--json", "--quiet")
    assert done["step"] == step + 2, done


def case_killed_nothing_is_left(tmp):
    child = running(tmp, "r")
    room = os.stat(spill_fd(child)).st_blocks * 512
    assert room >= planned(tmp, "exec.spill=most")["spill_bytes"], room
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert not spill_files(tmp)
    ok_json("train", "--resume", tmp / "r", f"train.steps={int((tmp / 'r/checkpoints/last').readlink().name) + 2}", "--json", "--quiet")


def case_cut_short(tmp):
    child = running(tmp, "r")
    with open(spill_fd(child), "r+b") as file:
        for _ in range(20):  # it grows again as pieces are written: what was lost is seen where it is read
            file.truncate(4096)
            time.sleep(0.05)
    ends_told(tmp, "r", child, "last checkpoint")


def case_changed_by_somebody(tmp):
    child = running(tmp, "r")
    with open(spill_fd(child), "r+b", buffering=0) as file:
        for _ in range(20):
            for at in range(0, os.fstat(file.fileno()).st_size, 4096):
                os.pwrite(file.fileno(), b"?", at)
            if child.poll() is not None:
                break
    ends_told(tmp, "r", child, "did not come back as they were written", "run.spill_dir")


def case_disk_full_in_the_middle(tmp):
    child = running(tmp, "r")
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
    ends_told(tmp, "r", child, "cannot write byte", "File too large", "ulimit -f", f"in folder {tmp / 'r'}")


def case_disk_full_before_the_start(tmp):
    words = [cli_run.CLI, "train", str(config(tmp)), f"run.dir={tmp / 'r'}", "exec.spill=most"]
    room = planned(tmp, "exec.spill=most")["spill_bytes"] // 1024 - 1
    ran = subprocess.run(["bash", "-c", f'ulimit -f {room}; exec "$@"', "-", *words], capture_output=True, text=True)
    expect(ran, 3, "cannot take ", " for spilled tensors in folder", "File too large")
    assert "step" not in ran.stdout, ran.stdout
    expect(farandole("train", config(tmp), f"run.dir={tmp / 's'}", "exec.spill=most", f"run.spill_dir={tmp / 'nowhere'}"), 3,
           "spilled tensors", "nowhere", "No such file or directory", "run.spill_dir")  # fmt: skip


def case_another_folder(tmp):
    (tmp / "disk").mkdir()
    child = running(tmp, "r", f"run.spill_dir={tmp / 'disk'}")
    assert os.readlink(spill_fd(child)).startswith(str(tmp / "disk") + "/")
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=cli_run.LIMIT_S)
    assert child.returncode == 75, child.returncode


if __name__ == "__main__":
    cli_run.main(cli_run.sys.modules["__main__"])
