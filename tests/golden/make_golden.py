#!/usr/bin/env python3
"""Golden numbers: whole models in PyTorch, float64 as the truth, float32 as the yardstick. README.md says what every field means.

    make_golden.py                      write data/<case>.json for every case
    make_golden.py --case lenet5 ...    only these
    make_golden.py --out DIR            also write the full tensors as safetensors files under DIR (3 GB, most of it alexnet_bn)
    make_golden.py --list | --check     list the cases | compare with data/*.json instead of writing (exit status 1 on a difference)
"""
import argparse
import json
import math
import os
import re
import struct
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before the libraries start

import numpy as np
import torch

import kinks
import models
import rng

HERE = os.path.dirname(os.path.abspath(__file__))
FORMAT = 1
PERTURBED = 4
STEPS = 20
MOMENTUM = 0.9
PROJECTIONS = 16
PROJECTIONS_BUFFER = 4
ZERO = 1e-12  # a gradient smaller than this part of the whole gradient is zero but for rounding
LABEL_BLOCK = 8
WEIGHT, INPUT, LABEL, PROJECT, PROJECT_OUTPUT, PROJECT_BUFFER, PERTURB = 1, 2, 3, 4, 5, 6, 7  # purposes of keys

class Case:
    """norm_bias: centre of the norms' initial bias. Larger than 0 it keeps deep networks with batch norm away from chaos (README.md).
    last_scale: factor on the last weight tensor, for logits of moderate size. seed: chosen with kinks.py. lr: with curves.py.
    reach: kinks within so many errors may flip; more than the usual where PyTorch's own runs flip one farther away."""

    def __init__(self, build, options, shape, classes, loss, lr, seed, norm_bias=0.0, last_scale=1.0, reach=kinks.REACH):
        self.build, self.options, self.shape, self.classes, self.loss, self.lr = build, options, shape, classes, loss, lr
        self.seed, self.norm_bias, self.last_scale, self.reach = seed, norm_bias, last_scale, reach

    def parameters(self):
        """[(name, shape, offset, scale)]: the initial value is offset + scale * (2 u - 1)."""
        model = self.build(**self.options)
        norms = {n for n, m in model.named_modules() if isinstance(m, (torch.nn.modules.batchnorm._BatchNorm, torch.nn.GroupNorm))}
        out = []
        for name, p in model.named_parameters():
            module, _, kind = name.rpartition(".")
            if p.dim() > 1:
                fans = (p.shape[0] + p.shape[1]) * math.prod(p.shape[2:])  # fan_in + fan_out, as an exact integer
                out.append([name, tuple(p.shape), 0.0, math.sqrt(6.0 / fans)])
            elif module in norms:
                out.append([name, tuple(p.shape), *((1.0, 0.2) if kind == "weight" else (self.norm_bias, 0.1))])
            else:
                out.append([name, tuple(p.shape), 0.0, 0.1])
        last = max(i for i, entry in enumerate(out) if len(entry[1]) > 1)
        out[last][3] *= self.last_scale
        return out

    def weights(self):
        """{name: float32 array}: computed in double, rounded once."""
        return {name: (offset + scale * (2.0 * rng.unit(rng.key(self.seed, WEIGHT, 0, t), math.prod(shape)) - 1.0)).astype(np.float32).reshape(shape)
                for t, (name, shape, offset, scale) in enumerate(self.parameters())}

    def batch(self):
        """x float32 [N, C, ...], labels int64"""
        x = (2.0 * rng.unit(rng.key(self.seed, INPUT, 0, 0), math.prod(self.shape)) - 1.0).astype(np.float32).reshape(self.shape)
        k = rng.key(self.seed, LABEL, 0, 0)
        if not self.dense():
            return x, np.floor(rng.unit(k, self.shape[0]) * self.classes).astype(np.int64)
        maps = self.shape[:2] if self.loss.startswith("focal") else self.shape[:1]  # one label map a plane, or one a sample
        coarse = maps + tuple(-(-n // LABEL_BLOCK) for n in self.shape[2:])
        labels = np.floor(rng.unit(k, math.prod(coarse)) * self.classes).astype(np.int64).reshape(coarse)
        for axis, n in enumerate(self.shape[2:], start=len(maps)):
            labels = np.take(labels, np.arange(n) // LABEL_BLOCK, axis=axis)
        return x, labels

    def dense(self):
        return self.build in (models.uresnet, models.unet, models.unet3d)


def unet_case(norm, lr, seed):
    return Case(models.unet, {"c_in": 3, "classes": 3, "base": 16, "depth": 4, "norm": norm}, (2, 3, 64, 48), 3, "cross_entropy", lr, seed)


CASES = {
    "lenet5": Case(models.lenet5, {}, (8, 1, 28, 28), 10, "cross_entropy", 0.01, 2),
    "resnet18": Case(models.resnet18, {}, (4, 3, 64, 64), 1000, "cross_entropy", 1e-6, 43),
    "resnet50": Case(models.resnet50, {}, (4, 3, 64, 64), 1000, "cross_entropy", 5e-6, 63, 1.0, 0.25),
    "alexnet_bn": Case(models.alexnet_bn, {"dropout": 0.0}, (2, 3, 227, 227), 1000, "cross_entropy", 5e-07, 2),
    "a21": Case(models.uresnet, {"preset": "a21"}, (1, 3, 192, 128), 3, "focal", 0.002, 46, 2.0, 0.1),
    "uresnet": Case(models.uresnet, {"preset": "uresnet"}, (1, 3, 192, 128), 3, "focal", 2e-5, 14, 2.0, 0.1),
    "scc21": Case(models.uresnet, {"preset": "scc21"}, (1, 3, 128, 64), 3, "focal", 0.03, 77, 0.0, 0.1),
    "polaris": Case(models.uresnet, {"preset": "polaris"}, (2, 3, 256, 128), 3, "focal_v21", 0.01, 10, 2.0, 0.1, reach=10.0),
    "stream": Case(models.uresnet, {"preset": "stream"}, (2, 1, 128, 64), 3, "focal", 0.005, 57, 2.0, 0.1),
    "unet_none": unet_case("none", 0.05, 1),
    "unet_batch": unet_case("batch", 0.0002, 93),
    "unet_group": unet_case("group", 0.002, 15),
    "unet_instance": unet_case("instance", 0.0005, 37),
    "unet3d_group": Case(models.unet3d, {"c_in": 1, "classes": 3, "base": 16, "depth": 3, "norm": "group"}, (1, 1, 32, 24, 16), 3, "cross_entropy", 0.001, 33),
    "unet3d_batch": Case(models.unet3d, {"c_in": 1, "classes": 3, "base": 8, "depth": 3, "norm": "batch"}, (2, 1, 32, 16, 24), 3, "cross_entropy", 0.01, 7),
}


def train(case, weights, x, labels, dtype, onednn=True, channels_last=False):
    """One run of STEPS steps: dictionary of numpy arrays in the run's own type."""
    torch.manual_seed(0)  # the constructors' own random init, overwritten below
    model = case.build(**case.options).to(dtype)
    with torch.no_grad():
        for (name, p) in model.named_parameters():
            p.copy_(torch.from_numpy(weights[name]))
    x, labels = torch.from_numpy(x).to(dtype), torch.from_numpy(labels)
    if channels_last:
        layout = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        model, x = model.to(memory_format=layout), x.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=case.lr, momentum=MOMENTUM)
    run = {"loss": []}
    with torch.backends.mkldnn.flags(enabled=onednn):
        for step in range(STEPS):
            model.train()
            optimizer.zero_grad(set_to_none=True)
            logits = model(x)
            loss = models.LOSSES[case.loss](logits, labels)
            run["loss"].append(loss.item())
            if step == 0:
                run["output_train"] = logits.detach().numpy()
                run["buffers"] = {n: b.numpy().copy() for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))}
                model.eval()
                with torch.no_grad():
                    run["output_eval"] = model(x).numpy()
            loss.backward()
            if step == 0:
                run["grad"] = {n: p.grad.numpy().copy() for n, p in model.named_parameters()}
            optimizer.step()
    run["weights"] = {n: p.detach().numpy() for n, p in model.named_parameters()}
    return run


