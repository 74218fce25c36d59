"""From compressed layers of PyTorch to a bundle: the one place of the package that knows PyTorch.

A user who compressed a trained ``nn.LSTM`` exports it so::

    small = CompressedLSTM.from_lstm(lstm, Method(name="doped_kp", factor=20))
    export(small, Path("model.lstm"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from doping.errors import InferenceError
from doping.inference.bundle import description, file
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.sparse_arrays import stored_blocks, stored_sparse
from doping.inference.bundle.weights import cells
from doping.inference.families import class_of
from doping.inference.families.sparse import Sparse as Packed
from doping.inference.families.stored import MatrixParts, SparseParts, StructuredParts
from doping.inference.families.tiles import Tiles
from doping.layers.lstm import CompressedLSTM
from doping.machine import commit, versions
from doping.matrices import Doped, Matrix, Sparse
from doping.matrices.base import array
from doping.matrices.blocks import blocked
from doping.matrices.budget import TOLERANCE, Size, dense_size

Arrays = dict[str, npt.NDArray[Any]]
Described = tuple[MatrixParts, Arrays]


def export(
    lstm: CompressedLSTM,
    path: Path,
    quality: description.Quality | None = None,
    origin: Mapping[str, str] | None = None,
) -> Bundle:
    """Write an LSTM to one file, and return what was written.

    Args:
        lstm: a compressed LSTM.
        path: the file to write.
        quality: how good the model is, where that was measured.
        origin: where it comes from, for its readers.

    Raises:
        InferenceError: the file cannot be written, a weight is not finite, or the packed weights do not weigh what the
            LSTM's ``size()`` says.

    """
    described = to_bundle(lstm, quality, origin)
    file.write(described, path)
    return described


@torch.no_grad()
def to_bundle(
    lstm: CompressedLSTM, quality: description.Quality | None = None, origin: Mapping[str, str] | None = None
) -> Bundle:
    """The bundle of an LSTM, not yet written; arguments and errors are those of :func:`export`."""
    if not isinstance(lstm, CompressedLSTM):
        raise InferenceError(
            f"a bundle holds a CompressedLSTM, not a {type(lstm).__name__}; doping.to_onnx and doping.deploy_ take whole "
            "models, doping.to_c stacks of layers"
        )
    described, tensors = described_lstm(lstm)
    return bundled(description.LstmModel(lstm=described), tensors, lstm, quality, origin)


def bundled(
    kind: description.LanguageModelDescription | description.ClassifierDescription | description.LstmModel,
    tensors: Arrays,
    lstm: CompressedLSTM,
    quality: description.Quality | None,
    origin: Mapping[str, str] | None,
) -> Bundle:
    """A described model with its tensors, checked against the sizes of its LSTM.

    Raises:
        InferenceError: as :func:`export`.

    """
    size = lstm.size()
    _check_finished(lstm)
    _check_size(kind.lstm.weight_bytes(), size)
    dense = sum(dense_size(matrix.shape).values for matrix in lstm.weight_matrices())
    made = Bundle(
        description.Description(
            model=kind,
            sizes=description.Sizes(
                values=size.values, bytes=size.bytes, multiply_adds=size.multiply_adds, dense_values=dense
            ),
            method=lstm.method.label,
            quality=quality,
            origin={"commit": commit(), "versions": versions(), **(origin or {})},
        ),
        tensors,
    )
    cells(made)  # checks them
    return made


def described_lstm(lstm: CompressedLSTM) -> tuple[description.LstmDescription, Arrays]:
    """Description and tensors of an LSTM, the names of the latter with ``lstm.`` before them."""
    described: dict[str, MatrixParts] = {}
    tensors: Arrays = {}
    for name, matrix in zip(lstm.matrices, lstm.weight_matrices(), strict=True):
        described[name], arrays = described_matrix(matrix)
        tensors |= {f"lstm.{name}.{part}": array for part, array in arrays.items()}
    for name, bias in lstm.biases.items():
        if name.startswith("bias_ih_"):
            suffix = name.removeprefix("bias_ih_")
            tensors[f"lstm.bias_{suffix}"] = array(bias + lstm.biases[f"bias_hh_{suffix}"])
    kind = description.LstmDescription(
        input_size=lstm.input_size,
        hidden_size=lstm.hidden_size,
        layers=lstm.num_layers,
        bidirectional=lstm.bidirectional,
        bias=lstm.bias,
        matrices=described,
    )
    return kind, tensors


def described_matrix(matrix: Matrix) -> Described:
    """What a trained matrix consists of, and its tensors. Raises ``InferenceError`` for an unknown family."""
    if isinstance(matrix, Sparse):
        sparse, arrays = _sparse(matrix)
        return MatrixParts(sparse=sparse), arrays
    if isinstance(matrix, Doped):
        sparse, arrays = _sparse(matrix.sparse)
        structured, factors = _structured(matrix.structured)
        return MatrixParts(structured=structured, sparse=sparse), factors | arrays
    structured, factors = _structured(matrix)
    return MatrixParts(structured=structured), factors


def _structured(matrix: Matrix) -> tuple[StructuredParts, Arrays]:
    stored = matrix.stored()
    parts = class_of(stored.kind).parts.model_validate(stored.sizes)
    return parts, {name: array for name, array in stored.arrays.items() if name not in parts.implied()}


def _sparse(matrix: Sparse) -> tuple[SparseParts, Arrays]:
    """The blocks that the mask leaves; a value in them that is zero by chance is stored like any other.

    Raises:
        InferenceError: of N:M, if it is not pruned to as many values everywhere.

    """
    packed: Packed | Tiles
    if matrix.pattern == "tiles":
        packed = Tiles.kept(array(matrix.dense()), array(matrix.mask))
    else:
        mask = Packed.pack(array(matrix.mask), matrix.pattern)
        weight_GPN = array(blocked(matrix.dense(), matrix.pattern))
        packed = replace(mask, values=weight_GPN[mask.groups(), :, mask.columns.astype(np.int64)])
    parts = SparseParts(pattern=matrix.pattern, blocks=stored_blocks(packed))
    try:
        return parts, {f"sparse.{name}": part for name, part in stored_sparse(packed, parts).items()}
    except ValueError as error:
        raise InferenceError(f"{error}: finish the pruning before the export") from error


def _check_finished(lstm: CompressedLSTM) -> None:
    """A model that is larger than was asked does not pass in silence."""
    for name, matrix in lstm.named_matrices():
        for sparse in (part for part in matrix.modules() if isinstance(part, Sparse)):
            if sparse.nonzeros() > sparse.planned_nonzeros:
                raise InferenceError(
                    f"{name} has {sparse.nonzeros():,} nonzeros, {sparse.planned_nonzeros:,} are planned: its pruning is "
                    "not over. Anneal to the end of the schedule, and take a checkpoint from after it; or prune now, at a "
                    "cost in quality, with doping.Annealer(model, total_steps=1).finish_(at_once=True)"
                )


def _check_size(packed: int, size: Size) -> None:
    """The packed weights must weigh what tables of results say."""
    if abs(packed - size.bytes) > TOLERANCE * size.bytes:
        raise InferenceError(
            f"the packed weights have {packed:,} bytes, the model says {size.bytes:,}; they must agree within 1 %, "
            "so a mask does not consist of whole blocks of its pattern: finish the pruning before the export"
        )
