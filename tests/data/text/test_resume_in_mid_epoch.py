"""A training that is interrupted at any step and resumed from its checkpoint sees exactly the batches it would have."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from data import build
from data.settings import Corpus
from data.text.batches import TextBatch
from data.text.datamodule import TextDataModule
from lightning_modules.settings import StreamTraining

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
]

EPOCHS = 3
BATCHES = 5


class Recorder(pl.LightningModule):
    """Notes what it is given: (epoch, batch index, step, first token, whether it starts)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[Any, ...]] = []
        self.validated: list[int] = []

    def training_step(self, batch: TextBatch, batch_idx: int) -> torch.Tensor:
        row = (self.current_epoch, batch_idx, self.global_step, batch.tokens_TB[:, 0].tolist(), batch.starts)
        self.seen.append(row)
        return self.weight**2

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        self.validated.append(batch.targets_TB.numel())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class StopAfter(pl.Callback):
    """Interrupts the training once so many steps are done, and saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def train(data: TextDataModule, folder: Path, *callbacks: pl.Callback, resume: Path | None = None) -> Recorder:
    model = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        val_check_interval=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=bool(callbacks),
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume)
    return model


@pytest.fixture
def data(tmp_path: Path) -> TextDataModule:
    (tmp_path / "book.txt").write_text("".join(f"{i:03} " + "abcdefgh" * 2 + "\n" for i in range(100)))
    corpus = Corpus(corpus="text", path=str(tmp_path / "book.txt"), limit=4 * 44 + 1)
    return build(corpus, StreamTraining(batch_size=4, sequence_length=10), evaluation_length=64)


@pytest.mark.exhaustive(keep_every=2)
@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6, 9, 10, 11])
def test_batches_and_counters_go_on_as_if_nothing_had_happened(data: TextDataModule, tmp_path: Path, stop: int) -> None:
    assert len(data.train_dataloader()) == BATCHES
    undisturbed = train(data, tmp_path)
    assert len(undisturbed.seen) == EPOCHS * BATCHES
    assert [row[-1] for row in undisturbed.seen] == ([True] + [False] * (BATCHES - 1)) * EPOCHS

    saving = ModelCheckpoint(tmp_path / "checkpoints", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    with pytest.raises(SystemExit):
        train(data, tmp_path, saving, StopAfter(stop))
    resumed = train(data, tmp_path, saving, resume=tmp_path / "checkpoints" / f"step={stop}.ckpt")
    assert resumed.seen == undisturbed.seen[stop:]


def test_each_validation_predicts_the_whole_stream(data: TextDataModule, tmp_path: Path) -> None:
    model = train(data, tmp_path)
    whole = len(data.validation_tokens) - 1
    assert sum(model.validated) == EPOCHS * (BATCHES // 2) * whole
