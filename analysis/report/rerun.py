"""How to run a single trial of a study again: a study file with nothing but this trial."""

from __future__ import annotations

import json
from typing import Any

import yaml

PRESET = "again"


def study_file(study: str, trial_id: str, settings: str) -> str:
    """The study file (YAML) of a trial, from its ``settings`` (JSON of a row of results); gives the same trial id."""
    given: dict[str, Any] = json.loads(settings)
    method = dict(given["method"])
    run = {"method": method.pop("name"), **{key: value for key, value in method.items() if value is not None}}
    content = {
        "description": f"Trial {trial_id} of {study}, again",
        "presets": {PRESET: {"task": given["task"], "seeds": [given.get("seed", 0)], "runs": [run]}},
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def command(file: str) -> str:
    """The command that runs it, once it is saved as ``file``."""
    return f"python sweeps/run.py --study {file} --preset {PRESET}"
