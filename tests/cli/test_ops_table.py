#!/usr/bin/env python3
"""The table of ops is complete: every op that a header declares is in it, has an oracle, and names a test that there is."""
import re
import sys

import cli_run
from cli_run import ROOT, expect, farandole, ok_json

DECLARED = re.compile(r"^extern const fari_op\s+(fari_op_\w+);", re.M)
LISTED = re.compile(r"\{ &(fari_op_\w+), ")


def case_every_op_is_listed():
    headers = [*sorted((ROOT / "src/ops").glob("*.h")), ROOT / "src/graph/graph.h"]
    declared = [name for header in headers for name in DECLARED.findall(header.read_text())]
    listed = LISTED.findall((ROOT / "src/ops/table.c").read_text())
    assert len(declared) > 50
    assert len(listed) == len(set(listed)), "twice in the table"
    assert set(declared) == set(listed), f"only declared: {set(declared) - set(listed)}, only listed: {set(listed) - set(declared)}"
    assert len(ok_json("ops", "--json")) == len(listed)


def case_names_differ():
    names = [op["name"] for op in ok_json("ops", "--json")]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def case_every_op_has_an_oracle():
    without = [op["name"] for op in ok_json("ops", "--json") if not op["reference"]]
    assert not without, without


def case_tests_exist():
    missing = {op["tested_by"] for op in ok_json("ops", "--json") if not (ROOT / "tests" / str(op["tested_by"])).is_file()}
    assert not missing, missing


def case_selection():
    assert all(op["role"] == "optimizer" for op in ok_json("ops", "optimizer", "--json"))
    assert [op["name"] for op in ok_json("ops", "conv", "--json")] == ["conv"]
    expect(farandole("ops", "convv"), 2, "conv")
    expect(farandole("ops", "layer"), 0, "conv", "oneDNN")


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
