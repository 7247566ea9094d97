#!/usr/bin/env python3
"""--timeline: a Chrome trace of some steps, of all ranks in one file; and what farandole bench says of several ranks."""
import json
import sys

import cli_run
from cli_run import expect, farandole, ok_json, tiny_config
from test_train_ranks import CUT, need_mpi

STEPS = 3


def events_of(path):
    told = json.loads(path.read_text())
    assert told["displayTimeUnit"] == "ms", told.keys()
    return told["traceEvents"]


def named(events, kind):
    return {(e["pid"], e.get("tid")): e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == kind}


def drawn(events, rank, track=None, cat=None):
    """The boxes of a rank, of one sort, in the order of time."""
    names = named(events, "thread_name")
    boxes = [e for e in events if e["ph"] == "X" and e["pid"] == rank and (cat is None or e.get("cat") == cat)
             and (track is None or names[rank, e["tid"]].startswith(track))]  # fmt: skip
    return sorted(boxes, key=lambda e: e["ts"])


def check_tracks(events):
    """Boxes of one track do not overlap, and nothing ends before it begins."""
    ends = {}
    for e in sorted((e for e in events if e["ph"] == "X"), key=lambda e: e["ts"]):
        track = (e["pid"], e["tid"])
        assert e["dur"] >= 0 and e["ts"] >= ends.get(track, e["ts"]) - 0.002, (e, ends[track])
        ends[track] = e["ts"] + e["dur"]
    assert ends.keys() <= named(events, "thread_name").keys()


def check_rank(events, rank, plan):
    """Every instruction of the plan is there, in every step."""
    steps = [e for e in drawn(events, rank, "steps") if e["name"].startswith("step")]
    assert [e["name"] for e in steps] == ["step 3", "step 4", "step 5"], steps
    kinds = [row["kind"] for row in plan["instructions"]]
    messages = sum(kind in ("send", "recv") for kind in kinds)
    assert len(drawn(events, rank, "thread")) == STEPS * (len(kinds) - messages)
    assert len(drawn(events, rank, cat="message")) == STEPS * messages
    calls = drawn(events, rank, "thread")
    assert {"forward", "backward", "update"} == {e["cat"] for e in calls}
    assert calls[0]["ts"] >= steps[0]["ts"] - 0.002 and calls[-1]["ts"] <= steps[-1]["ts"] + steps[-1]["dur"]
    assert any(e["name"].startswith("conv ") for e in calls) and any(e["name"].startswith("add up ") for e in calls)


def check_pairs(events, ranks):
    """Each message of a rank ends at another, with the same bytes; it was not there before it was sent."""
    ends = {}
    for rank in range(ranks):
        for e in drawn(events, rank, cat="message"):
            args = e["args"]
            key = (rank, args["to"], args["tag"]) if "to" in args else (args["from"], rank, args["tag"])
            ends.setdefault(key, {}).setdefault("to" if "to" in args else "from", []).append(e)
    assert ends
    for key, of in ends.items():
        assert len(of["to"]) == len(of["from"]) == STEPS, key
        for sent, came in zip(of["to"], of["from"]):
            assert sent["args"]["bytes"] == came["args"]["bytes"] > 0 and sent["name"] == came["name"], (sent, came)
            assert abs(sent["ts"] - came["ts"]) < 0.01, (sent, came)
    names = " ".join(of["to"][0]["name"] for of in ends.values())
    assert "partial sums: " in names and "results of sums: " in names, names
    return names


def case_one_rank(tmp):
    config, file = tiny_config(tmp), tmp / "one.json"
    expect(farandole("train", config, f"run.dir={tmp}/r", "--quiet", "--threads=2", "--timeline", file), 0)
    events = events_of(file)
    check_tracks(events)
    check_rank(events, 0, json.loads((tmp / "r/plan.json").read_text()))
    assert list(named(events, "process_name").values()) == ["rank 0"]


def case_ranks_in_one_file(tmp):
    need_mpi()
    config, file = tiny_config(tmp), tmp / "ranks.json"
    words = ["--layout=data=2,spatial=2", *CUT]
    expect(farandole("train", config, f"run.dir={tmp}/r", "--quiet", "--ranks=4", "--threads=2", *words, "--timeline", file), 0)
    events = events_of(file)
    check_tracks(events)
    for rank in range(4):
        check_rank(events, rank, ok_json("plan", config, "--ranks=4", f"--rank={rank}", "--json", "--threads=2", *words))
    assert "rows: " in check_pairs(events, 4)
    assert [name.split(" on ")[0] for name in named(events, "process_name").values()] == [f"rank {r}" for r in range(4)]
    waits = [e for rank in range(4) for e in drawn(events, rank, cat="wait")]
    assert {e["pid"] for e in waits} == set(range(4)), "a rank that never waits for the others"
    for wait in waits:
        assert wait["args"]["until"], wait
        calls = [e for e in drawn(events, wait["pid"], "thread") if e["ts"] < wait["ts"] + wait["dur"]]
        begun = [e for e in calls if e["ts"] + e["dur"] > wait["ts"] + 0.01 and e["ts"] < wait["ts"] + wait["dur"] - 0.01]
        assert not begun, (wait, begun)  # nothing is computed meanwhile


def case_a_training_shorter_than_that(tmp):
    file = tmp / "short.json"
    expect(farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "train.steps=2", "--timeline", file), 0)
    assert [e["name"] for e in drawn(events_of(file), 0, "steps")][1::2] == ["step 0", "step 1"]


def case_a_file_that_cannot_be_written(tmp):
    ran = farandole("train", tiny_config(tmp), f"run.dir={tmp}/r", "--quiet", "--timeline", tmp / "none/t.json")
    expect(ran, 1, "none/t.json")


def case_bench_of_ranks(tmp):
    need_mpi()
    config = tiny_config(tmp)
    told = ok_json("bench", config, "--ranks=2", "--steps=8", "--json", "--quiet", cwd=tmp)
    plan = ok_json("plan", config, "--ranks=2", "--json", cwd=tmp)
    assert told["layout"] == {"data": 2, "spatial": 1} and told["steps"] == 8 and told["batch"] == 16
    for rank, (row, planned) in enumerate(zip(told["ranks"], plan["each"], strict=True)):
        assert row["rank"] == rank and 0 < row["exposed_s"] < row["step_s"], row
        assert row["messages"] == planned["sent"] and row["message_bytes"] == planned["sent_bytes"], (row, planned)
        assert row["planned_bytes"] > row["arena_bytes"] > 0 and row["peak_bytes"] > 0, row
    expect(farandole("bench", config, "--ranks=2", "--steps=5", "--quiet", cwd=tmp), 0, "exposed", "rank 1 ", "sends")
    assert sorted(p.name for p in tmp.iterdir()) == ["tiny.yaml"], "something was written"


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
