#!/usr/bin/env python3
"""Starting from weights of other programs: torchvision's and timm's names, other heads, what does not fit."""
import json
import struct
import sys

import cli_run
from cli_run import expect, farandole, ok_json, tiny_config

DATA = ["data.kind=synthetic", "data.synthetic.samples=8", "data.synthetic.test_samples=4", "data.synthetic.shape=[3, 32, 32]",
        "batch=4", "train.steps=1"]  # fmt: skip


def write_safetensors(path, shapes, value=1):
    """All tensors as bytes of one value: names and shapes are what matters here, and any number is read."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 1
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "I8", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes([value]) * at)


def conv(name, out, inner, kernel):
    return {f"{name}.weight": (out, inner, kernel, kernel)}


def norm(name, channels):
    shapes = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**shapes, f"{name}.num_batches_tracked": ()}


def torchvision_resnet(blocks, is_bottleneck, classes=1000):
    """state_dict() of torchvision.models.resnet*; timm's resnet18, resnet50 have the same names and shapes."""
    shapes = {**conv("conv1", 64, 3, 7), **norm("bn1", 64)}
    inner, grow = 64, 4 if is_bottleneck else 1
    for level, count in enumerate(blocks):
        width = 64 << level
        for i in range(count):
            at = f"layer{level + 1}.{i}"
            kernels = ((width, inner, 1), (width, width, 3), (4 * width, width, 1)) if is_bottleneck else ((width, inner, 3), (width, width, 3))
            for k, (out, into, kernel) in enumerate(kernels, 1):
                shapes.update(conv(f"{at}.conv{k}", out, into, kernel))
                shapes.update(norm(f"{at}.bn{k}", out))
            if inner != grow * width or (i == 0 and level > 0):
                shapes.update(conv(f"{at}.downsample.0", grow * width, inner, 1))
                shapes.update(norm(f"{at}.downsample.1", grow * width))
            inner = grow * width
    return {**shapes, "fc.weight": (classes, inner), "fc.bias": (classes,)}


def config_of(tmp, model):
    path = tmp / f"{model}.yaml"
    path.write_text("\n".join(line.replace("=", ": ", 1) for line in [*DATA, f"model={model}", f"run.dir={tmp}/{model}"]) + "\n")
    return path


def check_resnet(tmp, model, blocks, is_bottleneck):
    shapes = torchvision_resnet(blocks, is_bottleneck)
    write_safetensors(tmp / "w.safetensors", shapes)
    count = sum("num_batches" not in name for name in shapes)
    config = config_of(tmp, model)
    ran = expect(farandole("train", config, f"model.weights={tmp}/w.safetensors"), 0, f"{count - 2} of {count} tensors taken",
                 "2 of the last layer start anew: fc.weight (here 10x", "in the file 1000x")  # fmt: skip
    assert "only in the file" not in ran.stderr, ran.stderr
    expect(farandole("eval", config, "model.classes=1000", "--weights", tmp / "w.safetensors", "model.weights_strict=true"), 0,
           f"{count} of {count} tensors taken")  # fmt: skip
    expect(farandole("eval", config, "--weights", tmp / "w.safetensors"), 2, "does not fit the network", "2 of the last layer of another shape")


def case_resnet18_of_torchvision(tmp):
    assert len(torchvision_resnet((2, 2, 2, 2), False)) == 122
    check_resnet(tmp, "resnet18", (2, 2, 2, 2), False)


def case_resnet50_of_torchvision(tmp):
    assert len(torchvision_resnet((3, 4, 6, 3), True)) == 320
    check_resnet(tmp, "resnet50", (3, 4, 6, 3), True)


