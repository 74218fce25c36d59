"""The command ``python -m sweeps.measure``: adds the latency and the file size of exported models to results.

A latency measured while another trial trains on the next core is noise, so it is no part of a trial: this command comes
after the study, and measures its models one after the other. Each measurement is written into the trial's row at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from doping.command_line import Parser, answer, arguments_or, path
from doping.errors import InferenceError
from doping.inference.bundle import file as bundle
from doping.inference.bundle.file import Bundle
from doping.inference.kernels.build import KernelError
from doping.inference.kernels.native import kernels
from doping.inference.latency import as_it_runs_fastest, step_latency
from doping.machine import hardware
from sweeps.commands.trust import trusting
from sweeps.results.bundles import trial_bundle
from sweeps.results.files import FolderError, shown
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import Row, write_row
from sweeps.results.script_models import script_model
from sweeps.results.trained_models import MODEL, finished_trial
from sweeps.results.views import write_views
from sweeps.trials.trial import label_of
from sweeps.worker.latency import latency as trial_latency
from tasks.script import Script

_DESCRIPTION = """\
Measure the models of a folder of results as they run after export: microseconds a time step of the LSTM's layers,
generating one text on one thread, and the size of the file; of a training of one's own, microseconds of its whole
deployed model for the example, and the size as ONNX. Both become columns of results.csv, and of the tables and
figures that analysis/make_tables.py makes from it. Do it while nothing else runs. Rows that have a latency from this
processor keep it."""

_EXAMPLES = """\
examples:
  python -m sweeps.measure --results runs/kp_vs_pruning-quick
  python -m sweeps.measure --results runs/kp_vs_pruning-quick --again"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    parser = Parser(
        prog="measure.py",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    parser.add_argument("--results", metavar="DIR", type=path, required=True, help="folder of results, as run.py wrote it")
    parser.add_argument("--again", action="store_true", help="measure rows anew that have a latency")
    options = trusting(parser, arguments)
    try:
        measure(options.results, options.again)
    except FolderError:
        raise
    except OSError as error:
        raise InferenceError(f"cannot write to {shown(options.results)}: {error.strerror}") from error


def measure(path: Path, again: bool = False) -> None:
    """Measure every finished trial of a folder of results that has its trained model.

    Raises:
        InferenceError: there is no such model, one is damaged or its corpus is not there, or the kernels cannot be compiled.
        OSError: the folder cannot be written to.

    """
    if not (path / "trials").is_dir():
        raise InferenceError(f"{shown(path)} has no trials; give a folder of results, as sweeps/run.py writes it")
    try:
        kernels()
    except KernelError as error:
        raise InferenceError(f"{error}; a latency without the kernels would not be that of the exported model") from error
    folder, here = ResultsFolder(path), hardware()
    rows = folder.rows(sorted(each.name for each in folder.trials.iterdir() if each.is_dir()))
    finished = [row for row in rows.values() if row.status == "finished"]
    with_model = [row for row in finished if (folder.of(row.trial_id) / MODEL).exists()]
    if not with_model:
        raise InferenceError(f"no finished trial of {shown(path)} has its trained model ({MODEL}); run the study again")
    known = [] if again else [row for row in with_model if row.latency_hardware == here]
    if len(known) < len(with_model):
        folder.keep_release_0_3_out()
    for row in with_model:
        if row not in known:
            print(_measured(folder, row, here), flush=True)
    write_views(ResultsFolder(path))  # a new one: the other remembers the rows as they were
    print(
        f"{len(with_model) - len(known)} measured, {len(known)} were before, {len(finished) - len(with_model)} have no "
        f"model any more; wrote {shown(path / 'results.csv')}"
    )


def _measured(folder: ResultsFolder, row: Row, here: str) -> str:
    trial, _ = finished_trial(folder.of(row.trial_id))
    if isinstance(trial.task, Script):
        whole = script_model(folder.of(trial.id), trial)
        latency, file_bytes, of = trial_latency(trial, folder.of(trial.id)), whole.onnx_bytes(), "for the example"
    else:
        exported: Bundle = trial_bundle(folder.of(row.trial_id))
        file_bytes = len(bundle.to_bytes(exported))
        latency, of = round(step_latency(as_it_runs_fastest(exported)), 2), "a step"
    new = row.model_copy(update={"latency_us": latency, "bundle_bytes": file_bytes, "latency_hardware": here})
    write_row(folder.of(row.trial_id), new)
    return f"{label_of(row.settings)}: {latency:.1f} µs {of}, {file_bytes:,} bytes"
