#!/usr/bin/env python3
"""bench/compare without its peer: our side of every network is a valid experiment, turns are taken, bars are judged. Nothing is timed."""
import subprocess
import sys

from cli_run import CLI, LIMIT_S, ROOT, expect, farandole, main, ok_json, tiny_config

sys.path.insert(0, str(ROOT / "bench"))
import networks  # noqa: E402
import rows  # noqa: E402
import turns  # noqa: E402

# As tests/golden/models.py counts them.
PARAMETERS = {"a21-640": 8510547, "a21-1280": 8510547, "resnet50": 25557032, "unet": 31036546, "lenet5": 61706, "unet3d": 1401282}


def case_networks(tmp):
    networks.FOLDER, networks.DIGITS = tmp, 600
    for name, network in networks.NETWORKS.items():
        plan = ok_json("plan", networks.config(name), "--json")
        assert plan["batch"] == network.shape[0], name
        assert plan["parameters"] == PARAMETERS[name], (name, plan["parameters"])
    expect(farandole("bench", networks.config("lenet5"), "--steps", 2, "--quiet"), 0, "batch 128")


def case_turns(tmp):
    told = []

    class Fake:
        def __init__(self, name, seconds):
            self.name, self.seconds = name, seconds

        def turn(self):
            told.append(self.name)
            return self.seconds.pop(0)

    times = turns.alternate({"a": Fake("a", [1.0, 2.0, 4.0]), "b": Fake("b", [3.0, 3.0, 4.0])}, 3)
    assert told == list("abbaab") and times == {"a": [1.0, 2.0, 4.0], "b": [3.0, 3.0, 4.0]}, (told, times)
    assert turns.ratios(times["b"], times["a"]) == (1.5, 1.0, 3.0)


def case_programs(tmp):
    with turns.Program([CLI, "bench", tiny_config(tmp), "--turns"]) as program:
        assert len(program.steps(3)) == 3
        assert program.warm().turn() > 0
        assert program.peak_bytes() > 1e6
    try:
        with turns.Program([CLI, "bench", tmp / "none.yaml", "--turns"]) as program:
            program.steps(1)
        raise AssertionError("a program that ends was not noticed")
    except turns.Failed as failed:
        assert "none.yaml" in str(failed) and "ended with" in str(failed), failed


def case_bars(tmp):
    def row(middle, bar, is_most=False):
        return rows.Row("r", "r", "x", turns.Spread(middle, 0, 9), bar, is_most).is_met()

    assert row(1.8, 1.8) and not row(1.79, 1.8) and row(0.6, 0.6, True) and not row(0.61, 0.6, True) and row(1, None) is None


def case_errors(tmp):
    def compare(*words):
        return subprocess.run([sys.executable, str(ROOT / "bench" / "compare"), *map(str, words)], capture_output=True, text=True, timeout=LIMIT_S)

    expect(compare("lenet6"), 2, "no row is called lenet6", "a21-640")
    expect(compare("--rounds", 4), 2, "less than five")
    expect(compare("--farandole", CLI, "--python", "/bin/false"), 1, "/bin/false has no PyTorch", "--install")
    expect(compare("--farandole", tmp / "none"), 1, "run make first")


if __name__ == "__main__":
    main(sys.modules[__name__])
