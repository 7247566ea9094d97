#!/usr/bin/env python3
"""How close does float32 come to a kink (relu, leaky relu, max pool) of a network at step 0, and what would crossing it do?

One activation rounded to the other side of zero changes a small network's gradient by 1e-3 to 1e-2, ten thousand times the rounding itself, and
whether it happens is luck. So the seeds of make_golden.py are chosen to stay away from kinks, and where that is impossible (millions of activations)
the golden file says how much gradient hangs on the kinks within reach.

    kinks.py CASE FIRST LAST    survey of seeds: expected flips for someone with twice our error, flips of PyTorch's own float32, smallest margin

err = rms of (float32 - float64) over one kink's input; distance = |input| for relu, gap between the two largest for a pool;
margin = min distance / err; expected = sum of Phi(-distance / (2 err)); near = distance < reach * err, reach 5 unless the case says otherwise.
"""
import sys

import torch
import torch.nn.functional as F

import models

REACH = 5.0


def windows(v, k, stride, pad):
    """[N, C, D.., H, W] -> [N, C, outputs.., k^n]"""
    if v.dim() == 5:  # k == stride, no padding
        return v.unfold(2, k, k).unfold(3, k, k).unfold(4, k, k).flatten(5)
    return F.pad(v, (pad,) * 4, value=-1e30).unfold(2, k, stride).unfold(3, k, stride).flatten(4)


class Recorder:
    """Stands in for torch.nn.functional inside models.py and keeps the input of every kink."""

    def __init__(self):
        self.inputs = []

    def __getattr__(self, name):
        return getattr(F, name)

    def relu(self, v):
        self.inputs.append(("relu", v.detach().double(), ()))
        return F.relu(v)

    def leaky_relu(self, v, slope):
        self.inputs.append(("relu", v.detach().double(), ()))
        return F.leaky_relu(v, slope)

    def _pool(self, v, k, stride=None, pad=0):
        self.inputs.append(("pool", v.detach().double(), (k, stride or k, pad)))
        return (F.max_pool3d if v.dim() == 5 else F.max_pool2d)(v, k, stride, pad)

    max_pool2d = max_pool3d = _pool


class Flipper(Recorder):
    """Takes the wrong side at every kink within reach."""

    def __init__(self, errs, reach):
        self.reaches = iter([reach * err for err in errs])

    def _side(self, v):
        return (v > 0) ^ (v.detach().abs() < next(self.reaches))

    def relu(self, v):
        return torch.where(self._side(v), v, torch.zeros_like(v))

    def leaky_relu(self, v, slope):
        return torch.where(self._side(v), v, slope * v)

    def _pool(self, v, k, stride=None, pad=0):
        w = windows(v, k, stride or k, pad)
        value, index = w.detach().topk(2, dim=-1)
        near = (value[..., :1] - value[..., 1:] < next(self.reaches)) & (value[..., :1] != 0)
        return w.gather(-1, torch.where(near, index[..., 1:], index[..., :1])).squeeze(-1)

    max_pool2d = max_pool3d = _pool


def _forward(case, weights, x, dtype, functional):
    models.F = functional
    try:
        model = case.build(**case.options).to(dtype)
        with torch.no_grad():
            for n, p in model.named_parameters():
                p.copy_(torch.from_numpy(weights[n]))
        return model, model.train()(torch.from_numpy(x).to(dtype))
    finally:
        models.F = F


def survey(case, weights, x):
    """{expected, near, margin, flips}, [err of each kink in order]"""
    runs = []
    for dtype in (torch.float64, torch.float32):
        recorder = Recorder()
        with torch.no_grad():
            _forward(case, weights, x, dtype, recorder)
        runs.append(recorder.inputs)
    found, errs = {"expected": 0.0, "near": 0, "margin": float("inf"), "flips": 0}, []
    for (kind, a, shape), (_, b, _) in zip(*runs):
        err = float((a - b).square().mean().sqrt())
        errs.append(err)
        if kind == "relu":
            gap = a.abs().reshape(-1)
            found["flips"] += int(((a > 0) != (b > 0)).sum())
        else:
            wa, wb = windows(a, *shape), windows(b, *shape)
            top = wa.topk(2, dim=-1).values
            alive = top[..., 0] != 0  # a window of zeros after a relu passes no gradient
            gap = (top[..., 0] - top[..., 1])[alive]
            found["flips"] += int(((wa.argmax(-1) != wb.argmax(-1)) & alive).sum())
        if err == 0:
            continue
        near = gap[gap < 20 * err] / err
        found["margin"] = min(found["margin"], float(gap.min() / err))
        found["near"] += int((near < case.reach).sum())
        found["expected"] += float(torch.special.ndtr(-near / 2).sum())
    return found, errs


def flipped_gradient(case, weights, x, labels, errs):
    """Gradient in float64 with all near kinks on their wrong side."""
    model, logits = _forward(case, weights, x, torch.float64, Flipper(errs, case.reach))
    models.LOSSES[case.loss](logits, torch.from_numpy(labels)).backward()
    return {n: p.grad.numpy() for n, p in model.named_parameters()}


if __name__ == "__main__":
    import make_golden

    torch.set_num_threads(1)
    case = make_golden.CASES[sys.argv[1]]
    for case.seed in range(int(sys.argv[2]), int(sys.argv[3]) + 1):
        print("%s seed %d: expected %.2f flips %d near %d margin %.1f" % (
            sys.argv[1], case.seed, *(survey(case, case.weights(), case.batch()[0])[0][k] for k in ("expected", "flips", "near", "margin"))), flush=True)
