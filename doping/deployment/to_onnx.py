"""``to_onnx``: a whole model as one ONNX file, its compressed layers small."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from doping.deployment import dynamo_onnx
from doping.deployment.deploy import deploy_, finished_layers
from doping.errors import CompressionError, InferenceError
from doping.layers.compressed import compressed_layers
from doping.method import Values

OPSET = 18
"""Of the standard operators; ONNX Runtime reads it since 1.14."""


@torch.no_grad()
def to_onnx(
    model: nn.Module,
    example: Any,
    path: str | PathLike[str],
    *,
    values: Values | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: Mapping[str, Any] | None = None,
    dynamo: bool = False,
    dynamic_shapes: Any = None,
) -> None:
    """Write a model with compressed layers to one ONNX file, as it is in evaluation; the model stays as it is.

    A linear layer becomes small products, a recurrent one ONNX's own operator, whose weights are written out of their small
    parts when the session is made. The rest of the model goes through ``torch.onnx.export``, which traces it. By ``dynamo``
    it is exported by ``torch.export``, which sees control flow that tracing does not.

    Args:
        model: with layers that :func:`doping.compress_` made, or that :func:`doping.deploy_` put onto the kernels.
        example: an input, or a tuple of all inputs.
        path: the file to write.
        values: as of :func:`doping.deploy_`. Those of 4 bits take a byte here.
        input_names: of the inputs of the file.
        output_names: of its outputs.
        dynamic_axes: which dimensions may differ from those of the example, ``{"x": {0: "batch", 1: "time"}}``.
        dynamo: take PyTorch's exporter that is built on ``torch.export``; it needs the package ``onnxscript``. Values are
            float32 then, a linear layer is a product with a weight that is composed in the graph, and there are no deployed
            layers and no projections.
        dynamic_shapes: with ``dynamo`` what ``dynamic_axes`` is without, as ``torch.export.export`` takes it.

    Raises:
        CompressionError, UnfinishedError: as of :func:`doping.deploy_`.
        InferenceError: the file cannot be written, or the model cannot be traced so.

    """
    copied = copy.deepcopy(model).eval().cpu()
    if dynamo and (values not in (None, "float32") or dynamic_axes is not None):
        raise InferenceError("with dynamo=True values are float32, and dynamic_shapes takes the place of dynamic_axes")
    if dynamic_shapes is not None and not dynamo:
        raise InferenceError("dynamic_shapes is for dynamo=True; without it give dynamic_axes")
    if dynamo:
        if next(compressed_layers(copied), None) is not None:
            finished_layers(copied)
    elif next(compressed_layers(copied), None) is not None:
        deploy_(copied, values=values)
    elif values is not None and any(getattr(module, "is_deployed", False) for module in copied.modules()):
        raise CompressionError(
            f"values={values!r} comes too late: the layers are deployed, and their values are rounded there"
        )
    inputs = example if isinstance(example, tuple) else (example,)
    if not Path(path).absolute().parent.is_dir():
        raise InferenceError(f"cannot write {path}: there is no such folder; give another path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about Python numbers that are sizes of layers
            if dynamo:
                names = {"input_names": input_names, "output_names": output_names}
                dynamo_onnx.export(copied, inputs, str(path), dynamic_shapes=dynamic_shapes, **names)
                return
            torch.onnx.export(
                copied, inputs, str(path), dynamo=False, opset_version=OPSET, do_constant_folding=False,
                input_names=input_names, output_names=output_names, dynamic_axes=dynamic_axes,
            )  # fmt: skip
    except OSError as error:
        raise InferenceError(f"cannot write {path}: {error.strerror}; give another path") from error
    except torch.onnx.errors.OnnxExporterError as error:
        raise InferenceError(f"PyTorch cannot write this model to ONNX: {str(error).splitlines()[0]}") from error
