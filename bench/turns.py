"""Two programs that take turns: both stay alive and warm, one steps while the other waits.

Such a program reads numbers of steps from standard input, one a line, and answers each with a JSON list of the seconds of its steps:
`farandole bench CONFIG --turns`, and torch_steps.py here."""
import collections
import json
import os
import statistics
import subprocess
import time

TURN_S = 0.4  # of one program, where a step is shorter than that
STEPS_MAX = 500

Spread = collections.namedtuple("Spread", "middle least most")


class Failed(Exception):
    pass


def spread(values):
    return Spread(statistics.median(values), min(values), max(values))


class Program:
    """A context: the program ends with it."""

    def __init__(self, argv, env=None):
        self.argv = [str(word) for word in argv]
        self.began = time.monotonic()
        self.process = subprocess.Popen(self.argv, env=dict(os.environ, **(env or {})), text=True, bufsize=1, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def steps(self, count):
        """The seconds of each."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            told = self.process.stderr.read().strip().splitlines()
            raise Failed(f"{' '.join(self.argv)}\nended with {code}: {told[-1] if told else 'without a word'}")
        return json.loads(line)

    def warm(self, count=3):
        self.step_s = statistics.median(self.steps(count)[count // 2:])
        return self

    def turn(self, least=1):
        """Steps for about TURN_S, the median of their seconds."""
        count = min(STEPS_MAX, max(least, round(TURN_S / self.step_s)))
        return statistics.median(self.steps(count))

    def peak_bytes(self):
        """The most memory that the process ever held, the kernel's own figure."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def alternate(programs, rounds):
    """{name: [seconds of a step, one a round]}. Who goes first changes from round to round."""
    times = {name: [] for name in programs}
    names = list(programs)
    for k in range(rounds):
        for name in names if k % 2 == 0 else names[::-1]:
            times[name].append(programs[name].turn())
    return times


def ratios(slow, fast):
    """Spread of slow / fast, of each round."""
    return spread([a / b for a, b in zip(slow, fast)])
