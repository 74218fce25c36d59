"""Independent references of products and layers in float64, and random matrices of every family and format."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from doping.inference.families.monarch import Monarch
from doping.inference.kernels import (
    COLUMN_PATTERNS,
    Dense,
    Hybrid,
    Kronecker,
    LowRank,
    Matrix,
    Sparse,
    Sum,
    Tiles,
    narrowed,
)

FAMILIES = ("dense", "kronecker", "low_rank", "hybrid", "monarch")


def written_out(matrix: Matrix) -> np.ndarray:
    """The matrix in float64, by NumPy's and SciPy's own means."""
    if isinstance(matrix, Sum):
        return written_out(matrix.structured) + written_out(matrix.sparse)
    if isinstance(matrix, Sparse):
        return _written_out_sparse(matrix)
    if isinstance(matrix, Tiles):
        return _written_out_tiles(matrix)
    arrays = {name: array.astype(np.float64) for name, array in vars(matrix).items() if array is not None}
    for name in [name for name in arrays if name.endswith("_scale")]:
        arrays[name.removesuffix("_scale")] *= arrays.pop(name)[:, None]
    if isinstance(matrix, Kronecker):
        return sum(np.kron(b, c) for b, c in zip(arrays["b"], arrays["c"], strict=True))
    if isinstance(matrix, LowRank):
        return sum(np.outer(u, v) for u, v in zip(arrays["u"].T, arrays["v"], strict=True))
    if isinstance(matrix, Monarch):
        return monarch(arrays["u"], arrays["v"])
    if isinstance(matrix, Hybrid):
        half = len(arrays["v"]) // 2
        blocks = [np.outer(arrays["u"][:, 0], arrays["v"][:half]), np.outer(arrays["u"][:, 1], arrays["v"][half:])]
        below = np.concatenate(blocks, axis=1)
        if matrix.gates is None:
            return np.concatenate([arrays["a"], below])
        gates, (rows, _), free, bound = int(matrix.gates[0]), matrix.shape, iter(arrays["a"]), iter(below)
        first = [len(arrays["a"]) // gates + (gate < len(arrays["a"]) % gates) for gate in range(gates)]
        per_gate = rows // gates
        return np.stack([next(free if row % per_gate < first[row // per_gate] else bound) for row in range(rows)])
    return arrays["weight"]


def monarch(u, v):
    """The blocks U V one by one, each of its rows where it belongs."""
    (c, height, y), (b, _, width) = u.shape, v.shape
    rows, rank = c * height, y // b
    gates = 4 if rows % 4 == 0 else 1
    written, per_gate, per_block = np.zeros((rows, b * width)), rows // gates, height // gates
    for i, j, row in np.ndindex(c, b, height):
        left, right = u[i, row, j * rank : (j + 1) * rank], v[j, i * rank : (i + 1) * rank]
        place = row // per_block * per_gate + i * per_block + row % per_block
        written[place, j * width : (j + 1) * width] = sum(left[r] * right[r] for r in range(rank))
    return written


def _written_out_sparse(matrix: Sparse) -> np.ndarray:
    rows, columns, values = [], [], []
    units = matrix.shape[0] // 4
    for group in range(len(matrix.offsets) - 1):
        for block in range(matrix.offsets[group], matrix.offsets[group + 1]):
            for place, value in enumerate(matrix.values[block]):
                row = {"rows": 8 * group + place, "gates": place * units + group}.get(matrix.pattern, group)
                if row < matrix.shape[0]:
                    rows.append(row)
                    columns.append(int(matrix.columns[block]))
                    values.append(float(value) * (1 if matrix.values_scale is None else float(matrix.values_scale[row])))
    return scipy.sparse.coo_array((values, (rows, columns)), shape=matrix.shape).toarray()


def _written_out_tiles(matrix: Tiles) -> np.ndarray:
    units = matrix.shape[0] // 4
    written = np.zeros(matrix.shape)
    for group in range(len(matrix.offsets) - 1):
        for tile in range(matrix.offsets[group], matrix.offsets[group + 1]):
            for place, column in np.ndindex(16, 4):
                unit, at = 4 * group + place % 4, 4 * int(matrix.columns[tile]) + column
                if unit < units and at < matrix.shape[1]:
                    row = place // 4 * units + unit
                    scale = 1 if matrix.values_scale is None else float(matrix.values_scale[row])
                    written[row, at] = float(matrix.values[tile, place, column]) * scale
    return written


def lstm(input, recurrent, bias, x_TBI, h, c, reverse=False):
    """Plain loops over the steps, gates in PyTorch's order."""
    w, r = written_out(input), written_out(recurrent)
    h, c = h.astype(np.float64), c.astype(np.float64)
    outputs = np.zeros((*x_TBI.shape[:2], h.shape[1]))
    for time in reversed(range(len(x_TBI))) if reverse else range(len(x_TBI)):
        i, f, g, o = np.split(x_TBI[time] @ w.T + h @ r.T + (0 if bias is None else bias), 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs[time] = h
    return outputs, h, c


def random_structured(generator, family, rows, columns, scale=1.0):
    """A matrix of a family; a Kronecker product takes divisors of the shape at random."""

    def normal(*shape):
        return (scale * generator.normal(size=shape)).astype(np.float32)

    if family == "dense":
        return Dense(normal(rows, columns))
    if family == "low_rank":
        rank = int(generator.integers(1, min(rows, columns) + 1))
        return LowRank(normal(rows, rank), normal(rank, columns))
    if family == "monarch":
        rank = int(generator.integers(1, 4))
        cut = rows // 4 if rows % 4 == 0 else rows
        c, b = (int(generator.choice([d for d in range(1, size + 1) if size % d == 0])) for size in (cut, columns))
        return Monarch(normal(c, rows // c, b * rank), normal(b, c * rank, columns // b))
    if family == "hybrid":
        free = int(generator.integers(0, rows))
        return Hybrid(normal(free, columns), normal(rows - free, 2), normal(columns))
    m1, n1 = (int(generator.choice([d for d in range(1, size + 1) if size % d == 0])) for size in (rows, columns))
    return Kronecker(normal(1, m1, n1), normal(1, rows // m1, columns // n1))


def random_sparse(generator, pattern, rows, columns, density):
    """A sparse matrix; some rows are empty, some full, so that rows differ in length."""
    share = density * generator.choice([0, 1, 3], size=rows)[:, None]
    return Sparse.pack(generator.normal(size=(rows, columns)) * (generator.random((rows, columns)) < share), pattern)


def random_matrix(generator, kind, rows, columns, scale=1.0):
    """A matrix by the name of its family, its pattern, or both with a plus between; ``int8 `` before it makes it narrow."""
    if kind.startswith("int8 "):
        return narrowed(random_matrix(generator, kind.removeprefix("int8 "), rows, columns, scale))
    made = [
        random_sparse(generator, part, rows, columns, 0.1)
        if part in COLUMN_PATTERNS
        else random_structured(generator, part, rows, columns, scale)
        for part in kind.split("+")
    ]
    return made[0] if len(made) == 1 else Sum(*made)
