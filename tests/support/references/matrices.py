"""Independent references of every family, written with NumPy, SciPy and plain loops, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from doping.matrices import Matrix, Plan, Sparse, plan_matrix
from doping.matrices.budget import BudgetError
from doping.matrices.dense import Dense
from doping.matrices.doped import Doped
from doping.matrices.hybrid import Hybrid
from doping.matrices.kronecker import Kronecker
from doping.matrices.low_rank import LowRank
from doping.matrices.monarch import Monarch
from doping.method import Method
from references.kernels import monarch

STRUCTURED = ["lmf", "hmd", "kp", "monarch"]
IN_BLOCKS = ["pruned, gates", "pruned, rows", "pruned, tiles", "doped_kp, gates", "doped_kp, rows"]
COARSE = ["doped_kp, tiles", *(f"{name}, n_of_{columns}" for name in ("pruned", "doped_kp") for columns in (16, 32))]
"""Those that only a few sizes can be had of, in a small matrix."""
METHODS = ["dense", "pruned", *STRUCTURED, "doped_kp", "doped_lmf", "doped_hmd", "doped_monarch", *IN_BLOCKS]
"""Names of methods, or labels with a pattern."""

ENTRIES = {"unstructured": 1, "gates": 4, "rows": 8, "tiles": 64, "n_of_16": 1, "n_of_32": 1}
"""Values of a block, by pattern."""

# Many of them have the rows of four gates.
shapes = st.tuples(st.integers(2, 48) | st.integers(1, 12).map(lambda hidden: 4 * hidden), st.integers(2, 24))
factors = st.floats(1.5, 12)
some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
every_method = pytest.mark.parametrize("name", [*METHODS, *COARSE])


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
    if isinstance(matrix, Monarch):
        return monarch(values["u"], values["v"])
    if isinstance(matrix, Hybrid):
        half = matrix.shape[1] // 2
        left = np.outer(values["u"][:, 0], values["v"][:half])
        right = np.outer(values["u"][:, 1], values["v"][half:])
        number, written = 4 if matrix.gates == 4 and matrix.shape[0] % 4 == 0 else 1, []
        lines, below = list(values["a"]), list(np.hstack([left, right]))
        free = len(lines)
        for gate in range(number):
            own = free // number + (1 if gate < free % number else 0)
            written += [lines.pop(0) for _ in range(own)]
            written += [below.pop(0) for _ in range(matrix.shape[0] // number - own)]
        return np.array(written)
    if isinstance(matrix, Sparse):
        written = np.zeros(matrix.shape)
        for i in range(matrix.shape[0]):
            for j in range(matrix.shape[1]):
                if values["pruned"][i, j] == 0:
                    written[i, j] = values["weight"][i, j]
        return written
    assert isinstance(matrix, Dense)
    return values["weight"]


def method_of(label: str, factor: float, **settings: Any) -> Method:
    """The method of a label in METHODS."""
    name, _, pattern = label.partition(", ")
    return Method(name=name, factor=1 if name == "dense" else factor, pattern=pattern or "unstructured", **settings)


def plan_near(label: str, shape: tuple[int, int], factor: float) -> Plan | None:
    """The plan at this factor or at the nearest one that the refusal names; None where the method cannot be had."""
    method = method_of(label, factor)
    if method.pattern in ("gates", "tiles") and shape[0] % 4:
        return None
    try:
        return plan_matrix(method, shape)
    except BudgetError as error:
        nearest = named_factors(str(error))
        if not nearest or nearest[0] < 1:
            return None
        try:
            return plan_matrix(method.model_copy(update={"factor": nearest[0]}), shape)
        except BudgetError:
            # Beside a structured part that is too large there is no room, whatever the factor.
            assert method.doped
            return None


def blocks_of(pattern: str, shape: tuple[int, int]) -> list[tuple[list[int], list[int]]]:
    """The rows and the columns of each block, by the words of ``doping.patterns``; entries of blocks of N:M."""
    rows, columns = shape
    if pattern == "tiles":
        hidden = rows // 4
        units = [range(first, min(first + 4, hidden)) for first in range(0, hidden, 4)]
        across = [list(range(first, min(first + 4, columns))) for first in range(0, columns, 4)]
        return [([gate * hidden + unit for gate in range(4) for unit in four], those) for four in units for those in across]
    if pattern == "gates":
        hidden = rows // 4
        heights = [[unit, unit + hidden, unit + 2 * hidden, unit + 3 * hidden] for unit in range(hidden)]
    else:
        height = ENTRIES[pattern]
        heights = [list(range(first, min(first + height, rows))) for first in range(0, rows, height)]
    return [(those, [column]) for those in heights for column in range(columns)]


def stored_in(weight: np.ndarray, pattern: str) -> tuple[int, int, int]:
    """Stored values of a pruned matrix, bytes of its indices, and rows of blocks with an offset, counted block by block."""
    rows, columns = weight.shape
    if pattern.startswith("n_of"):
        width = int(pattern.removeprefix("n_of_"))
        groups = [weight[row, first : first + width] for row in range(rows) for first in range(0, columns, width)]
        values = len(groups) * max(np.count_nonzero(group) for group in groups)
        return values, -(-values * {16: 4, 32: 5}[width] // 8), 0
    kept = [block for block in blocks_of(pattern, weight.shape) if weight[np.ix_(*block)].any()]
    lines = {tuple(those) for those, _ in blocks_of(pattern, weight.shape)}
    return len(kept) * ENTRIES[pattern], 2 * len(kept), len(lines)


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
