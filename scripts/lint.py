#!/usr/bin/env python3
"""clang-tidy over src, from the build's compile_commands.json: lint.py [--jobs n] build-folder [file...]"""
import argparse
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    tidy = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if tidy is None:
        sys.exit("clang-tidy is not installed")

    wanted = {(ROOT / f).resolve() for f in options.files}
    entries = {}
    for entry in json.loads((options.build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if path in wanted or (not wanted and path.is_relative_to(ROOT / "src")):
            entries.setdefault(path, entry)  # once a file, not once per instruction set
    with tempfile.TemporaryDirectory(prefix="farandole-lint-") as folder:
        pathlib.Path(folder, "compile_commands.json").write_text(json.dumps(list(entries.values())))

        def lint_one(path):
            ran = subprocess.run([tidy, "--quiet", "-p", folder, str(path)], capture_output=True, text=True)
            return path, ran.returncode, ran.stdout or (ran.stderr if ran.returncode else "")

        bad = 0
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for path, rc, text in pool.map(lint_one, sorted(entries)):
                bad += rc != 0
                print(f"{'FAILED' if rc else 'ok':8}{path.relative_to(ROOT)}", flush=True)
                if rc:
                    print(text)
    print(f"{len(entries) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
