#!/usr/bin/env python3
"""Four ranks, and one of them, or what watches them, is killed or stopped at a random moment, again and again: the others are gone within ten
seconds, one message says what became of whom, no checkpoint is damaged or missing that was there, and going on ends with the bits of an
undisturbed run.

    tests/ranks/kills.py [--kills N] [--stops N] [--seed S]     default: 200 and 50; a run is known by its seed

A kill takes a rank, the process that --ranks started with, or under mpirun the watcher; while ranks start, train, evaluate or write (a part of
the runs waits for a checkpoint to be half there). A stop is SIGSTOP: the rank is named within the time that run.hang_s gives. Stop the suite and
start it again as you like: results lie in build/ranks, kept for one build of the program."""
import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import cli_run  # noqa: E402
import test_train_ranks as ranks_test  # noqa: E402
from cli_run import expect, farandole, tiny_config  # noqa: E402

RANKS, STEPS, HANG_S, LIMIT_S = 4, 120, 4.0, 10.0
WORDS = [f"train.steps={STEPS}", "train.checkpoint_every=3", "train.keep=1000", "train.eval_every=40", "run.samples=0", "--quiet"]
ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
           OMPI_MCA_btl_vader_single_copy_mechanism="none", OMPI_MCA_mpi_yield_when_idle="1",
           OMPI_MCA_hwloc_base_binding_policy="none")  # fmt: skip


class Wrong(Exception):
    pass


def check(is_true, words):
    if not is_true:
        raise Wrong(words)


# ---- one training, disturbed ----


def launch(tmp, run, by_mpirun, *words):
    argv = [cli_run.CLI, "train", str(tiny_config(tmp)), f"run.dir={run}", *WORDS, *words]
    argv = ["mpirun", "-n", str(RANKS), *argv] if by_mpirun else [*argv, f"--ranks={RANKS}"]
    # a session of its own: whatever is left of it can be found and ended
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENV, start_new_session=True)


def ranks_left(run):
    return [r for r in range(RANKS) if ranks_test.process_of(run, r) is not None]


def first_seen(ran, find):
    until = time.monotonic() + cli_run.LIMIT_S
    while ran.poll() is None and time.monotonic() < until:
        if (found := find()) is not None:
            return found
        time.sleep(0.01)
    return None


def half_written(run):
    return next(iter((run / "checkpoints").glob(".tmp-*")), None) if (run / "checkpoints").exists() else None


def promised(run):
    """Steps of the checkpoints that are there."""
    return {int(p.parent.name) for p in (run / "checkpoints").glob("[0-9]*/manifest.json")} if (run / "checkpoints").exists() else set()


def await_end(ran, run, since):
    """Seconds till nobody is left, and what was said."""
    try:
        said = ran.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        said = None
    while ranks_left(run) and time.monotonic() - since < 60:
        time.sleep(0.02)
    left = ranks_left(run)
    if said is None and not left:  # Open MPI 4.1's mpirun can wait for itself without end
        os.killpg(ran.pid, signal.SIGKILL)
        raise Wrong("all ranks are gone, but mpirun stays")
    for rank in left:
        os.kill(ranks_test.process_of(run, rank), signal.SIGKILL)
    check(said is not None and not left, f"hangs; ranks left: {left}")
    return time.monotonic() - since, said


def checkpoints_are_good(run, whole, before):
    now = promised(run)
    check(before <= now, f"checkpoints {sorted(before - now)} are gone")
    for step in now:
        json.loads((run / "checkpoints" / str(step) / "manifest.json").read_text())
        if not (whole / "checkpoints" / str(step)).exists():
            continue  # of ranks that were asked to stop: going on begins with it
        for name in ("model.safetensors", "optimizer.safetensors"):
            path = run / "checkpoints" / str(step) / name
            check(path.read_bytes() == (whole / "checkpoints" / str(step) / name).read_bytes(), f"{path} has other bits")


def same_end(run, whole):
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = (folder / "checkpoints" / str(STEPS) / name for folder in (whole, run))
        check(one.read_bytes() == other.read_bytes(), f"{name} has other bits in the end")


def go_on(tmp, run, whole, draw):
    words = ["--resume", run] if (run / "config.yaml").exists() else [tiny_config(tmp), f"run.dir={run}"]
    ran = farandole("train", *words, *WORDS, f"--ranks={draw.choice((1, 2, 3, 4))}")
    check(ran.returncode == 0, f"going on: {ran.stderr}")
    same_end(run, whole)


# ---- kills ----


def watcher(run, by_mpirun, ran):
    return ranks_test.watcher_of(run) if by_mpirun else ran.pid


