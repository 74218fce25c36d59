"""The command line of the W&B workspace and report. Heavy libraries are imported only once the arguments are right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from analysis.results import AnalysisError
from doping.command_line import Parser, answer, arguments_or, path

DESCRIPTION = """\
Write a Weights & Biases workspace and report for the runs of this project, checked and without network:
  wandb_workspace.json, wandb_report.json
With --publish, make them on W&B instead. Upload offline runs before, with `wandb sync`."""

PLACEHOLDER = ("entity", "lstm-doping")
"""Stands for the place in files that are not published."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 after one line on stderr for a user's mistake."""
    return answer(lambda: _command(arguments_or(argv)))


def _command(arguments: Sequence[str]) -> None:
    parser = Parser(prog="wandb_pages", description=DESCRIPTION)
    parser.add_argument("--study", metavar="NAME", help="only runs of this study, e.g. kp_vs_pruning-quick (default: all)")
    parser.add_argument("--out", metavar="DIR", type=path, default=Path("runs"), help="folder to write to (default: runs)")
    parser.add_argument("--publish", metavar="ENTITY/PROJECT", help="make both there, which needs `wandb login`")
    options = parser.parse_args(arguments)
    if options.study is not None and not re.fullmatch(r"[\w.-]+", options.study):
        raise AnalysisError(f"--study {options.study!r}: expected a name of letters, digits, _ . and -")
    place, study = options.publish, options.study
    print("\n".join(publish(place, study) if place is not None else write(options.out, study)))


def write(out: Path, study: str | None) -> list[str]:
    """Write both as JSON, as W&B stores them; returns a line for each. Raises ``AnalysisError``."""
    from analysis.wandb_pages import pages as wandb_pages

    pages = {
        "wandb_workspace.json": wandb_pages.workspace(*PLACEHOLDER, study),
        "wandb_report.json": wandb_pages.report(*PLACEHOLDER, study),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, page in pages.items():
            text = page._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1)
            (out / name).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise AnalysisError(f"cannot write to {out}: {error.strerror}. Give a folder you can write to with --out") from error
    return [f"wrote {out / name}" for name in pages]


def publish(place: str, study: str | None) -> list[str]:
    """Make both on W&B; returns a line with the address of each. Raises ``AnalysisError``."""
    entity, slash, project = place.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise AnalysisError(f"--publish {place!r}: expected ENTITY/PROJECT, such as my-team/lstm-doping")
    import wandb
    from requests import RequestException
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    from analysis.wandb_pages import pages as wandb_pages

    try:
        workspace = wandb_pages.workspace(entity, project, study).save()
        report = wandb_pages.report(entity, project, study, runs=(entity, project)).save()
    except wandb.errors.UsageError as error:
        raise AnalysisError("publishing needs a login: run `wandb login` or set WANDB_API_KEY") from error
    except (wandb.errors.Error, WandbApiFailedError, RequestException, ValueError) as error:
        raise AnalysisError(f"W&B refused or could not be reached: {' '.join(str(error).split())}") from error
    return [f"workspace: {workspace.url}", f"report: {report.url}"]
