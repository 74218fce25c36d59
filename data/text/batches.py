"""Batches of a token stream for truncated back-propagation through time.

Dimensions: T time steps, B parallel lanes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.processes import place
from data.text.tokens import Tokens
from doping.errors import DataError


class TextBatch(NamedTuple):
    """One step of truncated back-propagation; ``targets_TB`` are the tokens that follow ``tokens_TB``."""

    tokens_TB: Tensor
    targets_TB: Tensor
    starts: bool
    """Whether the streams start here: the recurrent state must be zero. Else it is the one after the last batch."""


class StreamBatches:
    """The batches of a token stream, in order; the state of the model is carried from each to the next.

    The stream is cut into ``lanes`` contiguous pieces of equal length (Zaremba et al. 2014, section 4.1), read side by
    side, ``length`` time steps a batch. The last batch may be shorter. As is the custom, what does not fill all lanes
    is left out: the last ``(tokens - 1) % lanes`` targets. With one lane nothing is, and every token but the first is
    predicted exactly once, whatever the length.

    Where several processes train together and the stream is ``shared``, it is cut into so many lanes for each of them:
    each reads its own, and a step takes as many tokens as there are processes times more.

    It is to be given to a Lightning ``Trainer`` as a data loader, with ``limit_train_batches`` left alone. Its state
    is kept in checkpoints, so a training interrupted in mid-epoch goes on at exactly the next batch.
    """

    def __init__(self, tokens: Tokens, lanes: int, length: int, shared: bool = False) -> None:
        """Cut ``tokens``, at least ``lanes + 1`` of them; where shared, ``processes * lanes + 1``."""
        self.length = length
        self._tokens = tokens
        self._lanes = lanes
        self._shared = shared
        self._given = 0
        self._resume_at = 0
        assert self._steps > 0, "the stream is shorter than one time step"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self._steps // self.length)

    def __iter__(self) -> Iterator[TextBatch]:
        """Give the batches of an epoch, or those that remain of the one whose state was loaded."""
        # This runs at the first `next`, not at `iter`: Lightning may call `iter` twice before it asks for a batch.
        self._given, self._resume_at = self._resume_at, 0
        while self._given < len(self):
            start = self._given * self.length
            self._given += 1
            yield self._batch(start, min(start + self.length, self._steps))

    def _batch(self, start: int, stop: int) -> TextBatch:
        first = place()[0] * self._lanes if self._shared else 0
        begins = [lane * self._steps for lane in range(first, first + self._lanes)]
        lanes = [self._tokens[begin + start : begin + stop + 1] for begin in begins]
        # Time first and contiguous: tokens and targets are two views of one tensor.
        tokens_TB = torch.from_numpy(np.stack(lanes, axis=1))
        return TextBatch(tokens_TB[:-1], tokens_TB[1:], starts=start == 0)

    @property
    def _steps(self) -> int:
        """Time steps of an epoch. Asked for each time: who else trains is only known once the training is under way."""
        return (len(self._tokens) - 1) // (self._lanes * (place()[1] if self._shared else 1))

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch were given out, and what identifies the epoch."""
        return {"given": self._given, **self._shape()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on after the batches that were given out; after the last, start an epoch.

        Raises:
            DataError: the state is of a stream of another length, or cut differently.

        """
        shape = {key: value for key, value in state.items() if key != "given"}
        if shape != self._shape():
            raise DataError(
                f"the checkpoint is of a data stream with {shape}, this one has {self._shape()}; "
                "resume with the corpus, batch_size and sequence_length that it was started with"
            )
        self._given = state["given"]
        self._resume_at = state["given"] % len(self)

    def _shape(self) -> dict[str, int]:
        return {"steps": self._steps, "lanes": self._lanes, "length": self.length}
