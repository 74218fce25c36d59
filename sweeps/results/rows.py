"""The row of a trial: its result, in ``row.json`` in the trial's own folder. These files are the truth; all else is
made from them.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from doping import machine
from doping.errors import UserError
from sweeps.results.files import FolderError, set_aside, shown, write_whole
from sweeps.trials.outcome import Outcome
from sweeps.trials.trial import Trial

ROW = "row.json"

VERSION = 1
"""Of the rows that this program writes. Raised when a field means something else than before, not when one is added."""


class Row(BaseModel):
    """Result of a trial. Fields without a value are None: a failed trial has no sizes and no metric.

    Rows of other versions are read as far as they are known: fields that are not known stand aside, unharmed, and go back
    into the file with the others; fields that are missing take their defaults, or follow from ``settings``.
    """

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="strings")

    version: int = VERSION
    """Version of the program's rows that wrote it; no column of the tables."""
    trial_id: str
    """Id of the trial: hash of all that defines it."""
    task: str = ""
    """Short name of the task, e.g. ``embedded-character``."""
    method: str
    """``dense``, ``pruned``, the name of a family (``doping.families``), or ``doped_`` and such a name."""
    cmr: float = 0.0
    """Probability of co-matrix row dropout; 0 is off."""
    cf_requested: float
    """Compression factor that was asked for, or the size in bytes."""
    cf_unit: str = "values"
    """What the factor counts: ``values`` or ``bytes``; ``size`` where a size was asked for."""
    cf_values: float | None = None
    """Compression factor reached, in values."""
    cf_bytes: float | None = None
    """Compression factor reached, in bytes."""
    values: int | None = None
    """Values left in the LSTM's weight matrices."""
    bytes: int | None = None
    """Their bytes in the deployed format, indices included."""
    multiply_adds: int | None = None
    """Multiply–adds of the LSTM's weight matrices in one time step."""
    dense_values: int | None = None
    """Values of the uncompressed LSTM."""
    dense_bytes: int | None = None
    """Bytes of the uncompressed LSTM."""
    dense_multiply_adds: int | None = None
    """Multiply–adds of the uncompressed LSTM."""
    seed: int
    """Seed of every random choice."""
    metric: str | None = None
    """What validation and test measure, e.g. ``perplexity``; lower is better."""
    validation: float | None = None
    """Metric on the validation split at the end; inf if the training diverged."""
    test: float | None = None
    """Metric on the test split at the end; inf if the training diverged, None if it was stopped early."""
    best_validation: float | None = None
    """Lowest validation on the way."""
    status: Literal["finished", "diverged", "stopped", "failed"]
    """``diverged``: the loss became infinite; ``stopped``: a tuning trial that was hopeless and ended early, maybe before
    its matrices had the size asked for; ``failed``: every attempt ended in an error."""
    error: str | None = None
    """Last error of a failed trial, one line; ``log.txt`` beside the row says more."""
    seconds: float = 0.0
    """Wall time of all attempts, as far as known: an attempt that was killed counts up to its last report."""
    steps: int | None = None
    """Optimizer steps."""
    peak_memory_mb: float | None = None
    """Most memory of the process (resident, MB) in the last attempt."""
    data_hash: str = ""
    """Hash of the corpus."""
    commit: str = ""
    """Commit of the code; ``-dirty`` if it was changed since."""
    started: str = ""
    """When the first attempt started, UTC."""
    host: str = ""
    """Which machine: not by its name, for results are shared, but by six digits that follow from it."""
    hardware: str = ""
    """Processor, cores, GPU if it was used."""
    versions: str = ""
    """``python=3.11.7 torch=2.13.0 …``"""
    settings: str
    """All that defines the trial, as JSON: task, method, seed, data_hash."""
    measures: dict[str, float | str] = Field(default={}, exclude_if=lambda value: not value)
    """Other qualities on the test split, by their names, e.g. ``macro_f1``; a text says how one was measured."""
    deployed_bytes: int | None = None
    """Bytes of the LSTM's layers as deployed in the precision of the method: indices, scales and biases included."""
    model_bytes: int | None = None
    """Bytes of all weights of the model as deployed: embedding and softmax, too. A file also has a header, with its
    vocabulary."""
    validation_int8: float | None = None
    """Metric on the validation split after rounding to int8; None where it was not measured (rows of old, failed trials)."""
    test_int8: float | None = None
    """The same on the test split."""
    bytes_int8: int | None = None
    """Bytes of the LSTM's layers in int8: indices, scales and biases included."""
    model_bytes_int8: int | None = None
    """Bytes of all weights of the model in int8."""
    validation_int4: float | None = None
    """Metric on the validation split after rounding to int4 (embedding, softmax and left Kronecker factors to int8)."""
    test_int4: float | None = None
    """The same on the test split."""
    bytes_int4: int | None = None
    """Bytes of the LSTM's layers in int4."""
    model_bytes_int4: int | None = None
    """Bytes of all weights of the model in int4."""
    latency_us: float | None = None
    """Microseconds that the LSTM's layers take for a time step: the exported model, generating one text on one thread;
    measured by ``python -m sweeps.measure``, or by the trial itself in a study that searches for fast models."""
    bundle_bytes: int | None = None
    """Size of the exported file: LSTM, embedding, softmax and vocabulary; measured together with the latency."""
    latency_hardware: str | None = None
    """Where the latency was measured."""

    @model_validator(mode="before")
    @classmethod
    def _from_settings(cls, fields: Any) -> Any:
        """What defines the trial is in ``settings``, too: a row that lacks a column of these has it from there."""
        if not isinstance(fields, dict) or not isinstance(fields.get("settings"), str):
            return fields
        try:
            trial = json.loads(fields["settings"])
            method = trial["method"]
            defined = {
                "method": method["name"],
                "cmr": method["cmr"]["probability"],
                "cf_requested": method["factor"],
                "cf_unit": method["unit"],
                "seed": trial["seed"],
                "data_hash": trial["data_hash"],
            }
        except (ValueError, KeyError, TypeError):
            return fields
        return defined | fields

    @model_validator(mode="after")
    def _has_a_result(self) -> Self:
        if self.status == "finished" and (self.validation is None or math.isnan(self.validation)):
            raise ValueError("it says finished, and has no validation")
        return self


