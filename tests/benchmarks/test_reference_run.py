"""Our dense language model and a plain loop over ``nn.LSTM`` give the same losses, bit for bit, dropout included."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.reference_run.__main__ import COLUMNS, compare, draw, rows, summary
from tasks.language_model import LanguageModelTask

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draws, path = random.Random(0), tmp_path_factory.mktemp("text")
    for name, lines in (("train", 300), ("valid", 40), ("test", 10)):
        text = "".join(" ".join(draws.choices(["a", "cat", "sat", "on"], k=5)) + "\n" for _ in range(lines))
        (path / f"{name}.txt").write_text(text)
    return path


def task(folder: Path, **model: Any) -> LanguageModelTask:
    """Two layers, decayed in the second epoch, and clipped often."""
    return LanguageModelTask.model_validate(
        {
            "data": {"corpus": "text", "level": "word", "path": str(folder)},
            "model": {"layers": 2, "hidden": 16, "uniform_init": 0.1, **model},
            "training": {
                **{"optimizer": "sgd", "learning_rate": 1.0, "decay": 2.0, "decay_after": 1, "clip": 2.0},
                **{"batch_size": 8, "sequence_length": 9},
            },
        }
    )


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """So that sums are always in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_both_sides_go_the_same_way(folder: Path, dropout: float) -> None:
    epoch = -(-((1800 - 1) // 8) // 9)
    ours, reference = compare(task(folder, dropout=dropout), 2 * epoch + 3)
    assert len(ours.losses) == 2 * epoch + 3
    assert ours.losses == reference.losses
    assert len(set(ours.losses)) == len(ours.losses)
    assert ours.losses[-1] < ours.losses[0]
    assert ours.validations.keys() == reference.validations.keys() == {epoch, 2 * epoch}
    assert ours.validations == pytest.approx(reference.validations, rel=1e-5)
    assert summary("tiny", ours, reference).startswith(
        f"tiny: the first {2 * epoch + 3} of {2 * epoch + 3} losses are equal"
    )


def test_a_table_and_a_figure_are_made_of_it(folder: Path, tmp_path: Path) -> None:
    table = rows("tiny", *compare(task(folder), 3))
    assert [tuple(row) for row in table] == [COLUMNS] * 3
    assert [path.exists() for path in draw(table, tmp_path / "figure")] == [True, True]
