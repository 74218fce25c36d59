"""The command ``python sweeps/run.py``: from a study's name to a folder of results."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sweeps import dry_run, study
from sweeps.errors import UserError
from sweeps.files import FolderError, trouble
from sweeps.folder import ResultsFolder
from sweeps.machine import cores
from sweeps.options import Options, parse
from sweeps.parts import Parts, load
from sweeps.plan import check_sizes, make_plan
from sweeps.sweep import Sweep
from sweeps.tracking import wandb_environment


def main(arguments: Sequence[str] | None = None, parts: Parts | None = None) -> int:
    """Run the command; returns its exit code (``--help`` lists them). A mistake is one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _command(parse(arguments), parts or Parts())
    except (UserError, FolderError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; to go on: python sweeps/run.py {shlex.join(arguments)}", file=sys.stderr)
        return 130


def _command(options: Options, parts: Parts) -> int:
    if options.list_studies:
        print("\n".join(dry_run.list_studies()))
        return 0
    chosen = study.with_settings(study.load(options.study), options.preset, options.settings)
    name = f"{chosen.name}-{options.preset}"
    folder = ResultsFolder(Path(options.out or f"runs/{name}"))
    environment = wandb_environment(options.wandb, name, folder.path)
    workers = options.workers or cores()
    if options.dry_run:
        sizes = check_sizes(chosen, options.preset, load(parts.plan_sizes))
        print("\n".join(dry_run.describe(chosen, options.preset, options.seed, sizes, folder, workers)))
        return 0
    try:
        # In the order of how fast a mistake is answered.
        folder.prepare()
        plan = make_plan(chosen, options.preset, options.seed, load(parts.data_hash))
        check_sizes(chosen, options.preset, load(parts.plan_sizes))
        sweep = Sweep(plan, folder, options.quiet)
        left = sweep.prepare(options.retry_failed)
        return sweep.run(left, parts.train, workers, options.retries, environment)
    except OSError as error:
        raise trouble(error, folder.path) or error from error
