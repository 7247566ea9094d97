#!/usr/bin/env python3
"""Training on several ranks, as processes over MPI: the same files as one rank's, byte for byte. Skipped where there is no MPI."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import cli_run
from cli_run import expect, farandole, tiny_config

MODULE = pathlib.Path(cli_run.CLI).resolve().parent / "farandole-mpi.so"
CUT = ["grain.samples=1", "grain.rows=4", "grain.min_rows=1"]


def need_mpi():
    if not MODULE.exists():
        raise cli_run.Skip("built without MPI (Debian: libopenmpi-dev)")
    if shutil.which("mpirun") is None:
        raise cli_run.Skip("no mpirun (Debian: openmpi-bin)")
    # MPI leaves some thousand blocks of its own behind
    os.environ["ASAN_OPTIONS"] = ":".join([*filter(None, [os.environ.get("ASAN_OPTIONS")]), "detect_leaks=0"])


def rows_of(run):
    """The lines of metrics.jsonl without what is a matter of time."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("time_s", "train/samples_per_s")} for row in rows]


def checkpoints_of(run):
    folder = run / "checkpoints"
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def train(tmp, name, *words, config=None):
    expect(farandole("train", config or tiny_config(tmp), f"run.dir={tmp / name}", "--quiet", *words), 0)
    return tmp / name


def same(one, other):
    want, got = checkpoints_of(one), checkpoints_of(other)
    assert want.keys() == got.keys(), (want.keys(), got.keys())
    for name in want:
        assert want[name] == got[name], f"{other}: {name} differs"
    assert rows_of(one) == rows_of(other)


def case_files_are_those_of_one_rank(tmp):
    need_mpi()
    one = train(tmp, "one", *CUT)
    for ranks, layout in ((2, "data=2"), (3, "data=3"), (4, "data=2,spatial=2")):
        same(one, train(tmp, layout, *CUT, "--ranks", ranks, "--layout", layout))
        assert (tmp / layout / "log.rank1.txt").is_file()


def case_statistics_of_groups(tmp):
    """Norms whose groups of samples lie on several ranks."""
    need_mpi()
    layers = ("model.layers=[{op: conv, out_channels: 4, kernel: 3, pad: 1}, {op: batch_norm, group_samples: 4}, {op: flatten}, "
              "{op: linear, out_features: 4}]")  # fmt: skip
    one = train(tmp, "one", *CUT, layers)
    same(one, train(tmp, "three", *CUT, layers, "--ranks=3"))


def case_another_number_of_ranks_goes_on(tmp):
    need_mpi()
    whole = train(tmp, "whole", *CUT)
    parts = train(tmp, "parts", *CUT, "--ranks=3", "train.epochs=1", "layout=spatial=3")
    expect(farandole("train", "--resume", parts, "--quiet", "--ranks=2", "--layout=data=2", "train.epochs=2"), 0)
    want, got = checkpoints_of(whole), checkpoints_of(parts)
    for name in ("32/model.safetensors", "32/optimizer.safetensors"):
        assert want[name] == got[name], name


def case_a_checkpoint_fits_any_layout(tmp):
    """Twelve layouts, each going on from the checkpoint of another; all pairs: tests/ranks/pairs.py."""
    need_mpi()
    sys.path.insert(0, str(cli_run.ROOT / "tests" / "ranks"))
    import pairs

    assert pairs.chain(tmp) == 12


def case_verify(tmp):
    need_mpi()
    config = tiny_config(tmp)
    for words in (["--ranks=3"], ["--ranks=4", "--layout=data=2,spatial=2", *CUT]):
        ran = expect(farandole("verify", config, *words, cwd=tmp), 0, "equal", "3 steps")
        assert int(ran.stdout.split(" steps, ")[1].split()[0]) > 100, ran.stdout
        # a wrong bit is found, on the rank that made it
        ran = expect(farandole("verify", config, *words, "--flip=1", cwd=tmp), 1, "differs", "step 1, rank 1 on")
        assert "error" not in ran.stderr, ran.stderr
    assert sorted(p.name for p in tmp.iterdir()) == ["tiny.yaml"], "something was written"
    expect(farandole("verify", config), 2, "--ranks N")


