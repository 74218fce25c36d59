"""The command ``python -m analysis.docs_tables``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.docs_tables import measurements, studies
from analysis.results import AnalysisError
from doping.command_line import Parser, answer, arguments_or
from doping.command_line import path as a_path

ROOT = Path(__file__).parents[2]
TABLES: dict[str, Callable[[Path], list[str]]] = {
    "kp_vs_pruning": studies.main_study,
    "beyond_paper": studies.beyond_paper,
    "started": studies.started,
    "climb": studies.climb,
    "row_dropout": studies.row_dropout,
    "row_dropout_elsewhere": studies.row_dropout_elsewhere,
    "words": studies.words,
    "atis": studies.atis,
    "deployed": studies.deployed,
    "deployed_sizes": studies.deployed_sizes,
    "recipes": studies.recipes,
    "rounding": studies.rounding,
    "speed": measurements.speed,
    "speed_int8": measurements.speed_int8,
    "step_time": measurements.step_time,
    "reliability": measurements.reliability,
}
"""What makes the lines of a table from the folder of results, by the table's name in the marker."""

_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(text: str, results: Path) -> str:
    """A page with its tables made anew. Raises ``AnalysisError`` if a marker names no table."""

    def table(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in TABLES:
            raise AnalysisError(f"no table {name!r}; expected one of {', '.join(TABLES)}")
        lines = "\n".join(TABLES[name](results))
        return f"{begin}\n{lines}\n\n{end}"

    return _MARKED.sub(table, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit code: 0, 1 if ``--check`` finds a table that the rows do not give, 2 for a mistake."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m analysis.docs_tables",
        description="Write the tables in the pages of docs/ from the rows in results/. A table stands between "
        "<!-- table: NAME --> and <!-- end of table -->.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a table would change")
    parser.add_argument("--docs", type=a_path, default=ROOT / "docs", help="folder of pages (default: docs)")
    parser.add_argument("--results", type=a_path, default=ROOT / "results", help="folder of rows (default: results)")
    options = parser.parse_args(arguments)
    for folder in (options.docs, options.results):
        if not folder.is_dir():
            raise AnalysisError(f"no folder {folder}; give that of the pages with --docs, that of the rows with --results")
    try:
        pages = {path: path.read_text(encoding="utf-8") for path in sorted(options.docs.glob("*.md"))}
        changed = {path: new for path, old in pages.items() if (new := filled(old, options.results)) != old}
        for path, text in changed.items():
            print(f"{path}: {'not what the rows give' if options.check else 'written'}")
            if not options.check:
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AnalysisError(f"{error.filename}: {error.strerror}") from error
    return int(options.check and bool(changed))
