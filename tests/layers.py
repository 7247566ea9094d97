#!/usr/bin/env python3
"""Who may include whom (docs: architecture). Reads #include lines; the rules are the two tables below."""
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder of src/ -> prefixes of our private headers, relative to src/, that it may include beside its own.
# Public headers, <farandole/...>, are open to all. The longest matching folder counts.
ALLOWED = {
    "base": [],
    "graph": ["base/"],
    "ops": ["base/", "graph/"],
    "plan": ["base/", "graph/", "ops/"],
    "backends": ["base/", "graph/", "ops/", "plan/backend.h"],
    "backends/cpu": ["base/", "graph/", "ops/", "plan/backend.h", "backends/*.h"],
    "backends/cuda": ["base/", "graph/", "ops/", "plan/backend.h", "backends/*.h"],
    "comm": ["base/"],
    "comm/mpi": ["base/status.h", "comm/comm.h", "comm/mpi_module.h"],
    "data": ["base/"],
    "sim": ["base/", "data/"],
    "run": ["base/", "graph/", "ops/", "plan/", "comm/", "data/", "backends/*.h"],
    "models": [],
    "recipes": [],
    "report": ["base/"],
    "cli": [],
}

# System header (regular expression) -> folders of src/ that may include it. Any other header is open to all.
EXTERNAL = {
    r"(oneapi/)?dnnl(/.*|_.*)?(\.h)?": ["backends/cpu"],
    r"mpi\.h": ["comm/mpi"],
    r"nccl\.h": ["comm"],
    r"cuda.*\.h|cudnn.*\.h|cublas.*\.h": ["backends/cuda"],
    r"hwloc(/.*)?\.h": ["base", "backends/cpu", "run"],
    r"jansson\.h": ["base", "run", "data", "cli", "plan", "report"],
    r"hdf5(_hl)?\.h|H5.*public\.h": ["data"],
    r"yaml\.h|zlib\.h": ["base", "run", "data", "cli"],
    r"jpeglib\.h|jerror\.h|archive(_entry)?\.h": ["data"],
    r"spng\.h": ["base", "data"],
    r"tiff(io|conf|vers)?\.h": ["data"],
    # graph, ops and plan are pure: no files, no clock, no processes
    r"(sys/)?time\.h|fcntl\.h|unistd\.h|pthread\.h|sys/(mman|stat|socket|wait)\.h": [
        "base", "backends", "backends/cpu", "backends/cuda", "comm", "comm/mpi", "data", "run", "cli", "models", "recipes", "report"],
}  # fmt: skip

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.M)


def layer_of(relative):
    """The folder whose row of ALLOWED counts for a path relative to src/."""
    folder = pathlib.PurePosixPath(relative).parent
    for candidate in [folder, *folder.parents]:
        if str(candidate) in ALLOWED:
            return str(candidate)
    return None


def may(target, prefixes):
    for prefix in prefixes:
        if prefix.endswith("/*.h"):
            if str(pathlib.PurePosixPath(target).parent) == prefix[:-4]:
                return True
        elif target == prefix or (prefix.endswith("/") and target.startswith(prefix)):
            return True
    return False


def violations_of(root):
    src = root / "src"
    found = []
    files = [p for p in sorted(src.rglob("*")) if p.suffix in (".c", ".h", ".inc")]
    for path in files + sorted((root / "include").rglob("*.h")):
        public = not path.is_relative_to(src)
        text = path.read_text(errors="replace")
        layer = None if public else layer_of(path.relative_to(src).as_posix())
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.end()) + 1
            where = f"{path.relative_to(root).as_posix()}:{line}"
            name = match[1] or match[2]
            beside = (path.parent / name).resolve()
            if match[1] and beside.is_file() and beside.is_relative_to(root):
                target = beside.relative_to(src).as_posix() if beside.is_relative_to(src) else None
            else:
                target = name if (src / name).is_file() or name.split("/")[0] in ALLOWED else None
            if public:
                if target is not None or match[1]:
                    found.append(f'{where}: a public header includes "{name}"')
            elif layer is None:
                found.append(f"{where}: the folder has no row in the table of tests/layers.py")
            elif target is not None:
                own = target.startswith(layer + "/") and layer_of(target) == layer
                if not own and not may(target, ALLOWED[layer]):
                    found.append(f"{where}: {layer} may not include {target}")
                elif not own and target.endswith("_priv.h"):
                    found.append(f"{where}: {target} never leaves its folder")
            if target is None:
                for pattern, folders in EXTERNAL.items():
                    if re.fullmatch(pattern, name) and layer not in folders:
                        found.append(f"{where}: <{name}> belongs to {', '.join('src/' + f for f in folders)}")
    return found


