"""Compressed weights for recurrent networks: structured matrices, sparse ones, their sums, and what runs them fast.

    import doping
    from doping import Method

    doping.compress_(model, {"encoder.rnn": Method(name="doped_kp", factor=20)})
    annealer = doping.Annealer(model, total_steps=10_000)      # annealer.step() after each optimizer.step()

This package is the library. It imports nothing of the rest of the project, and no Lightning. What is named here is loaded
when it is first used, so that ``doping.inference`` runs without PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from doping.errors import suggestion

if TYPE_CHECKING:
    from doping.deployment.deploy import deploy_
    from doping.deployment.to_c import to_c
    from doping.deployment.to_onnx import to_onnx
    from doping.errors import CompressionError, SettingsError, UnfinishedError
    from doping.layers.compress import compress_
    from doping.layers.merge import merge_
    from doping.layers.report import report
    from doping.matrices import BudgetError
    from doping.method import Method
    from doping.training.annealing import Annealer
    from doping.training.distilling import distillation

_PLACES = {
    "Annealer": "doping.training.annealing",
    "BudgetError": "doping.matrices",
    "CompressionError": "doping.errors",
    "Method": "doping.method",
    "SettingsError": "doping.errors",
    "UnfinishedError": "doping.errors",
    "compress_": "doping.layers.compress",
    "deploy_": "doping.deployment.deploy",
    "distillation": "doping.training.distilling",
    "merge_": "doping.layers.merge",
    "report": "doping.layers.report",
    "to_c": "doping.deployment.to_c",
    "to_onnx": "doping.deployment.to_onnx",
}

__all__ = [
    "Annealer",
    "BudgetError",
    "CompressionError",
    "Method",
    "SettingsError",
    "UnfinishedError",
    "compress_",
    "deploy_",
    "distillation",
    "merge_",
    "report",
    "to_c",
    "to_onnx",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'doping' has no attribute {name!r}; {suggestion(name, __all__, 'it has')}")
    try:
        value = getattr(importlib.import_module(_PLACES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"doping.{name} needs PyTorch 2.13 or newer; install it with: pip install torch") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
