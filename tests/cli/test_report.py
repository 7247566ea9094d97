#!/usr/bin/env python3
"""report.html: one well-formed file that needs nothing else, with figures in it, whatever the run's folder holds."""
import html.parser
import json
import pathlib
import re
import sys

import png_read
from cli_run import expect, farandole, main, tiny_config

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Every element is closed, in order; texts and tags are kept."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.stack, self.tags, self.texts, self.attrs = [], [], [], []
        self.raw = path.read_text(encoding="utf-8")
        self.feed(self.raw)
        self.close()
        assert not self.stack, f"not closed: {self.stack}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes {self.stack}"
        self.stack.pop()

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def page_of(path):
    page = Page(path)
    assert page.raw.startswith("<!DOCTYPE html>") and page.tags.count("html") == page.tags.count("body") == 1
    outside = [a for a in page.attrs if a[1] in ("src", "href", "xlink:href") and a[2] and not a[2].startswith(("#", "data:"))]
    assert not outside and "url(" not in page.raw and "@import" not in page.raw, f"needs other files: {outside}"
    numbers = re.findall(r' d="([^"]*)"', page.raw)
    assert numbers and not any(word in path for path in numbers for word in ("nan", "inf", "e+", "e-")), "a drawing without numbers"
    return page


def train(tmp, name, *words):
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp / name}", "--quiet", *words), 0)
    return tmp / name


def write_run(folder, rows, config="model:\n  name: layers\n"):
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


def report(*words):
    return page_of(pathlib.Path(expect(farandole("report", *words), 0).stdout.strip()))


def case_training_leaves_a_report(tmp):
    run = train(tmp, "r")
    page = page_of(run / "report.html")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    accuracy = [row["eval/accuracy"] for row in rows if "eval/accuracy" in row][-1]
    assert f"{accuracy:.4g}" in page.text, f"no accuracy {accuracy:.4g} in {page.text}"
    assert page.tags.count("figure") >= 4 and page.tags.count("svg") >= 4, page.tags
    for word in ("Loss", "Learning rate", "accuracy", "recall", "step", "noise: 0.3"):
        assert word in page.text, f"no {word} in {page.text}"


def case_facts_of_a_run(tmp):
    run = train(tmp, "r", "train.epochs=9", "--threads", 2)
    facts, profile, plan = (json.loads((run / f"{name}.json").read_text()) for name in ("run", "profile", "plan"))
    assert facts["ending"] == "done" and facts["step"] == facts["steps"] == 144 and facts["threads"] == 2
    assert facts["data"]["train"] == 256 and facts["data"]["test"] == 64 and len(facts["data"]["classes"]) == 4
    assert [layer["op"] for layer in facts["network"]] == ["conv", "norm_apply", "reshape", "linear"], facts["network"]
    # 4 filters of 3 x 3 with biases, 4 scales and shifts, 4 x 576 weights and biases
    assert [layer["parameters"] for layer in facts["network"]] == [40, 8, 0, 2308] and facts["parameters"] == 2356
    assert facts["network"][0]["flops"] == 2 * 9 * 4 * 144
    # timed: one step in 64 and the last 8
    assert profile["steps"] == 10 and profile["first_step"] == 32 and profile["last_step"] == 143, profile
    assert profile["flops"] == plan["flops"] == sum(row["flops"] for row in profile["families"])
    seconds = [row["forward_s"] + row["backward_s"] + row["update_s"] for row in profile["families"]]
    assert seconds == sorted(seconds, reverse=True) and abs(sum(seconds) / profile["busy_s"] - 1) < 1e-9
    assert 0 < profile["busy_s"] <= 2 * profile["step_s"]
    # what lies in the arena at once fits in it, and at its fullest nearly fills it
    over = facts["memory"]["over_step"]
    fullest = max(map(sum, zip(*[row for row in over.values() if isinstance(row, list)])))
    assert 0.8 * plan["arena_bytes"] < fullest <= plan["arena_bytes"], (fullest, plan["arena_bytes"])
    assert 0 < over["backward_from"] < 1 and facts["memory"]["peak_bytes"] > facts["memory"]["planned_bytes"] * 0.95
    assert facts["time"]["steps"] == 144 and facts["time"]["predicted_step_s"] > 0 and facts["time"]["median_step_s"] > 0
    page = page_of(run / "report.html")
    for word in ("Predicted and measured", "Memory over a step", "convolution, backward", "norm_apply", "2,308", "2,356"):
        assert word in page.text, f"no {word}"


