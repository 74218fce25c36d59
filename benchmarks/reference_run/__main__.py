"""The dense language model against ``plain_language_model``, which shares nothing with it: loss by loss.

    LSTM_DATA=DIR python -m benchmarks.reference_run [--runs ptb_small=4648 ptb_medium=300] [--out results]

Zaremba's small model for two epochs of the Penn Treebank (of 2,324 steps), and his medium one, with its dropout, for its
first steps. Both sides start with the same weights and the same random state; ours goes through the Lightning ``Trainer``.

Writes ``reference_run.csv``, one line per step with the mean loss of both sides in nats per word, and after each epoch their
perplexities on the validation split; and a figure of it.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure

from analysis.figures import drawing
from benchmarks.reference_run.plain_language_model import Course, PlainLanguageModel, Regime, train
from data.text.datamodule import TextDataModule
from doping.layers.lstm import CompressedLSTM
from doping.method import Method
from lightning_modules.language_model import RecurrentLanguageModel
from lightning_modules.trainer import plain_trainer, quiet_lightning
from sweeps.study.named_tasks import written_out
from tasks.language_model import LanguageModelTask

RUNS = ["ptb_small=4648", "ptb_medium=300"]
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
    text, validation = torch.from_numpy(data.train_tokens[:]), torch.from_numpy(data.validation_tokens[:])
    numbers = {name: getattr(regime, name) for name in Regime.__dataclass_fields__}
    return ours, train(plain, Regime(**numbers), text, validation, steps)


def _train_ours(model: RecurrentLanguageModel, data: TextDataModule, steps: int) -> Course:
    recorder = _Recorder()
    with tempfile.TemporaryDirectory() as folder:
        trainer = plain_trainer(
            max_steps=steps,
            accelerator="cpu",
            gradient_clip_val=model.training_settings.clip,
            callbacks=[recorder],
            default_root_dir=folder,
        )
        trainer.fit(model, data)
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
        assert isinstance(pl_module, RecurrentLanguageModel)
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


def summary(name: str, ours: Course, reference: Course) -> str:
    """What a run showed, in words."""
    pairs = list(zip(ours.losses, reference.losses, strict=True))
    equal = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    text = f"{name}: the first {equal} of {len(pairs)} losses are equal bit for bit, "
    text += f"the largest difference is {max(abs(a - b) for a, b in pairs):.2g} nats"
    for step, perplexity in ours.validations.items():
        text += f"; after step {step} validation perplexity {perplexity:.3f}, reference {reference.validations[step]:.3f}"
    return text


def draw(table: Sequence[dict[str, Any]], stem: Path) -> list[Path]:
    """Draw the losses of both sides to ``stem.png`` and ``stem.svg``, a panel a task; returns the paths."""
    tasks = list(dict.fromkeys(row["task"] for row in table))
    with drawing.style():
        figure = Figure(figsize=(0.4 + 2.9 * len(tasks), 2.3), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
            of_task = [row for row in table if row["task"] == name]
            steps = [int(row["step"]) for row in of_task]
            expected, actual = ([float(row[key]) for row in of_task] for key in ("reference_loss", "loss"))
            furthest = max(abs(a - b) for a, b in zip(actual, expected, strict=True))
            axes.set_title(f"{name}, largest difference {furthest:.2g}", loc="left", weight="bold")
            axes.plot(steps, expected, color="#56B4E9", linewidth=3, label="plain loop over nn.LSTM")
            axes.plot(steps, actual, color="#000000", linewidth=0.8, label="ours, dense")
            axes.set_xlabel("Step")
            axes.legend(frameon=False)
        figure.axes[0].set_ylabel("Loss, nats a word")
        return drawing.save(figure, stem)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all comparisons and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=RUNS, metavar="TASK=STEPS", help=f"default: {' '.join(RUNS)}")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    quiet_lightning()
    table: list[dict[str, Any]] = []
    for name, _, steps in (run.partition("=") for run in options.runs):
        try:
            courses = compare(LanguageModelTask.model_validate(written_out(name)), int(steps))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        print(summary(name, *courses), flush=True)
        table += rows(name, *courses)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "reference_run.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
    draw(table, options.out / "reference_run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
