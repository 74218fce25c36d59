"""The language models that studies can name: the regimes of the paper, to the letter."""

from __future__ import annotations

import pytest

from sweeps.study.named_tasks import names, written_out
from tasks.language_model import LanguageModelTask

SHARED = {"batch_size": 20, "optimizer": "scaled_sgd", "learning_rate": 1.0}
"""Scaled SGD is plain SGD for a dense model."""

ZAREMBA = {
    "small": (
        {"layers": 2, "hidden": 200, "dropout": 0.0, "uniform_init": 0.1},
        {"epochs": 13, "sequence_length": 20, "decay": 2.0, "decay_after": 4, "clip": 5.0},
    ),
    "medium": (
        {"layers": 2, "hidden": 650, "dropout": 0.5, "uniform_init": 0.05},
        {"epochs": 39, "sequence_length": 35, "decay": 1.2, "decay_after": 6, "clip": 5.0},
    ),
    "large": (
        {"layers": 2, "hidden": 1500, "dropout": 0.65, "uniform_init": 0.04},
        {"epochs": 55, "sequence_length": 35, "decay": 1.15, "decay_after": 14, "clip": 10.0},
    ),
}
"""Zaremba, Sutskever & Vinyals 2014 (arXiv 1409.2329), section 4.1."""

NAMED = [("ptb", size) for size in ZAREMBA] + [("wikitext2", "medium"), ("wikitext2", "large")]


@pytest.mark.parametrize(("corpus", "size"), NAMED)
def test_a_named_language_model_has_the_regime_of_its_size(corpus: str, size: str) -> None:
    task = LanguageModelTask.model_validate(written_out(f"{corpus}_{size}"))
    model, training = ZAREMBA[size]
    assert (task.data.corpus, task.data.level) == (corpus, "word")
    assert task.model.model_dump() == model
    given = task.training.model_dump()
    assert {key: given[key] for key in SHARED | training} == SHARED | training
    assert given["validations"] == given["epochs"]
    assert (given["cooldown"], given["weight_decay"]) == (0, 0)


def test_no_other_corpora_of_words_are_named() -> None:
    assert {name for name in names() if name.startswith(("ptb_", "wikitext2_"))} == {f"{c}_{s}" for c, s in NAMED}
