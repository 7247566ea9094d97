#!/usr/bin/env python3
"""Runs test executables, test scripts and style checks; prints one line each and, last, the count of cases.

A test prints `name ... ok|FAILED|skipped: why` per case and last `N passed, N failed, N skipped`; exit 0, 1, or 77
when all are skipped. A script that prints no such lines is one case.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASE = re.compile(r"^(\S+) \.\.\. (ok|FAILED|skipped)(?:: (.*))?$")
COUNT = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
C_FOLDERS = ("include", "src", "tests", "examples", "bench", "fuzz")
FORMAT_VERSION = 14  # other versions lay out other text from the same .clang-format


class Result:
    def __init__(self, name):
        self.name, self.passed, self.failed, self.skips = name, 0, 0, []
        self.output, self.seconds = "", 0.0

    def ok(self):
        self.passed += 1
        return self

    def fail(self, output):
        self.failed += 1
        self.output += output if output.endswith("\n") else output + "\n"
        return self

    def skip(self, why):
        self.skips.append((self.name, why))
        return self


def c_files(*suffixes):
    found = []
    for folder in C_FOLDERS:
        found += [p for s in suffixes for p in (ROOT / folder).rglob("*" + s)]
    return sorted(found)


# --- tests ---


def command_of(path):
    if path.suffix == ".py":
        return [sys.executable, str(path)]
    if path.suffix == ".sh":
        return ["bash", str(path)]
    return [str(path)]


def run_bounded(argv, timeout, env):
    """Output and exit status; what the test leaves behind is killed with its process group."""
    with tempfile.TemporaryFile() as out:
        proc = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, start_new_session=True)
        try:
            rc = proc.wait(timeout)
        except subprocess.TimeoutExpired:
            rc = None
        try:
            os.killpg(proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        proc.wait()
        out.seek(0)
        return rc, out.read().decode(errors="replace")


def run_test(name, path, args, options):
    result = Result(name)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farandole-") as tmp:
        env = dict(os.environ, TMPDIR=tmp, FAR_TEST_BUILD=str(options.build),
                   FAR_TEST_CLI=str(options.build / "farandole"), PYTHONDONTWRITEBYTECODE="1")
        env.setdefault("OMP_WAIT_POLICY", "passive")  # two tests at a time: threads that spin would starve the other
        if "tsan" in options.build.name:
            env["TSAN_OPTIONS"] = f"suppressions={ROOT / 'tests' / 'tsan.supp'}:{env.get('TSAN_OPTIONS', '')}"
        rc, result.output = run_bounded(options.prefix + command_of(path) + args, options.timeout, env)
    result.seconds = time.monotonic() - start
    lines = result.output.rstrip("\n").split("\n")
    count = COUNT.match(lines[-1])
    if count:
        result.passed, result.failed = int(count[1]), int(count[2])
        for case in filter(None, map(CASE.match, lines)):
            if case[2] == "skipped":
                result.skips.append((f"{name}/{case[1]}", case[3] or "no reason given"))
        while len(result.skips) < int(count[3] or 0):
            result.skips.append((name, "no reason given"))
        if rc not in (0, 77) and result.failed == 0:
            result.fail(f"exit status {rc}" if rc is not None else f"stopped after {options.timeout} s")
    elif rc == 0 and path.suffix:
        result.ok()
    elif rc == 77 and path.suffix:
        result.skip(lines[-1] or "no reason given")
    elif rc is None:
        result.fail(f"stopped after {options.timeout} s")
    else:
        finished = [c[2] for c in filter(None, map(CASE.match, lines))]
        result.passed, result.failed = finished.count("ok"), finished.count("FAILED")
        result.fail(f"ended without its count of cases, exit status {rc}")
    return result


def list_tests(options):
    tests = []
    listed = options.build / "tests" / "list.txt"
    for line in listed.read_text().splitlines():
        name, _, path = line.partition("\t")
        tests.append((name, options.build / path))
    if not options.torture:
        scripts = [p for pattern in ("*/test_*.py", "*/test_*.sh") for p in (ROOT / "tests").glob(pattern)]
        if options.style:
            scripts.append(ROOT / "tests" / "layers.py")
        tests += [(str(p.relative_to(ROOT / "tests").with_suffix("")), p) for p in sorted(scripts)]
    return [(n, p) for n, p in tests if re.search(options.only, n)]


# --- style ---


def tool(name):
    """The tool in the version that Debian 12 has, where it goes by that name."""
    return shutil.which(f"{name}-{FORMAT_VERSION}") or shutil.which(name)


def check_format(_options):
    result = Result("style/format")
    binary = tool("clang-format")
    if binary is None:
        return result.skip("clang-format is not installed")
    version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    if f"version {FORMAT_VERSION}." not in version:
        return result.skip(f"needs clang-format {FORMAT_VERSION}, found: {version.strip()}")
    bad = []
    for path in c_files(".c", ".h"):
        text = path.read_bytes()
        if subprocess.run([binary, f"--assume-filename={path}"], input=text, stdout=subprocess.PIPE).stdout != text:
            bad.append(str(path.relative_to(ROOT)))
    return result.fail("not in format (make format):\n  " + "\n  ".join(bad)) if bad else result.ok()


def check_headers(_options):
    """Each public header compiles alone, as C and as C++."""
    result = Result("style/headers")
    languages = [("gcc", "c", "c11"), ("gcc", "c", "c17"), ("g++", "c++", "c++11"), ("g++", "c++", "c++20")]
    for compiler, language, standard in languages:
        binary = shutil.which(compiler)
        if binary is None:
            result.skips.append((f"style/headers as {language}", f"{compiler} is not installed"))
            continue
        for header in sorted((ROOT / "include").rglob("*.h")):
            name = header.relative_to(ROOT / "include").as_posix()
            argv = [binary, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                    "-fsyntax-only", f"-I{ROOT}/include", "-"]
            ran = subprocess.run(argv, input=f"#include <{name}>\n", capture_output=True, text=True)
            result.ok() if ran.returncode == 0 else result.fail(f"{name} alone as {standard}:\n{ran.stderr}")
    return result


def check_other_compiler(options):
    """What the release build compiled, through the other compiler, for its warnings."""
    commands = json.loads((options.build / "compile_commands.json").read_text())
    built_with = commands[0]["command"].split()[0] if commands else "gcc"
    other = "gcc" if "clang" in pathlib.Path(built_with).name else "clang"
    result = Result(f"style/{other}")
    binary = shutil.which(other)
    if binary is None:
        return result.skip(f"{other} is not installed")

    def compile_one(entry):
        argv, out = entry["command"].split()[1:], []
        while argv:
            arg = argv.pop(0)
            if arg in ("-o", "-MF", "-MT"):
                argv.pop(0)
            # clang's -Wdouble-promotion fires on `double x = INFINITY` as well; -Wno-stringop-overflow is gcc's alone
            elif arg not in ("-MD", "-c", "-Wdouble-promotion", "-Wno-stringop-overflow"):
                out.append(arg.replace('\\"', '"'))
        ran = subprocess.run([binary, *out, "-Werror", "-fsyntax-only"], cwd=entry["directory"], capture_output=True,
                             text=True)
        return "" if ran.returncode == 0 else ran.stderr or ran.stdout or "failed\n"

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        bad = "".join(pool.map(compile_one, commands))
    return result.fail(bad) if bad else result.ok()


def check_text(_options):
    """What editors do unseen: tabs, blanks at line ends, carriage returns, no newline at the end."""
    result = Result("style/text")
    bad = []
    for path in c_files(".c", ".h", ".py", ".sh"):
        text = path.read_bytes()
        where = path.relative_to(ROOT)
        if text and not text.endswith(b"\n"):
            bad.append(f"{where}: no newline at the end")
        for number, line in enumerate(text.split(b"\n"), 1):
            if b"\t" in line or b"\r" in line or line != line.rstrip():
                bad.append(f"{where}:{number}: tab, carriage return or blank at the end")
    return result.fail("\n".join(bad)) if bad else result.ok()


def apply_format(only):
    binary = tool("clang-format")
    if binary is None:
        sys.exit("clang-format is not installed")
    others = [f for f in only if not f.endswith((".c", ".h"))]
    if others:
        sys.exit(f"clang-format is for .c and .h files: {', '.join(others)}")
    files = only or [str(p) for p in c_files(".c", ".h")]
    if files:
        subprocess.run([binary, "-i", *files], check=True)


# --- all of it ---


def show(result):
    if not (result.passed or result.failed or result.skips):
        return  # no torture cases in it
    verdict = "FAILED" if result.failed else "ok" if result.passed else "skipped"
    parts = [f"{result.passed} passed"]
    parts += [f"{result.failed} failed"] if result.failed else []
    parts += [f"{len(result.skips)} skipped"] if result.skips else []
    if result.failed:
        print(f"----- output of {result.name}\n{result.output}-----")
    print(f"{verdict:8}{result.name:40} {', '.join(parts):24} {result.seconds:6.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", nargs="*", help="build folder; with --format, files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="regular expression on names of tests")
    parser.add_argument("--timeout", type=float, default=float(os.environ.get("FAR_TEST_TIMEOUT_S", 900)))
    parser.add_argument("--torture", action="store_true", help="the long cases instead")
    parser.add_argument("--style", action="store_true", help="the style checks too")
    parser.add_argument("--format", action="store_true", help="apply clang-format and end")
    options = parser.parse_args()
    if options.format:
        return apply_format(options.build)
    if len(options.build) != 1:
        parser.error("which build folder?")
    options.build = pathlib.Path(options.build[0]).resolve()
    jobs = 1 if options.torture else options.jobs
    options.prefix = []
    if "tsan" in options.build.name:
        # ThreadSanitizer knows few memory layouts; with randomisation it dies at start-up on newer kernels
        probe = ["setarch", "-R"]
        if subprocess.run(probe + ["true"], capture_output=True).returncode == 0:
            options.prefix = probe

    tests = list_tests(options)
    if not tests:  # a misspelt name is no test passed
        why = " (scripts have no long cases)" if options.torture else ""
        print(f"no test matches '{options.only}' in {options.build}{why}")
        print("0 passed, 1 failed")
        return 1

    results = []

    def take(result):
        show(result)
        results.append(result)

    args = ["--torture"] if options.torture else []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run_test, name, path, args if not path.suffix else [], options)
                   for name, path in tests]
        for future in concurrent.futures.as_completed(futures):
            take(future.result())
    if options.style and not options.only:
        for check in (check_format, check_text, check_headers, check_other_compiler):
            start = time.monotonic()
            result = check(options)
            result.seconds = time.monotonic() - start
            take(result)

    skips = sorted(skip for result in results for skip in result.skips)
    for name, why in skips:
        print(f"skipped: {name}: {why}")
    failures = sorted(result.name for result in results if result.failed)
    if failures:
        print("failed: " + " ".join(failures))
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print(f"{passed} passed, {failed} failed" + (f", {len(skips)} skipped" if skips else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
