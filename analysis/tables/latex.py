r"""Tables as LaTeX: a ``table*`` each, for ``\input``; needs the packages booktabs and graphicx."""

from __future__ import annotations

import re

from analysis.section import Section
from analysis.tables import comparisons, content
from analysis.tables.content import Table

_SPECIAL = {
    **{char: f"\\{char}" for char in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "…": r"\ldots{}",
    "µ": r"$\mu$",
}


def render(sections: list[Section], unfinished: int = 0) -> str:
    """The whole of ``tables.tex``; where the numbers come from is in its comments."""
    parts = ["\n".join(rf"% \usepackage{package}" for package in ("{booktabs}", "{graphicx}", "[T1]{fontenc}"))]
    if note := content.unfinished_note(unfinished):
        parts.append(f"% {note}")
    labels = set()
    for section in sections:
        label = _label(section)
        # Two tasks may differ in nothing but what a label cannot hold.
        while label in labels:
            label += "-again"
        labels.add(label)
        parts.append("\n".join(f"% {name}: {' '.join(value.split())}" for name, value in content.provenance(section)))
        caption = f"Quality and size of every method. {escape(content.heading(section))}; study {escape(section.study)}."
        parts.append(_float(content.main_table(section), caption, label, content.notes(section)))
        for name, table, note in comparisons.tables(section):
            if table:
                caption = f"{name}. {escape(content.heading(section))}; study {escape(section.study)}."
                parts.append(_float(table, caption, f"{label}-{name.split()[-1]}", [note] if note else []))
    return "\n\n".join(parts) + "\n"


def _label(section: Section) -> str:
    return "tab:" + re.sub(r"[^a-zA-Z0-9]+", "-", f"{section.study}-{section.title}").strip("-").lower()


def _float(table: Table, caption: str, label: str, notes: list[str]) -> str:
    lines = [r"\begin{table*}[t]", r"\centering", rf"\caption{{{caption}}}", rf"\label{{{label}}}", r"\footnotesize"]
    # As large as it is, unless that is too wide for the page.
    fit = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
    lines += [r"\setlength{\tabcolsep}{4pt}", fit, render_table(table) + "}"]
    lines += [rf"\par\smallskip\raggedright {escape(note)}" for note in notes]
    return "\n".join([*lines, r"\end{table*}"])


def render_table(table: Table) -> str:
    """One ``tabular``; a header of several words is set in two lines."""
    columns = "".join("l" if i in table.left else "r" for i in range(len(table.header)))
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *_header(table), r"\midrule"]
    for line in table.lines:
        bold = table.emphasis if line.best else ()
        cells = [rf"\textbf{{{escape(cell)}}}" if i in bold else escape(cell) for i, cell in enumerate(line.cells)]
        lines += [r"\midrule"] * line.opens_group + [" & ".join(cells) + r" \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _header(table: Table) -> list[str]:
    halves = [_halves(cell) for cell in table.header]
    return [" & ".join(escape(half[line]) for half in halves) + r" \\" for line in (0, 1)]


def _halves(cell: str) -> tuple[str, str]:
    """A header in two lines: parted at its comma, else where the longer half is shortest."""
    if ", " in cell:
        first, second = cell.split(", ", 1)
        return first, second
    places = [i for i, char in enumerate(cell) if char in " –" and i > 0] or [len(cell)]
    place = min(places, key=lambda i: max(i, len(cell) - i))
    return cell[: place + 1].rstrip(), cell[place + 1 :]


def escape(text: str) -> str:
    """``text`` with all of LaTeX's own characters escaped, and those that it has commands for translated."""
    return "".join(_SPECIAL.get(char, char) for char in " ".join(text.split()))
