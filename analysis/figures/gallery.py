"""All figures that a study may have, in the order of the report, with what they say and what they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.figures import cma, cmr, equal_quality, pareto, parts, patterns
from analysis.results import Results
from analysis.section import Section

Draw = Callable[[Sequence[Section], Results, Path], list[Path]]
"""Draws the sections of a study to ``stem.png`` and ``stem.svg``; returns the paths, none where there is nothing to draw."""


@dataclass(frozen=True)
class Kind:
    """A kind of figure."""

    name: str
    """Of its files, and of what one calls it by."""
    title: str
    draw: Draw
    caption: str
    """How to read it."""
    needs: str
    """Why a study has none."""


STILL = ("equal_quality", "parts", "patterns", "gates")
"""The kinds of figures that the page shows as they are on paper; of the others it has its own, to explore."""
KINDS = (
    Kind(
        "pareto",
        "Quality against size",
        pareto.draw,
        "Test quality (lower is better) against the size, which shrinks to the right; lines join means over seeds, "
        "small dots are the seeds. A point above the axis is an arrow with its value.",
        "it has no results",
    ),
    Kind(
        "equal_quality",
        "How much smaller at equal quality",
        equal_quality.draw,
        "How many times smaller than Pruned (or, without it, the first method of the legend) a method is where both "
        "have the same test quality, by interpolation between measured points; nothing is extrapolated. Grey: what "
        "the paper claims.",
        "no two methods reach a common range of quality: it takes at least two compression factors",
    ),
    Kind(
        "cma",
        "Validation while annealing",
        cma.draw,
        "Validation while S is pruned (co-matrix adaptation shows in the last stretch), on an axis that is "
        "logarithmic in what remains; bands from the lowest to the highest seed; at the end the value after the "
        "training.",
        "it has no finished trial with a sparse part",
    ),
    Kind(
        "cmr",
        "Probability of row dropout",
        cmr.draw,
        "Final validation against the probability of co-matrix row dropout; lines join means over seeds, small dots "
        "are the seeds.",
        "no structure has three probabilities of row dropout",
    ),
    Kind(
        "parts",
        "What M and S contribute",
        parts.draw,
        "While S is pruned: the share of the pre-activation energy that S x carries, the validation with one part "
        "switched off, and the ratio of the gradient norms; bands from the lowest to the highest seed.",
        "its curves do not hold energies, parts switched off or gradient norms",
    ),
    Kind(
        "patterns",
        "Where the nonzeros are",
        patterns.draw_patterns,
        "Weight matrices at the highest factor, on their side: outputs to the right, gate by gate, inputs down. "
        "Shade: share of nonzeros in a block. Beside the name: the shapes of the factors of M.",
        "no trained model of a sparse method is left in its folder",
    ),
    Kind(
        "gates",
        "Nonzeros gate by gate",
        patterns.draw_gates,
        "Share of nonzeros in each gate over that of the whole model: above 1 the pruning left more there. First seed "
        "of each setting.",
        "no trained model of a sparse method is left in its folder",
    ),
)