def case_a_flipped_bit_names_its_rank(tmp):
    need_mpi()
    whole = train(tmp, "whole")
    for ranks, flip, every, words in (
        (3, "2:7", 5, ["rank 2 on", "the 2 other ranks agree", "after step 10", "after step 5 all were the same"]),
        (3, "0:20", 0, ["rank 0 on", "after step 32", "after step 16 all"]),  # before a checkpoint
        (2, "1:7", 5, ["rank 0 on", "rank 1 on", "different bits", "no majority", "after step 10"]),
    ):
        run = tmp / f"f{ranks}{every}"
        ran = farandole("train", tiny_config(tmp), f"run.dir={run}", f"--ranks={ranks}", "--quiet", "--flip", flip, f"train.compare_every={every}")
        expect(ran, 1, *words)
        assert ran.stderr.count("error:") == 1 and '"' in ran.stderr, ran.stderr
        # nothing wrong was kept: going on gives the right bits
        expect(farandole("train", "--resume", run, f"--ranks={ranks}", "--quiet"), 0)
        want, got = checkpoints_of(whole), checkpoints_of(run)
        for name in ("16/model.safetensors", "16/optimizer.safetensors", "32/model.safetensors", "32/optimizer.safetensors"):
            assert want[name] == got[name], (run, name)
    ran = farandole("train", tiny_config(tmp), "--flip=1", "--ranks=2")
    expect(ran, 2, "a rank and a step")


def begin_stuck(tmp, name, ranks):
    """A training whose checkpoint 20 is a pipe that nobody reads: it is being written till somebody does. Checkpoint 10 is there."""
    run = tmp / name
    ran = cli_run.start("train", tiny_config(tmp), f"run.dir={run}", "--quiet", f"--ranks={ranks}", "train.checkpoint_every=10", "train.eval_every=100000")
    wait_for(ran, run / "config.yaml")  # what killed writes left has been cleared away by then
    (run / "checkpoints/.tmp-20").mkdir()
    os.mkfifo(run / "checkpoints/.tmp-20/model.safetensors")
    until = time.monotonic() + cli_run.LIMIT_S
    while last_step(run) < 30 and ran.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    return run, ran


def last_step(run):
    return max([row["step"] for row in rows_of(run)], default=0) if (run / "metrics.jsonl").exists() else 0


def tensors_of(run):
    """Without manifests, which know the configuration."""
    return {name: data for name, data in checkpoints_of(run).items() if name.endswith(".safetensors")}


def wait_for(ran, path):
    until = time.monotonic() + cli_run.LIMIT_S
    while not path.exists() and ran.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert ran.poll() is None, ran.communicate()


def case_training_goes_on_while_a_checkpoint_is_written(tmp):
    need_mpi()
    whole = train(tmp, "whole", "train.checkpoint_every=10", "train.eval_every=100000")
    for ranks in (3, 1):
        run, ran = begin_stuck(tmp, f"r{ranks}", ranks)
        assert last_step(run) == 30 and ran.poll() is None  # the next one waits for it
        assert os.readlink(run / "checkpoints/last") == "10" and not (run / "checkpoints/20").exists()
        if ranks == 1:
            (run / "checkpoints/.tmp-20/model.safetensors").read_bytes()  # and now it cannot be written
            wanted = "checkpoint 20 was not written"
        else:
            os.kill(process_of(run, 1), signal.SIGKILL)
            wanted = "rank 1 of 3"
        out, err = ran.communicate(timeout=cli_run.LIMIT_S)
        assert ran.returncode == 1 and wanted in err and err.count("error:") == 1, (ran.returncode, err)
        assert os.readlink(run / "checkpoints/last") == "10" and not (run / "checkpoints/20").exists()
        expect(farandole("train", "--resume", run, "--quiet", f"--ranks={3 - ranks + 1}"), 0)
        assert tensors_of(run) == tensors_of(whole), ranks


