#!/usr/bin/env python3
"""The documentation holds: links lead somewhere, and the worked examples of docs/adding-*.md still fit the code and compile.

A page's examples are blocks of C after "New file `PATH`", and diffs that apply to the repository as it is.
"""
import os
import re
import shutil
import subprocess
import sys

import cli_run
from cli_run import ROOT, Skip

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fsyntax-only",
         '-DFAR_TEST_SOURCE_DIR="."', '-DFAR_TEST_CLI="farandole"', '-DFARI_VERSION="0"']  # fmt: skip
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
BLOCK = re.compile(r"(?:New file `([^`]+)`:\n\n)?```(\w*)\n(.*?)^```", re.S | re.M)


def case_links():
    dead = []
    for page in PAGES:
        for target in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
            if "://" not in target and not (page.parent / target).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert not dead, "\n".join(dead)


def apply_diff(root, diff):
    """Plain unified diffs: each hunk's old lines must be in the file exactly once."""
    for part in re.split(r"^--- a/", diff, flags=re.M)[1:]:
        path = root / part.split("\n", 1)[0].strip()
        text = path.read_text()
        for hunk in re.split(r"^@@.*\n", part, flags=re.M)[1:]:
            lines = [line or " " for line in hunk.rstrip("\n").split("\n")]
            old = "".join(line[1:] + "\n" for line in lines if line[0] in " -")
            assert text.count(old) == 1, f"{path.relative_to(root)}: these lines are there {text.count(old)} times:\n{old}"
            text = text.replace(old, "".join(line[1:] + "\n" for line in lines if line[0] in " +"))
        path.write_text(text)
        yield path


def check_examples(tmp, name):
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("clang")
    if compiler is None:
        raise Skip("no C compiler")
    for folder in ("include", "src", "tests"):
        shutil.copytree(ROOT / folder, tmp / folder, ignore=shutil.ignore_patterns("golden", "fuzz", "__pycache__"))
    touched = []
    for path, language, text in BLOCK.findall((ROOT / "docs" / name).read_text()):
        if language == "diff":
            touched += apply_diff(tmp, text)
        elif path and language == "c":
            (tmp / path).write_text(text)
            touched.append(tmp / path)
    assert touched, f"{name} has no examples"
    for path in dict.fromkeys(touched):
        if path.suffix != ".c":
            continue
        argv = [compiler, *FLAGS, f"-I{tmp}/include", f"-I{tmp}/src", f"-I{tmp}/tests", f"-I{tmp}/tests/support", str(path)]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=cli_run.LIMIT_S)
        assert ran.returncode == 0, ran.stderr


def case_adding_an_op(tmp):
    check_examples(tmp, "adding-an-op.md")


def case_adding_a_model(tmp):
    check_examples(tmp, "adding-a-model.md")


def case_adding_an_optimizer(tmp):
    check_examples(tmp, "adding-an-optimizer.md")


def case_adding_a_reader(tmp):
    check_examples(tmp, "adding-a-reader.md")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
