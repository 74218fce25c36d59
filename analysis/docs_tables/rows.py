"""What the tables of docs/ share: rows of results, cells of them, and lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Kind:
    """Trials that stand in one line of a table."""

    method: str
    saliency: bool = False
    """Whether they prune by saliency."""
    cmr: bool = False
    """Whether row dropout is on."""

    def at(self, results: pd.DataFrame, factor: float) -> pd.DataFrame:
        """Its trials at a factor."""
        saliency = results["settings"].str.contains('"criterion":"saliency"')
        right = (results["method"] == self.method) & (saliency == self.saliency) & ((results["cmr"] > 0) == self.cmr)
        return results[right & (results["cf_requested"] == factor)]


def read(results: Path, name: str) -> pd.DataFrame:
    """The rows of a study, or of a benchmark if the name ends with ``.csv``."""
    return pd.read_csv(results / name if name.endswith(".csv") else results / name / "results.csv", keep_default_na=True)


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]], texts: int = 1) -> list[str]:
    """Lines of a table; so many first columns are texts, the others numbers."""

    def line(cells: Sequence[str]) -> str:
        return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)

    rule = "|" + "---|" * texts + "---:|" * (len(header) - texts)
    return [line(header), rule, *map(line, lines)]


def signed(number: float, digits: int) -> str:
    """With a sign before it, the minus as it is printed."""
    return f"{number:+.{digits}f}".replace("-", "−")


def test_table(
    header: Sequence[str], kinds: dict[str, Kind], cells: Sequence[tuple[pd.DataFrame, float]], digits: int, counts: bool
) -> list[str]:
    """Means on test of every kind (lines) in every study at a factor (columns); bold: the best on validation there."""
    best = [min(own["validation"].mean() for kind in kinds.values() if len(own := kind.at(*cell))) for cell in cells]

    def shown(kind: Kind, cell: tuple[pd.DataFrame, float], least: float) -> str:
        own = kind.at(*cell)
        if own.empty:
            return ""
        mean = f"{own['test'].mean():.{digits}f}"
        mean = f"**{mean}**" if own["validation"].mean() == least else mean
        return f"{mean} ({len(own)})" if counts else mean

    lines = [[label, *(shown(kind, cell, least) for cell, least in zip(cells, best, strict=True))]
             for label, kind in kinds.items()]  # fmt: skip
    return markdown(header, lines)
