"""Perplexity of a mean negative log-likelihood."""

from __future__ import annotations

import math

LARGEST_NATS = 700
"""Beyond that the exponential is no 64-bit number."""


def perplexity(nats: float) -> float:
    """exp(nats), for nats a token; infinite where that is no number any more."""
    return math.exp(nats) if nats < LARGEST_NATS else math.inf
