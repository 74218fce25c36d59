"""The same recurrent layers on PyTorch, for machines without a C compiler; slower. Legend as in ``recurrent``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from doping.inference.families.matrix import Matrix
from doping.inference.families.sparse import Array
from doping.inference.kernels.pytorch import TorchMatrix


class TorchRecurrent:
    """A layer, a step at a time; the input product of all steps at once."""

    def __init__(
        self,
        cell: str,
        matrices: tuple[Matrix, Matrix, Matrix | None],
        biases: tuple[Array | None, Array | None],
        reverse: bool,
    ):
        self._cell, self._reverse = cell, reverse
        input, recurrent, projection = matrices
        self._input, self._recurrent = TorchMatrix(input), TorchMatrix(recurrent)
        self._project = TorchMatrix(projection) if projection is not None else lambda x: x
        self._biases = [
            torch.zeros(input.shape[0]) if bias is None else torch.from_numpy(np.array(bias, np.float32)) for bias in biases
        ]

    @torch.no_grad()
    def run(self, x_TBI: Array, h_BO: Array, c_BH: Array | None) -> Array:
        """Outputs (T, B, O); the state is replaced by the last one, in place."""
        steps, batch, inputs = x_TBI.shape
        z_TBM = (self._input(torch.from_numpy(x_TBI).view(-1, inputs)) + self._biases[0]).view(steps, batch, -1)
        h, c = torch.from_numpy(h_BO), None if c_BH is None else torch.from_numpy(c_BH)
        y_TBO = torch.empty(steps, batch, h.shape[1])
        for time in reversed(range(steps)) if self._reverse else range(steps):
            h.copy_(self._step(z_TBM[time], self._recurrent(h) + self._biases[1], h, c))
            y_TBO[time] = h
        outputs: Array = y_TBO.numpy()
        return outputs

    def _step(self, z_BM: Tensor, r_BM: Tensor, h: Tensor, c: Tensor | None) -> Tensor:
        if c is not None:
            i, f, g, o = (z_BM + r_BM).chunk(4, dim=1)
            c.copy_(f.sigmoid() * c + i.sigmoid() * g.tanh())
            projected: Tensor = self._project(o.sigmoid() * c.tanh())
            return projected
        if self._cell == "gru":
            (zr, zz, zn), (rr, rz, rn) = z_BM.chunk(3, dim=1), r_BM.chunk(3, dim=1)
            new = (zn + (zr + rr).sigmoid() * rn).tanh()
            return new + (zz + rz).sigmoid() * (h - new)
        return (z_BM + r_BM).tanh() if self._cell == "rnn_tanh" else (z_BM + r_BM).relu()
