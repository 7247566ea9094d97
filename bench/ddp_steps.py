#!/usr/bin/env python3
"""PyTorch's side of bench/ranks: torch_steps.py's steps by DistributedDataParallel over gloo, two processes that share the batch.
    bench/ddp_steps.py NETWORK SHAPE [as torch_steps.py]     SHAPE: of the whole batch
The first process answers the questions of turns.py."""
import json
import os
import sys
import tempfile
import time

import torch_steps

PROCESSES = 2


def work(rank, args, place, questions, answers):
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=PROCESSES)
    training = torch_steps.Training(args)
    training.model = torch.nn.parallel.DistributedDataParallel(training.model, gradient_as_bucket_view=True)
    training.optimizer = torch.optim.SGD(training.model.parameters(), lr=0.01, momentum=0.9)
    while (steps := questions.get()) is not None:
        seconds = []
        for _ in range(steps):
            began = time.monotonic()
            training.step()
            seconds.append(time.monotonic() - began)
        if rank == 0:
            answers.put(seconds)
    dist.destroy_process_group()


def main():
    import torch.multiprocessing as processes

    args = torch_steps.arguments()
    whole = [int(n) for n in args.shape.split("x")]
    args.shape = "x".join(map(str, [whole[0] // PROCESSES, *whole[1:]]))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    start = processes.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        questions, answers = [start.SimpleQueue() for _ in range(PROCESSES)], start.SimpleQueue()
        ranks = [start.Process(target=work, args=(r, args, f"{folder}/meet", questions[r], answers), daemon=True) for r in range(PROCESSES)]
        for rank in ranks:
            rank.start()
        for line in sys.stdin:
            for question in questions:
                question.put(int(line))
            print(json.dumps(answers.get()), flush=True)
        for question in questions:
            question.put(None)
        for rank in ranks:
            rank.join(20)


if __name__ == "__main__":
    main()
