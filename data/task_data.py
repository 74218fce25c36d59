"""What every task's data offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl


class TaskData(pl.LightningDataModule, ABC):
    """Loaders of the training, validation and test split, and what is said about them.

    A training loader has a length (batches in an epoch), and ``state_dict`` and ``load_state_dict``, so that a training
    goes on in mid-epoch.
    """

    data_hash: str
    """SHA-256 in hex of the data as the model sees them: equal content gives an equal hash, wherever it lies."""
    source: str
    """One line that says where the data came from."""

    @abstractmethod
    def monitored_batch(self) -> Any:
        """A small batch of the validation split, always the same: what ``TaskModule.metric_on`` takes."""
