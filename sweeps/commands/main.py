"""The command ``python sweeps/run.py``: from a study's name to a folder of results."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

from doping.command_line import answer, arguments_or
from doping.errors import UserError
from doping.machine import cores, gpus
from sweeps.commands import dry_run, status
from sweeps.commands.export_study import export
from sweeps.commands.options import DEFAULT_PRESET, Options, parse
from sweeps.engines.launch import Launch
from sweeps.optuna_view import backends as optuna_storage
from sweeps.planning.plan import cautions, check_sizes, make_plan
from sweeps.results.files import shown, trouble
from sweeps.results.folder import ResultsFolder
from sweeps.running.sweep import Sweep
from sweeps.study import study
from sweeps.trials.dotted_names import Functions, load
from sweeps.worker import environment as worker_environment
from sweeps.worker.wandb_mode import login_problem, wandb_environment
from tasks.registry import TASKS


def main(arguments: Sequence[str] | None = None, functions: Functions | None = None) -> int:
    """Run the command; returns its exit code (``--help`` lists them). A mistake is one line on stderr."""
    given = arguments_or(arguments)
    # A sweep whose reader has left stops its workers before it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return answer(
        lambda: _command(parse(given), functions or Functions()),
        interrupted=lambda: f"interrupted; to go on: python sweeps/run.py {shlex.join(given)}",
    )


def _making(options: Options) -> str:
    """The command that makes the results, for others: of a study's file elsewhere, the name only."""
    name = shown(Path(options.study)) if options.study.endswith((".yaml", ".yml")) else options.study
    flags = [f"--study {shlex.quote(Path(name).name if Path(name).is_absolute() else name)}"]
    flags += [f"--preset {options.preset}"] if options.preset != DEFAULT_PRESET else []
    flags += [f"--seed {options.seed}"] if options.seed is not None else []
    flags += [f"--set {shlex.quote(setting)}" for setting in options.settings]
    return f"python sweeps/run.py {' '.join(flags)}"


def _command(options: Options, functions: Functions) -> int:
    if options.list_studies:
        print("\n".join(dry_run.list_studies()), flush=True)
        if not options.times:
            print("how long quick of each takes on this machine: --list --times (takes about a minute)")
            return 0
        for line in dry_run.list_times(options.workers or len(gpus()) or cores(), functions):
            print(line, flush=True)
        return 0
    if options.status or options.dashboard:
        return _look(options)
    chosen = study.with_settings(study.load(options.study), options.preset, options.settings)
    name = f"{chosen.name}-{options.preset}"
    folder = ResultsFolder(options.out or Path(f"runs/{name}"))
    environment = wandb_environment(options.wandb, name, folder.path) | {
        worker_environment.MONITOR_EVERY: str(options.monitor)
    }
    workers = options.workers or len(gpus()) or cores()
    if not options.scheduler:
        _check_precision(chosen, options.preset)
    if options.dry_run:
        sizes = check_sizes(chosen, options.preset, load(functions.plan_sizes))
        for line in dry_run.describe(chosen, options.preset, options.seed, sizes, folder, workers, functions):
            print(line, flush=True)
        return 0
    try:
        # In the order of how fast a mistake is answered.
        folder.prepare()
        if options.storage:
            optuna_storage.check(options.storage)
        plan = make_plan(chosen, options.preset, options.seed, load(functions.data_hash))
        if options.export:
            print(export(plan, folder, options.export, _making(options)))
            return 0
        sizes = check_sizes(chosen, options.preset, load(functions.plan_sizes))
        folder.notices += cautions(plan, sizes)
        if plan.tuning and (plan.tuning.objective == "latency" or plan.latency):
            load(functions.check_latency)()
        environment["WANDB_MODE"] = _mode(options, environment["WANDB_MODE"], folder)
        sweep = Sweep(plan, folder, options.quiet, options.verbose, _making(options))
        sweep.prepare(options.retry_failed)
        launch = Launch(
            folder.path,
            functions.train,
            environment,
            workers=options.workers if options.scheduler else workers,
            scheduler=options.scheduler,
            gpu_share=options.gpu_share,
        )
        code = sweep.run(launch, options.retries, options.time_limit, options.storage)
        if code == 0 and any(cell.together for cell in plan.cells):
            from sweeps.commands.export_fit import export_fit

            print(export_fit(plan, folder))
        return code
    except BrokenPipeError:
        raise
    except IsADirectoryError as error:
        where = shown(Path(str(error.filename or folder.path)))
        raise UserError(f"{where} is a folder where a file belongs: move it away, then the same command goes on") from error
    except OSError as error:
        raise trouble(error, folder.path) or error from error


def _check_precision(chosen: study.Study, preset: str) -> None:
    """Raises ``UserError`` if this machine cannot train in the precision of a preset; own tasks need not have an LSTM."""
    task = chosen.preset(preset).task
    if task.name in TASKS and task.training.precision != "32-true":
        from lightning_modules.precision import precision_problem

        if problem := precision_problem(task.training.precision):
            raise UserError(
                f"{chosen.place(('presets', preset, 'task', 'training', 'precision'))}: {task.training.precision}: {problem}"
            )


def _mode(options: Options, mode: str, folder: ResultsFolder) -> str:
    """W&B's mode, once its server has been asked; what the user should know is put into the folder's notices.

    Raises ``UserError`` if online was asked for and cannot be had.
    """
    if mode != "disabled" and (line := worker_environment.notice(os.environ)):
        folder.notices.append(line)
    problem = login_problem() if mode == "online" else ""
    if problem and options.wandb == "online":
        raise UserError(f"--wandb online: {problem}; or take --wandb offline")
    if problem:
        folder.notices.append(f"W&B offline: {problem}")
        return "offline"
    return mode


def _look(options: Options) -> int:
    """Show a study that another process runs, or that has ended: all that are in a folder, if none is named."""
    name = None
    if options.study:
        chosen = study.load(options.study)
        chosen.preset(options.preset)
        name = f"{chosen.name}-{options.preset}"
    folder = ResultsFolder(options.out or Path(f"runs/{name}"))
    if options.dashboard:
        from sweeps.optuna_view.dashboard import serve

        serve(folder, name, options.port)
    else:
        status.show(folder, name, options.watch)
    return 0
