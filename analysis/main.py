"""The command line of tables, figures and the report. Heavy libraries are imported only once the arguments are right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.folders import join
from analysis.results import AnalysisError, load
from doping.command_line import Parser, answer, arguments_or, path
from doping.errors import without_home

if TYPE_CHECKING:
    from analysis.results import Results
    from analysis.section import Section

DEFAULT_RESULTS = "runs/kp_vs_pruning-quick"
PRODUCTS = ("tables", "figures", "report")
"""What is made; the report alone comes with the figures that it shows as they are on paper."""
DESCRIPTION = """\
Write the tables, the figures and the report of a folder of results:
  report.html                         all of it in one page: in words, to explore, with every trial; opens without a network
  tables.md, tables.csv, tables.tex   every method at every compression factor, what is significant, the paper's numbers
  equal_quality.csv                   how many times smaller each method is at equal quality
and as .png and .svg, where the results have what it takes:
  pareto           quality against size, and latency
  equal_quality    how many times smaller at equal quality
  cma              validation against sparsity while annealing
  cmr              quality against the probability of row dropout
  parts            what M and S contribute: energies, each switched off, gradients
  patterns, gates  where the nonzeros fell, from the trained models in trials/
Where the folder holds several studies, each study has a report and figures of its own: report-STUDY.html and so on.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 after one line on stderr for a user's mistake."""
    return answer(lambda: _command(arguments_or(argv)))


def _command(arguments: Sequence[str]) -> None:
    parser = Parser(prog="make_tables.py", description=DESCRIPTION)
    parser.add_argument(
        "--results",
        metavar="DIR",
        type=path,
        nargs="+",
        default=[Path(DEFAULT_RESULTS)],
        help=f"folder of results.csv and curves.csv; of several, one comparison is made (default: {DEFAULT_RESULTS})",
    )
    parser.add_argument("--out", metavar="DIR", type=path, help="folder to write to (default: the folder of results)")
    parser.add_argument("--study", metavar="NAME", help="only this study (default: all of them)")
    parser.add_argument(
        "--only", nargs="+", choices=PRODUCTS, default=PRODUCTS, help="only these of them; tables are made in about a second"
    )
    options = parser.parse_args(arguments)
    if options.out is None and len(options.results) > 1:
        raise AnalysisError("several folders are compared: say with --out where to write their tables, figures and report")
    print("\n".join(make(options.results, options.out or options.results[0], options.study, options.only)))


def make(results_folders: Sequence[Path], out: Path, study: str | None = None, only: Sequence[str] = PRODUCTS) -> list[str]:
    """Write tables, figures and reports of these folders to ``out``; returns a line for each thing written.

    Raises ``AnalysisError`` where the results cannot be read or hold no such study, or ``out`` cannot be written.
    """
    results = join([load(folder, study) for folder in results_folders])
    if "report" in only:
        from analysis.report import vega

        vega.begin()
    from analysis.summary import summarize

    sections = summarize(results)
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = _tables(results, sections, out) if "tables" in only else []
        return written + (_figures_and_reports(results, sections, out, only) if {"figures", "report"} & {*only} else [])
    except OSError as error:
        raise AnalysisError(f"cannot write to {out}: {error.strerror}. Give a folder you can write to with --out") from error


def _tables(results: Results, sections: list[Section], out: Path) -> list[str]:
    from analysis.tables import csv_table, latex, markdown

    texts = {
        "tables.md": markdown.render(sections, results.unfinished),
        "tables.csv": csv_table.render(sections),
        "equal_quality.csv": csv_table.render_equal_quality(sections),
        "tables.tex": latex.render(sections, results.unfinished),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return [f"wrote {out / name}" for name in texts]


def _figures_and_reports(results: Results, sections: list[Section], out: Path, only: Sequence[str]) -> list[str]:
    from analysis.figures.fewer import fewer
    from analysis.figures.gallery import KINDS, STILL

    if "report" in only:
        from analysis.report import page

    messages = []
    for study, of_study, suffix in _studies(sections):
        drawn: dict[str, list[Path]] = {}
        # The lines of cmr are few, and each is made of many settings.
        few = [fewer(section) for section in of_study]
        for kind in KINDS:
            if "figures" not in only and kind.name not in STILL:
                continue
            drawn[kind.name] = kind.draw(of_study if kind.name == "cmr" else few, results, out / f"{kind.name}{suffix}")
            if not drawn[kind.name]:
                messages.append(f"no {kind.name} figure for {study}: {kind.needs}")
        files = [path for paths in drawn.values() for path in paths]
        report = out / f"report{suffix}.html"
        if "report" in only:
            shared = without_home(page.render(study, of_study, results, drawn))
            report.write_text(shared, encoding="utf-8", newline="\n")
            files.append(report)
        messages += [f"wrote {path}" for path in files]
    return messages


def _studies(sections: list[Section]) -> list[tuple[str, list[Section], str]]:
    """Each study with its sections and what its files end with."""
    names = list(dict.fromkeys(section.study for section in sections))
    return [
        (
            name,
            [section for section in sections if section.study == name],
            "" if len(names) == 1 else "-" + re.sub(r"[^\w.-]", "_", name),
        )
        for name in names
    ]
