"""The five journeys of ``docs/own_model.md``: short, mostly not ours, and they run to a deployed model."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path

import pytest

from doping.deployment.layers import DeployedCell, DeployedLinear, DeployedRecurrent

EXAMPLES = Path(__file__).parents[2] / "examples"
JOURNEYS = {
    "keyword_spotting": [DeployedRecurrent],
    "forecasting": [DeployedRecurrent],
    "tagging": [DeployedRecurrent],
    "decoding": [DeployedRecurrent, DeployedCell],
    "mixed_precision": [DeployedLinear, DeployedRecurrent],
}


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_journey_is_short_and_at_most_six_lines_of_it_are_ours(name):
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert sum(bool(re.search("doping|annealer", line)) for line in lines) <= 6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", JOURNEYS)
def test_a_journey_leads_to_a_deployed_model_of_the_size_asked_for(name):
    journey = importlib.import_module(f"examples.{name}")
    error, model = journey.train(10, 0, 1 if name == "forecasting" else 12)
    assert math.isfinite(error)
    kinds = {type(module) for module in model.modules()}
    assert set(JOURNEYS[name]) <= kinds


def test_every_journey_stands_in_the_documentation():
    page = (EXAMPLES.parent / "docs" / "own_model.md").read_text(encoding="utf-8")
    for name in JOURNEYS:
        assert f"../examples/{name}.py" in page
