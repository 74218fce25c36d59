"""Batches of a token stream for truncated back-propagation through time.

Dimensions: T time steps, B parallel lanes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from data.errors import DataError


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

    It is to be given to a Lightning ``Trainer`` as a data loader, with ``limit_train_batches`` left alone. Its state
    is kept in checkpoints, so a training stopped in mid-epoch goes on at exactly the next batch.
    """

    def __init__(self, tokens: Tensor, lanes: int, length: int) -> None:
        """Cut ``tokens``, integers of shape (tokens,), at least ``lanes + 1`` of them."""
        steps = (len(tokens) - 1) // lanes
        assert steps > 0, "the stream is shorter than one time step"
        self.length = length
        # Time first and contiguous, so that a batch is a view and costs no copy.
        self._tokens_TB = tokens[: steps * lanes].view(lanes, steps).t().contiguous()
        self._targets_TB = tokens[1 : steps * lanes + 1].view(lanes, steps).t().contiguous()
        self._given = 0
        self._resume_at = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._tokens_TB) // self.length)

    def __iter__(self) -> Iterator[TextBatch]:
        """Give the batches of an epoch, or those that remain of the one whose state was loaded."""
        # This runs at the first `next`, not at `iter`: Lightning may call `iter` twice before it asks for a batch.
        self._given, self._resume_at = self._resume_at, 0
        while self._given < len(self):
            now = slice(self._given * self.length, (self._given + 1) * self.length)
            starts = self._given == 0
            self._given += 1
            yield TextBatch(self._tokens_TB[now], self._targets_TB[now], starts)

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
        steps, lanes = self._tokens_TB.shape
        return {"steps": steps, "lanes": lanes, "length": self.length}
