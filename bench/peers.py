"""What the comparison is held against: PyTorch in its variants, how they are started, what is installed."""
import collections
import itertools
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS = ROOT / "bench" / "torch_steps.py"
LIBRARIES = pathlib.Path("/usr/lib")
ALLOCATORS = {"glibc": None, "tcmalloc": "libtcmalloc_minimal.so.4", "jemalloc": "libjemalloc.so.2"}

Variant = collections.namedtuple("Variant", "layout allocator threads", defaults=[0])  # threads 0: all cores
PLAIN = Variant("default", "glibc")


def name_of(variant):
    return f"{variant.layout}, {variant.allocator}{', one thread' if variant.threads == 1 else ''}"


def installed(allocator):
    """The library to preload, "" for the system's own; None where it is not installed."""
    library = ALLOCATORS[allocator]
    if library is None:
        return ""
    return next((str(path) for path in LIBRARIES.glob(f"*/{library}")), None)


def variants(is_small):
    """Small networks may be faster on one thread: they are tried with both."""
    allocators = [allocator for allocator in ALLOCATORS if installed(allocator) is not None]
    return [Variant(*each) for each in itertools.product(("default", "channels-last"), allocators, (0, 1) if is_small else (0,))]


def missing():
    return [allocator for allocator in ALLOCATORS if installed(allocator) is None]


def install():
    subprocess.check_call([ROOT / "scripts" / "install-deps.sh", "build", "bench"])


def environment(variant):
    library = installed(variant.allocator)
    return {"LD_PRELOAD": library or ""}


def command(python, network, variant=PLAIN):
    """The words that start PyTorch's side: (argv, environment)."""
    words = [python, STEPS, network.torch, "x".join(map(str, network.shape)), "--options", json.dumps(network.options),
             "--classes", network.classes, "--loss", network.loss, "--threads", variant.threads]  # fmt: skip
    return words + ["--channels-last"] * (variant.layout == "channels-last"), environment(variant)


def torch_versions(python):
    """None where this Python has no PyTorch."""
    ran = subprocess.run([python, STEPS, "-", "-", "--versions"], capture_output=True, text=True)
    return json.loads(ran.stdout) if ran.returncode == 0 else None


def package_versions():
    """Of the allocators and of what reads pictures, as Debian numbers them."""
    names = ["libtcmalloc-minimal4", "libjemalloc2", "libc6", "libopenblas0-pthread", "python3-torchvision", "python3-pil", "libdnnl2"]
    ran = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n", *names], capture_output=True, text=True)
    return dict(line.split() for line in ran.stdout.splitlines() if len(line.split()) == 2)


def processor():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else "unknown processor"
