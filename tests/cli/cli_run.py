"""Runs the command `farandole` for the tests of this folder. Cases are functions; each prints a line, the last line counts."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLI = os.environ.get("FAR_TEST_CLI", str(ROOT / "build" / "farandole"))
# Sanitizers make everything several times slower; under load more.
LIMIT_S = 300

# A network and data so small that a step takes a millisecond or two.
TINY = ["data.kind=synthetic", "data.synthetic.samples=256", "data.synthetic.test_samples=64",
        "data.synthetic.shape=[1, 12, 12]", "data.synthetic.classes=4", "data.synthetic.noise=0.3", "model.name=layers",
        "model.layers=[{op: conv, out_channels: 4, kernel: 3, pad: 1}, {op: batch_norm, act: relu}, {op: flatten}, "
        "{op: linear, out_features: 4}]",
        "batch=16", "optim.lr=0.02", "optim.momentum=0.9", "train.epochs=2"]  # fmt: skip


class Skip(Exception):
    pass


def farandole(*words, cwd=None, env=None):
    """What the command did: .returncode, .stdout, .stderr."""
    argv = [CLI, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd, timeout=LIMIT_S, env=dict(os.environ, **(env or {})))


def start(*words, cwd=None):
    """The same in the background."""
    # a shell that runs things in the background ignores SIGINT for them, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen([CLI, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)


def expect(ran, code, *parts):
    """The exit code, and texts that have to be somewhere in the output."""
    assert ran.returncode == code, f"exit code {ran.returncode}, not {code}\n{ran.stdout}\n{ran.stderr}"
    for part in parts:
        assert part in ran.stdout + ran.stderr, f"no {part!r} in:\n{ran.stdout}\n{ran.stderr}"
    return ran


def ok_json(*words, cwd=None):
    return json.loads(expect(farandole(*words, cwd=cwd), 0).stdout)


def tiny_config(folder):
    path = pathlib.Path(folder, "tiny.yaml")
    path.write_text("".join(line.replace("=", ": ", 1) + "\n" for line in TINY))
    return path


def main(module):
    """Runs every function case_*; those with a parameter get a folder that is removed afterwards."""
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    for name, case in list(vars(module).items()):
        if not name.startswith("case_"):
            continue
        folder = tempfile.mkdtemp(prefix="farandole-cli-")
        verdict, why = "ok", ""
        try:
            case(pathlib.Path(folder)) if case.__code__.co_argcount else case()
        except Skip as skip:
            verdict, why = "skipped", f": {skip}"
        except Exception:
            verdict = "FAILED"
            traceback.print_exc(file=sys.stdout)
        shutil.rmtree(folder, ignore_errors=True)
        counts[verdict] += 1
        print(f"{name[5:]} ... {verdict}{why}", flush=True)
    print(f"{counts['ok']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped")
    sys.exit(1 if counts["FAILED"] else 0 if counts["ok"] else 77)
