"""Workers of a run, forked from a process that has imported PyTorch and Lightning already.

An import takes some seconds of processor time, and each run has its own workers. In all else these are the processes of
``sweeps.engines.local``: the same program in its own session and environment, with the same pipes.
"""

import multiprocessing
import os
import subprocess
import sys

from doping.machine import ROOT
from sweeps.engines import local

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["sweeps.worker.__main__", "sweeps.worker.train"])


REAL = local.worker_process
"""For tests of what a worker finds when it starts."""


class ForkedWorker:
    """In place of ``subprocess.Popen``, as far as the engine needs it."""

    def __init__(self, command, environment):
        assert command[1:3] == ["-m", "sweeps.worker"], command
        (orders, to_orders), (from_events, events), (from_words, words) = (_CONTEXT.Pipe(duplex=False) for _ in range(3))
        # Those that a test forgets end with it.
        self._process = _CONTEXT.Process(
            target=_work, args=(command[3:], dict(environment), (orders, events, words)), daemon=True
        )
        self._process.start()
        self.pid = self._process.pid
        for end in (orders, events, words):
            end.close()
        self.stdin = _file(to_orders, "w")
        self.stdout = _file(from_events, "r")
        self.stderr = _file(from_words, "r")

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("sweeps.worker", timeout)
        return self._process.exitcode

    def kill(self):
        self._process.kill()


def _file(connection, mode):
    with connection:
        return os.fdopen(os.dup(connection.fileno()), mode, encoding="utf-8", errors="replace")


def _work(arguments, environment, pipes):
    from sweeps.worker.__main__ import main

    os.setsid()
    os.chdir(ROOT)
    for stream, pipe in enumerate(pipes):
        os.dup2(pipe.fileno(), stream)
        pipe.close()
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(stream, mode, encoding="utf-8") for stream, mode in enumerate("rww"))
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    train, folder, threads = arguments
    main(train, folder, int(threads))
    sys.stderr.flush()
    os._exit(0)
