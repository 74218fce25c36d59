"""The command line of ``sweeps/run.py``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from doping.command_line import Parser, path
from doping.errors import UserError, suggestion
from sweeps.worker.wandb_mode import Choice

DEFAULT_PRESET = "quick"

_DESCRIPTION = """\
Run a study: train its trials side by side, and write their results to a folder. Stop it whenever you like: the same
command goes on where it ended, and no trial is run twice."""

_EXAMPLES = """\
examples:
  python sweeps/run.py --list --times
  python sweeps/run.py --study kp_vs_pruning                     the preset `quick`, into runs/kp_vs_pruning-quick
  python sweeps/run.py --study kp_vs_pruning --dry-run           only say what would run
  python sweeps/run.py --study kp_vs_pruning --status --watch    how far it is, from another terminal
  python sweeps/run.py --study kp_vs_pruning --preset paper --workers 4
  python sweeps/run.py --study my_study.yaml --out results/mine --seed 10
  python sweeps/run.py --study kp_vs_pruning --scheduler tcp://host:8786   on a cluster: docs/cluster.md
  python sweeps/run.py --study pareto --export results/pareto    small files to keep, of what is finished
  python sweeps/run.py --study kp_vs_pruning --set task.training.epochs=2 --set runs.1.factor=[4,8]

exit codes: 0 all trials have a result, 1 some failed, 2 a mistake (one line says which), 130 interrupted"""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    study: str
    preset: str
    out: Path | None
    seed: int | None
    workers: int | None
    engine: Literal["local", "dask"] | None
    scheduler: str | None
    gpu_share: float
    storage: str | None
    retries: int
    time_limit: float | None
    list_studies: bool
    dry_run: bool
    export: Path | None
    retry_failed: bool
    settings: list[str]
    wandb: Choice
    monitor: int
    quiet: bool
    verbose: bool
    status: bool
    times: bool
    watch: bool
    dashboard: bool
    port: int


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line. Raises ``UserError`` for a mistake, ``SystemExit`` after ``--help``."""
    parser = Parser(prog="run.py", description=_DESCRIPTION, epilog=_EXAMPLES)
    parser.add_argument("--study", metavar="NAME", default="", help="name of a study (see --list), or a .yaml file")
    parser.add_argument("--preset", default=DEFAULT_PRESET, help="size of the study (default: %(default)s)")
    parser.add_argument("--out", metavar="DIR", type=path, help="folder of results (default: runs/STUDY-PRESET)")
    parser.add_argument("--seed", metavar="N", type=_natural, help="other seeds: a run's seeds become N, N+1, …")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="settings",
        action="extend",
        nargs="+",
        default=[],
        help="set keys of the preset anew",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_positive,
        help="trials at a time (default: one a GPU, or one a core; on a cluster, all that it has room for)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "dask"),
        help="where: this machine, or with --scheduler a Dask cluster; need not be said",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", type=_address, help="of the Dask cluster, such as tcp://host:8786")
    parser.add_argument(
        "--gpu-share",
        metavar="SHARE",
        type=_share,
        default=1.0,
        help="of a GPU for each trial, on Dask workers started with --resources GPU=1 (default: 1)",
    )
    parser.add_argument(
        "--storage", metavar="URL", help="Optuna's: postgresql://user@host/database (default: a journal in the folder)"
    )
    parser.add_argument("--retries", metavar="N", type=_natural, default=2, help="after an error (default: %(default)s)")
    parser.add_argument("--time-limit", metavar="SECONDS", type=_seconds, help="of one attempt; longer is an error")
    parser.add_argument("--retry-failed", action="store_true", help="run trials again that are recorded as failed")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="say what would run, its sizes, time and disk; run nothing")
    instead.add_argument(
        "--export", metavar="DIR", type=path, help="copy the study's results and how they were made; run nothing"
    )
    instead.add_argument("--list", dest="list_studies", action="store_true", help="list the studies and their presets")
    parser.add_argument("--times", action="store_true", help="with --list: how long `quick` of each takes on this machine")
    instead.add_argument("--status", action="store_true", help="say how a study fares that runs elsewhere, or has ended")
    parser.add_argument("--watch", action="store_true", help="with --status: until nothing of the study runs any more")
    instead.add_argument("--dashboard", action="store_true", help="show the study in Optuna's dashboard, read-only")
    parser.add_argument(
        "--port", metavar="N", type=_port, default=8080, help="of the dashboard, 0: any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--wandb",
        choices=("auto", "offline", "online", "off"),
        default="auto",
        help="log to Weights & Biases (default: auto, which is online if you are logged in, else offline)",
    )
    parser.add_argument(
        "--monitor",
        metavar="N",
        type=_natural,
        default=1,
        help="measure co-adaptation at every N-th validation, 0: never (default: %(default)s)",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="show no progress")
    loudness.add_argument("--verbose", action="store_true", help="tell every start and every validation of a trial")
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        flags = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
        raise UserError(f"unknown argument {unknown[0]!r}; {suggestion(unknown[0].partition('=')[0], flags)}")
    options = Options(**vars(known))
    of_a_folder = options.out and (options.status or options.dashboard)
    if not (options.study or options.list_studies or of_a_folder):
        raise UserError("no study given: --study NAME, or --list to see them, or --help")
    if options.times and not options.list_studies:
        raise UserError("--times belongs to --list: give both, or neither")
    if options.watch and not options.status:
        raise UserError("--watch belongs to --status: give both, or neither")
    if options.engine and (options.engine == "dask") != bool(options.scheduler):
        raise UserError(f"--engine {options.engine} {'needs' if options.engine == 'dask' else 'has no'} --scheduler ADDRESS")
    return options


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected a whole number from 0 to 2³² - 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected seconds above 0, such as 3600")
    return seconds


def _address(text: str) -> str:
    if not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected host:port such as tcp://10.0.0.5:8786")
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected a share of a GPU, above 0 and at most 1")
    return share


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected a whole number from 1 to 1024")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected a port from 0 to 65535")
    return int(text)