def case_a_full_disk_on_one_rank(tmp):
    need_mpi()
    whole, run = train(tmp, "whole", "train.checkpoint_every=24"), train(tmp, "run", "train.epochs=1")
    limited = 'test "$OMPI_COMM_WORLD_RANK" != 2 || ulimit -f 2; exec "$@"'
    for every, step in ((24, 24), (32, 32)):  # found while training goes on, or at the end
        argv = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "3", "bash", "-c", limited, "bash", cli_run.CLI, "train", "--resume", str(run),
                "--quiet", "train.epochs=2", f"train.checkpoint_every={every}"]  # fmt: skip
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=cli_run.LIMIT_S)
        expect(ran, 1, "rank 2 of 3", f"checkpoint {step} was not written", "optimizer.safetensors", "too large")
        assert ran.stderr.count("farandole: error:") == 1, ran.stderr
        assert sorted(p.name for p in (run / "checkpoints").glob("*[0-9]*")) == ["16"] and os.readlink(run / "checkpoints/last") == "16"
    expect(farandole("train", "--resume", run, "--quiet", "--ranks=2", "train.epochs=2", "train.checkpoint_every=24"), 0)
    assert tensors_of(run) == tensors_of(whole)


def case_mpirun_is_understood(tmp):
    need_mpi()
    one = train(tmp, "one")
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
               OMPI_MCA_btl_vader_single_copy_mechanism="none")  # fmt: skip
    argv = ["mpirun", "-n", "2", cli_run.CLI, "train", str(tiny_config(tmp)), f"run.dir={tmp}/two"]
    ran = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=cli_run.LIMIT_S)
    expect(ran, 0, "done: 32 steps")
    assert ran.stderr.count("run folder") == 1 and ran.stdout.count("digest") == 1, ran.stderr + ran.stdout
    same(one, tmp / "two")
    for command in ("train", "verify"):  # without a config
        ran = subprocess.run(["mpirun", "-n", "2", cli_run.CLI, command], capture_output=True, text=True, env=env, timeout=cli_run.LIMIT_S)
        assert ran.returncode == 2 and ran.stderr.count("farandole: error:") == 1, ran.stderr


def case_errors_are_told_once(tmp):
    need_mpi()
    config = tiny_config(tmp)
    for words, code, part in (
        (["--ranks=3", "--layout=data=2"], 2, "are 2 ranks, not 3"),
        (["--ranks=2", f"run.dir={tmp}/r", "optim.lr=1e30"], 1, "the loss is"),
        (["--ranks=2", f"run.dir={tmp}/r", "optim.lx=1"], 2, "optim.lx"),
        (["--ranks=0"], 2, "--ranks needs"),
    ):
        ran = expect(farandole("train", config, *words), code, part)
        assert (ran.stdout + ran.stderr).count("error:") == 1, ran.stdout + ran.stderr


def case_the_first_bad_tensor_is_named(tmp):
    """As by one rank, with the rank that made it; the step has changed nothing, the last good checkpoint is named and stays."""
    need_mpi()
    layers = ("model.layers=[{op: conv, name: first, out_channels: 8, kernel: 3, pad: 1}, {op: leaky_relu}, {op: conv, name: second, "
              "out_channels: 8, kernel: 3, pad: 1}, {op: leaky_relu}, {op: flatten}, {op: linear, out_features: 4}]")  # fmt: skip
    words = [tiny_config(tmp), "--quiet", layers, "optim.lr=1e12", "train.checkpoint_every=1", "optim.momentum=0", *CUT]
    said = {}
    for ranks, layout in ((1, "data=1"), (3, "data=3"), (4, "data=2,spatial=2"), (4, "spatial=4")):
        run = tmp / f"r{layout}"
        ran = expect(farandole("train", *words, f"run.dir={run}", f"--ranks={ranks}", f"--layout={layout}"), 1, "First bad tensor: ")
        assert ran.stderr.count("error:") == 1, ran.stderr
        said[layout] = ran.stderr.split("error: ")[1].replace(str(run), "RUN").strip()
        said[layout] = re.sub(r"^rank \d of \d on \S+: ", "", said[layout])  # all say the same; this one was heard first
        good = said[layout].split("checkpoint ")[1].split()[0]
        assert (run / "checkpoints" / good / "manifest.json").exists()
    assert ", rows " in said["data=1"], said
    assert all(" on rank " in text for layout, text in said.items() if layout != "data=1"), said
    assert len({re.sub(r" on rank \d \([^)]*\)", "", text) for text in said.values()}) == 1, said


