"""The structured families by name: what a method may be made of. Needs no PyTorch, so that studies are read at once.

A new family is a file in ``doping.matrices`` (how it trains), a file in ``doping.inference.families`` (how it is stored and
run), and a line in ``FAMILIES``. Doping, row dropout, sweeps, tables and exports find it here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doping.inference.families.base import StructuredMatrix
    from doping.matrices.base import StructuredPlan


@dataclass(frozen=True)
class Family:
    """A structured family.

    Attributes:
        name: of the method; ``doped_`` before it is the doped one.
        label: for readers.
        plan: where its plan class is, ``module:class``.
        stored: where the class of its stored form is, ``module:class``.
        options: settings of a method that its plans take, and the names of their arguments.

    """

    name: str
    label: str
    plan: str
    stored: str
    options: tuple[tuple[str, str], ...] = ()

    def plan_class(self) -> type[StructuredPlan]:
        """The class of its plans; imports PyTorch."""
        return _imported(self.plan)  # type: ignore[no-any-return]

    def stored_class(self) -> type[StructuredMatrix]:
        """The class of its stored form."""
        return _imported(self.stored)  # type: ignore[no-any-return]


_TRAINED, _STORED = "doping.matrices", "doping.inference.families"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("lmf", "LMF", f"{_TRAINED}.low_rank:LowRankPlan", f"{_STORED}.low_rank:LowRank"),
        Family(
            "hmd",
            "HMD",
            f"{_TRAINED}.hybrid:HybridPlan",
            f"{_STORED}.hybrid:Hybrid",
            options=(("free_rows", "free_rows"),),
        ),
        Family(
            "kp",
            "KP",
            f"{_TRAINED}.kronecker:KroneckerPlan",
            f"{_STORED}.kronecker:Kronecker",
            options=(("left_shape", "left"), ("terms", "terms")),
        ),
        Family("monarch", "Monarch", f"{_TRAINED}.monarch:MonarchPlan", f"{_STORED}.monarch:Monarch"),
    )
}
"""All of them, in the order of tables."""

DOPED = "doped_"
"""Stands before the name of a family where a sparse matrix is added to it."""


def methods() -> list[str]:
    """Every method, in the order of tables: without compression, pruned, each family alone, each family doped."""
    return ["dense", "pruned", *FAMILIES, *(DOPED + name for name in FAMILIES)]


def method_label(name: str) -> str:
    """A method's name for readers, ``Doped KP``; an unknown one goes by its own name."""
    family = FAMILIES.get(name.removeprefix(DOPED))
    if family is None:
        return {"dense": "Dense", "pruned": "Pruned"}.get(name, name.replace("_", " "))
    return f"Doped {family.label}" if is_doped(name) else family.label


def is_doped(name: str) -> bool:
    """Whether a method is a structured family plus a sparse matrix."""
    return name.startswith(DOPED)


def has_sparse_part(name: str) -> bool:
    """Whether a part of the weight is pruned while it trains."""
    return name == "pruned" or is_doped(name)


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
