"""Run a compressed model: needs NumPy, safetensors, pydantic and the kernels, and no training code.

    >>> model = load("model.lstm")
    >>> model.score(text).bits
    >>> model.generate("The ", length=200, temperature=0.7, seed=1)
    >>> logits_TBV, state = model.forward(tokens_TB, state)
    >>> load("intents.lstm").classify("show me flights to boston")[0]

``load`` gives what the bundle holds: a :class:`LanguageModel`, a :class:`Classifier`, or an :class:`Lstm`.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from doping.inference.bundle import description
from doping.inference.bundle.file import Bundle, read
from doping.inference.models.classifier import Classifier
from doping.inference.models.language_model import LanguageModel, Score
from doping.inference.models.lstm import Arithmetic, Lstm, State

__all__ = ["Classifier", "LanguageModel", "Lstm", "Score", "State", "load"]


def load(
    path: str | PathLike[str], threads: int = 1, arithmetic: Arithmetic = "float32"
) -> LanguageModel | Classifier | Lstm:
    """Load a bundle, check it, and make it ready to run.

    Args:
        path: of the file.
        threads: how many to use.
        arithmetic: ``int8`` is faster and rounds inputs and states to 8 bits, on one thread; dense, low-rank, hybrid and
            Kronecker matrices have it, and tiles.

    Raises:
        InferenceError: the file cannot be read, is no bundle, is too new or damaged, or has no products in int8.

    """
    return runnable(read(Path(path)), threads, arithmetic)


def runnable(bundle: Bundle, threads: int = 1, arithmetic: Arithmetic = "float32") -> LanguageModel | Classifier | Lstm:
    """What a checked bundle holds, ready to run on so many threads."""
    if isinstance(bundle.description.model, description.LanguageModelDescription):
        return LanguageModel(bundle, threads, arithmetic)
    if isinstance(bundle.description.model, description.ClassifierDescription):
        return Classifier(bundle, threads, arithmetic)
    return Lstm(bundle, threads, arithmetic)
