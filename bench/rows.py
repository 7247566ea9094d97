"""The rows of the comparison's table. A row measures and gives a Row; nothing here prints."""
import dataclasses
import json
import pathlib
import shutil
import statistics
import subprocess
import time

import networks
import peers
from turns import Failed, Program, Spread, alternate, ratios, spread

TRIED_STEPS = 2  # of a variant of the peer, after the warm-up
WARM_STEPS = 2  # the peer's steps count from the third on
MEMORY_BAR = 0.6
GRAINS = {"resnet50": ["grain.samples=16"], "a21-640": ["grain.samples=1", "grain.rows=640"]}  # one grain a batch


@dataclasses.dataclass
class Row:
    """value: the ratio (or seconds, or images/s); bar: it must be at least so much, where is_most at most. No bar: printed only."""

    name: str
    title: str
    unit: str
    value: Spread
    bar: float = None
    is_most: bool = False
    ours: float = None
    theirs: float = None
    notes: list = dataclasses.field(default_factory=list)
    facts: dict = dataclasses.field(default_factory=dict)

    def is_met(self):
        if self.bar is None:
            return None
        return self.value.middle <= self.bar if self.is_most else self.value.middle >= self.bar


@dataclasses.dataclass
class Machine:
    """What all rows need."""

    farandole: pathlib.Path
    python: str
    rounds: int
    beside: list  # of Pythons with other PyTorches
    photographs: pathlib.Path
    tell: object

    def ours(self, config, *keys):
        return Program([self.farandole, "bench", config, *keys, "--turns"])

    def torch(self, network, variant=peers.PLAIN, python=None):
        argv, environment = peers.command(python or self.python, network, variant)
        return Program(argv, environment)


def is_small(network):
    return network.torch == "lenet5"


def best_variant(machine, network):
    """The fastest variant of PyTorch, and the seconds of a step of each."""
    tried = {}
    for variant in peers.variants(is_small(network)):
        with machine.torch(network, variant) as program:
            tried[variant] = program.warm(WARM_STEPS).turn(TRIED_STEPS)
        machine.tell(f"PyTorch, {peers.name_of(variant)}: {seconds_text(tried[variant])}")
    return min(tried, key=tried.get), tried


def seconds_text(seconds):
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def bytes_text(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def against(machine, ours, program):
    """Rounds of both: seconds of each, ratios, the other's peak of memory."""
    times = alternate({"ours": ours, "theirs": program.warm()}, machine.rounds)
    return times["ours"], times["theirs"], ratios(times["theirs"], times["ours"]), program.peak_bytes()


def speed_rows(machine, name):
    """Speed against the best PyTorch, against the plain one, memory."""
    network = networks.NETWORKS[name]
    best, tried = best_variant(machine, network)
    with machine.ours(networks.config(name)) as ours:
        ours.warm()
        with machine.torch(network, best) as program:
            mine, other, ratio, other_bytes = against(machine, ours, program)
        plain = None
        if best != peers.PLAIN:
            with machine.torch(network) as program:
                plain = against(machine, ours, program)
        beside = []
        for python in machine.beside:
            with machine.torch(network, python=python) as program:
                beside.append((python, against(machine, ours, program)))
        my_bytes = ours.peak_bytes()
    row = Row(name, network.title, "x", ratio, network.bar, ours=statistics.median(mine), theirs=statistics.median(other))
    row.notes = ["best of " + "; ".join(f"{peers.name_of(v)} {seconds_text(s)}" for v, s in sorted(tried.items(), key=lambda item: item[1]))]
    row.facts = {"best": peers.name_of(best), "tried": {peers.name_of(v): s for v, s in tried.items()}, "ours_s": mine, "theirs_s": other}
    for python, (_, theirs, its_ratio, its_bytes) in beside:
        row.notes.append(f"{python}: PyTorch {peers.torch_versions(python)['torch']}, {seconds_text(statistics.median(theirs))} a step, "
                         f"{bytes_text(its_bytes)}: ratio {its_ratio.middle:.2f} ({its_ratio.least:.2f} to {its_ratio.most:.2f})")  # fmt: skip
    memory = Row(f"{name} memory", "peak memory of the same runs", "of its", spread([my_bytes / other_bytes]), MEMORY_BAR, True, my_bytes, other_bytes)
    _, plain_s, plain_ratio, plain_bytes = plain or (mine, other, ratio, other_bytes)
    plain_row = Row(f"{name} plain", "against the default install", "x", plain_ratio, network.plain_bar, ours=statistics.median(mine),
                    theirs=statistics.median(plain_s), facts={"theirs_s": plain_s, "peak_bytes": plain_bytes})  # fmt: skip
    plain_row.notes = [f"it holds {bytes_text(plain_bytes)} at its peak"]
    return [row, plain_row, memory]


def torch_first_step(machine):
    began = time.monotonic()
    with machine.torch(networks.NETWORKS["lenet5"]) as program:
        program.steps(1)
        return time.monotonic() - began


def our_first_step(machine, config):
    """A training as anybody starts one, to its first line of metrics: it is written when the step is done."""
    folder = networks.FOLDER / "first-step"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    words = [machine.farandole, "train", config, f"run.dir={folder}", "train.steps=2", "--quiet"]
    with subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True) as process:
        metrics = folder / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size > 0):
            time.sleep(0.0005)
            if process.poll() is not None and not metrics.exists():
                raise Failed(process.stderr.read().strip())
        took = time.monotonic() - began
        process.communicate()
    return took


