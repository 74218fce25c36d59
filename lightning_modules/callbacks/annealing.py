"""Pruning on schedule: step → prune → re-mask, and the row dropout that goes with it."""

from __future__ import annotations

import pytorch_lightning as pl

from doping.method import Method
from doping.training.callbacks import LightningHooks


class Annealing(LightningHooks, pl.Callback):
    """Takes every sparse matrix of a model from dense to its planned sparsity while it trains: ``doping.Annealer``.

    Each layer knows its own method; ``method`` is that of all of them, for callers that have just one. ``total_steps`` is
    needed where the trainer cannot know the optimizer steps of the training.
    """

    def __init__(self, method: Method | None = None, total_steps: int | None = None):
        super().__init__(total_steps)
        self.method = method
