"""From the trained model of a task to a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from doping.errors import InferenceError
from doping.inference import from_torch
from doping.inference.bundle import description, file
from doping.inference.bundle.file import Bundle
from doping.inference.from_torch import Arrays, bundled, described_lstm
from doping.layers.lstm import CompressedLSTM
from doping.layers.token_matrices import LowRankEmbedding, TokenMatrix
from doping.matrices.base import array
from doping.vocabulary import Vocabulary
from lightning_modules.intent import IntentClassifier
from lightning_modules.language_model import RecurrentLanguageModel

Exportable = CompressedLSTM | RecurrentLanguageModel | IntentClassifier
"""What can be exported."""


def export(
    model: Exportable,
    path: Path,
    vocabulary: Vocabulary | None = None,
    quality: description.Quality | None = None,
    origin: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
) -> Bundle:
    """Write a model to one file, and return what was written.

    Args:
        model: a compressed LSTM, a language model, or a classifier.
        path: the file to write.
        vocabulary: that of the model's data; none for an LSTM.
        quality: how good the model is, where that was measured.
        origin: where it comes from, for its readers.
        labels: those that a classifier can tell, in the order of its logits.

    Raises:
        InferenceError: the file cannot be written, vocabulary or labels do not fit the model, a weight is not finite, or the
            packed weights do not weigh what the model's ``size()`` says.

    """
    described = to_bundle(model, vocabulary, quality, origin, labels)
    file.write(described, path)
    return described


@torch.no_grad()
def to_bundle(
    model: Exportable,
    vocabulary: Vocabulary | None = None,
    quality: description.Quality | None = None,
    origin: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
) -> Bundle:
    """The bundle of a model, not yet written; arguments and errors are those of :func:`export`."""
    kind: description.LanguageModelDescription | description.ClassifierDescription
    match model:
        case RecurrentLanguageModel():
            kind, tensors = _language_model(model, vocabulary)
        case IntentClassifier():
            kind, tensors = _classifier(model, vocabulary, labels)
        case _:
            return from_torch.to_bundle(model, quality, origin)
    return bundled(kind, tensors, model.lstm, quality, origin)


def _language_model(
    model: RecurrentLanguageModel, vocabulary: Vocabulary | None
) -> tuple[description.LanguageModelDescription, Arrays]:
    vocabulary = _fitting(vocabulary, model)
    lstm, tensors = described_lstm(model.lstm)
    arrays = {
        **_of_tokens("embedding", model.embedding),
        **_of_tokens("softmax.weight", model.softmax),
        "softmax.bias": array(model.softmax.bias),
        **tensors,
    }
    kind = description.LanguageModelDescription(
        lstm=lstm, level=vocabulary.level, tokens=vocabulary.tokens, embedding_rank=_rank(model.embedding)
    )
    return kind, arrays


def _classifier(
    model: IntentClassifier, vocabulary: Vocabulary | None, labels: Sequence[str]
) -> tuple[description.ClassifierDescription, Arrays]:
    vocabulary = _fitting(vocabulary, model)
    classes = model.softmax.out_features
    if len(labels) != classes:
        raise InferenceError(f"{len(labels)} labels were given for a classifier that tells {classes}; give those it learned")
    lstm, tensors = described_lstm(model.lstm)
    arrays = {
        **_of_tokens("embedding", model.embedding),
        "attention": array(model.attention.weight[0]),
        "softmax.weight": array(model.softmax.weight),
        "softmax.bias": array(model.softmax.bias),
        **tensors,
    }
    kind = description.ClassifierDescription(
        lstm=lstm, tokens=vocabulary.tokens, labels=tuple(labels), embedding_rank=_rank(model.embedding)
    )
    return kind, arrays


def _of_tokens(name: str, matrix: TokenMatrix | nn.Embedding | nn.Linear) -> Arrays:
    if isinstance(matrix, TokenMatrix):
        return {f"{name}.{factor}": values for factor, values in matrix.stored().arrays.items()}
    return {name: array(matrix.weight)}


def _rank(embedding: LowRankEmbedding | nn.Embedding) -> int | None:
    return len(embedding.v) if isinstance(embedding, LowRankEmbedding) else None


def _fitting(vocabulary: Vocabulary | None, model: RecurrentLanguageModel | IntentClassifier) -> Vocabulary:
    """The vocabulary, if it is one of as many tokens as the model has."""
    words = model.embedding.num_embeddings
    if vocabulary is None or len(vocabulary) != words:
        given = "no vocabulary" if vocabulary is None else f"a vocabulary of {len(vocabulary):,} tokens"
        raise InferenceError(f"{given} was given for a model of {words:,} tokens; give that of its training data")
    return vocabulary
