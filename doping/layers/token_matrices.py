"""Matrices with a row for each token, of low rank: an embedding, and the weight of a softmax.

In place of (tokens, width) there are U (tokens, rank) and V (rank, width). So a wider model has few values more in them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from doping.matrices.budget import BudgetError, Shape
from doping.matrices.low_rank import LowRank, LowRankPlan


class RankError(BudgetError):
    """A rank that makes a matrix no smaller, or that no matrix of the task can have."""

    setting = "embedding_rank"


class TokenMatrix(LowRank):
    """W = U V, (tokens, width): beside the LSTMs of a model, so that it is stored as other matrices there are.

    Raises:
        RankError: U and V would have no fewer values than W.

    """

    def __init__(self, tokens: int, width: int, rank: int, std: float):
        """Random, with entries of root mean square ``std``."""
        check_rank(rank, {"matrix of tokens": (tokens, width)})
        made = LowRankPlan((tokens, width), rank).initialized(std)
        super().__init__(made.u.data, made.v.data)

    def fit(self, weight_VN: Tensor) -> None:
        """Become the nearest to a matrix of full rank."""
        self._become(LowRankPlan(self.shape, len(self.v)).fitted(weight_VN))

    def redraw(self, std: float) -> None:
        """Draw anew, with entries of root mean square ``std``."""
        self._become(LowRankPlan(self.shape, len(self.v)).initialized(std))

    @torch.no_grad()
    def _become(self, other: LowRank) -> None:
        self.u.copy_(other.u)
        self.v.copy_(other.v)


class LowRankEmbedding(TokenMatrix):
    """An ``nn.Embedding`` of low rank, which starts as one does."""

    def __init__(self, tokens: int, width: int, rank: int):
        super().__init__(tokens, width, rank, std=1.0)
        self.num_embeddings, self.embedding_dim = tokens, width

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings, (...) → (..., width)."""
        return F.embedding(tokens, self.u) @ self.v


class LowRankSoftmax(TokenMatrix):
    """The ``nn.Linear`` before a softmax, its weight of low rank; starts as one does."""

    def __init__(self, width: int, tokens: int, rank: int):
        super().__init__(tokens, width, rank, std=(3 * width) ** -0.5)
        self.bias = nn.Parameter(torch.empty(tokens).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (..., width) → (..., tokens)."""
        return self.matmul(x) + self.bias


def check_rank(rank: int, shapes: Mapping[str, Shape]) -> None:
    """Look whether matrices of these shapes are smaller with a rank.

    Raises:
        RankError: one is not, or there are none; the message names the ranks that are possible.

    """
    if not shapes:
        raise RankError("this task has no embedding or softmax that can be of low rank: leave embedding_rank out")
    largest = {name: (rows * columns - 1) // (rows + columns) for name, (rows, columns) in shapes.items()}
    name = min(largest, key=lambda name: largest[name])
    if rank > largest[name]:
        (rows, columns), most = shapes[name], largest[name]
        possible = f"2 to {most}" if most >= 2 else "none, leave it out"
        raise RankError(
            f"embedding_rank {rank} makes the {name} of {rows:,} x {columns:,} no smaller: its factors would have "
            f"{rank * (rows + columns):,} values in place of {rows * columns:,}; possible: {possible}"
        )