def case_samples_of_classes(tmp):
    run = train(tmp, "r", "train.epochs=6")
    index = json.loads((run / "samples/index.json").read_text())
    assert index["step"] == 96 and index["label"] == "class" and len(index["samples"]) == 8
    # spread over all 64 test samples
    assert [row["id"] for row in index["samples"]] == list(range(7, 64, 8))
    assert sorted(p.name for p in (run / "samples").iterdir()) == sorted([row["image"] for row in index["samples"]] + ["index.json"])
    right = 0
    for row in index["samples"]:
        shares = [item["probability"] for item in row["likeliest"]]
        assert shares == sorted(shares, reverse=True) and 0.25 <= shares[0] <= sum(shares) <= 1.0001 and 0 <= row["truth"] < 4
        right += row["truth"] == row["likeliest"][0]["class"]
        width, height, pixels, _ = png_read.read(run / "samples" / row["image"])
        assert (width, height) == (12, 12) and max(map(max, pixels)) > 200, "an image of 12 x 12 with light and dark"
    assert right >= 6, f"{right} of 8 right"
    page = page_of(run / "report.html")
    assert page.raw.count("data:image/png;base64,") == 8 and page.text.count("right") >= right


def case_samples_of_maps(tmp):
    run = tmp / "m"
    config = tmp / "m.yaml"
    config.write_text("data: {kind: synthetic, synthetic: {label: map, samples: 64, test_samples: 5, shape: [1, 16, 16], classes: 3}}\n"
                      "model: {name: unet, width: 4, depth: 2, norm: batch}\nbatch: 8\ntrain.epochs: 1\n")  # fmt: skip
    expect(farandole("train", config, f"run.dir={run}", "--quiet", "run.samples=3"), 0)
    index = json.loads((run / "samples/index.json").read_text())
    assert [row["id"] for row in index["samples"]] == [1, 3, 4], index
    for row in index["samples"]:
        width, height, truth, palette = png_read.read(run / "samples" / row["truth"])
        assert (width, height) == (16, 16) and {v for line in truth for v in line} <= {0, 1, 2}
        prediction = png_read.read(run / "samples" / row["prediction"])[2]
        same = sum(a == b for line, other in zip(truth, prediction) for a, b in zip(line, other))
        assert same == row["right"] and row["counted"] == 256, row
        objects = [(a, b) for line, other in zip(truth, prediction) for a, b in zip(line, other) if a > 0]
        assert (len(objects), sum(a == b for a, b in objects)) == (row["counted_but_class_0"], row["right_but_class_0"]), row
        grey = sorted(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in palette[:3])
        assert min(b - a for a, b in zip(grey, grey[1:])) > 30, "classes are told apart in grey"
    page = page_of(run / "report.html")
    assert page.raw.count("data:image/png;base64,") == 9 and "of the pixels right" in page.text and "not class 0" in page.text
    # none, and none left from before, where none are wanted
    expect(farandole("train", config, f"run.dir={tmp}/none", "--quiet", "run.samples=0"), 0)
    assert not (tmp / "none/samples").exists()


def case_sample_pictures_that_are_none(tmp):
    run = write_run(tmp / "r", [{"step": 1, "train/loss": 1.0}])
    (run / "samples").mkdir()
    (tmp / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"secret" * 20)
    (run / "samples/bad.png").write_text("no picture")
    rows = [{"id": i, "image": name, "likeliest": [{"class": 1, "probability": 0.5}]} for i, name in
            enumerate(["../../secret.png", "bad.png", "none.png", "/etc/passwd", "x", ""])]  # fmt: skip
    (run / "samples/index.json").write_text(json.dumps({"step": 1, "label": "class", "samples": rows}))
    assert "data:image/png" not in report(run).raw


def case_facts_of_a_stopped_and_a_failed_run(tmp):
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "optim.lr=1e38"), 1)
    assert json.loads((tmp / "r/run.json").read_text())["ending"] == "failed"
    assert "ended with an error" in page_of(tmp / "r/report.html").text
    run = train(tmp, "s")
    before = (run / "run.json").read_text()
    expect(farandole("train", "--resume", run, "--quiet"), 0)
    assert (run / "run.json").read_text() == before, "nothing was trained: what is known stays"


