"""Whole models through PyTorch's exporter to ONNX that is built on ``torch.export`` (``dynamo=True``).

The compressed layers stay as they are: their weights are composed in the graph. Sparse matrices, which hold a dense weight
while they train, become values and places.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from doping.deployment.layers import DeployedCell, DeployedLinear, DeployedRecurrent
from doping.errors import InferenceError, one_line
from doping.layers.compressed import compressed_layers
from doping.matrices import Doped, Matrix, Size, Sparse


class Scattered(Matrix):
    """A sparse matrix whose pruning is over: K values that are not zero, and their places in the flat matrix."""

    values_K: Tensor
    places_K: Tensor

    def __init__(self, sparse: Sparse):
        super().__init__()
        self.shape = sparse.shape
        self._size = sparse.size()
        flat = sparse.dense().detach().flatten()
        places_K = flat.nonzero()[:, 0]
        self.register_buffer("values_K", flat[places_K])
        self.register_buffer("places_K", places_K.int())

    def dense(self) -> Tensor:
        """The matrix written out, (m, n)."""
        zeros = torch.zeros(self.shape[0] * self.shape[1], dtype=self.values_K.dtype)
        return zeros.scatter(0, self.places_K.long(), self.values_K).view(self.shape)

    def matmul(self, x: Tensor) -> Tensor:
        """(..., n) → (..., m)."""
        return x @ self.dense().transpose(0, 1)

    def size(self) -> Size:
        """That of the sparse matrix."""
        return self._size


def export(model: nn.Module, inputs: tuple[Any, ...], path: str, **options: Any) -> None:
    """Write a model in evaluation, a copy that is changed here.

    Raises:
        InferenceError: it holds deployed layers, or an LSTM with a projection; ``onnxscript`` is not there; PyTorch cannot
            write it.

    """
    for name, module in model.named_modules():
        if isinstance(module, DeployedLinear | DeployedRecurrent | DeployedCell):
            raise InferenceError(
                f"{name or 'the layer'} is deployed; with dynamo=True give the model as it was before deploy_"
            )
        if isinstance(module, nn.LSTM) and module.proj_size:
            raise InferenceError(
                f"{name or 'the layer'} is an LSTM with a projection, which PyTorch writes wrong so; leave dynamo=True out"
            )
    for _, layer in compressed_layers(model):
        for name, matrix in list(layer.named_matrices()):
            if isinstance(matrix, Doped):
                matrix.sparse = Scattered(matrix.sparse)  # type: ignore[assignment]
            elif isinstance(matrix, Sparse):
                layer.matrices[name] = Scattered(matrix)
    try:
        with _quiet():
            # Unoptimized: ONNX Runtime does that, and the exporter would write composed weights out.
            program: Any = torch.onnx.export(model, inputs, dynamo=True, optimize=False, **options)
            proto = program.model_proto
    except ImportError as error:
        raise InferenceError(
            f"dynamo=True needs onnxscript ({error}): pip install onnxscript; or leave dynamo out"
        ) from error
    except Exception as error:  # of a dozen kinds, by what the exporter lacks
        raise InferenceError(f"PyTorch cannot write this model to ONNX: {one_line(error.__cause__ or error)}") from error
    # Where in the user's files each node comes from: it weighs more than small layers do, and names the machine's folders.
    for holder in (proto.graph, *proto.functions):
        for part in (*holder.node, *holder.value_info):
            del part.metadata_props[:]
    Path(path).write_bytes(proto.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its steps, and logs that packages are missing which nobody asked for."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
