"""A worker process: runs the trials that it is told to, one after the other, and keeps the heavy imports warm.

It is started by ``sweeps.engines.local`` and speaks lines of JSON: orders on standard input, events on standard output.
When its input closes, the parent is gone (or done), and the worker ends at once; whatever it was training goes on from its
checkpoint another time.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from doping.errors import UserError, one_line
from sweeps.results.folder import ResultsFolder
from sweeps.trials.dotted_names import load
from sweeps.trials.job import Job
from sweeps.trials.outcome import Interrupted, Progress
from sweeps.worker.execute import Train, execute


class _Channel:
    """Orders from the parent, events to it."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        # From now on a stray print cannot disturb the events.
        os.dup2(2, 1)
        self.orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.stopping = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, event: str, **fields: Any) -> None:
        try:
            self._out.write(json.dumps({"event": event, **fields}) + "\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(1)

    def _listen(self) -> None:
        for line in sys.stdin:
            order = json.loads(line)
            if order["order"] == "stop":
                self.stopping.set()
            else:
                self.orders.put(order)
        os._exit(1)


def main(train_name: str, folder: str, threads: int) -> None:
    """Load the training function, then run trials until the input closes, or until one crashes: what a crash leaves
    behind (memory, a sick GPU) should not meet the next trial.
    """
    # Ctrl-C is the parent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    channel = _Channel()
    try:
        train: Train = load(train_name)
    except Exception as error:
        channel.send("broken", message=one_line(error))
        return
    results = ResultsFolder(Path(folder))

    def report(progress: Progress) -> None:
        if channel.stopping.is_set():
            raise Interrupted
        channel.send("progress", **vars(progress))

    channel.send("ready")
    kind = ""
    while kind != "crashed":
        order = channel.orders.get()["job"]
        try:
            job = Job.of_order(order)
        except UserError as error:
            channel.send("broken", message=str(error))
            return
        verdict = execute(job, results, train, report, threads)
        channel.send("end", kind=verdict.kind, message=verdict.message)
        kind = verdict.kind


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    # Libraries may have left threads behind that would keep the process alive.
    sys.stderr.flush()
    os._exit(0)
