"""What tables and figures are made of: a section a study and task, in it a row a setting."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import pandas as pd

from analysis import labels, variants
from analysis.stats.statistic import Statistic
from doping.families import has_sparse_part


class Key(NamedTuple):
    """What makes a line of a figure: all rows with the same key, over the factors."""

    method: str
    cmr: bool
    variant: str


@dataclass(frozen=True)
class TableRow:
    """A method with all its settings at one compression factor: statistics over its finished seeds."""

    method: str
    cmr: bool
    """Whether row dropout is on."""
    probability: float
    """The probability of row dropout; 0 where it is off."""
    variant: str
    """What tells this setting from others of the same method and CMR in the section; mostly empty."""
    unit: str
    """What the factor asked for counts: ``values`` or ``bytes``; ``size`` where a size was asked for."""
    factor: float
    """Compression factor asked for, or the size in bytes."""
    sizes: dict[str, float]
    """The SIZE_COLUMNS, and DEPLOYED ones, means over seeds; NaN where there is no number."""
    trials: pd.DataFrame
    """The rows of results of this setting, whatever became of them."""
    validation: Statistic | None
    """None where no seed has finished; the same holds for the test and the losses."""
    test: Statistic | None
    measures: dict[str, Statistic]
    """Other qualities on the test split, by their names; none where no seed has finished."""
    validation_loss: Statistic | None = None
    """Above the mean of dense: in percent of it, or as a difference, as ``Section.losses_in_percent`` says."""
    test_loss: Statistic | None = None
    best: bool = False
    """Whether it has the lowest mean validation of those asked for the same factor."""
    tuning: int = 0
    """Settings that were tried before these trials were run: the tuning budget."""

    @property
    def label(self) -> str:
        """Name for readers, e.g. ``Doped KP + CMR, p = 0.3``."""
        return labels.method_name(self.method, self.cmr, self.variant)

    @property
    def asked(self) -> str:
        """What was asked for, e.g. ``20×`` or ``64 kB``."""
        return labels.asked(self.factor, self.unit)

    @property
    def whole(self) -> bool:
        """Whether it is the task's own dense model: neither narrower nor of a size of its own, and in float32."""
        own = ("method.units", "method.size", "method.values", "method.embedding_rank", "method.bias")
        return self.method == "dense" and all(self.flat.get(path) is None for path in own)

    @property
    def key(self) -> Key:
        """The line that it belongs to."""
        return Key(self.method, self.cmr, self.variant)

    @property
    def flat(self) -> variants.Flat:
        """The settings of its first trial by dotted path, without those that the study searched."""
        flat: variants.Flat = self.trials["flat"].iloc[0]
        return flat

    @property
    def sparse(self) -> bool:
        """Whether a part of it is pruned while it trains."""
        return has_sparse_part(self.method)

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The trials that the statistics are over."""
        return self.trials[self.trials["status"] == "finished"]

    @cached_property
    def test_by_seed(self) -> dict[float, float]:
        """Mean test of the finished trials of each seed."""
        return dict(self.finished.groupby("seed")["test"].mean())

    @property
    def n(self) -> int:
        """Seeds that have finished: those that the statistics are over."""
        return self.count("finished")

    def count(self, status: str) -> int:
        """Number of trials with this status."""
        return int((self.trials["status"] == status).sum())


@dataclass(frozen=True)
class Section:
    """All rows of one task in one study: what a table or a panel shows."""

    study: str
    task: str
    """The label of the task in the results."""
    setting: str
    """What tells this task from others of the same label in the study; mostly empty."""
    settings: variants.Flat
    """The settings below ``task`` that make the task."""
    metric: str
    rows: list[TableRow]
    """In the order of the tables, dense first."""
    dense: TableRow | None
    """The row that losses refer to: the task's own dense model, of several that with the lowest mean validation. None
    where none has finished: then nothing has a loss."""

    def dense_mean(self, split: Literal["validation", "test"]) -> float | None:
        """Mean of ``dense`` on a split."""
        statistic = getattr(self.dense, split, None)
        return statistic.mean if statistic else None

    @property
    def losses_in_percent(self) -> bool:
        """Whether losses are shares of dense's metric, or differences to it.

        Of a metric that can be zero or negative, such as a log-likelihood of densities, no share can be said.
        """
        means = [statistic.mean for row in self.rows for statistic in (row.validation, row.test) if statistic]
        return min(means) > 0

    @property
    def title(self) -> str:
        """Name of the task for readers."""
        return f"{self.task} ({self.setting})" if self.setting else self.task

    @property
    def trials(self) -> pd.DataFrame:
        """The rows of results of this section."""
        return pd.concat([row.trials for row in self.rows])

    def lines(self) -> dict[Key, list[TableRow]]:
        """The rows that have a mean, line by line; without the task's own dense model."""
        lines: dict[Key, list[TableRow]] = {}
        for row in self.rows:
            if not row.whole and row.test:
                lines.setdefault(row.key, []).append(row)
        return lines

    @property
    def measures(self) -> list[str]:
        """Names of the other qualities on the test split that its rows have."""
        return list(dict.fromkeys(name for row in self.rows for name in row.measures))

    @property
    def signatures(self) -> list[tuple[str, str]]:
        """What its trials say on how they measured another quality, ``bleu_signature`` say: name and text, each once."""
        found = (json.loads(text or "{}").items() for text in self.trials["measures"])
        return list(dict.fromkeys((name, text) for items in found for name, text in items if isinstance(text, str)))

    @property
    def narrow(self) -> bool:
        """Whether values of some row are narrow, or a size was asked for: then bytes as deployed are what compares rows."""
        return any(row.unit == "size" or row.flat.get("method.values") for row in self.rows)

    def measured(self, name: str) -> bool:
        """Whether any row has a number in this one of DEPLOYED."""
        return any(math.isfinite(row.sizes[name]) for row in self.rows)
