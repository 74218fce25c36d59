"""What a dry run measures before anything has run, with every optimizer and precision that a task may name."""

import pytest
import pytorch_lightning as pl
import torch
from machine import needs_bfloat16

from doping.method import Method
from lightning_modules.settings.training import Training
from sweeps.planning.estimate import estimate
from tasks.language_model import LanguageModelTask

pytestmark = pytest.mark.filterwarnings("ignore")

OPTIMIZERS = Training.model_json_schema()["properties"]["optimizer"]["enum"]


def tiny(**training):
    return LanguageModelTask(
        data={"limit": 4000},
        model={"hidden": 64},
        training={"epochs": 2, "batch_size": 8, "sequence_length": 20, **training},
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_sizes_of_model_and_checkpoint_are_those_that_training_writes(optimizer, tmp_path):
    task = tiny(optimizer=optimizer)
    model, data = task.build(Method())
    trainer = pl.Trainer(max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(model, data)
    checkpoint, weights = tmp_path / "checkpoint.ckpt", tmp_path / "model.ckpt"
    trainer.save_checkpoint(checkpoint)
    trainer.save_checkpoint(weights, weights_only=True)
    measured = estimate(task, threads=1)
    assert measured.model_bytes == pytest.approx(weights.stat().st_size, rel=0.15)
    assert measured.checkpoint_bytes == pytest.approx(checkpoint.stat().st_size, rel=0.15)


def test_time_is_that_of_all_epochs():
    once, ten_times = (estimate(tiny(epochs=epochs), threads=1).seconds for epochs in (1, 50))
    assert once > 0
    assert ten_times > 2 * once


@needs_bfloat16
def test_steps_are_timed_in_the_precision_of_the_task(monkeypatch):
    seen = []
    linear = torch.nn.functional.linear

    def watched(*arguments):
        result = linear(*arguments)
        seen.append(result.dtype)
        return result

    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    estimate(tiny(precision="bf16-mixed"), threads=1)
    assert torch.bfloat16 in seen
