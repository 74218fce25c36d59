"""Lightning's Trainer as this project uses it: one device, and nothing written or announced that was not asked for."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytorch_lightning as pl


def plain_trainer(**options: Any) -> pl.Trainer:
    """A Trainer without logger, checkpoints, progress bar, summary and sanity check; ``options`` are further ones."""
    switched_off = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(devices=1, **(switched_off | options))


def quiet_lightning() -> None:
    """Keep Lightning from announcing devices and tips."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