def case_strange_facts(tmp):
    """Files of the right names with anything in them."""
    rows = [{"step": 1, "train/loss": 1.0}]
    values = ["[]", "3", '"x"', "{}", "{", "null", '{"network": 3, "memory": {"parts": [], "over_step": {"activations": {}, "gradients": [null, -5, "x"]}},'
              ' "time": {"steps_s": "x", "predicted_step_s": 0, "median_step_s": 0}, "data": {"classes": 7}, "families": [3, {"name": 4}], "busy_s": -1,'
              ' "nodes": [[], {"name": "<i>", "op": "x", "seconds": "x", "flops": 1}]}']  # fmt: skip
    for idx, value in enumerate(values):
        run = write_run(tmp / str(idx), rows)
        for name in ("run.json", "profile.json", "samples/index.json"):
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).write_text(value)
        page = report(run)
        assert "Loss" in page.text and "i" not in page.tags


def case_names_are_escaped(tmp):
    name = "<b>&\"'"
    run = write_run(tmp / "a<i>b", [{"step": 1, "train/loss": 1.0, f"eval/iou/{name}": 0.5, "eval/<u>": 0.25}], f"model:\n  name: {name}\n")
    page = report(run)
    assert name in page.text and "a<i>b" in page.text and "<u>" in page.text
    assert not {"b", "i", "u"} & set(page.tags), page.tags


def case_damaged_metrics(tmp):
    lines = [{"step": s, "train/loss": 1.0 / s} for s in range(1, 50)]
    run = write_run(tmp / "r", [*lines[:20], "no json\n", '{"step": "x"}\n', "\n", '\0\xff\n', *lines[20:], '{"step": 51, "train/lo'])
    page = report(run)
    assert "3 lines of metrics.jsonl are damaged" in page.text and "not complete" in page.text, page.text
    assert "0.02041" in page.text, "the last whole line counts"


def case_numbers_that_are_none(tmp):
    rows = [{"step": 1, "train/loss": 1.0}, {"step": 2, "train/loss": None, "nonfinite": {"train/loss": "nan"}}, {"step": 3, "train/loss": 1e300},
            {"step": 4, "train/loss": -1e300}]  # fmt: skip
    assert "Loss" in report(write_run(tmp / "r", rows)).text


def case_empty_and_missing(tmp):
    (tmp / "none").mkdir()
    page = Page(pathlib.Path(expect(farandole("report", tmp / "none"), 0).stdout.strip()))
    assert "no lines yet" in page.text, page.text
    expect(farandole("report", tmp / "nowhere"), 2, "nowhere")
    expect(farandole("report"), 2, "folder of a run")
    expect(farandole("report", tmp / "none", "--out", tmp / "no/such/x.html"), 3, "x.html")


def case_long_runs_stay_small(tmp):
    rows = [{"step": s, "train/loss": 2.0 + (s % 7), "train/lr": 0.1} for s in range(1, 20001)]
    run = write_run(tmp / "r", rows)
    page = report(run)
    assert (run / "report.html").stat().st_size < 200_000, (run / "report.html").stat().st_size
    assert "mean of neighbouring steps" in page.text
    # every line is in some point: the band reaches from 2 to 8
    assert page.raw.count('class="band') == 1


def case_several_runs(tmp):
    runs = [train(tmp, "first"), train(tmp, "second", "optim.lr=0.005", "seed=2"), train(tmp, "third")]
    out = tmp / "all.html"
    page = report(*runs, "--out", out)
    for word in ("3 runs compared", "2,356", "memory at the peak", "first", "second", "third", "optim.lr", "0.005", "seed"):
        assert word in page.text, f"no {word}"
    settings = page.raw.split('id="settings"')[1].split("</table>")[0]
    assert "optim.momentum" not in settings and "run.dir" not in settings, "equal settings are not told"
    assert len(set(re.findall(r'class="l (s\d)"', page.raw))) == 3, "a kind of line for each run"
    dashes = re.findall(r'class="l s\d"( stroke-dasharray="[^"]*")?', page.raw)
    assert len(set(dashes)) == 3, "lines are told apart without colours"
    expect(farandole("report", *[runs[0]] * 9), 2, "9 runs", "at most 8")


if __name__ == "__main__":
    main(sys.modules[__name__])
