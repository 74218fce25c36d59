"""Trained models of trainings of one's own: how they are kept, and made again.

A file holds tensors and texts alone: the weights, how each was compressed, and an example of the inputs. What makes the
dense model is the function that ``script(model=...)`` names.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from doping.deployment.to_onnx import to_onnx
from doping.errors import InferenceError, one_line
from doping.files import replacing
from doping.layers.compress import compress_
from doping.layers.compressed import compressed_layers
from doping.layers.merge import merge_
from doping.method import Method, Values
from sweeps.results.files import shown
from sweeps.results.trained_models import MODEL
from sweeps.trials.trial import Trial
from tasks.script import Script


@dataclass(frozen=True)
class ScriptModel:
    """A trained compressed model, and an input, or a tuple of all, that it takes."""

    model: nn.Module
    example: Tensor | tuple[Tensor, ...]

    def write_onnx(self, path: Path, values: Values = "float32") -> None:
        """The whole model as an ONNX file, values in float32 as the methods say. Raises ``InferenceError``."""
        to_onnx(self.model, self.example, path, values=None if values == "float32" else values)

    def onnx_bytes(self) -> int:
        """Size of that file."""
        with tempfile.TemporaryDirectory() as folder:
            self.write_onnx(Path(folder) / "model.onnx")
            return (Path(folder) / "model.onnx").stat().st_size


def save_model(model: nn.Module, example: Any, folder: Path) -> None:
    """Keep a trained model in the folder of its trial; one of the method ``dense`` as its plain layers."""
    methods = {
        f"{name}.{weight}".lstrip("."): method.model_dump_json()
        for name, layer in compressed_layers(model)
        for weight, method in layer.methods.items()
    }
    if all(method.name == "dense" for _, layer in compressed_layers(model) for method in layer.methods.values()):
        model, methods = merge_(copy.deepcopy(model)), {}
    with replacing(folder / MODEL) as draft:
        torch.save({"state_dict": model.state_dict(), "methods": methods, "example": example}, draft)


def script_model(folder: Path, trial: Trial) -> ScriptModel:
    """The trained model in the folder of a trial of a ``Script``, in evaluation.

    Raises:
        InferenceError: its function does not say how the model is made, gave no example, or makes another model now; or the
            file is damaged.

    """
    task = trial.task
    assert isinstance(task, Script)
    build = type(task).model_function
    if build is None:
        raise InferenceError(
            f"{task.name} does not say how its model is made: mark it @script(model=make), make(settings) -> dense model"
        )
    try:
        saved = torch.load(folder / MODEL, map_location="cpu", weights_only=True)
        methods = {name: Method.model_validate_json(text) for name, text in saved.get("methods", {}).items()}
        model: nn.Module = build(task.settings)
        if methods:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of matrices that stay dense: they did so before the training
                compress_(model, methods, fresh=True)
        model.load_state_dict(saved["state_dict"])
        example = saved.get("example")
    except Exception as error:  # a torn file, and a function of the user's, can raise anything
        raise InferenceError(
            f"{shown(folder / MODEL)} is not the trained model that {task.name} makes ({one_line(error)}); delete row.json "
            "there and run the study again"
        ) from error
    if example is None:
        raise InferenceError(f"{task.name} left no example of its inputs: set report.example there, and run the study again")
    return ScriptModel(model.eval(), example)
