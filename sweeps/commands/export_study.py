"""``--export``: the results of one study as a small folder to keep, commit or send."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import yaml

from doping.errors import UserError, without_home
from doping.files import replacing
from sweeps.planning.plan import StudyPlan
from sweeps.results.files import shown, write_whole
from sweeps.results.folder import ResultsFolder
from sweeps.results.views import write_views
from sweeps.trials.trial import for_others


def export(plan: StudyPlan, folder: ResultsFolder, out: Path, command: str) -> str:
    """Write ``results.csv``, ``curves.csv``, ``study.yaml`` and ``about.json`` to ``out``; returns a line on it.

    Raises ``UserError`` if there is nothing to export or ``out`` holds something else, ``OSError`` if it cannot be written.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "about.json").exists())):
        raise UserError(f"--export {shown(out)}: there is something else; give a new or empty folder")
    write_views(folder)
    rows = _only(folder.path / "results.csv", "study", {plan.study})
    if len(rows) < 2:
        raise UserError(f"--export: {plan.study} has no results in {shown(folder.path)} yet; run it first")
    header, body = rows[0], rows[1:]
    for row in body:
        row[header.index("settings")] = for_others(row[header.index("settings")])
        row[header.index("error")] = without_home(row[header.index("error")])
    ids = {row[header.index("trial_id")] for row in body}
    curves = _only(folder.path / "curves.csv", "trial_id", ids)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in (("results.csv", rows), ("curves.csv", curves)):
        with replacing(out / name) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
    content = {"description": f"{plan.study}, as it was run", "presets": {plan.study.rpartition("-")[2]: plan.asked}}
    write_whole(out / "study.yaml", without_home(yaml.safe_dump(content, sort_keys=False, width=120)))
    about = json.dumps(_about(command, header, body), indent=1, ensure_ascii=False)
    write_whole(out / "about.json", without_home(about) + "\n")
    return f"wrote {len(body)} rows of {plan.study} and how they were made to {shown(out)}"


def _about(command: str, header: list[str], body: list[list[str]]) -> dict[str, object]:
    def values(column: str) -> list[str]:
        return sorted({row[header.index(column)] for row in body})

    return {
        "command": command,
        "trials": len(body),
        "started": values("started")[0],
        **{column: values(column) for column in ("commit", "hardware", "versions", "data_hash")},
    }


def _only(path: Path, column: str, wanted: set[str]) -> list[list[str]]:
    """Header and those lines of a table whose column has one of the values."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    return [header, *(line for line in lines if line[header.index(column)] in wanted)]
