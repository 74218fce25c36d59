"""Which setting to try next: Optuna's sampler as a pure function of the results so far.

Nothing is asked of a storage: the same results give the same proposal, on any machine and after any interruption, so a
study goes on where it was, and two processes that work on it propose the same. (With the versions of requirements.txt:
another Optuna may propose others.)
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sweeps.results.rows import Row
from sweeps.study.search_space import Range, Searched, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from sweeps.study.study_file import Objective

RANDOM_SHARE = 3
"""The first third of the settings is drawn at random, then the sampler learns from them."""
DIGITS = 4
"""Significant digits of a proposed number."""


@dataclass(frozen=True)
class Tried:
    """A setting that was tried, or is under way."""

    values: Values
    row: Row | None
    """Its result; None while it is under way."""


def propose(
    searched: Mapping[str, Searched], tried: Sequence[Tried], budget: int, name: str, objective: Objective = "quality"
) -> dict[str, Any]:
    """The setting to try after those, of a cell called ``name`` in which ``budget`` settings are tried."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    digest = hashlib.sha256(f"{name} {len(tried)}".encode()).digest()
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=math.ceil(budget / RANDOM_SHARE),
        n_ei_candidates=24,
        multivariate=True,
        constant_liar=True,
        seed=int.from_bytes(digest[:4], "big"),
    )
    study = optuna.create_study(directions=directions(objective), sampler=sampler)
    space = {key: distribution(values) for key, values in searched.items()}
    study.add_trials([entry(searched, one.values, one.row, objective=objective) for one in tried])
    proposed = study.ask(space).params
    return {key: _plain(values, proposed[key]) for key, values in searched.items()}


def distribution(values: Searched) -> BaseDistribution:
    """A searched setting as Optuna has it; choices are written as JSON, since they may be lists."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Range):
        return CategoricalDistribution([json.dumps(value) for value in values])
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def entry(
    searched: Mapping[str, Searched],
    values: Values,
    row: Row | None,
    curve: Mapping[int, float] | None = None,
    attributes: Mapping[str, Any] | None = None,
    objective: Objective = "quality",
) -> FrozenTrial:
    """A setting as a trial of Optuna's. Diverged is inf, so that it stays apart from failed; stopped early is PRUNED."""
    from optuna.trial import create_trial

    state, values_of_row = optuna_result(row, objective)
    if row and row.status == "stopped" and row.validation is not None and row.steps is not None:
        curve = {**(curve or {}), row.steps: row.validation}
    return create_trial(
        state=state,
        values=values_of_row,
        params={key: values[key] if isinstance(of, Range) else json.dumps(values[key]) for key, of in searched.items()},
        distributions={key: distribution(of) for key, of in searched.items()},
        intermediate_values=dict(curve or {}),
        user_attrs=dict(attributes or {}),
    )


def directions(objective: Objective) -> list[Literal["minimize", "maximize"]]:
    """Directions of an Optuna study."""
    return ["minimize"] * (2 if objective == "latency" else 1)


def optuna_result(row: Row | None, objective: Objective = "quality") -> tuple[Any, list[float] | None]:
    """State and values of a trial in Optuna.

    With two values, validation and latency, Optuna knows no trial that was stopped early: it counts as failed there, and so
    does one that diverged, since it has no latency.
    """
    from optuna.trial import TrialState

    if row is None:
        return TrialState.RUNNING, None
    if objective == "latency":
        values = [row.validation, row.latency_us] if row.status == "finished" else []
        found = [value for value in values if value is not None]
        return (TrialState.COMPLETE, found) if len(found) == 2 else (TrialState.FAIL, None)
    if row.status == "failed":
        return TrialState.FAIL, None
    if row.status == "stopped":
        return TrialState.PRUNED, None
    # A row that is finished has a validation.
    return TrialState.COMPLETE, [math.inf if row.status == "diverged" or row.validation is None else row.validation]


def _plain(values: Searched, proposed: Any) -> Any:
    """A proposal as it is written in a study: choices read from JSON, numbers rounded but within the range."""
    if not isinstance(values, Range):
        return json.loads(proposed)
    if values.whole:
        return int(proposed)
    return min(max(float(f"{proposed:.{DIGITS}g}"), float(values.low)), float(values.high))
