"""The command ``python -m benchmarks.power_cuts``: cuts the power at every moment of a small study.

What the processes of a study of four trials write, rename and sync is recorded (strace). For each prefix of it, the folder
is made anew as a power cut may leave it then: with all of what was not synced, with its names but no content, with its names
and half of the content, and with nothing of it. On each such folder the same command is started. It must end well without
a traceback; a trial that was reported as done must keep its row, byte for byte, so it is neither lost nor done again; in the
end each trial has one row with the result of the undisturbed run, and is in Optuna's journal once.
"""

from __future__ import annotations

import csv
import hashlib
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.power_cuts.disk import Disk, Tree, write_tree
from benchmarks.power_cuts.record import Call, record
from benchmarks.small_study import command, environment, quality, rows_on_disk, table, write_study
from doping.command_line import Parser, answer, arguments_or
from doping.command_line import path as a_path
from doping.errors import UserError
from doping.machine import ROOT, commit
from sweeps.optuna_view.journal import open_journal


@dataclass(frozen=True)
class Cut:
    """A folder after a power cut."""

    moment: int
    """After so many calls."""
    call: str
    """The last one."""
    left: str
    """How much of what was not synced is there."""
    tree: Tree
    done: dict[str, bytes]
    """Rows of the trials that were reported as done by then."""


@dataclass(frozen=True)
class Finding:
    """What the command made of such a folder."""

    moment: int
    call: str
    left: str
    done: int
    lost: int
    twice: int
    different: int
    failed: str
    seconds: float
    commit: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if a power cut did harm."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> int:
    parser = Parser(prog="python -m benchmarks.power_cuts", description=__doc__)
    parser.add_argument("--every", metavar="N", type=int, default=1, help="only every N-th folder (default: %(default)s)")
    parser.add_argument("--at-a-time", metavar="N", type=int, default=2, help="runs side by side (default: %(default)s)")
    parser.add_argument("--out", metavar="CSV", type=a_path, default=ROOT / "results" / "power_cuts.csv", help="the table")
    options = parser.parse_args(arguments)
    if min(options.every, options.at_a_time) < 1:
        raise UserError("--every and --at-a-time are whole numbers from 1 on")
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.at_a_time) as pool:
        here = Path(scratch).resolve()
        study = write_study(here / "small.yaml", 2)
        top = here / "recorded"
        top.mkdir()
        run = command(study, top / "out", "--workers", "1", train="instant")
        calls = record(run, environment(0), top, here / "trace")
        different = list(cuts(calls))
        chosen = different[:: options.every]
        lacking = sum(any(_of(cut.tree).get(trial) != row for trial, row in cut.done.items()) for cut in different)
        print(
            f"{len(calls)} calls, {len(different)} different folders, {lacking} lack what was reported as done", flush=True
        )
        print(f"{len(chosen)} of them are tried", flush=True)
        expected = quality(top / "out")
        findings = []
        for finding in pool.map(lambda each: examine(each[1], here / f"cut{each[0]}", study, expected), enumerate(chosen)):
            findings.append(finding)
            if harmful(finding):
                print(finding, flush=True)
            elif len(findings) % 20 == 0:
                print(f"{len(findings)} tried", flush=True)
    with options.out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, list(asdict(findings[0])), lineterminator="\n")
        rows.writeheader()
        rows.writerows(map(asdict, findings))
    harm = sum(map(harmful, findings))
    print(f"{len(findings)} folders, {harm} with harm; wrote {options.out}")
    return int(lacking + harm > 0)


def harmful(finding: Finding) -> bool:
    """Whether anything was lost, done twice, different, or ended badly."""
    return bool(finding.lost or finding.twice or finding.different or finding.failed)


def cuts(calls: Sequence[Call]) -> Iterator[Cut]:
    """All folders that power cuts may leave, each once for what was reported by then."""
    disk, seen = Disk(), set()
    written: dict[int, str] = {}
    done: dict[str, bytes] = {}
    for moment, call in enumerate(calls):
        if call.says:
            if '"kind": "done"' not in call.says:
                continue
            row = written[call.pid]
            content = disk.left()["all"][row]
            assert content is not None
            done = done | {Path(row).parent.name: content}
        else:
            call.apply(disk)
            if call.paths[-1].name == "row.json" and call.name.startswith("rename"):
                written[call.pid] = str(call.paths[-1])
        for left, tree in disk.left().items():
            key = hashlib.sha256(repr((sorted(tree.items(), key=lambda item: item[0]), sorted(done))).encode()).digest()
            if key not in seen:
                seen.add(key)
                yield Cut(moment, f"{call.name} {' '.join(path.name for path in call.paths)}".strip(), left, tree, done)


def examine(cut: Cut, folder: Path, study: Path, expected: dict[str, tuple[str, ...]]) -> Finding:
    """Start the command on what a cut left."""
    write_tree(cut.tree, folder)
    out = folder / "out"
    run, begun = command(study, out, "--workers", "1", train="instant"), time.monotonic()
    ended = subprocess.run(run, env=environment(0), cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    logs = [path.read_text(errors="replace") for path in out.glob("trials/*/log.txt")]
    failed = f"exit code {ended.returncode}: {ended.stderr[-200:]}" if ended.returncode else ""
    if any("Traceback" in text for text in (ended.stdout, ended.stderr, *logs)):
        failed += " traceback"
    found, rows = ({}, {}) if ended.returncode else (quality(out), rows_on_disk(out))
    journal = 0 if ended.returncode else _told_twice(out)
    return Finding(
        moment=cut.moment,
        call=cut.call,
        left=cut.left,
        done=len(cut.done),
        lost=len(expected.keys() - found.keys()) + len(cut.done.keys() - _of(cut.tree).keys()),
        twice=sum(rows.get(trial) != row for trial, row in cut.done.items()) + journal + _doubles(out, found),
        different=sum(found[trial] != row for trial, row in expected.items() if trial in found),
        failed=failed,
        seconds=round(time.monotonic() - begun, 1),
        commit=commit(),
    )


def _of(tree: Tree) -> dict[str, bytes | None]:
    """Rows in what a cut left."""
    return {Path(name).parent.name: content for name, content in tree.items() if Path(name).name == "row.json"}


def _doubles(out: Path, found: dict[str, tuple[str, ...]]) -> int:
    return len(table(out)) - len(found) if found else 0


def _told_twice(out: Path) -> int:
    """Trials that are in Optuna's journal more than once, as finished."""
    storage = open_journal(out, lambda line: None)
    (study,) = storage.get_all_studies()
    finished = [trial for trial in storage.get_all_trials(study._study_id, deepcopy=False) if trial.state.name == "COMPLETE"]
    return abs(len(finished) - len(table(out)))
