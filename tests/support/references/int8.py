"""Independent references of int8 arithmetic: sums of whole numbers, the rounding of a vector, and how far a product may be
off."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from doping.inference.kernels import Hybrid, Kronecker, LowRank, Matrix, Monarch, Sparse, Sum, Tiles, narrowed
from references.kernels import random_structured, written_out

EPSILON = float(np.finfo(np.float32).eps)


def random_tiles(generator, rows, columns, density):
    """Tiles at random; some groups of units are empty, some full."""
    whole = Tiles.pack(np.ones((rows, columns)))
    share = density * generator.choice([0, 1, 3], size=len(whole.offsets) - 1)
    kept = generator.random(len(whole.columns)) < share[whole.groups()]
    values = whole.values[kept] * generator.normal(size=(kept.sum(), 16, 4)).astype(np.float32)
    offsets = np.searchsorted(whole.groups()[kept], np.arange(len(whole.offsets))).astype(np.uint32)
    return Tiles((rows, columns), values, whole.columns[kept], offsets)


def random_narrow(generator, kind, rows, columns, bits=8, scale=1.0, short_scales=True):
    """A matrix by the name of its family, ``tiles``, or both with a plus between, of so many bits."""
    parts = [
        random_tiles(generator, rows, columns, 0.2)
        if part == "tiles"
        else _random_kronecker(generator, rows, columns, scale)
        if part == "kronecker"
        else random_structured(generator, part, rows, columns, scale)
        for part in kind.split("+")
    ]
    return narrowed(parts[0] if len(parts) == 1 else Sum(*parts), bits, short_scales=short_scales)


def _random_kronecker(generator, rows, columns, scale):
    """A sum of up to four products of factors of random shapes."""
    terms = int(generator.integers(1, 5))
    m1, n1 = (int(generator.choice([d for d in range(1, size + 1) if size % d == 0])) for size in (rows, columns))
    shapes = (terms, m1, n1), (terms, rows // m1, columns // n1)
    return Kronecker(*((scale * generator.normal(size=shape)).astype(np.float32) for shape in shapes))


def rounded(x):
    """Whole numbers from −127 to 127 and their scale, of each vector in the last dimension."""
    largest = np.abs(x).max(axis=-1, keepdims=True, initial=0)
    return np.rint(x * (127 / np.where(largest > 0, largest, 1))), largest / 127


def bound(matrix: Matrix, x_BN):
    """How far a product in int8 may be from the exact one of the same narrow matrix, (batch, m).

    A rounded number is off by at most half a step (and by a thousandth of one for the float32 product before it), so a
    vector is off by d <= 0.501 max |x| / 127 in each place. A product W x with rounded x is then off by at most d sum |W|,
    row by row; what its float32 operations add (two products, a sum of the parts) is some 2^-23 of |W| |x|. Where a
    product has two stages, T = V x and y = U T, T is off by e = d sum |V|, is at most max |T| + max e large, so its own
    rounding adds 0.501 (max |T| + max e) / 127, and y is off by |U| times the sum of both. V of a hybrid matrix is rounded
    itself: half a step of its own largest magnitude.
    """
    x_BN = x_BN.astype(np.float64)
    step_B1 = 0.501 / 127 * np.abs(x_BN).max(axis=1, keepdims=True, initial=0)
    small = 8 * EPSILON
    if isinstance(matrix, Sum):
        return bound(matrix.structured, x_BN) + bound(matrix.sparse, x_BN)
    if isinstance(matrix, LowRank):
        u, v = (
            array * scale[:, None].astype(np.float64)
            for array, scale in ((matrix.u, matrix.u_scale), (matrix.v, matrix.v_scale))
        )
        return _second_stage(u, x_BN @ v.T, step_B1 * np.abs(v).sum(axis=1) + small * np.abs(x_BN) @ np.abs(v).T)
    if isinstance(matrix, Monarch):
        u, v = (
            scipy.linalg.block_diag(*(array * scale[:, None].astype(np.float64)))
            for array, scale in ((matrix.u, matrix.u_scale), (matrix.v, matrix.v_scale))
        )
        c, b, g, rank = len(matrix.u), len(matrix.v), matrix.gates, matrix.rank
        by_rows = np.arange(b * c * rank).reshape(b, c, rank).swapaxes(0, 1).ravel()
        v, rows = v[by_rows], np.arange(len(u)).reshape(c, g, -1).swapaxes(0, 1).ravel()
        off = step_B1 * np.abs(v).sum(axis=1) + small * np.abs(x_BN) @ np.abs(v).T
        return _second_stage(u[rows], x_BN @ v.T, off)
    if isinstance(matrix, Kronecker):
        terms, m1, n1 = matrix.b.shape
        b = matrix.b * matrix.b_scale[:, None].astype(np.float64)
        c = matrix.c * matrix.c_scale[:, None].astype(np.float64)
        x_BJL = x_BN.reshape(len(x_BN), n1, c.shape[2])

        def products(b, c, x):  # both orders: T = X C^T, a row of B and (j, r) for each of its columns; and P = B X
            t = np.einsum("rkl,bjl->bkjr", c, x).reshape(len(x_BN), c.shape[1], n1 * terms)
            return t, np.einsum("rij,bjl->birl", b, x).reshape(len(x_BN), m1, terms * c.shape[2])

        (t, p), (t_size, p_size) = products(b, c, x_BJL), products(np.abs(b), np.abs(c), np.abs(x_BJL))
        t_off, p_off = products(np.abs(b), np.abs(c), np.ones_like(x_BJL))
        t_off, p_off = (step_B1[..., None] * off + small * size for off, size in ((t_off, t_size), (p_off, p_size)))
        right_first = _second_stage(b.transpose(1, 2, 0).reshape(m1, n1 * terms), t, t_off).swapaxes(1, 2)
        left_first = _second_stage(c.transpose(1, 0, 2).reshape(c.shape[1], -1), p, p_off)
        return np.maximum(right_first, left_first).reshape(len(x_BN), matrix.shape[0])
    weight = np.abs(written_out(matrix))
    off_BM = step_B1 * weight.sum(axis=1) + small * np.abs(x_BN) @ weight.T
    if isinstance(matrix, Hybrid):
        half, below = len(matrix.v) // 2, len(matrix.a)
        for u, v, x in (
            (matrix.u[:, 0], matrix.v[:half], x_BN[:, :half]),
            (matrix.u[:, 1], matrix.v[half:], x_BN[:, half:]),
        ):
            for_v = 0.501 / 127 * np.abs(v).max(initial=0)
            off_BM[:, below:] += np.outer(np.abs(x).sum(axis=1) * for_v + step_B1[:, 0] * for_v * len(v), np.abs(u))
    return off_BM + 1e-30


def _second_stage(left, between, off):
    """Bound of ``left`` times vectors in the last dimension, each off by ``off``."""
    step = 0.501 / 127 * (np.abs(between) + off).max(axis=-1, keepdims=True, initial=0)
    return (off + step) @ np.abs(left).T + 8 * EPSILON * np.abs(between) @ np.abs(left).T


def deployed_bound(matrix: Matrix, x_BN):
    """The same of a deployed layer, where a matrix with S in another pattern than tiles, or with free rows in every gate, is
    written out: a weight is off by half a step of its row then, d' = 0.501 max |W| / 127, the product by d' sum |x| more.
    """
    parts = (matrix.structured, matrix.sparse) if isinstance(matrix, Sum) else (matrix,)
    if not any(isinstance(part, Sparse) or getattr(part, "gates", None) is not None for part in parts):
        return bound(matrix, x_BN)
    weight, x_BN = np.abs(written_out(matrix)), np.abs(x_BN.astype(np.float64))
    off_M = 0.501 / 127 * weight.max(axis=1)
    weight = weight + off_M[:, None]
    step_B1 = 0.501 / 127 * x_BN.max(axis=1, keepdims=True)
    return x_BN.sum(axis=1, keepdims=True) * off_M + step_B1 * weight.sum(axis=1) + 8 * EPSILON * x_BN @ weight.T


def recurrent_step(cell, matrices, biases, x_BI, h_BO, c_BH):
    """One step of a layer in float64, (h, c), and how far int8 arithmetic may be from both; c is None but of an LSTM.

    sigmoid has slopes of up to 1/4, tanh of up to 1, and both are in [-1, 1]. So a product of a gate and such a number is
    off by at most what the two are off by, and a gate before its activation by the bounds of its two products. The float32
    operations of a step add some 1e-6 of its numbers.
    """
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    x_BI, h_BO = x_BI.astype(np.float64), h_BO.astype(np.float64)
    z, r = (
        x @ written_out(matrices[name]).T + biases.get(f"{name}_bias", 0)
        for name, x in (("input", x_BI), ("recurrent", h_BO))
    )
    off_z, off_r = (deployed_bound(matrices[name], x) for name, x in (("input", x_BI), ("recurrent", h_BO)))
    small = 4e-6 * (1 + np.abs(h_BO).max() + (0 if c_BH is None else np.abs(c_BH).max()))
    if cell.startswith("rnn"):
        return (np.tanh(z + r) if cell == "rnn_tanh" else np.maximum(z + r, 0), None), (off_z + off_r + small, None)
    gates = {"lstm": 4, "gru": 3}[cell]
    zs, rs, off_zs, off_rs = (np.split(part, gates, axis=1) for part in (z, r, off_z, off_r))
    off = [one + other for one, other in zip(off_zs, off_rs, strict=True)]
    if cell == "gru":
        reset, update = (sigmoid(zs[gate] + rs[gate]) for gate in (0, 1))
        new = np.tanh(zs[2] + reset * rs[2])
        off_new = off_zs[2] + off_rs[2] + np.abs(rs[2]) * off[0] / 4
        return (new + update * (h_BO - new), None), (off_new + np.abs(h_BO - new) * off[1] / 4 + small, None)
    i, f, g, o = (z + r for z, r in zip(zs, rs, strict=True))
    c = sigmoid(f) * c_BH + sigmoid(i) * np.tanh(g)
    off_c = np.abs(c_BH) * off[1] / 4 + off[0] / 4 + off[2] + small
    h, off_h = sigmoid(o) * np.tanh(c), off_c + off[3] / 4 + small
    if projection := matrices.get("projection"):
        weight = np.abs(written_out(projection))
        # Its vector is off itself, and so may be the largest magnitude that it is rounded by.
        more = 0.501 / 127 * off_h.max(axis=1, keepdims=True) * weight.sum(axis=1)
        h, off_h = h @ written_out(projection).T, 1.01 * off_h @ weight.T + more + deployed_bound(projection, h) + small
    return (h, c), (off_h, off_c)
