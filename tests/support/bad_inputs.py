"""The cases of ``bad_inputs.yaml``: a command with one thing wrong, and how the one line begins that says so."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MODULES = {
    "run": "sweeps.commands.main",
    "export": "sweeps.commands.export_model",
    "measure": "sweeps.commands.measure_latency",
    "make_tables": "analysis.main",
    "doping_run": "doping.inference.commands.run",
    "wandb_pages": "analysis.wandb_pages.command",
    "docs_tables": "analysis.docs_tables.command",
    "inference_benchmark": "benchmarks.inference.command",
    "firmware": "benchmarks.firmware.command",
    "bundle_fuzz": "benchmarks.bundle_fuzz.command",
}
"""Where ``main`` of each command is."""


@dataclass(frozen=True)
class Case:
    """What is given, in place of ``{given}`` of a command, or as the file ``given.yaml``."""

    kind: str
    command: str
    given: str
    start: str

    @property
    def program(self) -> str:
        """Name of the command."""
        return self.command.split()[0]

    @property
    def arguments(self) -> list[str]:
        """Arguments: what follows ``--set`` is one of them, anything else that is given may be several."""
        words = self.command.split()[1:]
        parts = [[self.given.join(word.split("{given}"))] for word in words]
        if "--set" not in words and "{given}" in words:
            parts[words.index("{given}")] = shlex.split(self.given)
        return [argument for part in parts for argument in part]

    def main(self) -> Callable[..., int]:
        """The function that runs the command in this process."""
        return importlib.import_module(MODULES[self.program]).main


def cases() -> list[Case]:
    """All of them."""
    content = yaml.safe_load((ROOT / "tests/support/bad_inputs.yaml").read_text(encoding="utf-8"))
    return [
        Case(kind, group["command"], given, start)
        for kind, groups in content["kinds"].items()
        for group in groups
        for given, start in group["cases"].items()
    ]


def make_files(here: Path) -> None:
    """Write the files that the cases name into a folder."""
    content = yaml.safe_load((ROOT / "tests/support/bad_inputs.yaml").read_text(encoding="utf-8"))
    for name, text in content["files"].items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text, encoding="utf-8")