def killed(tmp, run, whole, draw):
    by_mpirun, moment = draw.random() < 0.4, draw.choice(("any", "any", "checkpoint"))
    victim = draw.choice((*range(RANKS), *range(RANKS), "watcher"))
    restarts = 0 if by_mpirun or victim == "watcher" else draw.choice((0, 0, 2))
    ran = launch(tmp, run, by_mpirun, *([f"--restarts={restarts}"] if restarts else []))
    what = f"{'mpirun' if by_mpirun else '--ranks'}, {victim if victim == 'watcher' else f'rank {victim}'}, {moment}"
    pid = first_seen(ran, lambda: watcher(run, by_mpirun, ran) if victim == "watcher" else ranks_test.process_of(run, victim))
    if moment == "checkpoint":
        for _ in range(draw.randrange(1, 6)):
            first_seen(ran, lambda: half_written(run))
            time.sleep(draw.uniform(0.0, 0.05))
    else:
        time.sleep(draw.uniform(0.0, 3.0))
    before, has_begun = promised(run), (run / "metrics.jsonl").exists()
    check(pid is not None, f"never began: {what}")
    since = time.monotonic()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was over before
    seconds, said = await_end(ran, run, since)
    is_over = ran.returncode == 0
    if not is_over:
        check(restarts or seconds < LIMIT_S, f"{what}: the others took {seconds:.1f} s to end")
    if STEPS in before and not is_over:  # it was taking its leave
        same_end(run, whole)
        return {"what": what, "ending": "over before", "seconds": seconds}
    if victim != "watcher" and not is_over and (has_begun or not by_mpirun):
        check(said.count("farandole: error:") == 1, f"{what}: {said.count('farandole: error:')} messages: {said}")
        check(f"error: rank {victim} of {RANKS} on" in said, f"{what}: it was named otherwise: {said}")
    if restarts:
        check(is_over, f"{what}: a restart did not end it well: {said}")
    checkpoints_are_good(run, whole, before)
    if is_over:
        same_end(run, whole)
    else:
        go_on(tmp, run, whole, draw)
    ending = ("restarted" if "restart 1 of" in said else "watcher replaced" if "a new one does" in said
              else "over before") if is_over else "ended" if has_begun or victim == "watcher" else "ended while starting"  # fmt: skip
    return {"what": what, "ending": ending, "seconds": 0.0 if is_over else seconds}


# ---- stops ----


def stopped(tmp, run, whole, draw):
    by_mpirun, victim = draw.random() < 0.4, draw.randrange(RANKS)
    ran = launch(tmp, run, by_mpirun, f"run.hang_s={HANG_S}")
    what = f"{'mpirun' if by_mpirun else '--ranks'}, rank {victim}"
    first_seen(ran, lambda: True if (run / "metrics.jsonl").exists() else None)
    time.sleep(draw.uniform(0.0, 0.5))
    before, pid, since = promised(run), ranks_test.process_of(run, victim), time.monotonic()
    if pid is None:
        ran.communicate()
        same_end(run, whole)
        return {"what": what, "ending": "over before", "seconds": 0.0}
    os.kill(pid, signal.SIGSTOP)
    seconds, said = await_end(ran, run, since)
    if ran.returncode == 0 or STEPS in before:  # or it was taking its leave
        same_end(run, whole)
        return {"what": what, "ending": "over before", "seconds": 0.0}
    check(seconds < HANG_S + LIMIT_S, f"{what}: all were gone after {seconds:.1f} s only")
    check(f"error: rank {victim} of {RANKS} on" in said and "is stopped by a signal in step" in said, f"{what}: {said}")
    check(said.count("farandole: error:") == 1 and f"{RANKS - 1} ranks wait for it" in said, f"{what}: {said}")
    checkpoints_are_good(run, whole, before)
    go_on(tmp, run, whole, draw)
    return {"what": what, "ending": "named", "seconds": seconds - HANG_S}


# ---- all ----

KINDS = {"kill": killed, "stop": stopped}


def build_of():
    files = [pathlib.Path(cli_run.CLI).resolve(), pathlib.Path(cli_run.CLI).resolve().parent / "farandole-mpi.so"]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


def one_run(tmp, key, whole):
    kind, seed = key.split()
    run = tmp / f"{kind}{seed}"
    try:
        got = KINDS[kind](tmp, run, whole, random.Random(key))
    except (Wrong, AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}  # its folder stays
    shutil.rmtree(run, ignore_errors=True)
    return got


def keep(store, key, got):
    """Several suites may run side by side, on seeds of their own. All that is known."""
    with open(store.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(store.read_text()) if store.exists() else {}
        known[key] = got
        store.with_suffix(".part").write_text(json.dumps(known, indent=1))
        store.with_suffix(".part").rename(store)
    return known


def count_line(known):
    endings = {}
    for got in known.values():
        words = got.get("ending", "FAILED")
        endings[words] = endings.get(words, 0) + 1
    longest = {k: max((g["seconds"] for key, g in known.items() if key.startswith(k) and "seconds" in g), default=0.0) for k in KINDS}
    failed = endings.pop("FAILED", 0)
    idle = endings.get("over before", 0)
    return (f"{len(known) - failed - idle} passed, {failed} failed, 0 refused, {idle} skipped (over before): "
            + ", ".join(f"{n} {words}" for words, n in sorted(endings.items()))
            + f"; from a kill to the end of all ranks at most {longest['kill']:.1f} s, from run.hang_s {longest['stop']:.1f} s")  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    ranks_test.need_mpi()
    store = ROOT / "build" / "ranks" / f"kills-{build_of()}.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(store.read_text()) if store.exists() else {}
    keys = [f"kill {args.seed + i}" for i in range(args.kills)] + [f"stop {args.seed + i}" for i in range(args.stops)]
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="farandole-kills-"))
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/whole", *WORDS), 0)
    for key in keys:
        if key in known:
            continue
        got = one_run(tmp, key, tmp / "whole")
        known = keep(store, key, got)
        print(f"{key}: " + (f"FAILED: {got['failed']}" if "failed" in got else f"{got['what']}: {got['ending']}, {got['seconds']:.1f} s"),
              flush=True)  # fmt: skip
    asked = {key: known[key] for key in keys}
    failed = [key for key in keys if "failed" in asked[key]]
    if not failed:
        shutil.rmtree(tmp)
    print(count_line(asked) + (f"; folders in {tmp}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
