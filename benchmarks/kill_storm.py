"""Kill a study again and again, and see what is lost: ``python -m benchmarks.kill_storm --kills 1000``.

Each round runs a small study whose trainings only wait, and kills one of its workers, or the command itself, with
``kill -9`` at random times; a command that was killed is started again. In the end the folder is compared with that of a
run that nobody disturbed. A row of the table is a round; rounds that are in it already are not run again.

- lost: planned trials without a row in the end, and rows that were there at a kill and are not any more;
- twice: rows that were there at a kill and were made anew, and trials that stand in the table twice;
- different: trials whose result is not that of the undisturbed run, to the last digit;
- given up: runs that ended in one line, for six workers in a row were killed before they were ready; started again;
- traces: runs that showed a traceback, or ended in any other way but with exit code 0.
"""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.small_study import quality, rows_on_disk, start, table, write_study
from doping.command_line import Parser, answer, arguments_or
from doping.command_line import path as a_path
from doping.errors import UserError
from doping.files import replacing
from doping.machine import ROOT, commit

_TICK_SECONDS = 0.01
_PARENT = 0.25
"""Share of kills that hit the command itself."""
_EARLY = 0.1
"""Of the moments when the command has no workers, how many kill it: on a busy machine it would rarely get further."""


@dataclass
class Round:
    """What came of a study that was killed several times."""

    number: int
    kills: int = 0
    kills_of_parents: int = 0
    rows: int = 0
    lost: int = 0
    twice: int = 0
    different: int = 0
    given_up: int = 0
    traces: int = 0
    seconds: float = 0.0
    commit: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if anything was lost, twice or different."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> int:
    parser = Parser(prog="python -m benchmarks.kill_storm", description=__doc__)
    parser.add_argument("--kills", metavar="N", type=int, default=1000, help="in all rounds together (default: %(default)s)")
    parser.add_argument("--kills-a-round", metavar="N", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seeds", metavar="N", type=int, default=6, help="of two trials each (default: %(default)s)")
    parser.add_argument("--out", metavar="CSV", type=a_path, default=ROOT / "results" / "kill_storm.csv", help="the table")
    options = parser.parse_args(arguments)
    if min(options.kills, options.kills_a_round, options.seeds) < 1:
        raise UserError("--kills, --kills-a-round and --seeds are whole numbers from 1 on")
    rounds = read(options.out)
    with tempfile.TemporaryDirectory() as scratch:
        study = write_study(Path(scratch) / "small.yaml", options.seeds)
        calm = Path(scratch) / "calm"
        if start(study, calm, 0, "--workers", "2").wait() != 0:
            raise UserError("the undisturbed run did not end well; run the tests of sweeps first")
        while sum(each.kills for each in rounds) < options.kills:
            number = max((each.number for each in rounds), default=-1) + 1
            rounds.append(storm(number, study, Path(scratch) / f"round{number}", calm, options.kills_a_round))
            write(options.out, rounds)
            print(rounds[-1], flush=True)
    total = {field: sum(getattr(each, field) for each in rounds) for field in ("kills", "rows", *_HARM)}
    print(f"{len(rounds)} rounds: {', '.join(f'{count:,} {name}' for name, count in total.items())}")
    return int(any(total[name] for name in _HARM))


_HARM = ("lost", "twice", "different", "traces")


def storm(number: int, study: Path, out: Path, calm: Path, kills: int) -> Round:
    """One round; its number seeds the random times."""
    draw, done, begun = random.Random(number), Round(number, commit=commit()), time.monotonic()
    seen: dict[str, bytes] = {}
    process = start(study, out, _TICK_SECONDS, "--workers", "2")
    while done.kills < kills:
        time.sleep(draw.uniform(0.05, 1.5))
        if process.poll() is not None:
            break
        workers = children(process.pid)
        if not workers and draw.random() > _EARLY:
            continue
        is_parent = not workers or draw.random() < _PARENT
        # A row that is there is done, whatever dies now.
        for trial, row in rows_on_disk(out).items():
            done.twice += seen.setdefault(trial, row) != row
        if is_parent:
            process.kill()
            _said(process, done)
            process = start(study, out, _TICK_SECONDS, "--workers", "2")
            done.kills_of_parents += 1
        else:
            try:
                os.kill(draw.choice(workers), signal.SIGKILL)
            except ProcessLookupError:
                continue
        done.kills += 1
    _said(process, done)
    while process.returncode != 0 and not done.traces:
        process = start(study, out, _TICK_SECONDS, "--workers", "2")
        _said(process, done)
    last, results = rows_on_disk(out), table(out)
    expected, found = quality(calm), quality(out)
    done.rows = len(results)
    done.lost = len(expected.keys() - found.keys()) + len(seen.keys() - last.keys())
    done.twice += len(results) - len(found) + sum(last.get(trial, row) != row for trial, row in seen.items())
    done.different = sum(found[trial] != row for trial, row in expected.items() if trial in found)
    done.seconds = round(time.monotonic() - begun, 1)
    return done


def _said(process: subprocess.Popen[str], done: Round) -> None:
    out, err = process.communicate(timeout=300)
    gave_up = process.returncode == 2 and err.startswith("error: the workers die while they start (killed by signal 9")
    done.given_up += gave_up
    done.traces += "Traceback" in out + err or not (gave_up or process.returncode in (0, -signal.SIGKILL))


def children(pid: int) -> list[int]:
    """Process ids of the workers of a command."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def read(path: Path) -> list[Round]:
    """Rounds that are in a table already."""
    if not path.exists():
        return []
    kinds = {field.name: {"int": int, "float": float}.get(str(field.type), str) for field in fields(Round)}
    with path.open(newline="", encoding="utf-8") as file:
        return [Round(**{name: kinds[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def write(path: Path, rounds: Sequence[Round]) -> None:
    """Write the table as a whole."""
    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Round)], lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(each) for each in rounds)


if __name__ == "__main__":
    sys.exit(main())