def names_of(tmp):
    """The tensors of a tiny network, from a checkpoint of it."""
    ok_json("train", tiny_config(tmp), f"run.dir={tmp}/names", "train.steps=1", "--json", "--quiet")
    data = (tmp / "names/checkpoints/last/model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def case_what_does_not_fit_is_named(tmp):
    shapes = names_of(tmp)
    weight = next(name for name in shapes if len(shapes[name]) == 4)
    bias = next(name for name in shapes if name.endswith("running_mean"))
    words = ["train", tiny_config(tmp), "train.steps=1", "--weights", tmp / "w.safetensors"]
    wrong = {**shapes, weight: (4, 3, 3, 3), "aux.weight": (2, 2)}
    del wrong[bias]
    write_safetensors(tmp / "w.safetensors", wrong)
    for strict in ("auto", "true"):
        expect(farandole(*words, f"run.dir={tmp}/a", f"model.weights_strict={strict}"), 2, "w.safetensors does not fit the network",
               f"1 missing: {bias}", f"1 of another shape: {weight} (here 4x1x3x3, in the file 4x3x3x3)", "1 only in the file: aux.weight")  # fmt: skip
    taken = len(shapes) - 2
    expect(farandole(*words, f"run.dir={tmp}/a", "model.weights_strict=false"), 0, f"warn: weights from", f"{taken} of {taken + 2} tensors taken")
    write_safetensors(tmp / "w.safetensors", {**shapes, "aux.weight": (2, 2)})
    expect(farandole(*words, f"run.dir={tmp}/b", "model.weights_strict=true"), 2, "1 only in the file: aux.weight")
    expect(farandole(*words, f"run.dir={tmp}/b"), 0, "1 only in the file: aux.weight")
    write_safetensors(tmp / "w.safetensors", {"nothing.weight": (3,)})
    expect(farandole(*words, f"run.dir={tmp}/c", "model.weights_strict=false"), 2, "0 of ", "missing", "nothing.weight")


def case_a_word_before_all_names(tmp):
    shapes = names_of(tmp)
    write_safetensors(tmp / "w.safetensors", {f"module.encoder.{name}": shape for name, shape in shapes.items()})
    expect(farandole("train", tiny_config(tmp), "train.steps=1", f"run.dir={tmp}/a", "--weights", tmp / "w.safetensors"), 0,
           f"{len(shapes)} of {len(shapes)} tensors taken", 'without "module.encoder." before their names')  # fmt: skip


def case_a_run_and_its_checkpoint(tmp):
    names_of(tmp)
    for k, path in enumerate(("names", "names/checkpoints/best", "names/checkpoints/last/model.safetensors")):
        expect(farandole("train", tiny_config(tmp), "train.steps=1", f"run.dir={tmp}/{k}", f"model.weights={tmp}/{path}"), 0, "tensors taken")
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/x", f"model.weights={tmp}/none.safetensors"), 3, "none.safetensors")


def tensors_of(path):
    """The bytes of each tensor in a safetensors file."""
    data = path.read_bytes()
    first = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:first])
    return {name: data[first + at["data_offsets"][0] : first + at["data_offsets"][1]] for name, at in header.items() if name != "__metadata__"}


def fine_tune(tmp, name, *words):
    """Tensors of the network and the names of optimizer states after some steps from the weights in `names`."""
    done = ok_json("train", tiny_config(tmp), f"run.dir={tmp}/{name}", f"model.weights={tmp}/names", "train.steps=6", "--json", "--quiet", *words)
    last = tmp / name / "checkpoints/last"
    return tensors_of(last / "model.safetensors"), set(tensors_of(last / "optimizer.safetensors")), done


def case_frozen_layers_stay(tmp):
    names_of(tmp)
    start = tensors_of(tmp / "names/checkpoints/best/model.safetensors")
    frozen = [name for name in start if name.startswith(("conv0", "batch_norm1")) and "running" not in name]
    running = [name for name in start if "running" in name]
    for stats in (False, True):
        words = ["model.freeze=[conv0, batch_norm1]", f"model.freeze_stats={'true' if stats else 'false'}"]
        after, states, done = fine_tune(tmp, f"f{stats}", *words)
        assert all(after[name] == start[name] for name in frozen), "a frozen parameter moved"
        assert all((after[name] == start[name]) == stats for name in running), "running statistics"
        assert all(after[name] != start[name] for name in ("linear3.weight", "linear3.bias"))
        assert states == {"linear3.weight.momentum_buffer", "linear3.bias.momentum_buffer"}, states
        again = ok_json("train", "--resume", tmp / f"f{stats}", "train.steps=12", "--json", "--quiet")
        assert again["digest"] == fine_tune(tmp, f"g{stats}", *words, "train.steps=12")[2]["digest"]
    plan = ["plan", tiny_config(tmp), "model.freeze=[conv0, batch_norm1]"]
    expect(farandole(*plan), 0, "frozen           48 of them")
    ops = {(row["op"], row["name"]) for row in ok_json(*plan, "--json")["instructions"] if "op" in row}
    assert not any("conv" in op and op != "conv" for op, _ in ops) and any(op.startswith("linear_") for op, _ in ops), ops