def perturbed(case, k, weights, x):
    """The same case with every weight and input moved by at most half a unit in the last place or so: another draw of float32 rounding."""
    def move(t, a):
        u = 2.0 * rng.unit(rng.key(case.seed, PERTURB, k, t), a.size) - 1.0
        return (a * (1.0 + 2.0 ** -24 * u.reshape(a.shape))).astype(np.float32)

    return {n: move(t, w) for t, (n, w) in enumerate(weights.items())}, move(len(weights), x)


def float32_runs(case, weights, x, labels):
    """Yield float32 runs: with oneDNN, with PyTorch's own kernels, then PERTURBED with oneDNN."""
    yield train(case, weights, x, labels, torch.float32)
    yield train(case, weights, x, labels, torch.float32, onednn=False)
    for k in range(PERTURBED):
        moved_weights, moved_x = perturbed(case, k, weights, x)
        yield train(case, moved_weights, moved_x, labels, torch.float32)


def norm(a):
    a = np.asarray(a, np.float64).reshape(-1)
    return math.sqrt(float(np.dot(a, a)))


def distance(a, reference):
    return norm(np.asarray(a, np.float64) - reference)


def bits_sum(a):
    return int(np.ascontiguousarray(a).view(np.uint32).sum(dtype=np.uint64))


