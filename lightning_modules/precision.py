"""Which precisions this machine can train in."""

from __future__ import annotations

import torch

from lightning_modules.settings.training import Precision


def precision_problem(precision: Precision) -> str:
    """Why an LSTM cannot be trained here in a precision, in a line; empty where it can.

    PyTorch gives LSTMs in bfloat16 to a library that refuses them on CPUs without AVX-512, which only a step shows.
    """
    if precision != "bf16-mixed" or torch.cuda.is_available():
        return ""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            torch.nn.LSTM(8, 8)(torch.zeros(1, 1, 8))
    except RuntimeError:
        return "PyTorch has no LSTM in bfloat16 for this CPU; take 32-true"
    return ""
