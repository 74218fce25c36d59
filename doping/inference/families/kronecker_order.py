"""In which order the two factors of a Kronecker product are applied: y = vec(B X Cᵀ)."""

from __future__ import annotations

Shape = tuple[int, int]


def multiply_adds(left: Shape, right: Shape, right_first: bool) -> int:
    """Multiply–adds of B (X Cᵀ), or of (B X) Cᵀ, for B (m1, n1), C (m2, n2) and X (n1, n2)."""
    (m1, n1), (m2, n2) = left, right
    return n1 * m2 * (n2 + m1) if right_first else m1 * n2 * (n1 + m2)


def right_first(left: Shape, right: Shape, handicap: float = 1.0) -> bool:
    """Whether B (X Cᵀ) is at most ``handicap`` times as much work as the other order."""
    return multiply_adds(left, right, True) <= handicap * multiply_adds(left, right, False)
