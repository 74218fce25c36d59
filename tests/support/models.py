"""Small models of every method and pattern, trained or not, as the training code makes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

import doping
from doping.inference.from_torch import export
from doping.inference.runtime import load
from doping.layers.lstm import CompressedLSTM
from doping.matrices import Plan, Shape
from doping.matrices.dense import DensePlan
from doping.matrices.doped import DopedPlan
from doping.matrices.hybrid import HybridPlan
from doping.matrices.kronecker import KroneckerPlan
from doping.matrices.low_rank import LowRankPlan
from doping.matrices.monarch import MonarchPlan
from doping.matrices.sparse import SparsePlan
from doping.method import Method, RowDropout
from doping.patterns import geometry
from doping.vocabulary import Vocabulary, tokenize
from lightning_modules.intent import IntentClassifier
from lightning_modules.language_model import RecurrentLanguageModel
from lightning_modules.settings import IntentModel, IntentTraining
from tasks.language_model import LanguageModelTask

PATTERNS = ("unstructured", "gates", "rows")
METHODS = (
    "dense",
    "lmf",
    "hmd",
    "kp",
    "monarch",
    *(f"{name}/{pattern}" for name in ("pruned", "doped_kp", "doped_lmf", "doped_hmd") for pattern in PATTERNS),
)
"""Every method, those with a sparse part in every pattern."""

TEXT = "The cat sat on the mat.\nThe dog — été, naïve — sat on the log.\n" * 12

INTENTS = ["show flights to boston", "what is the fare", "a meal on the flight to denver", "fly", "fare to nowhere please"]
INTENT_WORDS = Vocabulary.of(" ".join(INTENTS[:4]).split(), "word")
LABELS = ("fare", "flight", "meal")


def compressed(lstm: torch.nn.LSTM, method: str) -> CompressedLSTM:
    """What ``CompressedLSTM.from_lstm`` gives, for widths too small for its budgets."""
    small = CompressedLSTM.from_lstm(lstm, Method())
    for name, matrix in zip(small.matrices, list(small.weight_matrices()), strict=True):
        small.matrices[name] = plan(method, matrix.shape).fitted(matrix.dense())
    return small


def language_model(
    method: str, level: str = "character", embedding_rank: int | None = None
) -> tuple[RecurrentLanguageModel, Vocabulary]:
    """An untrained model of the tokens of ``TEXT``, with large weights, so that its predictions are not all alike."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.of(tokenize(TEXT, level), level)
    task = LanguageModelTask(data={"level": level}, model={"hidden": 20, "layers": 2, "dropout": 0.3})
    of_tokens = Method(embedding_rank=embedding_rank)
    model = RecurrentLanguageModel(task.model, task.training, of_tokens, len(vocabulary), level)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
        model.softmax.bias.zero_()
    for name, matrix in zip(model.lstm.matrices, list(model.lstm.weight_matrices()), strict=True):
        model.lstm.matrices[name] = plan(method, matrix.shape).fitted(matrix.dense())
    return model.eval(), vocabulary


def classifier(method: str, embedding_rank: int | None = None) -> IntentClassifier:
    """Untrained, with large weights, so that not all texts get the same label."""
    torch.manual_seed(1)
    sizes = {"vocabulary_size": len(INTENT_WORDS), "unknown": INTENT_WORDS.unknown, "classes": 3, "labels": 4}
    of_tokens = Method(embedding_rank=embedding_rank)
    model = IntentClassifier(IntentModel(hidden=20, layers=2), IntentTraining(), of_tokens, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    for name, matrix in zip(model.lstm.matrices, list(model.lstm.weight_matrices()), strict=True):
        model.lstm.matrices[name] = plan(method, matrix.shape).fitted(matrix.dense())
    return model.eval()


def plan(method: str, shape: Shape) -> Plan:
    """A plan of about a third of the values; Kronecker factors are rectangular."""
    name, _, pattern = method.partition("/")
    rows, columns = shape
    structured = {
        "lmf": LowRankPlan(shape, 3),
        "hmd": HybridPlan(shape, 5, gates=1),  # as files have it
        "kp": KroneckerPlan(shape, (rows // 4, columns // 2), terms=2) if rows > columns else None,
        "monarch": MonarchPlan(shape, (rows // 8 if rows % 8 == 0 else rows // 4, 2), 1) if columns % 2 == 0 else None,
        "dense": DensePlan(shape),
    }
    if name in structured:
        return structured[name]
    step = geometry(shape, pattern).step
    sparse = SparsePlan(shape, max(rows * columns // (4 * step), 1) * step, pattern)
    if name == "pruned":
        return sparse
    return DopedPlan(shape, structured[name.removeprefix("doped_")], sparse, 0.5, RowDropout())


def lstms() -> Iterator[torch.nn.LSTM]:
    """One layer and several, one direction and two, with biases and without; widths no multiples of 8."""
    torch.manual_seed(0)
    yield torch.nn.LSTM(12, 10)
    yield torch.nn.LSTM(6, 11 * 2, num_layers=3, bias=False)
    yield torch.nn.LSTM(18, 6, num_layers=2, bidirectional=True)


def trained_exported_and_run(method: Method, folder: Path) -> None:
    """A small LSTM of a method learns in a plain loop, is pruned, and gives the same from its bundle."""
    torch.manual_seed(0)
    lstm = CompressedLSTM(24, 24, method=method)
    annealer = doping.Annealer(lstm, total_steps=30)
    optimizer = torch.optim.Adam(lstm.parameters(), 1e-2)
    x_TBI, losses = torch.randn(12, 8, 24), []
    for _ in range(30):
        loss = nn.functional.mse_loss(lstm(x_TBI)[0], x_TBI.roll(1, 0))
        loss.backward()
        optimizer.step()
        annealer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    annealer.finish_()
    assert losses[-1] < 0.9 * losses[0]
    lstm.eval()
    expected = lstm(x_TBI)[0].detach().numpy()
    export(lstm, folder / "model.lstm")
    found, _ = load(folder / "model.lstm").forward(x_TBI.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)
