"""Studies that nobody wrote: valid ones, and those with something wrong."""

from __future__ import annotations

import json
import random
from typing import Any

import yaml

from benchmarks.command_fuzz.mutations import ODD, damage, structure
from doping.families import methods

_RANGES: dict[str, Any] = {
    "task.training.learning_rate": {"low": 0.0001, "high": 30.0, "log": True},
    "task.model.dropout": {"low": 0.0, "high": 0.6},
    "task.training.batch_size": [10, 20, 40],
    "annealing.length": [0.3, 0.55],
    "cmr.probability": {"low": 0.0, "high": 0.7},
}


def content(draw: random.Random) -> dict[str, Any]:
    """What a study file may say, with a preset of the name ``quick``; mostly it is valid."""
    runs: list[dict[str, Any]] = [{"method": "dense"}] if draw.random() < 0.5 else []
    for _ in range(draw.choice((1, 1, 2, 3))):
        names = draw.sample(methods()[1:], draw.choice((1, 1, 2)))
        run: dict[str, Any] = {"method": names if len(names) > 1 else names[0], "factor": draw.choice((2, 4, [4, 8]))}
        if draw.random() < 0.2:
            run["seeds"] = draw.sample(range(50), draw.choice((1, 2)))
        if draw.random() < 0.2:
            run["unit"] = draw.choice(("values", "bytes"))
        runs.append(run)
    model = {"hidden": draw.choice((20, 40)), "layers": draw.choice((1, 2))}
    preset: dict[str, Any] = {
        "task": {"model": model, "training": {"epochs": draw.choice((1, 3))}},
        "seeds": draw.sample(range(100, 2**32), draw.choice((1, 1, 2))),
        "runs": runs,
    }
    if draw.random() < 0.2:
        preset["common"] = {"annealing": {"start": 0.1}}
    if draw.random() < 0.25:
        keys = draw.sample(sorted(_RANGES), draw.choice((1, 2)))
        preset["tuning"] = {"trials": draw.choice((2, 3)), "search": {key: _RANGES[key] for key in keys}}
    if draw.random() < 0.1:
        preset["task"] = draw.choice(("ptb_medium", {"named": "ptb_medium", "training": {"epochs": 1}}, {"name": "intent"}))
    return {"description": "made up", "presets": {"quick": preset}}


def text(draw: random.Random, altered: bool) -> bytes:
    """A study file, as YAML or JSON; ``altered`` puts something wrong into it, which may happen to do no harm."""
    given = content(draw)
    if altered and draw.random() < 0.7:
        given = structure(given, draw)
    # Of surrogates and the like YAML's writer makes escapes, as an editor would not; they are read all the same.
    written = json.dumps(given) if draw.random() < 0.3 else yaml.safe_dump(given, allow_unicode=True, sort_keys=False)
    data = written.encode()
    return damage(data, draw) if altered and draw.random() < 0.4 else data


def flags(draw: random.Random) -> list[str]:
    """Words of the command line beside ``--study`` and ``--out``; most are valid."""
    odd = str(draw.choice(ODD))
    choices: list[list[str]] = [
        ["--quiet"],
        ["--verbose"],
        ["--seed", draw.choice(("0", "7", odd))],
        ["--workers", draw.choice(("1", "3", "0", odd))],
        ["--retries", draw.choice(("0", "1", odd))],
        ["--time-limit", draw.choice(("60", "0", odd))],
        ["--preset", draw.choice(("quick", "paper", odd))],
        ["--set", f"{draw.choice(('seeds', 'runs.0.factor', 'task.model.hidden', 'task.x', 'runs', ''))}={odd}"],
        ["--set", f"task.training.epochs={draw.choice((1, 2, 5))}"],
        ["--monitor", draw.choice(("0", "2", odd))],
        ["--retry-failed"],
        ["--dry-run"],
        ["--status"],
        ["--help"],
        ["--list"],
        [odd],
    ]
    weights = [6, 6, 6, 4, 6, 4, 4, 6, 6, 3, 4, 2, 3, 0.3, 0.3, 1]
    return [word for group in draw.choices(choices, weights, k=draw.choice((0, 0, 1, 2))) for word in group]
