"""The functions that a sweep calls by dotted name: named here, imported only when needed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Functions:
    """Dotted names like ``package.module:function``; a test or another project may name its own."""

    train: str = "sweeps.worker.train:train"
    """``sweeps.worker.execute.Train``; imported by the workers only."""
    data_hash: str = "tasks.registry:data_hash"
    """``sweeps.planning.plan.DataHash``."""
    estimate: str = "sweeps.planning.estimate:estimate"
    """``sweeps.planning.estimate.estimate``; imported by a dry run only."""
    check_latency: str = "sweeps.worker.latency:check"
    """Raises ``UserError`` if latency cannot be measured here."""
    plan_sizes: str = "doping.sizes:plan_sizes"
    """``sweeps.planning.plan.PlanSizes``."""


def load(name: str) -> Any:
    """Import what a dotted name like ``package.module:function`` stands for."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
