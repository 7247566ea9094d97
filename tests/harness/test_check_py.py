#!/usr/bin/env python3
"""scripts/check.py counts right: whatever a test executable does wrong, it is not taken for a pass."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# name, what the executable does, the last line that check.py has to print
FAKES = [
    ("passes", "echo 'a ... ok'; echo '1 passed, 0 failed, 0 skipped'", "1 passed, 0 failed"),
    ("fails", "echo 'a ... FAILED'; echo '2 passed, 1 failed, 0 skipped'; exit 1", "2 passed, 1 failed"),
    ("skips", "echo 'a ... skipped: no card'; echo '0 passed, 0 failed, 1 skipped'; exit 77",
     "0 passed, 0 failed, 1 skipped"),
    ("crashes", "echo 'a ... ok'; kill -SEGV $$", "1 passed, 1 failed"),
    ("says_nothing", "exit 0", "0 passed, 1 failed"),
    ("fails_after_count", "echo '1 passed, 0 failed, 0 skipped'; exit 1", "1 passed, 1 failed"),
    ("talks_after_count", "echo '1 passed, 0 failed, 0 skipped'; echo oops", "0 passed, 1 failed"),
    ("hangs", "sleep 60", "0 passed, 1 failed"),
]  # fmt: skip


def verdict(name, body):
    with tempfile.TemporaryDirectory() as folder:
        tests = pathlib.Path(folder, "tests")
        tests.mkdir()
        (tests / name).write_text(f"#!/bin/bash\n{body}\n")
        os.chmod(tests / name, 0o755)
        (tests / "list.txt").write_text(f"fake/{name}\ttests/{name}\n")
        argv = [sys.executable, ROOT / "scripts" / "check.py", "--only", "^fake/", "--timeout", "2", folder]
        ran = subprocess.run(argv, capture_output=True, text=True)
        return ran.stdout.rstrip("\n").split("\n")[-1], ran.returncode, ran.stdout + ran.stderr


def main():
    failed = 0
    for name, body, want in FAKES:
        line, rc, output = verdict(name, body)
        good = line == want and (rc == 0) == (" 0 failed" in want)
        failed += not good
        print(f"{name} ... {'ok' if good else 'FAILED'}")
        if not good:
            print(f"want: {want}\nexit status {rc}, output:\n{output}")
    print(f"{len(FAKES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