def begin(tmp, name, *words):
    """A training on three ranks that has done some epochs."""
    ran = cli_run.start("train", tiny_config(tmp), f"run.dir={tmp / name}", "--quiet", "--ranks=3", "train.epochs=100000", *words)
    until = time.monotonic() + cli_run.LIMIT_S
    while not (tmp / name / "checkpoints/32/manifest.json").exists() and ran.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert ran.poll() is None, ran.communicate()
    return ran


def process_of(tmp, rank):
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (f"run.dir={tmp}".encode() in (folder / "cmdline").read_bytes()
                    and f"OMPI_COMM_WORLD_RANK={rank}".encode() in (folder / "environ").read_bytes().split(b"\0")):  # fmt: skip
                return int(folder.name)
        except OSError:
            pass  # it has just ended
    return None


def knows_signals():
    """Whether the kernel tells what ended a process that is nobody's child here."""
    return [int(part) for part in re.findall(r"\d+", os.uname().release)[:2]] >= [6, 15]


def case_who_only_follows_is_not_named(tmp):
    """A rank that finds its launcher's pipe closed ends because another one has."""
    need_mpi()
    if not knows_signals():
        raise cli_run.Skip("Linux before 6.15 does not tell what ended a process")
    ran = begin(tmp, "r")
    first, second = process_of(tmp, 0), process_of(tmp, 2)
    os.kill(ran.pid, signal.SIGSTOP)  # both are gone when it looks
    os.kill(first, signal.SIGPIPE)
    os.kill(second, signal.SIGKILL)
    while process_of(tmp, 0) is not None or process_of(tmp, 2) is not None:
        time.sleep(0.02)
    os.kill(ran.pid, signal.SIGCONT)
    out, err = ran.communicate(timeout=cli_run.LIMIT_S)
    assert ran.returncode == 1 and "error: rank 2 of 3" in err and "signal 9" in err, err + out


def case_a_dead_rank_ends_all(tmp):
    need_mpi()
    for rank in (1, 0):
        ran = begin(tmp, f"r{rank}")
        os.kill(process_of(tmp, rank), signal.SIGKILL)
        killed = time.monotonic()
        out, err = ran.communicate(timeout=cli_run.LIMIT_S)
        assert ran.returncode == 1 and f"rank {rank} of 3" in err and "in step" in err, err
        assert "signal 9" in err or not knows_signals(), err
        assert err.count("error:") == 1 and out == "", err + out
        assert err.count("\n") >= 2 and err.count("rank") >= 3, f"not told what the others did: {err}"
        assert all(process_of(tmp, r) is None for r in range(3)), f"{time.monotonic() - killed:.1f} s later ranks live"
    # what it had promised is there, and goes on with any number of ranks
    run = tmp / "r1"
    last = max(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit() and (p / "manifest.json").exists())
    shutil.copytree(run, tmp / "copy", symlinks=True)
    for folder, ranks in ((run, 2), (tmp / "copy", 1)):
        expect(farandole("train", "--resume", folder, "--quiet", f"--ranks={ranks}", f"train.steps={last + 8}"), 0)
    assert checkpoints_of(run)[f"{last + 8}/model.safetensors"] == checkpoints_of(tmp / "copy")[f"{last + 8}/model.safetensors"]


def case_a_rank_that_stands_still_is_named(tmp):
    need_mpi()
    ran = begin(tmp, "r")
    pid = process_of(tmp, 1)
    os.kill(pid, signal.SIGSTOP)
    said = ran.stderr.readline()
    assert "rank 1 of 3 on" in said and "is stopped" in said and "in step" in said and f"kill -CONT {pid}" in said, said
    os.kill(pid, signal.SIGCONT)
    os.kill(ran.pid, signal.SIGTERM)
    out, err = ran.communicate(timeout=cli_run.LIMIT_S)
    assert ran.returncode == 75 and out == "", err + out


