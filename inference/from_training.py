"""From a trained model to a bundle: the one place of the package that knows PyTorch and the training code.

A user who compressed a trained ``nn.LSTM`` exports it so::

    small = CompressedLSTM.from_lstm(lstm, Method(name="doped_kp", factor=20))
    export(small, Path("model.lstm"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.vocabulary import Vocabulary
from inference import bundle, description, matrix_parts
from inference.bundle import Bundle
from inference.errors import InferenceError
from inference.kernels.sparse import Sparse as Packed
from inference.weights import cells
from lightning_modules.intent import IntentClassifier
from lightning_modules.language_model import LanguageModel
from lightning_modules.lstm import CompressedLSTM
from lightning_modules.matrices import Doped, Matrix, Sparse
from lightning_modules.matrices.blocks import blocked
from lightning_modules.matrices.budget import TOLERANCE, Size, dense_size
from lightning_modules.matrices.dense import Dense
from lightning_modules.matrices.hybrid import Hybrid
from lightning_modules.matrices.kronecker import Kronecker
from lightning_modules.matrices.low_rank import LowRank
from sweeps.machine import commit, versions

Arrays = dict[str, npt.NDArray[Any]]
Exportable = CompressedLSTM | LanguageModel | IntentClassifier
"""What can be exported."""
Described = tuple[matrix_parts.MatrixParts, Arrays]


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
    bundle.write(described, path)
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
    kind: description.LanguageModel | description.Classifier | description.LstmModel
    match model:
        case LanguageModel():
            kind, tensors = _language_model(model, vocabulary)
        case IntentClassifier():
            kind, tensors = _classifier(model, vocabulary, labels)
        case _:
            kind, tensors = _lstm_model(model)
    size = model.size()
    _check_size(kind.lstm.weight_bytes(), size)
    lstm = model if isinstance(model, CompressedLSTM) else model.lstm
    dense = sum(dense_size(matrix.shape).values for matrix in lstm.weight_matrices())
    described = description.Description(
        model=kind,
        sizes=description.Sizes(values=size.values, bytes=size.bytes, multiply_adds=size.multiply_adds, dense_values=dense),
        method=lstm.method.label,
        quality=quality,
        origin={"commit": commit(), "versions": versions(), **(origin or {})},
    )
    made = Bundle(described, tensors)
    cells(made)  # checks them
    return made


def _language_model(model: LanguageModel, vocabulary: Vocabulary | None) -> tuple[description.LanguageModel, Arrays]:
    vocabulary = _fitting(vocabulary, model)
    lstm, tensors = _lstm(model.lstm)
    arrays = {
        "embedding": _array(model.embedding.weight),
        "softmax.weight": _array(model.softmax.weight),
        "softmax.bias": _array(model.softmax.bias),
        **tensors,
    }
    return description.LanguageModel(lstm=lstm, level=vocabulary.level, tokens=vocabulary.tokens), arrays


def _classifier(
    model: IntentClassifier, vocabulary: Vocabulary | None, labels: Sequence[str]
) -> tuple[description.Classifier, Arrays]:
    vocabulary = _fitting(vocabulary, model)
    classes = model.softmax.out_features
    if len(labels) != classes:
        raise InferenceError(f"{len(labels)} labels were given for a classifier that tells {classes}; give those it learned")
    lstm, tensors = _lstm(model.lstm)
    arrays = {
        "embedding": _array(model.embedding.weight),
        "attention": _array(model.attention.weight[0]),
        "softmax.weight": _array(model.softmax.weight),
        "softmax.bias": _array(model.softmax.bias),
        **tensors,
    }
    return description.Classifier(lstm=lstm, tokens=vocabulary.tokens, labels=tuple(labels)), arrays


def _fitting(vocabulary: Vocabulary | None, model: LanguageModel | IntentClassifier) -> Vocabulary:
    """The vocabulary, if it is one of as many tokens as the model has."""
    words = model.embedding.num_embeddings
    if vocabulary is None or len(vocabulary) != words:
        given = "no vocabulary" if vocabulary is None else f"a vocabulary of {len(vocabulary):,} tokens"
        raise InferenceError(f"{given} was given for a model of {words:,} tokens; give that of its training data")
    return vocabulary


def _lstm_model(model: CompressedLSTM) -> tuple[description.LstmModel, Arrays]:
    lstm, tensors = _lstm(model)
    return description.LstmModel(lstm=lstm), tensors


def _lstm(lstm: CompressedLSTM) -> tuple[description.Lstm, Arrays]:
    """Description and tensors of an LSTM, the names of the latter with ``lstm.`` before them."""
    described: dict[str, matrix_parts.MatrixParts] = {}
    tensors: Arrays = {}
    for name, matrix in zip(lstm.matrices, lstm.weight_matrices(), strict=True):
        described[name], arrays = _matrix(matrix)
        tensors |= {f"lstm.{name}.{part}": array for part, array in arrays.items()}
    for name, bias in lstm.biases.items():
        if name.startswith("bias_ih_"):
            suffix = name.removeprefix("bias_ih_")
            tensors[f"lstm.bias_{suffix}"] = _array(bias + lstm.biases[f"bias_hh_{suffix}"])
    kind = description.Lstm(
        input_size=lstm.input_size,
        hidden_size=lstm.hidden_size,
        layers=lstm.num_layers,
        bidirectional=lstm.bidirectional,
        bias=lstm.bias,
        matrices=described,
    )
    return kind, tensors


def _matrix(matrix: Matrix) -> Described:
    if isinstance(matrix, Sparse):
        sparse, arrays = _sparse(matrix)
        return matrix_parts.MatrixParts(sparse=sparse), arrays
    if isinstance(matrix, Doped):
        sparse, arrays = _sparse(matrix.sparse)
        structured, factors = _structured(matrix.structured)
        return matrix_parts.MatrixParts(structured=structured, sparse=sparse), factors | arrays
    structured, factors = _structured(matrix)
    return matrix_parts.MatrixParts(structured=structured), factors


def _structured(matrix: Matrix) -> tuple[matrix_parts.StructuredParts, Arrays]:
    """A new family needs a case here, a part in ``inference.matrix_parts``, and a kernel."""
    match matrix:
        case Dense():
            return matrix_parts.DenseParts(), {"weight": _array(matrix.weight)}
        case LowRank():
            return matrix_parts.LowRankParts(rank=matrix.v.shape[0]), {"u": _array(matrix.u), "v": _array(matrix.v)}
        case Hybrid():
            arrays = {"a": _array(matrix.a), "u": _array(matrix.u), "v": _array(matrix.v)}
            return matrix_parts.HybridParts(free_rows=matrix.a.shape[0]), arrays
        case Kronecker():
            kind = matrix_parts.KroneckerParts(left=matrix.plan.left, terms=matrix.plan.terms)
            return kind, {"b": _array(matrix.b), "c": _array(matrix.c)}
    raise InferenceError(
        f"a matrix of type {type(matrix).__name__} cannot be exported; known are Dense, LowRank, Hybrid, Kronecker"
    )


def _sparse(matrix: Sparse) -> tuple[matrix_parts.SparseParts, Arrays]:
    """The blocks that the mask leaves; a value in them that is zero by chance is stored like any other."""
    packed = Packed.pack(_array(matrix.mask), matrix.pattern)
    weight_GPN = _array(blocked(matrix.dense(), matrix.pattern))
    arrays = {
        "sparse.values": weight_GPN[packed.groups(), :, packed.columns.astype(np.int64)],
        "sparse.columns": packed.columns,
        "sparse.offsets": packed.offsets,
    }
    return matrix_parts.SparseParts(pattern=matrix.pattern, blocks=len(packed.columns)), arrays


def _check_size(packed: int, size: Size) -> None:
    """The packed weights must weigh what tables of results say."""
    if abs(packed - size.bytes) > TOLERANCE * size.bytes:
        raise InferenceError(
            f"the packed weights have {packed:,} bytes, the model says {size.bytes:,}; they must agree within 1 %, "
            "so a mask does not consist of whole blocks of its pattern: finish the pruning before the export"
        )


def _array(x: Tensor) -> npt.NDArray[Any]:
    return x.detach().float().cpu().numpy()
