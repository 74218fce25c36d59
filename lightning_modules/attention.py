"""The global attention of Luong, Pham & Manning 2015 (arXiv 1508.04025), sections 3 and 3.1.

Legend: S source steps, T target steps, B batch, H hidden units, E width of what is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn


class Memory(NamedTuple):
    """What is attended to."""

    keys_BSH: Tensor
    """Encoder states h̄ₛ as scores take them."""
    values_BSH: Tensor
    """Encoder states h̄ₛ."""
    padding_BS: Tensor
    """Where there is none."""


class GlobalAttention(nn.Module):
    """Gives for decoder states hₜ the attentional states h̃ₜ = tanh(W [cₜ; hₜ]), equation 5.

    The context cₜ is the mean of all encoder states h̄ₛ, weighted by softmax(score(hₜ, h̄ₛ)), equation 7; the score is
    hₜᵀ W h̄ₛ (``general``) or hₜᵀ h̄ₛ (``dot``), equation 8.
    """

    def __init__(self, hidden: int, width: int, score: Literal["general", "dot"]):
        super().__init__()
        self.keys = nn.Linear(hidden, hidden, bias=False) if score == "general" else nn.Identity()
        self.combine = nn.Linear(2 * hidden, width, bias=False)

    def memory(self, encoded_BSH: Tensor, lengths: Sequence[int]) -> Memory:
        """Make encoder states ready to be attended to; those from ``lengths`` on are padding."""
        steps_S = torch.arange(encoded_BSH.shape[1], device=encoded_BSH.device)
        padding_BS = steps_S >= torch.tensor(lengths, device=encoded_BSH.device)[:, None]
        return Memory(self.keys(encoded_BSH), encoded_BSH, padding_BS)

    def forward(self, states_BTH: Tensor, memory: Memory) -> Tensor:
        """Attentional states of decoder states: (B, T, H) → (B, T, E)."""
        scores_BTS = states_BTH @ memory.keys_BSH.mT
        weights_BTS = scores_BTS.masked_fill(memory.padding_BS[:, None], -math.inf).softmax(-1)
        return torch.tanh(self.combine(torch.cat([weights_BTS @ memory.values_BSH, states_BTH], dim=-1)))
