"""The command line of the tables and figures. Heavy libraries are imported only once the arguments are right."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.results import AnalysisError, load

if TYPE_CHECKING:
    from analysis.results import Results
    from analysis.summary import Section

DEFAULT_RESULTS = "runs/kp_vs_pruning-quick"
DESCRIPTION = """\
Write the tables and figures of a folder of results:
  tables.md, tables.csv, tables.tex   every method at every compression factor, beside the paper's numbers
  pareto.png, pareto.svg              quality against size
  cma.png, cma.svg                    validation against sparsity while annealing
Where the folder holds several studies, each study has figures of its own: pareto-STUDY.png and so on.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 after one line on stderr for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="make_tables.py", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        default=Path(DEFAULT_RESULTS),
        help=f"folder of results.csv and curves.csv (default: {DEFAULT_RESULTS})",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder to write to (default: the folder of results)")
    parser.add_argument("--study", metavar="NAME", help="only this study (default: all of them)")
    args = parser.parse_args(argv)
    try:
        messages = make(args.results, args.out or args.results, args.study)
    except AnalysisError as error:
        print(f"make_tables.py: {error}", file=sys.stderr)
        return 2
    print("\n".join(messages))
    return 0


def make(results_folder: Path, out: Path, study: str | None = None) -> list[str]:
    """Write all tables and figures of ``results_folder`` to ``out``; returns a line for each thing written.

    Raises ``AnalysisError`` where the results cannot be read or hold no such study, or ``out`` cannot be written.
    """
    results = load(results_folder, study)
    from analysis.summary import summarize

    sections = summarize(results)
    try:
        out.mkdir(parents=True, exist_ok=True)
        return [*_tables(results, sections, out), *_figures(results, sections, out)]
    except OSError as error:
        raise AnalysisError(f"cannot write to {out}: {error.strerror}. Give a folder you can write to with --out") from error


def _tables(results: Results, sections: list[Section], out: Path) -> list[str]:
    from analysis import csv_table, latex, markdown

    texts = {
        "tables.md": markdown.render(sections, results.unfinished),
        "tables.csv": csv_table.render(sections),
        "tables.tex": latex.render(sections, results.unfinished),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return [f"wrote {out / name}" for name in texts]


def _figures(results: Results, sections: list[Section], out: Path) -> list[str]:
    from analysis import cma, pareto

    messages = []
    studies = list(dict.fromkeys(section.study for section in sections))
    for study in studies:
        of_study = [section for section in sections if section.study == study]
        suffix = "" if len(studies) == 1 else "-" + re.sub(r"[^\w.-]", "_", study)
        drawn = {"pareto": pareto.draw(of_study, out / f"pareto{suffix}")}
        drawn["cma"] = cma.draw(of_study, results.curves, out / f"cma{suffix}")
        for name, paths in drawn.items():
            messages += [f"wrote {path}" for path in paths]
            if not paths:
                messages.append(f"no {name} figure for {study}: it has no finished trial with a sparse part")
    return messages