def seconds_of(argv):
    began = time.monotonic()
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def repeated(machine, measure):
    measure()  # files come to memory
    return [measure() for _ in range(machine.rounds)]


def first_step_rows(machine, name):
    config = networks.config("lenet5")
    both = repeated(machine, lambda: (our_first_step(machine, config), torch_first_step(machine)))
    ours, theirs = zip(*both)
    row = Row(name, "lenet5: launch to the end of the first step", "s", spread(ours), 0.25, True, statistics.median(ours), statistics.median(theirs))
    row.notes = [f"{networks.DIGITS:,} images in IDX files, a run's folder; PyTorch imports, builds and steps once on one random batch, without data"]
    return [row]


def help_rows(machine, name):
    times = repeated(machine, lambda: seconds_of([machine.farandole, "--help"]))
    return [Row(name, "farandole --help", "s", spread(times), 0.05, True)]


def plan_rows(machine, name):
    config = networks.config("resnet50")
    times = repeated(machine, lambda: seconds_of([machine.farandole, "plan", config]))
    return [Row(name, "farandole plan of resnet50", "s", spread(times), 0.5, True)]


def grains_rows(machine, name):
    """Steps at the default grain over steps with one grain a batch, each on one thread: what the promise of equal bits costs."""
    network = name.removeprefix("grains-")
    config = networks.config(network)
    with machine.ours(config, "threads=1") as cut, machine.ours(config, "threads=1", *GRAINS[network]) as whole:
        times = alternate({"cut": cut.warm(), "whole": whole.warm()}, machine.rounds)
        more = cut.peak_bytes() / whole.peak_bytes()
    row = Row(name, f"{networks.NETWORKS[network].title}: default grains over one grain a batch", "x time", ratios(times["cut"], times["whole"]),
              ours=statistics.median(times["cut"]), theirs=statistics.median(times["whole"]))  # fmt: skip
    row.notes = [f"the peer is ours with {' '.join(GRAINS[network])}; each on one thread; default grains take {more:.2f} of its memory"]
    return [row]


def photograph_rows(machine, name):
    """A row for each way to a batch, against the fastest of the others."""
    words = [machine.python, peers.ROOT / "bench" / "pictures.py", photographs(machine), "--pillow", "installed", "--json", "--rounds", machine.rounds]
    told = json.loads(subprocess.check_output([str(word) for word in words], text=True))
    rows = []
    for kind, times in told["kinds"].items():
        ours = times.pop("farandole")
        best = min(times, key=lambda other: statistics.median(times[other]))
        rates = {other: told["batch"] / statistics.median(seconds) for other, seconds in {"ours": ours, **times}.items()}
        row = Row(f"{name}, {kind}", f"{told['pictures']} photographs to batches of 224 x 224, a core, images/s", "x", ratios(times[best], ours), 1.5,
                  ours=rates["ours"], theirs=rates[best], facts={"images_per_s": rates})  # fmt: skip
        row.notes = ["best of " + "; ".join(f"{other} {rates[other]:.0f} images/s" for other in times)]
        rows.append(row)
    return rows


def photographs(machine):
    """Those given; else some are made up."""
    if machine.photographs is not None:
        return machine.photographs
    folder = networks.FOLDER / "photographs"
    subprocess.check_call([str(machine.python), str(peers.ROOT / "bench" / "photographs.py"), str(folder)])
    return folder


SPEED = {name: speed_rows for name in networks.NETWORKS}
ROWS = {**SPEED, "first-step": first_step_rows, "help": help_rows, "plan": plan_rows, "photographs": photograph_rows,
        **{f"grains-{network}": grains_rows for network in GRAINS}}  # fmt: skip
