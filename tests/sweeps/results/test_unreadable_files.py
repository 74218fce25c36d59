"""Files of results that the system does not let one read: one line where that matters, and no row is lost or run again."""

import builtins
import contextlib
import errno
import io
import os
from pathlib import Path
from unittest import mock

import pytest

from analysis.main import main as make_tables
from benchmarks.command_fuzz import command, runner

FILES = [
    "row.json",
    "trial.json",
    "clock.json",
    "curve.csv",
    "studies/*.json",
    "results.csv",
    "curves.csv",
    "optuna.journal",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that has run to its end, in a folder."""
    return command.Files(tmp_path_factory.mktemp("unreadable") / "files")


@contextlib.contextmanager
def unreadable(path: Path, number: int):
    """A file that gives an error when it is opened to be read; rights alone do not stop root."""

    def opening(real):
        def opened(file, mode="r", *arguments, **named):
            if not isinstance(file, int) and Path(os.fsdecode(file)) == path and "r" in mode:
                raise OSError(number, os.strerror(number), str(path))
            return real(file, mode, *arguments, **named)

        return opened

    with mock.patch.object(io, "open", opening(io.open)), mock.patch.object(builtins, "open", opening(builtins.open)):
        yield


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", FILES)
def test_every_command_ends_in_a_line(name, number, finished, tmp_path):
    out = finished.whole
    path = sorted(out.rglob(name))[0]
    rows = {row: row.read_bytes() for row in out.rglob("row.json")}
    tables = ["--results", str(out), "--out", str(tmp_path), "--only", "tables"]
    with runner.without_workers(), unreadable(path, number):
        said = [
            runner.study([*finished.arguments(out), *flags], "fake_training:bowl")
            for flags in ([], ["--status"], ["--export", str(tmp_path / "export")])
        ]
        runner.checked(lambda: make_tables(tables), tables)
    if name == "row.json":
        wanted = f"error: {path} cannot be read: {os.strerror(number)}; make it readable, or move it away"
        assert [(each.code, each.error[: len(wanted)]) for each in said] == 3 * [(2, wanted)]
    assert {row: row.read_bytes() for row in out.rglob("row.json")} == rows