def short(v, digits=12):
    return float("%.*g" % (digits, v))


def spread(distances):
    """d32, d32n, dmax of README.md from the distances of all float32 runs"""
    return {"d32": short(distances[0], 4), "d32n": short(distances[1], 4), "dmax": short(max(distances), 4)}


def entry(a64, distances, key_of, count):
    return {"norm": short(norm(a64)), **spread(distances), "proj": [short(rng.project(key_of(p), a64)) for p in range(count)]}


def versions():
    import platform

    with open("/proc/self/maps") as f:
        blas = sorted({os.path.basename(line.split()[-1]) for line in f if re.search(r"/lib\w*blas[^/]*\.so", line)})
    onednn = re.search(r"MKL-DNN v(\S+)", torch.__config__.show())
    return {
        "torch": torch.__version__,
        "onednn": onednn.group(1) if onednn else "none",
        "blas": " ".join(blas),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu_capability": re.search(r"CPU capability usage: (\S+)", torch.__config__.show()).group(1),
    }


def write_safetensors(path, tensors):
    names = {"float32": "F32", "float64": "F64", "int64": "I64"}
    header, offset = {}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": names[str(a.dtype)], "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in tensors.values():
            f.write(np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<"), copy=False).tobytes())


def write_full(folder, name, tag, run, init=None, batch=None):
    def put(kind, tensors):
        write_safetensors(os.path.join(folder, "%s.%s.safetensors" % (name, kind)), tensors)

    os.makedirs(folder, exist_ok=True)
    if init is not None:
        put("init", init)
        put("batch", batch)
    put("grad." + tag, run["grad"])
    put("state." + tag, {**run["buffers"], "output_train": run["output_train"], "output_eval": run["output_eval"]})
    put("final." + tag, run["weights"])


def make_case(name, out):
    case = CASES[name]
    weights = case.weights()
    x, labels = case.batch()
    truth = train(case, weights, x, labels, torch.float64)
    if out:
        write_full(out, name, "f64", truth, weights, {"x": x, "labels": labels})
    losses, d = [], {}  # of the float32 runs; d[kind, tensor] lists their distances to the truth
    for i, run in enumerate(float32_runs(case, weights, x, labels)):
        if out and i == 0:
            write_full(out, name, "f32", run)
        losses.append(run["loss"])
        for kind in ("grad", "buffers", "weights"):
            for n, a in run[kind].items():
                d.setdefault((kind, n), []).append(distance(a, truth[kind][n]))
        for n in ("output_train", "output_eval"):
            d.setdefault(("output", n), []).append(distance(run[n], truth[n]))
    found, errs = kinks.survey(case, weights, x)
    flipped = kinks.flipped_gradient(case, weights, x, labels, errs)
    golden = {
        "format": FORMAT,
        "case": name,
        "versions": versions(),
        "model": {"function": case.build.__name__, **case.options},
        "parameters": sum(w.size for w in weights.values()),
        "seed": case.seed,
        "x": {"shape": list(case.shape), "bits_sum": bits_sum(x)},
        "labels": {"shape": list(labels.shape), "classes": case.classes, "block": LABEL_BLOCK if case.dense() else 1, "sum": int(labels.sum())},
        "loss": {"name": case.loss, "f64": truth["loss"], "f32": losses[0], "f32n": losses[1],
                 "dmax": [short(max(abs(l[i] - t) for l in losses), 4) for i, t in enumerate(truth["loss"])]},
        "sgd": {"lr": case.lr, "momentum": MOMENTUM, "steps": STEPS},
    }
    for i, n in enumerate(("output_train", "output_eval")):
        golden[n] = {"shape": list(truth[n].shape), **entry(truth[n], d["output", n], lambda p: rng.key(case.seed, PROJECT_OUTPUT, i, p), PROJECTIONS)}
    whole = math.sqrt(sum(norm(g) ** 2 for g in truth["grad"].values()))
    params, total, flip = [], [0.0] * (2 + PERTURBED), 0.0
    for t, (n, s, offset, scale) in enumerate(case.parameters()):
        g = truth["grad"][n]
        item = {"name": n, "shape": list(s), "init": [offset, scale], "bits_sum": bits_sum(weights[n]), "zero": norm(g) <= ZERO * whole}
        item.update(entry(g, d["grad", n], lambda p: rng.key(case.seed, PROJECT, t, p), PROJECTIONS))
        if not item["zero"]:
            total = [a + b * b for a, b in zip(total, d["grad", n])]
        item["flip"] = short(distance(flipped[n], g), 4) if found["near"] else 0.0
        flip += item["flip"] ** 2
        item["moved"] = short(distance(truth["weights"][n], weights[n]), 6)
        item["end_dmax"] = short(max(d["weights", n]), 4)
        params.append(item)
    golden["grad"] = {"norm": short(whole), **spread([math.sqrt(v) for v in total]), "flip": short(math.sqrt(flip), 4)}
    golden["kinks"] = {k: short(v, 4) if isinstance(v, float) else v for k, v in found.items()}
    golden["params"] = params
    golden["buffers"] = [{"name": n, "shape": list(a.shape), **entry(a, d["buffers", n], lambda p: rng.key(case.seed, PROJECT_BUFFER, t, p), PROJECTIONS_BUFFER)}
                         for t, (n, a) in enumerate(truth["buffers"].items())]
    return golden


def dump(golden):
    """JSON with one line for each field and for each tensor, so that a diff can be read."""
    def compact(v):
        return json.dumps(v, separators=(",", ":"))

    lines = []
    for k, v in golden.items():
        if k in ("params", "buffers") and v:
            lines.append('"%s":[\n%s]' % (k, ",\n".join(compact(i) for i in v)))
        else:
            lines.append('"%s":%s' % (k, compact(v)))
    return "{" + ",\n".join(lines) + "}\n"


def differences(old, new):
    """What a regenerated case says differently. Exact for shapes, names, bits; the float64 run to rounding; float32 fields are free."""
    bad = []

    def close(what, a, b, scale, tol):
        if abs(a - b) > tol * scale:
            bad.append("%s: %.17g, was %.17g" % (what, b, a))

    for k in ("format", "model", "parameters", "seed", "x", "labels", "sgd"):
        if old[k] != new[k]:
            bad.append("%s: %s, was %s" % (k, new[k], old[k]))
    for i, (a, b, noise) in enumerate(zip(old["loss"]["f64"], new["loss"]["f64"], old["loss"]["dmax"])):
        close("loss %d" % i, a, b, abs(a) * 1e-12 + noise, 1e-6)  # float64 is 2^29 times finer than the float32 whose noise this is
    for kind in ("params", "buffers"):
        if [(i["name"], i["shape"]) for i in old[kind]] != [(i["name"], i["shape"]) for i in new[kind]]:
            bad.append("%s: other names or shapes" % kind)
    for a, b in list(zip(old["params"], new["params"])) + list(zip(old["buffers"], new["buffers"])) + [(old[k], new[k]) for k in ("output_train", "output_eval")]:
        what = a.get("name", "output")
        if a.get("bits_sum") != b.get("bits_sum") or a.get("zero") != b.get("zero"):
            bad.append("%s: other initial bits or zero mark" % what)
        if not a.get("zero"):
            for p, q in zip([a["norm"]] + a["proj"], [b["norm"]] + b["proj"]):
                close(what, p, q, a["norm"], 1e-9)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--out", metavar="DIR")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.list:
        for name, c in CASES.items():
            print("%-14s %s %s x %s loss %s lr %g seed %d norm_bias %g last_scale %g" % (
                name, c.build.__name__, c.options, list(c.shape), c.loss, c.lr, c.seed, c.norm_bias, c.last_scale))
        return 0
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    status = 0
    for name in args.case:
        start = time.time()
        golden = make_case(name, args.out)
        path = os.path.join(HERE, "data", name + ".json")
        g, loss = golden["grad"], golden["loss"]
        print("%-14s loss %.4f -> %.4f, f32 off by %.0e, at the end %.0e (dmax %.0e)   |g| %.3g, relative d32 %.1e d32n %.1e dmax %.1e flip %.1e   zero %d of %d   %.0f s" % (
            name, loss["f64"][0], loss["f64"][-1], abs(loss["f32"][0] - loss["f64"][0]), abs(loss["f32"][-1] - loss["f64"][-1]), loss["dmax"][-1],
            g["norm"], g["d32"] / g["norm"], g["d32n"] / g["norm"], g["dmax"] / g["norm"], g["flip"] / g["norm"],
            sum(p["zero"] for p in golden["params"]), len(golden["params"]), time.time() - start), flush=True)
        if not all(math.isfinite(v) for v in loss["f64"] + loss["f32"] + loss["f32n"]):
            print("%s: a loss is not finite" % name, file=sys.stderr)
            status = 1
        if args.check:
            with open(path) as f:
                bad = differences(json.load(f), golden)
            for line in bad[:10]:
                print("%s: %s" % (name, line), file=sys.stderr)
            status |= bool(bad)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(dump(golden))
    return status


if __name__ == "__main__":
    sys.exit(main())
