"""How long the layers of an LSTM take for a time step when a text is generated: batch 1, a step at a time, one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from doping.errors import InferenceError
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import all_narrow
from doping.inference.models.lstm import Lstm

CALLS = 20
"""Calls that are timed together: one alone is too short for the clock."""


def as_it_runs_fastest(bundle: Bundle) -> Lstm:
    """The layers in int8 arithmetic where their values are narrow and all have such products, which rounds inputs and states
    as well (``--arithmetic int8``); else in float32.
    """
    if all_narrow(bundle) is bundle:
        try:
            return Lstm(bundle, arithmetic="int8")
        except InferenceError:  # there is no such product
            pass
    return Lstm(bundle)


def step_latency(lstm: Lstm, seconds: float = 1.0) -> float:
    """Median microseconds that all layers together take for a time step, measured for so many seconds.

    It is the difference between calls with one step and calls with none, so the kernels are measured and not Python.
    """
    step_TBI = np.random.default_rng(0).standard_normal((1, 1, lstm.input_size)).astype(np.float32)
    state = lstm.zeros(1)

    def run(steps: int) -> None:
        nonlocal state
        _, state = lstm.forward(step_TBI[:steps], state)

    return 1e6 * median_difference(lambda: run(1), lambda: run(0), seconds)


def median_difference(long: Callable[[], None], short: Callable[[], None], seconds: float) -> float:
    """Median of how many seconds more ``long`` takes than ``short``, both in turn for so many seconds."""
    differences: list[float] = []
    end = time.perf_counter() + seconds
    while not differences or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(CALLS):
            long()
        middle = time.perf_counter()
        for _ in range(CALLS):
            short()
        differences.append((middle - start) - (time.perf_counter() - middle))
    return statistics.median(differences) / CALLS
