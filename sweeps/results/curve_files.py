"""curve.csv and matrices.csv in a trial's folder: what was measured while it trained, a line a validation and matrix."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lightning_modules.callbacks.curve import CurvePoint, MatrixPoint
from sweeps.results.files import write_whole


def write_curve(directory: Path, points: Sequence[CurvePoint]) -> None:
    """Write all points anew, so that a resumed training leaves no line twice. Raises ``OSError``."""
    columns = [field.name for field in fields(CurvePoint) if field.name != "matrices"]
    _write(directory / "curve.csv", columns, (vars(point) for point in points))
    columns = ["step", *(field.name for field in fields(MatrixPoint))]
    lines = [{"step": point.step, **asdict(matrix)} for point in points for matrix in point.matrices]
    if lines:
        _write(directory / "matrices.csv", columns, lines)


def _write(path: Path, columns: Sequence[str], lines: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    write_whole(path, text.getvalue())
