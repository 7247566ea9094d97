#!/usr/bin/env python3
"""The command line itself: help, exit codes, misspellings, JSON."""
import sys

import cli_run
from cli_run import expect, farandole, ok_json, tiny_config

COMMANDS = ["train", "eval", "predict", "report", "bench", "plan", "synth", "models", "ops", "doctor", "version", "help"]


def case_no_command():
    ran = expect(farandole(), 2, *COMMANDS)
    assert ran.stdout == ""


def case_help_of_all():
    expect(farandole("help"), 0, *COMMANDS, "config", "run", "exit-codes")
    assert farandole("--help").stdout == farandole("help").stdout == farandole("-h").stdout


def case_help_of_each_command():
    for command in COMMANDS:
        text = expect(farandole(command, "--help"), 0, f"farandole {command}", "Options", "Examples", "Exit codes").stdout
        assert text == expect(farandole("help", command), 0).stdout
        examples = text.split("Examples\n")[1].split("\nExit codes")[0]
        assert examples.count("\n  ") + 1 >= 4, f"two examples with a line each:\n{examples}"
        assert max(map(len, text.split("\n"))) <= 170, text


def case_help_wins_over_wrong_words():
    expect(farandole("train", "--help", "--nonsense"), 0)


def case_help_topics():
    for topic in ("config", "run", "data", "numbers", "exit-codes"):
        assert len(expect(farandole("help", topic), 0).stdout) > 200
    expect(farandole("help", "config"), 0, "optim.lr", "train.epochs")


def case_help_of_keys():
    assert "optim.lr" in expect(farandole("help", "optim"), 0).stdout
    assert "optim.name" not in expect(farandole("help", "optim.lr"), 0, "default").stdout
    expect(farandole("help", "optim.lrr"), 2, "optim.lr")
    assert farandole("help", "config", "optim").stdout == farandole("help", "optim").stdout
    expect(farandole("help", "config", "optim.lrr"), 2, "optim.lr")
    expect(farandole("help", "optim", "data"), 2, "one argument too many")


def case_mistakes_in_a_config(tmp):
    """Each is found before anything runs, at its place, with exit code 2."""
    good = ["data: {kind: synthetic}", "model:", "  name: unet", "optim:", "  lr: 0.1"]
    for line, text, *parts in (
        (5, "  lrr: 0.1", 'unknown key "optim.lrr"', '"optim.lr"'),
        (5, "  lr: fast", "optim.lr", "expected a number"),
        (5, "  name: adma", "nearest: adam"),
        (5, "  betas: [0.9]", "optim.betas", "two numbers"),
        (3, "  name: unte", "no model 'unte'", "'unet'"),
        (3, "  {name: unet, detph: 3}", 'unknown key "model.detph"', '"model.depth"'),
        (3, "  {name: unet, depth: many}", "depth", "many"),
        (1, "data: {kind: synthetic, synthetic.shape: [1, 32]}", "data.synthetic.shape"),
        (1, "data: {kind: synthetic, knid: x}", '"data.kind"'),
        (1, "data: {kind: synthetic}\nloss: {recipe: segmant}", "no recipe 'segmant'", "'segment'"),
        (1, "data: {kind: synthetic", "line"),
    ):
        path = tmp / "bad.yaml"
        path.write_text("\n".join(good[: line - 1] + [text] + good[line:]) + "\n")
        at = line + text.count("\n")
        place = "bad.yaml:" if parts == ["line"] else f"bad.yaml:{at}: "
        expect(farandole("plan", path), 2, place, *(p for p in parts if p != "line"))


def case_sizes_that_do_not_divide():
    words = ["plan", cli_run.ROOT / "examples/unet-synthetic.yaml", "data.synthetic.shape=[1, 250, 250]", "model.depth=4"]
    expect(farandole(*words), 2, "the height 250 is odd at level 1 (125)", "multiples of 16, nearest 240 and 256", "at most 1")


def case_misspelt_command():
    expect(farandole("trian"), 2, "did you mean farandole train?")
    expect(farandole("xyzzy"), 2, "--help")


def case_config_without_command(tmp):
    expect(farandole(tiny_config(tmp)), 2, "farandole train")


def case_misspelt_option(tmp):
    expect(farandole("train", tiny_config(tmp), "--thread", 2), 2, "--thread", "did you mean --threads?")
    expect(farandole("train", tiny_config(tmp), "--batch", 2), 2, "batch=VALUE")
    expect(farandole("doctor", "--jsn"), 2, "--json")


def case_option_values(tmp):
    config = tiny_config(tmp)
    expect(farandole("train", config, "--threads"), 2, "--threads N")
    expect(farandole("train", config, "--threads", "--quiet"), 2, "--threads N")
    expect(farandole("train", config, "--threads="), 2, "empty")
    expect(farandole("train", config, "--quiet=yes"), 2, "no value")
    expect(farandole("train", config, "--threads", 1, "--threads=2"), 2, "twice")
    expect(farandole("train", config, "--threads", "many"), 2, "threads", "many")
    expect(farandole("plan", config, "--threads=2"), 0, "2 threads")


