"""Workers of a run, forked from a process that has imported PyTorch and Lightning already (``forked.python``).

In all else these are the processes of ``sweeps.engines.local``, with the same pipes and environment; but a trial has one
thread. Several would wait for one another beside other tests: a training of two seconds took forty.
"""

from forked import python

from sweeps.engines import local

REAL = local.worker_process
"""For tests of what a worker finds when it starts."""


def forking():
    """What starts a worker, in place of ``local.worker_process``."""
    words = python.words(python.SESSION)
    return lambda command, environment: REAL([*words, *command[1:-1], "1"], environment)
