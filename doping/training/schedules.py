"""What changes in the course of a training, as pure functions of the optimizer step."""

from __future__ import annotations


def cubic_sparsity(
    step: int,
    *,
    final: float,
    start: float,
    length: float,
    initial: float = 0.0,
    exponent: float = 3.0,
    interval: int = 1,
) -> float:
    """Sparsity after so many steps: the gradual pruning schedule of Zhu & Gupta (arXiv 1710.01878, equation 1).

    s(t) = s_f + (s_i − s_f) · (1 − (t − t₀) / (n·Δt))³, clamped before t₀ and after t₀ + n·Δt.

    Args:
        step: t, optimizer steps done.
        final: s_f, share of zeros in the end.
        start: t₀, the step at which pruning starts.
        length: n·Δt, the steps it lasts.
        initial: s_i, share of zeros before.
        exponent: 3 in the paper; larger prunes earlier.
        interval: Δt; between two multiples of it the sparsity stands still. The end is always reached on time.

    """
    if step >= start + length:
        return final
    if step < start:
        return initial
    since_start = (step - start) // interval * interval
    remaining: float = (1 - since_start / length) ** exponent
    return final + (initial - final) * remaining


def annealed_probability(probability: float, progress: float) -> float:
    """Row dropout that falls to zero together with the pruning; ``progress`` is s(t) / s_f, from 0 to 1."""
    return probability * (1 - progress)


def decayed_rate(epoch: int, *, decay: float, decay_after: int) -> float:
    """Factor of the learning rate in an epoch, counted from 0: Zaremba et al. 2014, section 4.1.

    1 for the first ``decay_after`` epochs, then divided by ``decay`` at the start of each further one.
    """
    return 1 / decay ** max(0, epoch + 1 - decay_after)


def cooled_rate(step: int, *, total: int, cooldown: float) -> float:
    """Factor of the learning rate that falls linearly to zero over the last ``cooldown`` share of ``total`` steps."""
    if cooldown == 0:
        return 1.0
    return min(1.0, max(0, total - step) / (cooldown * total))
