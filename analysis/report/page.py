"""The page: gathers what the template shows. All of it is in the one file, so that it opens without a network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis import labels
from analysis.figures.gallery import KINDS, STILL
from analysis.report import chart, charts, rerun, take, vega, words
from analysis.report.chart import Chart
from analysis.report.take import Take
from analysis.report.words import Fact
from analysis.results import Results
from analysis.section import Section
from analysis.tables import comparisons, content
from analysis.tables.content import Table
from doping.command_line import duration

TRIAL_HEADER = (
    *(("Method", True), ("CF asked", False), ("Seed", False), ("Status", True), ("Validation", False), ("Test", False)),
    *(("Values", False), ("Bytes", False), ("Time", False)),
)
"""Of the table of all trials: names, and whether they are aligned left."""


@dataclass(frozen=True)
class Still:
    """A figure as it is on paper."""

    title: str
    caption: str
    source: str
    """A data URI."""


@dataclass(frozen=True)
class Part:
    """What the page says of a section."""

    number: int
    heading: str
    takes: list[Take]
    facts: list[Fact]
    sentences: list[str]
    charts: list[Chart]
    tables: list[tuple[str, Table | None, list[str]]]
    """Title, table (None where only a note is to be said), notes."""

    @property
    def name(self) -> str:
        """What the names of its elements start with."""
        return f"section-{self.number}"


@dataclass(frozen=True)
class TrialLine:
    """A line of the table of all trials."""

    trial_id: str
    stage: str
    line: str
    seed: float
    cells: list[tuple[str, float | None]]
    """Text, and the number to sort by where the text does not start with it."""


@dataclass(frozen=True)
class Filter:
    """A line of the figures that a reader can switch off."""

    label: str
    colour: str
    hollow: bool


def render(study: str, sections: Sequence[Section], results: Results, figures: dict[str, list[Path]]) -> str:
    """The page of a study; ``figures`` are the files of its figures, by kind."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [_part(number, section, results) for number, section in enumerate(sections)]
    rows = results.rows[results.rows["study"] == study]
    looks = {label: look for section in sections for label, look in chart.looks(section).items()}
    stages = sorted(set(rows["stage"]))
    return environment.get_template("page.html.jinja").render(
        study=study,
        parts=parts,
        stills=_stills(figures),
        filters=[Filter(label, chart.colour(look), look.hollow) for label, look in looks.items()],
        seeds=sorted({seed for section in sections for seed in chart.seeds(section)}),
        stages=stages,
        trial_header=[("Trial", True), *[("Stage", True)] * (len(stages) > 1), *TRIAL_HEADER],
        trials=_trial_lines(rows, _labels(sections, rows)),
        environment=_environment(rows),
        unfinished=content.unfinished_note(results.unfinished),
        data=_json(
            {
                "sections": [charts.data(section, results) for section in sections],
                "specs": {f"{part.name}-{drawn.name}": drawn.spec for part in parts for drawn in part.charts},
                "trials": _trials(study, rows),
            }
        ),
        vega=Markup(vega.script()),
    )


def _part(number: int, section: Section, results: Results) -> Part:
    main = ("Every method at every compression factor", content.main_table(section), content.notes(section))
    others = [(title, table, [note] if note else []) for title, table, note in comparisons.tables(section)]
    return Part(
        number,
        content.heading(section),
        take.takes(section),
        words.facts(section),
        words.sentences(section),
        charts.charts(section, results),
        [main, *others],
    )


def _stills(figures: dict[str, list[Path]]) -> list[Still]:
    result = []
    for kind in KINDS:
        for path in figures.get(kind.name, []):
            if kind.name in STILL and path.suffix == ".svg":
                encoded = base64.b64encode(path.read_bytes()).decode()
                result.append(Still(kind.title, kind.caption, f"data:image/svg+xml;base64,{encoded}"))
    return result


def _labels(sections: Sequence[Section], rows: pd.DataFrame) -> dict[str, str]:
    """The label of each trial; a trial of tuning goes with its cell."""
    result = {}
    of_cell = {}
    for section in sections:
        for row in section.rows:
            for trial_id, cell in zip(row.trials["trial_id"], row.trials["cell"], strict=True):
                result[trial_id] = row.label
                of_cell[cell] = row.label
    for trial in rows.to_dict("records"):
        name = labels.method_name(trial["method"], trial["cmr"] > 0)
        result.setdefault(trial["trial_id"], of_cell.get(trial["cell"], name) if trial["cell"] else name)
    return result


def _trial_lines(rows: pd.DataFrame, lines: dict[str, str]) -> list[TrialLine]:
    result = []
    for trial in rows.to_dict("records"):
        decimals = labels.metric_decimals(trial["metric"])
        cells: list[tuple[str, float | None]] = [
            (lines[trial["trial_id"]], None),
            (labels.asked(trial["cf_requested"], trial["cf_unit"]), None),
            (f"{trial['seed']:.0f}", None),
            (trial["status"], None),
            _cell(trial["validation"], partial(labels.fixed, decimals=decimals)),
            _cell(trial["test"], partial(labels.fixed, decimals=decimals)),
            _cell(trial["values"], "{:,.0f}".format),
            _cell(trial["bytes"], partial(labels.scaled, unit="B")),
            _cell(trial["seconds"], duration),
        ]
        result.append(TrialLine(trial["trial_id"], trial["stage"], lines[trial["trial_id"]], trial["seed"], cells))
    return result


def _cell(value: float, written: Callable[[float], str]) -> tuple[str, float | None]:
    return (written(value), value) if math.isfinite(value) else (labels.MISSING, None)


def _trials(study: str, rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """What the page says of a trial when it is asked for it."""
    result = {}
    for trial in rows.to_dict("records"):
        trial_id = trial["trial_id"]
        result[trial_id] = {
            "study": rerun.study_file(study, trial_id, trial["settings"]),
            "command": rerun.command(f"{trial_id}.yaml"),
            "about": ", ".join(filter(None, [trial["status"], trial["started"], trial["host"], trial["hardware"]])),
            "error": " ".join(trial["error"].split()),
        }
    return result


def _environment(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    names = {
        "Hardware": "hardware",
        "Hosts": "host",
        "Versions": "versions",
        "Commit": "commit",
        "Data (hash)": "data_hash",
    }
    pairs = [(name, sorted(set(rows[column]) - {""})) for name, column in names.items()]
    started = sorted(set(rows["started"]) - {""})
    if started:
        pairs.append(("First and last trial started", list(dict.fromkeys([started[0], started[-1]]))))
    pairs.append(("Compute time", [f"{duration(rows['seconds'].sum())}, all {len(rows)} trials together"]))
    return [(name, values or ["not recorded"]) for name, values in pairs]


def _json(value: Any) -> Markup:
    """JSON for a ``script`` element, which nothing in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
