#!/usr/bin/env python3
"""Training on several ranks, as processes over MPI: the same files as one rank's, byte for byte. Skipped where there is no MPI."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import cli_run
from cli_run import expect, farandole, tiny_config

MODULE = pathlib.Path(cli_run.CLI).resolve().parent / "farandole-mpi.so"
CUT = ["grain.samples=1", "grain.rows=4", "grain.min_rows=1"]


def need_mpi():
    if not MODULE.exists():
        raise cli_run.Skip("built without MPI (Debian: libopenmpi-dev)")
    if shutil.which("mpirun") is None:
        raise cli_run.Skip("no mpirun (Debian: openmpi-bin)")


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


def case_another_number_of_ranks_goes_on(tmp):
    need_mpi()
    whole = train(tmp, "whole", *CUT)
    parts = train(tmp, "parts", *CUT, "--ranks=3", "train.epochs=1", "layout=spatial=3")
    expect(farandole("train", "--resume", parts, "--quiet", "--ranks=2", "--layout=data=2", "train.epochs=2"), 0)
    want, got = checkpoints_of(whole), checkpoints_of(parts)
    for name in ("32/model.safetensors", "32/optimizer.safetensors"):
        assert want[name] == got[name], name


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