def case_groups_of_parameters(tmp):
    names_of(tmp)
    start = tensors_of(tmp / "names/checkpoints/best/model.safetensors")

    def step(name, *words):
        after = fine_tune(tmp, name, "train.steps=1", "optim.momentum=0", *words)[0]
        return {key: [b - a for a, b in zip(numbers(start[key]), numbers(after[key]))] for key in after}

    def numbers(data):
        return struct.unpack(f"<{len(data) // 4}f", data)

    def is_close(a, b):
        return all(abs(x - y) <= 1e-6 + 1e-3 * abs(y) for x, y in zip(a, b))

    plain = step("plain")
    mixed = step("mixed", "optim.groups=[{match: linear3, lr: 2}, {match: '*.bias', lr: 0}, {match: conv0, frozen: true}]")
    assert is_close(mixed["linear3.weight"], [2 * d for d in plain["linear3.weight"]])
    assert is_close(mixed["linear3.bias"], [2 * d for d in plain["linear3.bias"]]), "the first group that matches counts"
    assert not any(mixed["batch_norm1.bias"]) and not any(mixed["conv0.weight"])
    assert mixed["batch_norm1.weight"] == plain["batch_norm1.weight"]
    decayed = step("decayed", "optim.weight_decay=0.5", "optim.groups=[{match: conv0, weight_decay: 0}]")
    assert decayed["conv0.weight"] == plain["conv0.weight"] and decayed["linear3.weight"] != plain["linear3.weight"]
    again = ok_json("train", "--resume", tmp / "mixed", "train.steps=3", "--json", "--quiet")
    assert again["steps"] == 2, "a run's own config.yaml has the groups"


def case_the_page_on_fine_tuning_plans(tmp):
    """The example of docs/fine-tuning.md, with made-up pictures."""
    text = (cli_run.ROOT / "docs/fine-tuning.md").read_text()
    (tmp / "page.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    write_safetensors(tmp / "w.safetensors", torchvision_resnet((2, 2, 2, 2), False))
    words = [tmp / "page.yaml", *DATA, f"model.weights={tmp}/w.safetensors", "data.holdout=4", f"run.dir={tmp}/r"]
    expect(farandole("train", *words), 0, "2 of the last layer start anew", "balanced_accuracy")


def case_mistakes_in_groups(tmp):
    for words, *parts in (
        ("model.freeze=[conv0, batch_nrm1]", "model.freeze", "batch_nrm1", "nearest: \"batch_norm1."),
        ("model.freeze=['*']", "every parameter is frozen"),
        ("model.freeze_stats=true", "model.freeze"),
        ("optim.groups=[{match: convv}]", "optim.groups", "convv", "conv0."),
        ("optim.groups=[{mtach: conv0}]", '"mtach"', '"match"'),
        ("optim.groups=[{lr: 2}]", "needs match"),
        ("optim.groups=[{match: conv0, lr: -1}]", "at least 0"),
        ("optim.groups=[{match: conv0, frozen: 2}]", "true or false"),
        ("optim.groups=[conv0]", "list of maps"),
        ("optim.groups={match: conv0}", "list of maps"),
    ):
        expect(farandole("plan", tiny_config(tmp), words), 2, "command line", *parts)


def case_a_pickle_is_explained(tmp):
    for lead in (b"PK\x03\x04\x00\x00\x08\x08" + bytes(100), b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + bytes(100)):
        (tmp / "w.pth").write_bytes(lead)
        expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/x", f"model.weights={tmp}/w.pth"), 3, "safetensors.torch", "pickle")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
