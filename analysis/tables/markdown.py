"""Tables as Markdown (GitHub's flavour)."""

from __future__ import annotations

import re

from analysis.section import Section
from analysis.tables import comparisons, content
from analysis.tables.content import Table

HINT = "Beside this file: the figures, and *report.html*, which has all of this to explore, with every trial."


def render(sections: list[Section], unfinished: int = 0) -> str:
    """The whole of ``tables.md``."""
    parts = []
    if note := content.unfinished_note(unfinished):
        parts.append(escape(note))
    study = None
    for section in sections:
        if section.study != study:
            study = section.study
            parts.append(f"# Study {escape(study)}")
        parts.append(f"## {escape(content.heading(section))}")
        parts.append(render_table(content.main_table(section)))
        parts += [escape(note) for note in content.notes(section)]
        for heading, table, note in comparisons.tables(section):
            parts += [f"### {escape(heading)}", *([render_table(table)] if table else []), *([escape(note)] if note else [])]
        parts.append("\n".join(f"- {name}: {escape(value)}" for name, value in content.provenance(section)))
    return "\n\n".join([*parts, HINT]) + "\n"


def render_table(table: Table) -> str:
    """One table; columns are padded, so that it reads well as text too."""
    rows = [[escape(cell) for cell in table.header]]
    for line in table.lines:
        bold = table.emphasis if line.best else ()
        rows.append([f"**{escape(cell)}**" if i in bold else escape(cell) for i, cell in enumerate(line.cells)])
    # A rule of fewer than three characters is no table for some readers.
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = [f":{'-' * (w - 1)}" if i in table.left else f"{'-' * (w - 1)}:" for i, w in enumerate(widths)]
    texts = [
        [cell.ljust(w) if i in table.left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [texts[0], rule, *texts[1:]])


def escape(text: str) -> str:
    """``text`` with Markdown's own characters made harmless; an underscore only where it could start emphasis."""
    text = re.sub(r"([\\`*|<>\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
