"""Independent references of every family, written with NumPy, SciPy and plain loops, in float64."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from lightning_modules.matrices import Matrix, Plan, Sparse, plan_matrix
from lightning_modules.matrices.budget import BudgetError
from lightning_modules.matrices.dense import Dense
from lightning_modules.matrices.doped import Doped
from lightning_modules.matrices.hybrid import Hybrid
from lightning_modules.matrices.kronecker import Kronecker
from lightning_modules.matrices.low_rank import LowRank
from lightning_modules.settings import Method

METHODS = ["dense", "pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf", "doped_hmd"]
STRUCTURED = ["lmf", "hmd", "kp"]

shapes = st.tuples(st.integers(2, 48), st.integers(2, 24))
factors = st.floats(1.5, 12)


def reference(matrix: Matrix) -> np.ndarray:
    """The matrix written out, (m, n)."""
    if isinstance(matrix, Doped):
        return reference(matrix.structured) + reference(matrix.sparse)
    if isinstance(matrix, Kronecker):
        terms = zip(matrix.b.detach(), matrix.c.detach(), strict=True)
        return sum(torch.kron(b, c) for b, c in terms).numpy()
    values = {name: tensor.detach().numpy() for name, tensor in matrix.state_dict().items()}
    if isinstance(matrix, LowRank):
        return sum(np.outer(values["u"][:, r], values["v"][r]) for r in range(values["v"].shape[0]))
    if isinstance(matrix, Hybrid):
        half = matrix.shape[1] // 2
        left = np.outer(values["u"][:, 0], values["v"][:half])
        right = np.outer(values["u"][:, 1], values["v"][half:])
        return np.block([[values["a"]], [left, right]]) if values["a"].size else np.hstack([left, right])
    if isinstance(matrix, Sparse):
        written = np.zeros(matrix.shape)
        for i in range(matrix.shape[0]):
            for j in range(matrix.shape[1]):
                if values["mask"][i, j]:
                    written[i, j] = values["weight"][i, j]
        return written
    assert isinstance(matrix, Dense)
    return values["weight"]


def plan_near(name: str, shape: tuple[int, int], factor: float) -> Plan | None:
    """The plan at this factor or at the nearest one that the refusal names; None where the method cannot be had."""
    method = Method(name=name) if name == "dense" else Method(name=name, factor=factor)
    try:
        return plan_matrix(method, shape)
    except BudgetError as error:
        nearest = named_factors(str(error))
        if not nearest or nearest[0] < 1 or name.startswith("doped"):
            return None
        return plan_matrix(method.model_copy(update={"factor": nearest[0]}), shape)


def named_factors(message: str) -> list[float]:
    """The factors that a refusal offers."""
    if "nearest possible " not in message:
        return []
    offer = message.split("nearest possible ")[1].split("; choose")[0]
    return [float(part.split(" (")[0]) for part in offer.split(" and ") if part != "none"]


def pruned_halfway(matrix: Matrix) -> Matrix:
    """The matrix with its sparse part half-way to its plan, so that the mask matters."""
    for module in matrix.modules():
        if isinstance(module, Sparse):
            module.prune((module.nonzeros() + module.planned_nonzeros) // 2)
    return matrix
