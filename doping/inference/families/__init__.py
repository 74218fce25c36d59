"""The stored forms of weight matrices, one file a family: what a file keeps, how kernels lay it out, int8, ONNX, PyTorch.

``base`` is the contract. A family is found by its ``kind`` through ``doping.families``; nothing else lists them.
"""

from __future__ import annotations

from doping.errors import InferenceError
from doping.families import FAMILIES
from doping.inference.families.base import StructuredMatrix
from doping.inference.families.dense import Dense


def classes() -> dict[str, type[StructuredMatrix]]:
    """The class of each kind: the uncompressed matrix, and those of all families."""
    stored: list[type[StructuredMatrix]] = [Dense, *(family.stored_class() for family in FAMILIES.values())]
    return {each.kind: each for each in stored}


def class_of(kind: str) -> type[StructuredMatrix]:
    """The class of a kind.

    Raises:
        InferenceError: if no family is stored so.

    """
    found = classes()
    if kind not in found:
        raise InferenceError(f"a structured matrix of kind {kind!r} is not known; expected one of {', '.join(found)}")
    return found[kind]
