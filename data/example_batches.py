"""Batches of separate examples: sentences, pairs of sentences, labelled texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch

from data.processes import place
from doping.errors import DataError

ExampleT = TypeVar("ExampleT")
BatchT = TypeVar("BatchT")


class ExampleBatches(Generic[ExampleT, BatchT]):
    """Batches of examples, each example once an epoch; the last batch may be smaller.

    With ``shuffle_seed`` the order is another one in every epoch, drawn from the seed and the number of the epoch; without,
    it is the order of the examples. It is to be given to a Lightning ``Trainer`` as a data loader. Its state is kept in
    checkpoints, so a training interrupted in mid-epoch goes on at exactly the next batch.

    Where several processes train together, each gives its own share of every epoch's batches, as many as the others
    give: those of the last, incomplete round are left out.
    """

    def __init__(
        self,
        examples: Sequence[ExampleT],
        batch_size: int,
        collate: Callable[[list[ExampleT]], BatchT],
        shuffle_seed: int | None = None,
    ) -> None:
        """``collate`` makes a batch of a list of examples. Raises ``DataError`` if there are none."""
        if not examples:
            raise DataError("no examples for a split; expected at least one in each")
        self._examples = examples
        self._batch_size = batch_size
        self._collate = collate
        self._shuffle_seed = shuffle_seed
        self._epoch = 0
        self._given = 0
        self._resume_at = 0

    def __len__(self) -> int:
        """Batches in an epoch, of this process."""
        rank, processes = place()
        batches = -(-len(self._examples) // self._batch_size)
        return batches // processes if self._shuffle_seed is not None else len(range(rank, batches, processes))

    def __iter__(self) -> Iterator[BatchT]:
        """Give the batches of an epoch, or those that remain of the one whose state was loaded."""
        # This runs at the first `next`, not at `iter`: Lightning may call `iter` twice before it asks for a batch.
        self._given, self._resume_at = self._resume_at, 0
        rank, processes = place()
        order = self._order()
        while self._given < len(self):
            start = (self._given * processes + rank) * self._batch_size
            self._given += 1
            if self._given == len(self):
                self._epoch += 1
            yield self._collate([self._examples[index] for index in order[start : start + self._batch_size]])

    def state_dict(self) -> dict[str, int]:
        """How far the batches were given out, and of what."""
        return {"epoch": self._epoch, "given": self._given, **self._shape()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on after the batches that were given out; after the last, start an epoch.

        Raises:
            DataError: the state is of other examples, or of batches of another size.

        """
        shape = {key: value for key, value in state.items() if key not in ("epoch", "given")}
        if shape != self._shape():
            raise DataError(
                f"the checkpoint is of data with {shape}, these have {self._shape()}; "
                "resume with the data and the batch_size that it was started with"
            )
        self._epoch, self._given = state["epoch"], state["given"]
        self._resume_at = state["given"] % len(self)

    def _order(self) -> list[int]:
        if self._shuffle_seed is None:
            return list(range(len(self._examples)))
        generator = torch.Generator().manual_seed((self._shuffle_seed * 1_000_003 + self._epoch) % 2**63)
        order: list[int] = torch.randperm(len(self._examples), generator=generator).tolist()
        return order

    def _shape(self) -> dict[str, int]:
        return {"examples": len(self._examples), "batch_size": self._batch_size}
