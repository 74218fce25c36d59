"""The dense language model against ``plain_language_model``, which shares nothing with it: loss by loss.

    LSTM_DATA=DIR python benchmarks/reference_run.py [--out results]

Zaremba's small model for two epochs of the Penn Treebank, and his medium one, with its dropout, for its first steps. Both
sides start with the same weights and the same random state; ours goes through the Lightning ``Trainer``.

Writes ``reference_run.csv``, a line a step with the mean loss in nats a word of both sides, and their perplexities on the
validation split at the end of an epoch (and of the run); and a figure of it.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry).resolve() != here)]

import pytorch_lightning as pl
import torch

from benchmarks.plain_language_model import Course, PlainLanguageModel, Regime, train
from data import DataError
from data.datamodule import TextDataModule
from lightning_modules.language_model import LanguageModel
from lightning_modules.lstm import CompressedLSTM
from lightning_modules.settings import Method
from sweeps.named_tasks import written_out
from sweeps.train import quiet_lightning
from tasks.language_model import LanguageModelTask

RUNS = {"ptb_small": 2 * 2324, "ptb_medium": 300}
"""The named tasks, and the steps of each; 2,324 are an epoch of the small one."""
SEED = 1
COLUMNS = ("task", "step", "loss", "reference_loss", "validation", "reference_validation")


def compare(task: LanguageModelTask, steps: int) -> tuple[Course, Course]:
    """Train our dense model of a task and the plain one for so many steps, from the same weights; ours comes first."""
    model, data = task.build(Method())
    settings, regime = task.model, task.training
    torch.manual_seed(SEED)
    plain = PlainLanguageModel(
        len(data.vocabulary), settings.hidden, settings.layers, settings.dropout, settings.uniform_init or 0.1
    )
    model.embedding.load_state_dict(plain.embedding.state_dict())
    model.softmax.load_state_dict(plain.softmax.state_dict())
    model.lstm = CompressedLSTM.from_lstm(plain.lstm, Method())
    ours = _train_ours(model, data, steps)
    torch.manual_seed(SEED)
    texts = [torch.as_tensor(data.train_tokens[:]), torch.as_tensor(data.validation_tokens[:])]
    numbers = {name: getattr(regime, name) for name in Regime.__dataclass_fields__}
    return ours, train(plain, Regime(**numbers), *texts, steps)


def _train_ours(model: LanguageModel, data: TextDataModule, steps: int) -> Course:
    recorder = _Recorder()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator="cpu",
            gradient_clip_val=model.training_settings.clip,
            callbacks=[recorder],
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(model, data)
        if steps not in recorder.course.validations:
            trainer.validate(model, data.val_dataloader(), verbose=False)
    return recorder.course


class _Recorder(pl.Callback):
    """Notes every loss and every validation, and starts the random numbers where the reference does."""

    def __init__(self) -> None:
        self.course = Course()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(SEED)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.course.losses.append(float(outputs["nats"]))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        self.course.validations[trainer.global_step] = pl_module.measured()


def rows(name: str, ours: Course, reference: Course) -> list[dict[str, Any]]:
    """Lines of the table."""
    return [
        {
            "task": name,
            "step": step,
            "loss": loss,
            "reference_loss": expected,
            "validation": ours.validations.get(step, ""),
            "reference_validation": reference.validations.get(step, ""),
        }
        for step, (loss, expected) in enumerate(zip(ours.losses, reference.losses, strict=True), start=1)
    ]


def summary(name: str, ours: Course, reference: Course) -> list[str]:
    """What a run showed, in words."""
    furthest = max(abs(a - b) for a, b in zip(ours.losses, reference.losses, strict=True))
    together = sum(
        1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ours.losses, reference.losses, strict=True))
    )
    lines = [
        f"{name}: {len(ours.losses)} steps, {together} of them bit for bit; losses differ by {furthest:.2g} nats at most"
    ]
    for step, perplexity in ours.validations.items():
        lines.append(
            f"  after step {step}: validation perplexity {perplexity:.3f}, reference {reference.validations[step]:.3f}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all comparisons and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    quiet_lightning()
    table: list[dict[str, Any]] = []
    for name, steps in RUNS.items():
        began = time.monotonic()
        try:
            courses = compare(LanguageModelTask.model_validate(written_out(name)), steps)
        except DataError as error:
            print(error, file=sys.stderr)
            return 2
        print("\n".join(summary(name, *courses)), f"\n  {time.monotonic() - began:.0f} s", flush=True)
        table += rows(name, *courses)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "reference_run.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
