#!/usr/bin/env python3
"""farandole plan for several ranks."""
import sys

import cli_run
from cli_run import expect, farandole, ok_json

UNET = cli_run.ROOT / "examples/unet-synthetic.yaml"


def case_text_names_each_rank():
    ran = expect(farandole("plan", UNET, "--ranks", 4, "--layout", "data=2,spatial=2", "grain.rows=16"), 0, "all ranks")
    for rank in range(4):
        assert f"rank {rank} " in ran.stdout, ran.stdout
    expect(farandole("plan", UNET, "--ranks=64"), 0, "48 more ranks", "56 ranks have no grain")
    expect(farandole("plan", UNET, "--layout=spatial=2"), 0, "grain.rows")


def case_what_is_sent_is_received():
    for layout in ("data=4", "spatial=4", "data=2,spatial=2"):
        plan = ok_json("plan", UNET, "--json", "--layout", layout, "grain.rows=16")
        each = plan["each"]
        assert plan["ranks"] == 4 and [r["rank"] for r in each] == [0, 1, 2, 3]
        assert sum(r["sent_bytes"] for r in each) == sum(r["received_bytes"] for r in each) == plan["message_bytes"] > 0
        assert all(sum(r["sent_by_size"].values()) == r["sent"] and r["grain_calls"] > 0 for r in each)
        for rank in each:
            for partner in rank["partners"]:
                back = next(p for p in each[partner["rank"]]["partners"] if p["rank"] == rank["rank"])
                assert (partner["sent"], partner["sent_bytes"]) == (back["received"], back["received_bytes"])


def case_ranks_take_less_memory_each():
    one = ok_json("plan", UNET, "--json", "grain.rows=16")["arena_bytes"]
    four = ok_json("plan", UNET, "--json", "--ranks=4", "--layout=spatial=4", "grain.rows=16")
    assert max(r["arena_bytes"] for r in four["each"]) < 0.5 * one
    expect(farandole("plan", UNET, "--ranks=4", "--memory=1M"), 4, "rank", "more ranks")


def case_evaluation_and_batches_are_counted():
    words = ["plan", UNET, "--json", "grain.rows=16", "grain.min_rows=1"]
    one = ok_json(*words, "--ranks=2", "--layout=data=2")
    four = ok_json(*words, "--ranks=8", "--layout=data=2,spatial=4")
    for key, least in (("evaluation_bytes_most", 0.6), ("input_bytes_most", 0.6)):
        assert 0 < four[key] < least * one[key], (key, four[key], one[key])
    # a step of evaluation larger than one of training is what counts
    large = ok_json(*words, "--ranks=2", "--layout=spatial=2", "eval.batch=64")
    assert large["evaluation_bytes_most"] > max(r["arena_bytes"] for r in large["each"])
    assert large["memory_bytes_most"] > large["evaluation_bytes_most"]
    # where all of a sample counts it is read whole, by each thread
    whole = ok_json(*words, "--ranks=8", "--layout=data=2,spatial=4", "data.augment.contrast=0.5")
    assert whole["input_bytes_most"] > four["input_bytes_most"]
    expect(farandole("plan", UNET, "--ranks=2"), 0, "evaluation       by all ranks", "batches made ahead")


def case_what_fills_a_rank_is_named():
    """Its own part falls with the ranks; rows of neighbours and levels that are not cut come on top."""
    own = {}
    for ranks in (2, 4):
        each = ok_json("plan", UNET, "--json", f"--layout=spatial={ranks}", "grain.rows=16", "grain.min_rows=4")["each"]
        for rank in each:
            parts = rank["fullest"]
            assert sum(parts.values()) == rank["arena_bytes"] and min(parts.values()) >= 0, rank
            assert parts["halo"] > 0 and parts["own"] > 0.2 * rank["arena_bytes"] and parts["gaps"] < 0.2 * rank["arena_bytes"], rank
        own[ranks] = max(rank["fullest"]["own"] for rank in each)
    assert 0.45 * own[2] < own[4] < 0.55 * own[2], own
    assert all(r["fullest"]["halo"] == 0 for r in ok_json("plan", UNET, "--json", "--layout=data=2")["each"])
    expect(farandole("plan", UNET, "--layout=spatial=2", "grain.rows=16"), 0, "rows of neighbours")


def case_the_whole_plan_of_a_rank():
    plan = ok_json("plan", UNET, "--ranks=4", "--rank=2")
    assert plan["rank"] == 2 and plan["layout"] == {"data": 4, "spatial": 1}
    kinds = {i["id"]: i["kind"] for i in plan["instructions"]}
    for message in plan["messages"]:
        is_send = message["from"] == 2
        assert kinds[message["instruction"]] == ("send" if is_send else "recv")
        assert message["made_by" if is_send else "awaited_by"] in kinds
        assert sum(part["bytes"][1] - part["bytes"][0] for part in message["parts"]) == message["bytes"]
    assert plan["feeds"][0]["samples"] == [8, 12]


def case_one_rank_is_no_other_plan():
    assert ok_json("plan", UNET, "--json", "--ranks=1")["instructions"] == ok_json("plan", UNET, "--json")["instructions"]


def case_impossible_layouts_are_refused():
    for words, parts in (
        (["--ranks=4", "--layout=data=3"], ["3 ranks, not 4"]),
        (["--layout=tensor=2"], ["tensor", "planned"]),
        (["--layout=rows=2"], ["rows", "data and spatial"]),
        (["--layout=data"], ["data=2"]),
        (["--layout=data=0"], ["from 1"]),
        (["--layout=data=2,data=2"], ["twice"]),
        (["--layout=data=60000,spatial=60000"], ["more than"]),
        (["--ranks=0x"], ["--ranks"]),
        (["--ranks=2", "--rank=2"], ["0 to 1"]),
    ):
        expect(farandole("plan", UNET, *words), 2, *parts)


if __name__ == "__main__":
    cli_run.main(sys.modules[__name__])
