"""The command ``python -m benchmarks.command_fuzz``: studies and files of any shape, and what the commands make of them.

``--studies``: each is made up, valid or not, and run with a stand-in for training, some of which crash, diverge or are
interrupted; most folders are run in twice. Each command must end with 0, 1, 2 or 130, without a traceback, and where it ends
with 2, with one line.

``--files``: in a small folder of results a row, a plan, a curve, a table or any other file is altered, or the study, and
``run.py``, ``--status`` or the tables are asked for. They must end in the same way; rows that were not touched stand as they
were, byte for byte; and a run that ends well leaves each planned trial with a row.

All runs in this process. What did harm is named with its seed; ``--first SEED`` and a count of 1 repeat it.
"""

from __future__ import annotations

import csv
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from analysis.main import main as make_tables
from benchmarks.command_fuzz import runner, studies
from benchmarks.command_fuzz.mutations import damage_file
from doping.command_line import Parser, answer, arguments_or, path
from doping.errors import UserError
from doping.machine import commit

_STUDY = """\
description: small
presets:
  quick:
    task: {model: {hidden: 20}}
    seeds: [1]
    tuning: {trials: 2, early_stopping: false, search: {cmr.probability: [0.2, 0.3]}}
    runs: [{method: dense}, {method: doped_kp, factor: 5, cmr: {probability: 0.3}}]
"""
_PLANNED = 4
"""Trials of that study: two that are only tried, and two that count."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if any attempt did harm."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> int:
    parser = Parser(prog="python -m benchmarks.command_fuzz", description=__doc__)
    parser.add_argument("--studies", metavar="N", type=int, default=1000, help="made up (default: %(default)s)")
    parser.add_argument("--files", metavar="N", type=int, default=10_000, help="altered (default: %(default)s)")
    parser.add_argument("--first", metavar="SEED", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument("--out", metavar="CSV", type=path, help="write what came of the attempts to this table")
    options = parser.parse_args(arguments)
    if min(options.studies, options.files, options.first) < 0:
        raise UserError("--studies, --files and --first are whole numbers from 0 on")
    counts: Counter[tuple[str, str]] = Counter()
    harms: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind, count, attempts in (("study", options.studies, Studies), ("file", options.files, Files)):
            each = attempts(Path(scratch) / kind)
            for seed in range(options.first, options.first + count):
                try:
                    outcome = each(seed)
                except runner.Harm as harm:
                    harms.append(f"{kind} of seed {seed}: {harm}")
                    print(harms[-1], flush=True)
                    outcome = (each.about, "harm")
                counts[outcome] += 1
    for (about, ending), number in sorted(counts.items()):
        print(f"{number:7,} {about}: {ending}")
    if options.out:
        _write(options.out, counts)
    return 1 if harms else 0


def _write(table: Path, counts: Counter[tuple[str, str]]) -> None:
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("about", "ending", "count", "commit"))
        rows.writerows((about, ending, number, commit()) for (about, ending), number in sorted(counts.items()))


def _rows(out: Path) -> dict[str, bytes]:
    """Row files by trial; a folder in place of one is none."""
    return {file.parent.name: file.read_bytes() for file in out.glob("trials/*/row.json") if file.is_file()}


class Studies:
    """Runs a made-up study for each seed; gives what it was about, and how it ended."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._scratch.mkdir(parents=True)
        self.about = ""

    def __call__(self, seed: int) -> tuple[str, str]:
        """Raises ``Harm``."""
        draw = random.Random(seed)
        is_altered = draw.random() < 0.6
        self.about = "altered studies" if is_altered else "studies"
        file, out = self._scratch / "study.yaml", self._scratch / f"out{seed}"
        file.write_bytes(studies.text(draw, is_altered))
        codes = []
        with runner.without_workers():
            for _ in range(draw.choice((1, 2, 2))):
                arguments = ["--study", str(file), "--out", str(out), *studies.flags(draw)]
                codes.append(runner.study(arguments, draw.choice(runner.TRAININGS)).code)
        shutil.rmtree(out, ignore_errors=True)
        return self.about, f"exit code {codes[-1]}"


class Files:
    """Alters a file of a finished study for each seed and runs a command on it; gives which file, and how that ended."""

    def __init__(self, scratch: Path) -> None:
        """``whole`` is the folder of the finished study."""
        scratch.mkdir(parents=True)
        self.whole, self._out, self._study = scratch / "whole", scratch / "out", scratch / "small.yaml"
        self._study.write_text(_STUDY)
        with runner.without_workers():
            said = runner.study(self.arguments(self.whole), "fake_training:bowl")
        if said.code != 0 or len(_rows(self.whole)) != _PLANNED:
            raise UserError(
                f"the small study did not end well, run the tests of sweeps first: {said.code} {said.error}{said.out}"
            )
        self._names = sorted(
            str(file.relative_to(self.whole))
            for file in self.whole.rglob("*")
            if file.is_file() and file.name not in ("lock", "views.lock", "README.md", "completed.log", "model.ckpt")
        )
        self.about = ""

    def arguments(self, out: Path) -> list[str]:
        """Words of the command that runs the small study in a folder."""
        return ["--study", str(self._study), "--out", str(out)]

    def __call__(self, seed: int) -> tuple[str, str]:
        """Raises ``Harm``."""
        draw = random.Random(seed)
        shutil.rmtree(self._out, ignore_errors=True)
        shutil.copytree(self.whole, self._out)
        if self._study.is_dir():
            self._study.rmdir()
        self._study.write_text(_STUDY)
        name = draw.choice((*self._names, *(name for name in self._names if name.endswith("row.json")), ""))
        file = self._out / name if name else self._study
        self.about = "studies/*.json" if name.startswith("studies/") else file.name if name else "the study's file"
        damage_file(file, draw)
        before = {trial: row for trial, row in _rows(self._out).items() if trial != file.parent.name}
        with runner.without_workers():
            match draw.randrange(4):
                case 0:
                    said = runner.study([*self.arguments(self._out), "--status"])
                case 1:
                    tables = ["--results", str(self._out), "--out", str(self._out / "tables"), "--only", "tables"]
                    said = runner.checked(lambda: make_tables(tables), tables)
                case _:
                    said = runner.study(self.arguments(self._out), "fake_training:bowl")
                    if name and said.code == 0:
                        self._is_whole()
        after = _rows(self._out)
        changed = [trial for trial, row in before.items() if after.get(trial) != row]
        if changed:
            raise runner.Harm(f"rows of {', '.join(changed)} are not what they were, after {name} was altered")
        return self.about, f"exit code {said.code}"

    def _is_whole(self) -> None:
        """Raises ``Harm`` if a planned trial has no row, after a run that ended well."""
        with (self._out / "results.csv").open(newline="", encoding="utf-8") as file:
            found = [row["trial_id"] for row in csv.DictReader(file)]
        missing = _rows(self.whole).keys() - set(found)
        if missing:
            raise runner.Harm(f"a run ended well, without a row of {', '.join(sorted(missing))}")
