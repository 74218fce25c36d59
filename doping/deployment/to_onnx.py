"""``to_onnx``: a whole model as one ONNX file, its compressed layers small."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import nn

from doping.deployment import dynamo_onnx
from doping.deployment.deploy import deploy_, finished_layers
from doping.errors import CompressionError, InferenceError, as_path, one_line, suggestion
from doping.layers.compressed import compressed_layers, none_compressed
from doping.layers.kinds import check_module
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
        model: with layers that :func:`doping.compress_` made, or that :func:`doping.deploy_` put onto the kernels; or
            a plain one, to compare with, without ``values``.
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
    check_module(model)
    place = as_path(path, "path")
    if not place.absolute().parent.is_dir():
        raise InferenceError(f"cannot write {path}: there is no such folder; give another path")
    inputs = example if isinstance(example, tuple) else (example,)
    copied = copy.deepcopy(model).eval().cpu()
    if dynamo and (values not in (None, "float32") or dynamic_axes is not None):
        raise InferenceError("with dynamo=True values are float32, and dynamic_shapes takes the place of dynamic_axes")
    if dynamic_shapes is not None and not dynamo:
        raise InferenceError("dynamic_shapes is for dynamo=True; without it give dynamic_axes")
    if next(compressed_layers(copied), None) is not None and dynamo:
        finished_layers(copied)
    elif next(compressed_layers(copied), None) is not None:
        deploy_(copied, values=values)
    elif values is not None and not any(getattr(module, "is_deployed", False) for module in copied.modules()):
        raise none_compressed(copied)
    elif values is not None:
        raise CompressionError(
            f"values={values!r} comes too late: the layers are deployed, and their values are rounded there"
        )
    _check_names(input_names, output_names, dynamic_axes)
    try:
        copied(*inputs)
    except Exception as error:  # whatever the user's own code raises
        raise InferenceError(
            f"the model cannot read the example: {one_line(error)}; give an input as the model takes it, or a tuple of all"
        ) from error
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


def _check_names(inputs: Any, outputs: Any, axes: Any) -> None:
    """Raise ``InferenceError`` where PyTorch fails in many lines, or leaves something out without a word."""
    for what, names in (("input_names", inputs), ("output_names", outputs)):
        if names is not None and (isinstance(names, str) or not all(isinstance(name, str) for name in names)):
            raise InferenceError(f"{what} is {names!r}; expected a list of names")
    if axes is None:
        return
    if not isinstance(axes, Mapping):
        raise InferenceError(f'dynamic_axes is {axes!r}; expected names and dimensions, such as {{"x": {{0: "batch"}}}}')
    known = [*(inputs or ()), *(outputs or ())]
    for name in axes:
        if name not in known:
            hint = suggestion(str(name), known) if known else "give input_names"
            raise InferenceError(f"dynamic_axes has {name!r}, which is no name of an input or output; {hint}")
