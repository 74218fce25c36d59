"""A section with no more lines than a figure on paper can show apart."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from analysis.section import Key, Section, TableRow

MOST = 16
"""Lines: more labels than these would make a figure longer than a page."""


def fewer(section: Section) -> Section:
    """The same section; where it has more than MOST lines, the best ones alone, and its title says so.

    The best line of each method, with row dropout and without, is kept first, then the best of the rest. A line is as good
    as the mean rank of its validation among all that were asked for the same factor.
    """
    lines = section.lines()
    if len(lines) <= MOST:
        return section
    ranks = _ranks(section)
    ordered = sorted(lines, key=lambda key: mean(ranks[id(row)] for row in lines[key]))
    of_methods: dict[tuple[str, bool], Key] = {}
    for key in ordered:
        of_methods.setdefault((key.method, key.cmr), key)
    kept = {*[*of_methods.values(), *(key for key in ordered if key not in of_methods.values())][:MOST]}
    said = f"the best {MOST} of {len(lines)} settings"
    rows = [row for row in section.rows if row.whole or row.key in kept]
    return replace(section, rows=rows, setting=", ".join(filter(None, (section.setting, said))))


def _ranks(section: Section) -> dict[int, float]:
    """By the id of a row: the share of its rivals that are better."""
    cells: dict[tuple[str, float], list[TableRow]] = {}
    for row in section.rows:
        if row.validation:
            cells.setdefault((row.unit, row.factor), []).append(row)
    result: dict[int, float] = {}
    for rows in cells.values():
        ordered = sorted(rows, key=lambda row: row.validation.mean if row.validation else 0.0)
        result |= {id(row): rank / len(rows) for rank, row in enumerate(ordered)}
    return result