def case_wrong_words(tmp):
    expect(farandole("train"), 2, "config file")
    expect(farandole("eval"), 2)
    expect(farandole("plan"), 2)
    expect(farandole("train", tiny_config(tmp), "more"), 2, "more")
    expect(farandole("doctor", "more"), 2, "more")
    expect(farandole("train", tmp / "none.yaml"), 2, "none.yaml")
    expect(farandole("train", tmp), 2, "--resume")
    expect(farandole("train", "--resume", tmp / "none"), 2, "no such folder")
    expect(farandole("train", tiny_config(tmp), "--resume", tmp), 2)


def case_wrong_keys(tmp):
    config = tiny_config(tmp)
    expect(farandole("plan", config, "optm.lr=1"), 2, "optm.lr", "optim.lr")
    expect(farandole("plan", config, "optim.lr=fast"), 2, "optim.lr", "fast")
    expect(farandole("plan", config, "model.name=resnt"), 2, "resnet")
    (tmp / "bad.yaml").write_text("data:\n  kind: synthetic\nbath: 3\n")
    expect(farandole("plan", tmp / "bad.yaml"), 2, "bad.yaml:3", "bath", "batch")
    (tmp / "worse.yaml").write_text("data: [\n")
    expect(farandole("plan", tmp / "worse.yaml"), 2, "worse.yaml")


def case_a_path_with_equals_is_no_key(tmp):
    folder = tmp / "lr=0.1"
    folder.mkdir()
    expect(farandole("plan", tiny_config(folder)), 0)
    expect(farandole("plan", "./tiny.yaml", cwd=folder), 0)


def case_shape_that_does_not_fit(tmp):
    expect(farandole("plan", tiny_config(tmp), "model.layers=[{op: max_pool, kernel: 99}]"), 2, "99")


def case_data_that_is_not_there(tmp):
    expect(farandole("train", tiny_config(tmp), "data.kind=auto", f"data.path={tmp}/none", f"run.dir={tmp}/r"), 3, f"data.path: there is no file or folder {tmp}/none")
    for command in ("train", "eval", "predict"):
        expect(farandole(command, tmp / "none"), 2, f"{tmp}/none: there is no such configuration file or run folder")
    (tmp / "folder").mkdir()
    expect(farandole("eval", tmp / "folder"), 2, f"{tmp}/folder is no folder of a training")


def case_data_that_is_damaged(tmp):
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp / name).write_bytes(b"\0\0\x08\x03" + b"\0\0\0\x09" * 3 + b"short")
    expect(farandole("plan", tiny_config(tmp), "data.kind=idx", f"data.path={tmp}"), 3, "train-images-idx3-ubyte")


def case_memory_that_is_too_little(tmp):
    ran = expect(farandole("train", tiny_config(tmp), "--memory", "1M", f"run.dir={tmp}/r"), 4, "memory")
    assert not (tmp / "r").exists(), ran.stderr


def case_trace(tmp):
    plain = expect(farandole("plan", tiny_config(tmp), "optm.lr=1"), 2).stderr
    assert plain.count("\n") == 1 and plain.startswith("farandole: error: "), plain
    expect(farandole("plan", tiny_config(tmp), "optm.lr=1", "--trace"), 2, "FAR_E_CONFIG", "src/run/")
    expect(farandole("plan", tiny_config(tmp), "optm.lr=1", env={"FAR_TRACE": "1"}), 2, "src/run/")


def case_json():
    version = ok_json("version", "--json")
    assert version["version"] in expect(farandole("version"), 0).stdout and "oneDNN" in version["libraries"]
    assert farandole("--version").stdout == farandole("version").stdout
    models = ok_json("models", "--json")
    assert {"lenet5", "resnet", "unet", "layers"} <= {m["name"] for m in models}
    assert next(m for m in models if m["name"] == "lenet5")["parameters"] == 61706
    assert ok_json("models", "layers", "--json")["layer_ops"]
    doctor = ok_json("doctor", "--json")
    assert {"memory", "cores", "disk", "oneDNN"} <= {f["topic"] for f in doctor["findings"]}
    assert all(f["verdict"] in ("ok", "note", "problem") for f in doctor["findings"])


def case_json_plan(tmp):
    plan = ok_json("plan", tiny_config(tmp), "--json")
    assert plan["batch"] == 16 and plan["instructions"] and plan["buffers"]


def case_models_by_name():
    expect(farandole("models"), 0, "resnet18", "11,689,512")
    expect(farandole("models", "resnet18"), 0, "model.preset")
    expect(farandole("models", "resnt"), 2, "resnet")


def case_output_that_cannot_be_written():
    import subprocess

    with open("/dev/full", "w") as full:
        ran = subprocess.run([cli_run.CLI, "ops"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 1 and "cannot write" in ran.stderr, ran.stderr


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
