"""Reads and checks a folder of results: ``results.csv``, one row per trial, and ``curves.csv``, one line per validation.

Each mistake in the files is an ``AnalysisError`` of one line. The columns are documented where they are written, with
the sweeps; here are those that the tables need, and those that they use where they are there. More columns do no harm.
"""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doping.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

TEXT_COLUMNS = (
    *("study", "trial_id", "task", "method", "cf_unit", "metric", "status", "error"),
    *("data_hash", "commit", "hardware", "versions", "settings"),
)
SIZE_COLUMNS = ("cf_values", "cf_bytes", "values", "bytes", "multiply_adds")
"""Empty for a trial that failed before its size was known."""
NUMBER_COLUMNS = ("cmr", "cf_requested", *SIZE_COLUMNS, "seed", "validation", "test", "seconds")
CURVE_COLUMNS = ("step", "sparsity", "validation")
OPTIONAL_TEXT = ("stage", "cell", "started", "host", "measures")
"""``stage``: ``tuning`` for a setting that was tried, ``final`` (also where it is missing) for a trial that counts;
``cell``: the method at a factor that a trial belongs to; ``measures``: other qualities on the test split, as JSON."""
DEPLOYED = ("latency_us", "bundle_bytes", "deployed_bytes", "model_bytes")
"""Measured of the exported model: microseconds a time step on the CPU, and bytes of its file. And what is deployed in the
precision of the method: bytes of the LSTM's layers with scales and biases, and of all weights of the model."""
OPTIONAL_NUMBERS = (
    *DEPLOYED,
    *(f"{name}_{values}" for values in ("int8", "int4") for name in ("validation", "test", "bytes", "model_bytes")),
)
OPTIONAL_CURVES = (
    *("cmr_probability", "training_loss", "energy_structured", "energy_sparse"),
    *("validation_without_sparse", "validation_without_structured", "gradient_structured", "gradient_sparse"),
)
STAGES = ("tuning", "final")
MARK = "@"
"""Between the id of a trial and the name of its folder, where two folders hold other results of the same trial."""
MODEL, LAYERS, WEIGHTS = "model_bytes", "deployed_bytes", "bytes"
"""Columns of sizes in bytes: all weights of the model as deployed, the LSTM's layers, their matrices and indices alone."""


class AnalysisError(UserError):
    """A mistake in the files of results or in what was asked of them; the message is one line."""


@dataclass(frozen=True)
class Results:
    """The rows and curves of the chosen studies."""

    folder: Path
    """Where they were read."""
    rows: pd.DataFrame
    """A row a (study, trial): text as str, numbers as float (NaN where empty); optional columns are always there."""
    curves: pd.DataFrame
    """A row a validation: trial_id (str), all else as float (NaN where empty); optional columns are always there."""
    unfinished: int
    """Trials that have a curve but no row in any study: still running, or interrupted."""

    @property
    def final(self) -> pd.DataFrame:
        """The rows that tables and figures are about."""
        return self.rows[self.rows["stage"] == "final"]

    @property
    def tuning(self) -> pd.DataFrame:
        """The rows of settings that were tried while tuning."""
        return self.rows[self.rows["stage"] == "tuning"]


def load(folder: Path, study: str | None = None) -> Results:
    """Read ``folder``, keep ``study`` (default: all). Raises ``AnalysisError`` for anything missing or malformed."""
    if not folder.is_dir():
        raise AnalysisError(f"no folder {folder}: run a study first, or give its folder of results with --results")
    rows = _read(folder / "results.csv", TEXT_COLUMNS, NUMBER_COLUMNS, OPTIONAL_TEXT, OPTIONAL_NUMBERS)
    rows["stage"] = rows["stage"].replace("", "final")
    rows["folder"] = str(folder)
    curves = _read(folder / "curves.csv", ("trial_id",), CURVE_COLUMNS, (), OPTIONAL_CURVES)
    if rows.empty:
        raise AnalysisError(f"{folder / 'results.csv'} has no rows: no trial has finished yet")
    _check(rows, folder / "results.csv")
    unfinished = len(set(curves["trial_id"]) - set(rows["trial_id"]))
    if study is not None:
        known = sorted(set(rows["study"]))
        if study not in known:
            close = difflib.get_close_matches(study, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "give one of them with --study"
            raise AnalysisError(f"no study {study!r} in {folder}, which holds {', '.join(known)}: {hint}")
        rows = rows[rows["study"] == study]
    return Results(folder, rows, curves, unfinished)


def _read(
    path: Path,
    text: tuple[str, ...],
    numbers: tuple[str, ...],
    optional_text: tuple[str, ...],
    optional_numbers: tuple[str, ...],
) -> pd.DataFrame:
    if not path.is_file():
        raise AnalysisError(f"no file {path}: {path.parent} is not a folder of results, or no trial has finished yet")
    import pandas as pd

    try:
        # All as text: a hexadecimal id like 12e456789012 must not be read as a number.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        raise AnalysisError(f"{path} is empty: expected a header and a row a trial") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise AnalysisError(f"{path} is not a CSV file: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise AnalysisError(f"cannot read {path}: {error.strerror}") from error
    missing = [name for name in (*text, *numbers) if name not in frame.columns]
    if missing:
        raise AnalysisError(f"{path} lacks the column(s) {', '.join(missing)}: was it written by another version?")
    for name in (*optional_text, *optional_numbers):
        if name not in frame.columns:
            frame[name] = ""
    for name in (*numbers, *optional_numbers):
        frame[name] = [_number(value, path, name, line) for line, value in enumerate(frame[name], start=2)]
    return frame


def _number(value: str, path: Path, column: str, line: int) -> float:
    if not value:
        return math.nan
    try:
        return float(value)
    except ValueError:
        raise AnalysisError(f"{path}, row {line}: {column} is {value!r}, expected a number") from None


def _check(rows: pd.DataFrame, path: Path) -> None:
    twice = rows[rows.duplicated(["study", "trial_id"])]
    if not twice.empty:
        first = twice.iloc[0]
        raise AnalysisError(f"{path}: trial {first['trial_id']} stands twice in study {first['study']}; expected once")
    needed = ("cmr", "cf_requested", "seed")
    for line, row in enumerate(rows.to_dict("records"), start=2):
        finished = row["status"] == "finished"
        for name in (*needed, "validation", "test", *SIZE_COLUMNS) if finished else needed:
            if not math.isfinite(row[name]):
                raise AnalysisError(f"{path}, row {line}: {name} is {row[name]:g}, expected a number ({row['status']})")
        if row["stage"] not in STAGES:
            raise AnalysisError(f"{path}, row {line}: stage is {row['stage']!r}, expected {' or '.join(STAGES)}")
        if not isinstance(_json(row["measures"] or "{}"), dict):
            raise AnalysisError(f"{path}, row {line}: measures is not JSON of names and values")
        settings = _json(row["settings"])
        if not isinstance(settings, dict) or not {"task", "method"} <= settings.keys():
            raise AnalysisError(f"{path}, row {line}: settings is not the JSON of a trial (task, method, seed, …)")


def _json(text: str) -> object:
    """What a text says as JSON; None if it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