def begin_by_mpirun(tmp, name, *words):
    """The same by a launcher that is not ours: what watches the ranks is a process of its own."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
               OMPI_MCA_btl_vader_single_copy_mechanism="none", OMPI_MCA_mpi_yield_when_idle="1")  # fmt: skip
    ran = subprocess.Popen(["mpirun", "-n", "3", cli_run.CLI, "train", str(tiny_config(tmp)), f"run.dir={tmp / name}", "--quiet",
                            "train.epochs=100000", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)  # fmt: skip
    checkpoint_after(tmp / name, 0)
    return ran


def watcher_of(tmp):
    first = process_of(tmp, 0)
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if words[1:2] == [b"watch-ranks"] and words[2].startswith(f"/proc/{first}/".encode()):
            return int(folder.name)
    return None


def has_words(pid):
    """It runs: of a zombie nothing is left."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def case_mpirun_too_tells_of_the_dead(tmp):
    need_mpi()
    for rank, name in ((0, "a"), (2, "b")):
        ran = begin_by_mpirun(tmp, name)
        if rank == 2:  # a watcher that is killed is replaced
            os.kill(old := watcher_of(tmp / name), signal.SIGKILL)
            until = time.monotonic() + cli_run.LIMIT_S
            while watcher_of(tmp / name) in (old, None) and time.monotonic() < until:
                time.sleep(0.05)
        watcher = watcher_of(tmp / name)
        os.kill(process_of(tmp / name, rank), signal.SIGKILL)
        out, err = ran.communicate(timeout=cli_run.LIMIT_S)
        assert ran.returncode != 0 and out == "", err + out
        assert err.count("farandole: error:") == 1 and f"error: rank {rank} of 3 on" in err and "in step" in err, err
        assert (rank == 2) == ("a new one does" in err) and f"--resume {tmp / name}" in err, err
        assert (tmp / name / "lost.txt").read_text() in err and "error: rank" in (tmp / name / "log.txt").read_text()
        assert all(process_of(tmp / name, r) is None for r in range(3))
        until = time.monotonic() + 10
        while has_words(watcher) and time.monotonic() < until:
            time.sleep(0.05)
        assert not has_words(watcher), "the watcher is left"


def case_mpirun_too_ends_what_hangs(tmp):
    need_mpi()
    ran = begin_by_mpirun(tmp, "r", "run.hang_s=4")
    os.kill(process_of(tmp, 1), signal.SIGSTOP)
    out, err = ran.communicate(timeout=cli_run.LIMIT_S)
    assert ran.returncode != 0 and err.count("farandole: error:") == 1, err + out
    assert "error: rank 1 of 3 on" in err and "2 ranks wait for it" in err and "waits for rank 1" in err, err
    assert all(process_of(tmp, r) is None for r in range(3))


def case_a_rank_that_hangs_ends_all(tmp):
    need_mpi()
    ran = begin(tmp, "r", "run.hang_s=4")
    pid = process_of(tmp, 2)
    os.kill(pid, signal.SIGSTOP)
    out, err = ran.communicate(timeout=cli_run.LIMIT_S)
    assert ran.returncode == 1 and out == "", err + out
    stopped, lost, *others, resume = err.splitlines()
    first = re.fullmatch(r"farandole: rank 2 of 3 on \S+ is stopped by a signal in step (\d+) \(\w.*\), the others wait for it; "
                         rf"kill -CONT {pid} lets it go on", stopped)  # fmt: skip
    last = re.fullmatch(r"farandole: error: rank 2 of 3 on \S+ is stopped by a signal in step (\d+): \w.*, for ([\d.]+) s now; "
                        r"2 ranks wait for it; the other ranks were ended", lost)  # fmt: skip
    assert first and last and int(first[1]) == int(last[1]) > 32 and float(last[2]) >= 4, err
    told = [re.fullmatch(r"farandole:   rank (\d(?:, \d)*): (?:waits for (?:rank [012]|all) .*)", line) for line in others]
    assert all(told) and sorted(", ".join(line[1] for line in told).split(", ")) == ["0", "1"], err
    assert "--resume" in resume, err
    log = (tmp / "r/log.txt").read_text()
    assert all(line in log for line in (stopped, lost, *others)), log
    assert all(process_of(tmp, r) is None for r in range(3))


def checkpoint_after(run, step):
    """Waits for a newer one."""
    until = time.monotonic() + cli_run.LIMIT_S
    while time.monotonic() < until:
        newest = max((int(p.parent.name) for p in run.glob("checkpoints/[0-9]*/manifest.json")), default=0)
        if newest > step:
            return newest
        time.sleep(0.02)
    raise AssertionError("no new checkpoint")


