"""One side of a comparison in a process of its own: commands in and answers out, a line of JSON each.

{"do": "build", "work": {...}}  makes the model and runs it once: {"parameters": ...}
{"do": "run"}                   {"seconds": ..., "peak_bytes": ...}
{"do": "study"}                 counts one run: {"passes": ..., "flops": ..., "shares": {...}}
{"do": "rates"}                 the machine's: {"no": FLOP/s, "bf16": FLOP/s, "bandwidth": byte/s}
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sizes import OURS, Work  # noqa: E402


class Side:
    """A model and what is done with it."""

    def __init__(self):
        self.run = self.network = None
        self.before, self.device = 0, "cpu"

    def answer(self, command: dict) -> dict:
        """What one command asks for."""
        import counting
        import torch

        if command["do"] == "rates":
            torch.set_num_threads(command["threads"])
            return counting.machine_rates(command.get("device", "cpu"))
        if command["do"] == "build":
            work = Work.from_dict(command["work"])
            torch.set_num_threads(work.threads)
            if work.side == OURS:
                import ours as side
            else:
                import peer as side
            self.run, self.network, parameters = side.build(work)
            self.device = work.device
            # A GPU has no other use for its memory: the model counts there.
            self.before = counting.resident_bytes() if self.device == "cpu" else 0
            peak = self._timed(counting)["peak_bytes"]  # the first run makes room for everything
            return {"parameters": parameters, "peak_bytes": peak}
        if command["do"] == "run":
            return self._timed(counting)
        if command["do"] == "study":
            return counting.study(self.run, self.network, self.device)
        raise ValueError(f"command is {command['do']!r}, expected build, run, study or rates")

    def _timed(self, counting) -> dict:
        counting.forget_peak(self.device)
        counting.synchronize(self.device)
        start = time.perf_counter()
        self.run()
        counting.synchronize(self.device)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "peak_bytes": max(0, counting.peak_bytes(self.device) - self.before)}


def serve(side) -> None:
    """Answer by ``side.answer`` until the input ends."""
    # Libraries print to stdout; the answers go where it was.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            content = side.answer(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            content = {"error": f"{type(error).__name__}: {' '.join(str(error).split()):.300}"}
        answers.write(json.dumps(content) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(Side())
