"""Which methods a file can hold."""

from __future__ import annotations

from doping.inference.families.sparse import PATTERNS
from doping.method import Method


def not_exportable(method: Method) -> str | None:
    """Why a model of a method cannot be exported yet, in a few words; None if it can."""
    if method.values == "int4":
        return "a file cannot hold int4 values yet; take int8 or float32"
    if method.sparse and method.pattern not in (*PATTERNS, "tiles"):
        return f"a file cannot hold the pattern {method.pattern} yet; take one of {', '.join(PATTERNS)}, tiles"
    return None
