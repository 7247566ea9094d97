#!/usr/bin/env python3
"""Ranks with faults, brought in by tests/ranks/faults.c: what hangs is found and named, what MPI fails with is told, what is only slow goes on.
Skipped where there is no MPI, or no mpicc to build the faults with."""
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile

import cli_run
import test_pictures
from cli_run import expect, farandole, tiny_config
from test_train_ranks import need_mpi

HANG_S = 3


@functools.cache
def faults():
    """The library, built once."""
    if shutil.which("mpicc") is None:
        raise cli_run.Skip("no mpicc (Debian: libopenmpi-dev)")
    folder = tempfile.mkdtemp(prefix="farandole-faults-")
    argv = ["mpicc", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", str(cli_run.ROOT / "tests/ranks/faults.c"), "-o", f"{folder}/faults.so"]
    subprocess.run(argv, check=True, timeout=cli_run.LIMIT_S)
    return f"{folder}/faults.so"


def run_with(tmp, fault, *words, config=None, steps=400):
    need_mpi()
    env = {"LD_PRELOAD": faults(), "FARANDOLE_FAULT": f"1 {fault} {tmp}/r/metrics.jsonl"}
    if "libasan" in subprocess.run(["ldd", cli_run.CLI], capture_output=True, text=True).stdout:
        raise cli_run.Skip("AddressSanitizer wants to be the first library")
    words = (*words, f"train.steps={steps}", f"train.eval_every={steps}")
    return farandole("train", config or tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "--ranks=3", f"run.hang_s={HANG_S}", *words, env=env)


def hangs(ran, at):
    """One message, rank 1 in it and what it is at, and that the two others wait."""
    expect(ran, 1)
    assert ran.stderr.count("error:") == 1, ran.stderr
    found = re.search(r"error: rank 1 of 3 on \S+ hangs in step \d+: (.*), for [\d.]+ s now; 2 ranks wait for it", ran.stderr)
    assert found and re.fullmatch(at, found[1]), ran.stderr
    assert ran.stderr.count("waits for ") >= 1, ran.stderr


def case_a_sample_that_never_comes(tmp):
    test_pictures.classes(tmp / "data")
    words = ["data.kind=images", f"data.path={tmp}/data", "model.name=lenet5", "data.size=28", "batch=6", "grain.samples=1",
             "data.threads=1"]  # fmt: skip
    (tmp / "p.yaml").write_text("")
    hangs(run_with(tmp, "read", *words, config=tmp / "p.yaml"), r"reads sample \d+")


def case_a_kernel_that_never_ends(tmp):
    layers = ("model.layers=[{op: conv, out_channels: 16, kernel: 3, pad: 1}, {op: conv, out_channels: 32, kernel: 5, stride: 2, pad: 2}, "
              "{op: flatten}, {op: linear, out_features: 4}]")  # fmt: skip
    hangs(run_with(tmp, "kernel", layers), r"computes \S+ \S+")


def case_a_rank_that_never_says_what_all_say(tmp):
    hangs(run_with(tmp, "gather"), r"(?!waits).*")


def case_a_message_that_is_lost(tmp):
    ran = expect(run_with(tmp, "lose"), 1, "hangs, as all ranks do that are known here")
    assert ran.stderr.count("error:") == 1 and re.search(r"waits for rank \d \(", ran.stderr), ran.stderr


def case_what_mpi_fails_with_is_told(tmp):
    ran = expect(run_with(tmp, "fail"), 1, "rank 1 of 3", "MPI cannot start a message")
    assert ran.stderr.count("error:") == 1, ran.stderr


def case_slow_is_no_fault(tmp):
    """Each step takes longer than run.hang_s, as each of its messages takes a while."""
    ran = expect(run_with(tmp, "slow", steps=4), 0)
    assert "hang" not in ran.stderr, ran.stderr


if __name__ == "__main__":
    try:
        cli_run.main(sys.modules[__name__])
    finally:
        if faults.cache_info().currsize:
            shutil.rmtree(os.path.dirname(faults()), ignore_errors=True)