COLUMNS = tuple(name for name in Row.model_fields if name != "version")
"""Fields of a row that are columns of the tables."""


class TornRow(UserError):  # noqa: N818 - the row is torn
    """A row file that is not a whole row of its trial."""


class NewerRow(UserError):  # noqa: N818 - a row, as the rest
    """A row of a newer program, which this one cannot read. It is nothing to write over."""


def row_of(
    trial: Trial,
    result: Outcome | str,
    *,
    seconds: float,
    started: str,
    peak_memory_mb: float | None = None,
    latency_us: float | None = None,
) -> Row:
    """The row of a trial that came to its end (``Outcome``) or failed (its error, one line)."""
    if isinstance(result, Outcome):
        measured, device = _measured(result), result.device
    else:
        measured, device = {"status": "failed", "error": result}, "cpu"
    return Row(
        trial_id=trial.id,
        task=trial.task_label,
        method=trial.method.name,
        cmr=trial.method.cmr.probability,
        cf_requested=trial.method.size or trial.method.factor,
        cf_unit="size" if trial.method.size else trial.method.unit,
        seed=trial.seed,
        seconds=round(seconds, 3),
        peak_memory_mb=peak_memory_mb,
        data_hash=trial.data_hash,
        commit=machine.commit(),
        started=started,
        host=machine.host(),
        hardware=machine.hardware(device),
        versions=machine.versions(),
        settings=trial.settings,
        latency_us=latency_us,
        latency_hardware=None if latency_us is None else machine.hardware(),
        **measured,
    )


def _measured(outcome: Outcome) -> dict[str, Any]:
    fields = vars(outcome) | {
        "cf_values": outcome.dense_values / outcome.values,
        "cf_bytes": outcome.dense_bytes / outcome.bytes,
    }
    if not math.isfinite(outcome.validation):
        fields["status"] = "diverged"
    if fields["status"] == "diverged":
        fields |= {"validation": math.inf, "test": math.inf}
    del fields["device"]
    return fields


def write_row(folder: Path, row: Row) -> None:
    """Write the row of the trial whose folder this is; what stands there and cannot be read is put aside."""
    try:
        read_row(folder)
    except TornRow:
        set_aside(folder / ROW)
    write_whole(folder / ROW, row.model_dump_json(indent=1) + "\n", durable=True)


def read_row(folder: Path) -> Row | None:
    """The row of the trial whose folder this is, or None if it has none.

    Raises:
        TornRow: it is not whole.
        FolderError: the system does not let it be read, so nobody knows what it holds.
        NewerRow: a newer program wrote it, in a way that this one does not know.

    """
    path = folder / ROW
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError as error:
        raise TornRow(f"{shown(path)} is a folder, expected the row of a trial") from error
    except OSError as error:
        raise FolderError(
            f"{shown(path)} cannot be read: {error.strerror}; make it readable, or move it away to have the trial run again"
        ) from error
    try:
        row = Row.model_validate_json(content)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        place = ".".join(map(str, mistake["loc"]))
        _refuse_newer(content, path, place)
        raise TornRow(f"{shown(path)} is not a whole row: {place}{': ' * bool(place)}{mistake['msg']}") from error
    if row.trial_id != folder.name:
        raise TornRow(f"{shown(path)} belongs to trial {row.trial_id}")
    return row


def _refuse_newer(content: bytes, path: Path, place: str) -> None:
    try:
        version = json.loads(content)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if isinstance(version, int) and version > VERSION:
        raise NewerRow(
            f"{shown(path)} is a row of version {version}, and this program knows rows up to {VERSION} ({place} is not "
            "known); use the program that wrote it, or another folder with --out"
        )
