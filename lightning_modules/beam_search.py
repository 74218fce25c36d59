"""Beam search over a recurrent decoder, for a batch of sentences at once.

At every step the most likely continuations of a sentence's hypotheses are kept, ``width`` of them. One that ends is kept
apart if it is among the ``width`` best of its step, and the end with the best score is the result. The score is the
log-probability divided by the length penalty of Wu et al. 2016 (arXiv 1609.08144, equation 14), lp(Y) = ((5 + |Y|) / 6)^α,
where |Y| counts the end too. A sentence is done when none of its hypotheses can overtake that score any more, since
log-probabilities only fall: so with a beam as wide as there are sequences, the search is exact.

Legend: B sentences, K hypotheses of a sentence, N = B·K (those of a sentence side by side), V vocabulary, L subwords so far,
C candidates to go on with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""State of a decoder: tensors whose dimension 1 are the N hypotheses."""

Step = Callable[[Tensor, State], tuple[Tensor, State]]
"""Reads the last subword of every hypothesis, (N,): log-probabilities of the next one, (N, V), and the next state."""


@dataclass(frozen=True)
class Found:
    """The best hypothesis of a sentence."""

    tokens: list[int]
    """Its subwords, without begin and end."""
    score: float
    """Its log-probability in nats, divided by the length penalty."""


def length_penalty(length: Tensor | float, alpha: float) -> Tensor | float:
    """What the log-probability of so many subwords is divided by; equation 14 of Wu et al. 2016."""
    return ((5 + length) / 6) ** alpha


@torch.no_grad()
def beam_search(
    step: Step, state: State, limits_B: Tensor, *, width: int, alpha: float, begin: int, end: int
) -> list[Found]:
    """Search for the best translation of every sentence.

    Args:
        step: the decoder.
        state: its state before the first step, of one hypothesis a sentence: dimension 1 is B.
        limits_B: the most subwords a translation may have, the end not counted; longer ones are ended there.
        width: K.
        alpha: exponent of the length penalty, at least 0; 0 for none.
        begin: id of the subword that stands before a sentence.
        end: id of the one after it.

    """
    (batch,), device = limits_B.shape, limits_B.device
    first_N = torch.arange(batch, device=device).repeat_interleave(width)
    state = _selected(state, first_N)
    tokens_BKL = torch.full((batch, width, 1), begin, device=device)
    # At first all hypotheses of a sentence are the same one: only one of them may go on.
    live_BK = torch.full((batch, width), -math.inf, device=device)
    live_BK[:, 0] = 0
    best_B = torch.full((batch,), -math.inf, device=device)
    best_tokens: list[Tensor] = list(tokens_BKL[:, 0])
    # The score that a hypothesis can have at best: that of no further loss, up to the longest length.
    largest_penalty_B = length_penalty(limits_B + 1.0, alpha)
    for length in range(1, int(limits_B.max()) + 2):
        scores_NV, state = step(tokens_BKL[:, :, -1].flatten(), state)
        scores_BKV = scores_NV.view(batch, width, -1).float()
        must_end_B = limits_B < length
        ends = torch.arange(scores_BKV.shape[-1], device=device) == end
        scores_BKV = scores_BKV.masked_fill(must_end_B[:, None, None] & ~ends, -math.inf)
        vocabulary = scores_BKV.shape[-1]
        candidates = min(2 * width, width * vocabulary)
        # At most half of them end, one of each hypothesis: there are always enough that go on.
        scores_BC, places_BC = (live_BK[:, :, None] + scores_BKV).flatten(1).topk(candidates)
        parents_BC, next_BC = places_BC // vocabulary, places_BC % vocabulary
        ended_BC = next_BC == end

        finished_BK = scores_BC.masked_fill(~ended_BC, -math.inf)[:, :width] / length_penalty(length, alpha)
        score_B, which_B = finished_BK.max(1)
        for sentence in (score_B > best_B).nonzero().flatten().tolist():
            best_tokens[sentence] = tokens_BKL[sentence, parents_BC[sentence, which_B[sentence]]]
        best_B = torch.maximum(best_B, score_B)

        live_BK, kept_BK = scores_BC.masked_fill(ended_BC, -math.inf).topk(width)
        parents_BK, next_BK = parents_BC.gather(1, kept_BK), next_BC.gather(1, kept_BK)
        state = _selected(state, (parents_BK + width * torch.arange(batch, device=device)[:, None]).flatten())
        chosen = parents_BK[:, :, None].expand(-1, -1, tokens_BKL.shape[-1])
        tokens_BKL = torch.cat([tokens_BKL.gather(1, chosen), next_BK[:, :, None]], dim=2)
        if bool((live_BK[:, 0] / largest_penalty_B <= best_B).all()):
            break
    return [Found(tokens[1:].tolist(), float(score)) for tokens, score in zip(best_tokens, best_B, strict=True)]


def _selected(state: State, index_N: Tensor) -> State:
    return tuple(part.index_select(1, index_N) for part in state)
