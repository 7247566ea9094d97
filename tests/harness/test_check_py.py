#!/usr/bin/env python3
"""scripts/check.py counts right: whatever a test executable does wrong, it is not taken for a pass; nor is a name that
no test has, here or among the fuzz targets."""
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


# name, the command line after the script's name, with {} the build folder; the last lines that it has to print
UNMATCHED = [
    ("no_test_has_the_name", "check.py", ["--only", "^fake/tset", "{}"],
     "no test matches '^fake/tset' in {}\n0 passed, 1 failed"),
    ("no_long_test_has_the_name", "check.py", ["--torture", "--only", "harness/test_check_py", "{}"],
     "no test matches 'harness/test_check_py' in {} (scripts have no long cases)\n0 passed, 1 failed"),
    ("no_fuzz_target_has_the_name", "fuzz.sh", ["{}", "1", "tset"],
     "no target matches 'tset' in {}\n0 passed, 1 failed"),
]  # fmt: skip


# A fuzz target: what it does when it looks for inputs, and with one input alone; then the last lines that fuzz.sh has
# to print.
SLOW_ONCE = """case "$*" in
*max_total_time*) [ ! -e "$0.ran" ] || { echo 'stat::number_of_executed_units: 3'; exit 0; }
    touch "$0.ran" "$0-timeout-a"; echo "x Test unit written to $0-timeout-a"
    echo 'stat::number_of_executed_units: 4'; exit 70;;
*) %s;;
esac"""
TARGETS = [
    ("fuzz_passes", "echo 'stat::number_of_executed_units: 12'", "ok      {}: 12 inputs\n1 passed, 0 failed"),
    ("fuzz_crashes", "echo 'x Test unit written to y/{}-crash-a'; exit 77", "0 passed, 1 failed"),
    ("fuzz_is_slow_once", SLOW_ONCE % "exit 0",
     "ok      {}: 7 inputs\n        1 inputs took more than 10 s, but not when tried again alone\n1 passed, 0 failed"),
    ("fuzz_is_slow_again", SLOW_ONCE % "exit 70", "0 passed, 1 failed"),
]  # fmt: skip


def run(script, arguments):
    """Last lines, exit status, all output."""
    interpreter = sys.executable if script.endswith(".py") else "bash"
    ran = subprocess.run([interpreter, ROOT / "scripts" / script, *arguments], capture_output=True, text=True)
    return ran.stdout.rstrip("\n"), ran.returncode, ran.stdout + ran.stderr


def make_build(folder, name, body):
    tests, fuzz = pathlib.Path(folder, "tests"), pathlib.Path(folder, "fuzz")
    tests.mkdir()
    fuzz.mkdir()
    (tests / name).write_text(f"#!/bin/bash\n{body}\n")
    os.chmod(tests / name, 0o755)
    (tests / "list.txt").write_text(f"fake/{name}\ttests/{name}\n")
    (fuzz / "list.txt").write_text("fuzz_fake\n")


def verdict(name, body):
    with tempfile.TemporaryDirectory() as folder:
        make_build(folder, name, body)
        text, rc, output = run("check.py", ["--only", "^fake/", "--timeout", "2", folder])
        return text.split("\n")[-1], rc, output


def suppressed():
    """In a build with ThreadSanitizer every test, a script too, knows what libraries are let pass."""
    with tempfile.TemporaryDirectory() as folder:
        build = pathlib.Path(folder, "tsan")
        build.mkdir()
        make_build(build, "knows", f"[[ $TSAN_OPTIONS == suppressions={ROOT}/tests/tsan.supp:* ]] && {FAKES[0][1]}")
        text, rc, output = run("check.py", ["--only", "^fake/", str(build)])
        return text.split("\n")[-1], rc, output


def fuzzed(name, body):
    """The lines from the verdict on: what a target that failed has printed stands between."""
    with tempfile.TemporaryDirectory() as folder:
        fuzz = pathlib.Path(folder, "fuzz")
        fuzz.mkdir()
        (fuzz / name).write_text(f"#!/bin/bash\n{body.replace('{}', name)}\n")
        os.chmod(fuzz / name, 0o755)
        (fuzz / "list.txt").write_text(f"{name}\n")
        return run("fuzz.sh", [folder, "5"])


def unmatched(script, arguments, want):
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        make_build(folder, "passes", FAKES[0][1])
        text, rc, output = run(script, [a.replace("{}", folder) for a in arguments])
        return text, want.replace("{}", folder), rc, output


def main():
    failed = 0

    def tell(name, good, want, rc, output):
        nonlocal failed
        failed += not good
        print(f"{name} ... {'ok' if good else 'FAILED'}")
        if not good:
            print(f"want: {want}\nexit status {rc}, output:\n{output}")

    for name, body, want in FAKES:
        line, rc, output = verdict(name, body)
        tell(name, line == want and (rc == 0) == (" 0 failed" in want), want, rc, output)
    for name, script, arguments, want in UNMATCHED:
        text, want, rc, output = unmatched(script, arguments, want)
        tell(name, text == want and rc == 1, want, rc, output)
    for name, body, want in TARGETS:
        text, rc, output = fuzzed(name, body)
        want = want.replace("{}", name)
        tell(name, text.endswith(want) and (rc == 0) == (" 0 failed" in want), want, rc, output)
    line, rc, output = suppressed()
    tell("libraries_are_let_pass_under_tsan", line == FAKES[0][2] and rc == 0, FAKES[0][2], rc, output)
    count = len(FAKES) + len(UNMATCHED) + len(TARGETS) + 1
    print(f"{count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