def case_restarts_go_on_to_the_same_bits(tmp):
    need_mpi()
    steps = ["train.steps=300", "train.checkpoint_every=10", "train.eval_every=300", "run.samples=0"]
    one = train(tmp, "one", *steps)
    ran = cli_run.start("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "--ranks=3", "--restarts=2", *steps)
    newest = 0
    for rank in (0, 2):
        newest = checkpoint_after(tmp / "r", newest)
        while (pid := process_of(tmp, rank)) is None and ran.poll() is None:
            pass
        os.kill(pid, signal.SIGKILL)
    out, err = ran.communicate(timeout=cli_run.LIMIT_S)
    assert ran.returncode == 0, err + out
    assert "restart 1 of 2: from checkpoint" in err and "restart 2 of 2: from checkpoint" in err and "with 3 ranks" in err, err
    want, got = checkpoints_of(one), checkpoints_of(tmp / "r")
    for name in ("300/model.safetensors", "300/optimizer.safetensors"):
        assert want[name] == got[name], name


def case_restarts_with_fewer_ranks(tmp):
    """Two lives that got nowhere: as where memory does not suffice for so many."""
    need_mpi()
    ran = cli_run.start("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "--ranks=4", "--layout=data=2,spatial=2", "--restarts=2",
                        "train.steps=100000", "train.checkpoint_every=100000", "train.eval_every=100000", *CUT)  # fmt: skip
    for _ in range(2):
        while not (tmp / "r/metrics.jsonl").exists() or (pid := process_of(tmp, 3)) is None:
            assert ran.poll() is None, ran.communicate()
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    while "2 of 2" not in (said := ran.stderr.readline()):
        assert said, "it has ended"
    assert "from the start with 2 ranks instead of 4" in said and "layout data=1,spatial=2" in said, said
    while process_of(tmp, 1) is None:
        assert ran.poll() is None, ran.communicate()
    assert process_of(tmp, 2) is None and process_of(tmp, 3) is None
    os.kill(ran.pid, signal.SIGTERM)
    out, err = ran.communicate(timeout=cli_run.LIMIT_S)
    assert ran.returncode in (1, 75) and "restart 3" not in err, err + out


def case_what_was_told_is_not_tried_again(tmp):
    need_mpi()
    config = tiny_config(tmp)
    ran = expect(farandole("train", config, "--ranks=2", "--restarts=2", f"run.dir={tmp}/r", "optim.lr=1e30"), 1, "the loss is")
    assert "restart 1" not in ran.stderr, ran.stderr
    expect(farandole("train", config, "--restarts=2"), 2, "--restarts belongs to --ranks")
    expect(farandole("train", config, "--ranks=2", "--restarts=x"), 2, "--restarts needs a number")


def case_all_stop_together(tmp):
    need_mpi()
    for number, who in ((signal.SIGINT, None), (signal.SIGTERM, 2)):
        ran = begin(tmp, f"r{number}")
        os.kill(ran.pid if who is None else process_of(tmp, who), number)
        out, err = ran.communicate(timeout=cli_run.LIMIT_S)
        assert ran.returncode == 75 and err.count("stopped on request") == 1 and out == "", err + out
        assert "stopping after this step" in err or who is not None


def case_without_mpi(tmp):
    config = tiny_config(tmp)
    nowhere = {"FARANDOLE_MPI_MODULE": str(tmp / "none.so")}
    expect(farandole("train", config, "--ranks=2", env=nowhere), 2, "built without MPI", "libopenmpi-dev")
    # one rank needs and loads none
    expect(farandole("train", config, "--ranks=1", f"run.dir={tmp}/r", "train.epochs=1", env=nowhere), 0)
    linked = subprocess.run(["ldd", cli_run.CLI], capture_output=True, text=True)
    assert "libmpi" not in linked.stdout, linked.stdout
    if MODULE.exists():
        expect(farandole("train", config, "--ranks=2", env={"PATH": str(tmp)}), 2, "no mpirun", "openmpi-bin")


def case_tasks_of_srun_that_cannot_meet_are_refused(tmp):
    srun = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}
    expect(farandole("train", tiny_config(tmp), env=srun), 2, "--mpi=pmix")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
