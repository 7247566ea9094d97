"""Cases that need h5py, found where Debian keeps it; skipped without."""
import os
import pathlib
import sys
import tempfile

SYSTEM_PYTHON = "/usr/bin/python3"

try:
    import h5py
    import numpy as np
except ImportError:
    if sys.executable != SYSTEM_PYTHON and os.path.exists(SYSTEM_PYTHON) and "FAR_H5PY_TRIED" not in os.environ:
        os.environ["FAR_H5PY_TRIED"] = "1"  # Debian's python3-h5py belongs to Debian's Python
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON, *sys.argv])
    print("h5py: python3-h5py is not installed")
    sys.exit(77)

__all__ = ["BUILD", "ROOT", "h5py", "np", "run"]
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("FAR_TEST_BUILD", ROOT / "build" / "release"))


def run(cases, prepare=lambda folder: None):
    """Every function case_* of a module's globals, in one folder that is removed afterwards; gives the exit code. prepare puts files there first."""
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        prepare(tmp)
        for case in [value for name, value in cases.items() if name.startswith("case_")]:
            name = case.__name__.removeprefix("case_")
            try:
                case(tmp)
                passed += 1
                print(f"{name} ... ok")
            except Exception as error:  # noqa: BLE001
                failed += 1
                detail = (getattr(error, "stdout", b"") or b"") + (getattr(error, "stderr", b"") or b"")
                print(f"{name} ... FAILED\n{type(error).__name__}: {error}\n{detail.decode(errors='replace')}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0
