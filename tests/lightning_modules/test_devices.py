"""Several processes and mixed precision are Lightning's; our models, batches and masks go along with them."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from machine import needs_bfloat16
from tiny_task import VOCABULARY, TinyText, settings, stream, trainer

from data.text.batches import StreamBatches
from doping.matrices import Sparse
from doping.method import Method
from lightning_modules.callbacks.annealing import Annealing
from lightning_modules.language_model import RecurrentLanguageModel
from lightning_modules.precision import precision_problem
from sweeps.commands.main import main
from tasks.language_model import LanguageModelTask

pytestmark = pytest.mark.filterwarnings("ignore")

DOPED = Method(name="doped_kp", factor=5, cmr={"probability": 0.3})
PROCESSES = 2


def network(method: Method, task: LanguageModelTask) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    return RecurrentLanguageModel(task.model, task.training, method, VOCABULARY, task.data.level)


class WhatEachProcessHas(pl.Callback):
    """Writes down, in every process, what was read in the first step, and what it ends with."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.first: list[list[int]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 0:
            self.first = batch.tokens_TB.t().tolist()

    def on_train_end(self, trainer, pl_module):
        masks = {name: m.mask.clone() for name, m in pl_module.named_modules() if isinstance(m, Sparse)}
        torch.save(
            {
                "weights": dict(pl_module.named_parameters()),
                "masks": masks,
                "size": pl_module.size(),
                "first": self.first,
                "steps": trainer.global_step,
                "validation": pl_module.measured(),
            },
            self.folder / f"{trainer.global_rank}.pt",
        )


@pytest.mark.exhaustive
def test_two_processes_have_the_same_masks_sizes_and_weights_and_each_its_own_text(tmp_path):
    task = settings(epochs=2)
    net = network(DOPED, task)
    runner = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=PROCESSES,
        strategy="ddp_fork",
        gradient_clip_val=5.0,
        callbacks=[Annealing(DOPED), WhatEachProcessHas(tmp_path)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    runner.fit(net, TinyText())
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(PROCESSES))

    assert first["steps"] == second["steps"] == 2 * len(StreamBatches(stream(700), PROCESSES * 4, 8))
    assert first["weights"].keys() == second["weights"].keys()
    for part in ("weights", "masks"):
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    planned = sum(matrix.planned_nonzeros for matrix in net.modules() if isinstance(matrix, Sparse))
    assert sum(int(mask.sum()) for mask in first["masks"].values()) == planned
    assert first["size"] == second["size"]
    assert not all(torch.equal(weight, first["weights"][name]) for name, weight in network(DOPED, task).named_parameters())
    assert first["validation"] == second["validation"]

    # Side by side, the lanes of both are the stream cut into twice as many.
    whole = next(iter(StreamBatches(stream(700), PROCESSES * 4, 8))).tokens_TB.t().tolist()
    assert first["first"] + second["first"] == whole


@needs_bfloat16
def test_bf16_trains_close_to_float32_and_keeps_the_weights_in_float32(tmp_path):
    task, losses = settings(epochs=3), {}
    untrained = network(DOPED, task)
    trainer(DOPED, tmp_path).validate(untrained, TinyText(), verbose=False)
    start = untrained.measured()
    for precision in ("32-true", "bf16-mixed"):
        net = network(DOPED, task)
        torch.manual_seed(1)
        runner = trainer(DOPED, tmp_path, epochs=3, precision=precision)
        runner.fit(net, TinyText())
        runner.validate(net, TinyText(), verbose=False)
        losses[precision] = net.measured()
        assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
        assert all(parameter.isfinite().all() for parameter in net.parameters())
    assert losses["bf16-mixed"] != losses["32-true"]
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
    assert losses["bf16-mixed"] < start - 0.01


def test_a_cpu_without_lstms_in_bfloat16_is_known_before_anything_starts(monkeypatch, capsys, tmp_path):
    def refuse(*arguments, **named):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(torch.nn.LSTM, "forward", refuse)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision_problem("32-true") == ""
    command = ["--study", "kp_vs_pruning", "--preset", "smoke", "--out", str(tmp_path / "out")]
    assert main([*command, "--set", "task.training.precision=bf16-mixed"]) == 2
    assert capsys.readouterr().err == (
        "error: --set task.training.precision: bf16-mixed: PyTorch has no LSTM in bfloat16 for this CPU; take 32-true\n"
    )
    assert not (tmp_path / "out").exists()