# --- the check itself is checked: planted lines, each with the file it lies in and whether it is a violation ---

PLANTED = [
    ("src/base/a.c", '#include "graph/node.h"', True),
    ("src/base/a.c", "#include <farandole/status.h>", False),
    ("src/base/a.c", '#include "a.h"', False),
    ("src/graph/a.c", '#  include "base/a.h"', False),
    ("src/graph/a.c", '#include "../run/loop.h"', True),
    ("src/ops/a.c", '#include "plan/plan.h"', True),
    ("src/plan/a.c", '#include "ops/conv.h"', False),
    ("src/plan/a.c", "#include <time.h>", True),
    ("src/backends/cpu/a.c", "#include <dnnl.h>", False),
    ("src/backends/cpu/a.c", '#include "plan/backend.h"', False),
    ("src/backends/cpu/a.c", '#include "plan/plan.h"', True),
    ("src/backends/cpu/isa/a.c", '#include "backends/cpu/kernels.h"', False),
    ("src/run/a.c", "#include <dnnl.h>", True),
    ("src/run/a.c", "#include <oneapi/dnnl/dnnl.h>", True),
    ("src/run/a.c", '#include "backends/cpu/kernels.h"', True),
    ("src/run/a.c", '#include "comm/comm.h"', False),
    ("src/run/a.c", '#include "data/reader_priv.h"', True),
    ("src/run/a.c", "#include <mpi.h>", True),
    ("src/comm/a.c", "#include <mpi.h>", True),
    ("src/comm/mpi/a.c", "#include <mpi.h>", False),
    ("src/comm/a.c", '#include "graph/node.h"', True),
    ("src/data/a.c", "#include <zlib.h>", False),
    ("src/ops/a.c", "#include <yaml.h>", True),
    ("src/cli/a.c", '#include "base/a.h"', True),
    ("src/models/a.c", '#include "graph/node.h"', True),
    ("src/models/a.c", '#include "models/zoo.h"', False),
    ("src/unknown/a.c", "#include <stdio.h>", True),
    ("include/farandole/a.h", '#include "base/a.h"', True),
    ("include/farandole/a.h", "#include <jansson.h>", True),
    ("include/farandole/a.h", "#include <stdint.h>", False),
]
HEADERS = ["src/base/a.h", "src/graph/node.h", "src/run/loop.h", "src/ops/conv.h", "src/plan/plan.h",
           "src/plan/backend.h", "src/backends/cpu/kernels.h", "src/comm/comm.h", "src/data/reader_priv.h",
           "src/models/zoo.h", "include/farandole/status.h"]  # fmt: skip


def self_test():
    wrong = []
    for where, line, expected in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            for name in HEADERS + [where]:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("")
            (root / where).write_text("/* planted */\n" + line + "\n")
            found = violations_of(root)
            if bool(found) != expected or any(not v.startswith(where + ":2:") for v in found):
                wrong.append(f"{where} with {line}: {found}")
    return wrong


def main():
    failed = 0
    for name, problems in (("layers_self_test", self_test()), ("layers", violations_of(ROOT))):
        print(f"{name} ... {'FAILED' if problems else 'ok'}")
        print("".join(p + "\n" for p in problems), end="")
        failed += bool(problems)
    print(f"{2 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
