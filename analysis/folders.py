"""Several folders of results in one comparison: joined as one study, with what differs between them named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import variants
from analysis.results import MARK, AnalysisError, Results

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {"study": "studies", "commit": "commit", "hardware": "hardware", "versions": "versions"}
_MANY = 4


def join(parts: Sequence[Results]) -> Results:
    """All rows and curves as one study, named after the folders.

    A trial that stands in several folders with the same result is kept once, from the first of them. One with another
    result in each, trained again elsewhere say, is kept from each.

    Raises:
        AnalysisError: two folders have the same name, so that nothing could tell them apart.

    """
    if len(parts) == 1:
        return parts[0]
    import pandas as pd

    names = [name(str(part.folder)) for part in parts]
    if len(set(names)) < len(names):
        raise AnalysisError(f"folders of results are told apart by their names, and these are {', '.join(names)}")
    known: dict[str, tuple[str, ...]] = {}
    rows: list[pd.DataFrame] = []
    curves: list[pd.DataFrame] = []
    for own, part in zip(names, parts, strict=True):
        results = {
            trial["trial_id"]: tuple(str(trial[column]) for column in ("status", "validation", "test", "seconds"))
            for trial in part.rows.to_dict("records")
        }
        same = {trial_id for trial_id, result in results.items() if known.get(trial_id) == result}
        again = {trial_id: f"{trial_id}{MARK}{own}" for trial_id in results if trial_id in known and trial_id not in same}
        # Trials of tuning stay: each folder has its own budget.
        twice = same & {*part.final["trial_id"]}
        for frames, frame, dropped in ((rows, part.rows, twice), (curves, part.curves, same)):
            kept = frame[~frame["trial_id"].isin(dropped)]
            frames.append(kept.assign(trial_id=kept["trial_id"].replace(again)))
        known = results | known
    joined = pd.concat(rows, ignore_index=True).assign(study=" + ".join(names))
    # Of a folder that holds several studies, a trial of two of them is one trial.
    joined = joined.drop_duplicates(["trial_id", "stage", "folder"])
    return Results(parts[0].folder, joined, pd.concat(curves, ignore_index=True), sum(part.unfinished for part in parts))


def name(folder: str) -> str:
    """What a folder of results is called."""
    return Path(folder).resolve().name


def differences(trials: pd.DataFrame) -> str:
    """A sentence: which folders these trials are from, and in what they differ; empty for a single folder."""
    of_folder = {name(str(folder)): rows for folder, rows in trials.groupby("folder", sort=False)}
    if len(of_folder) < 2:
        return ""
    counts = ", ".join(f"{own} ({len(rows)} trials)" for own, rows in of_folder.items())
    settings = {own: [variants.flatten(json.loads(text)) for text in rows["settings"]] for own, rows in of_folder.items()}
    paths = sorted({path for flats in settings.values() for flat in flats for path in flat if path.startswith("task.")})
    found = []
    for path in ("seed", *paths):
        values = {own: sorted({repr(flat.get(path)) for flat in flats}) for own, flats in settings.items()}
        found += _difference(path.removeprefix("task."), values)
    for column, title in _COLUMNS.items():
        if column in trials:
            found += _difference(title, {own: sorted(set(rows[column]) - {""}) for own, rows in of_folder.items()})
    said = "; ".join(found) or "nothing but the methods that they ran"
    return f"Folders compared: {counts}. They differ in: {said}."


def _difference(title: str, values: dict[str, list[str]]) -> list[str]:
    if len({tuple(of_folder) for of_folder in values.values()}) == 1:
        return []
    return [f"{title} ({' / '.join(_listed(of_folder) for of_folder in values.values())})"]


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _MANY} more" if len(values) > _MANY else ""
    return (", ".join(value.strip("'") for value in values[:_MANY]) or "not recorded") + more
