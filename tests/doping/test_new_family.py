"""A structured family is a file where it trains, a file where it is stored, and a line in the registry."""

import numpy as np
import pytest
import torch
from diagonal_low_rank import FAMILY
from models import trained_exported_and_run

from doping import families
from doping.inference.bundle import file as bundle
from doping.inference.from_torch import to_bundle
from doping.inference.runtime import runnable
from doping.layers.lstm import CompressedLSTM
from doping.method import Method
from sweeps.planning.plan import make_plan
from sweeps.study import study


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(families.FAMILIES, FAMILY.name, FAMILY)


@pytest.mark.parametrize("name", ["dlr", "doped_dlr"])
def test_it_trains_in_any_loop_is_exported_and_runs_there(name, tmp_path):
    trained_exported_and_run(Method(name=name, factor=4), tmp_path)


def test_its_name_is_known_wherever_methods_are_named():
    assert {"dlr", "doped_dlr"} <= set(families.methods())
    assert families.method_label("doped_dlr") == "Doped DLR"
    assert Method(name="doped_dlr", factor=4, cmr={"probability": 0.3}).doped
    with pytest.raises(ValueError, match=r"known are .*, doped_dlr\b"):
        Method(name="no_such")
    chosen = study.with_settings(study.load("kp_vs_pruning"), "smoke", ["runs=[{method: [dlr, doped_dlr], factor: 4}]"])
    plan = make_plan(chosen, "smoke", None, lambda task: "hash")
    assert [cell.name.split()[0] for cell in plan.cells] == ["dlr", "doped_dlr"]


def test_it_is_narrowed_and_described_in_a_file():
    lstm = CompressedLSTM(12, 12, method=Method(name="dlr", factor=2))
    made = to_bundle(lstm)
    assert bundle.from_bytes(bundle.to_bytes(made)).description == made.description
    x_TBI = np.random.default_rng(0).standard_normal((5, 2, 12)).astype(np.float32)
    expected, _ = runnable(made).forward(x_TBI)
    np.testing.assert_allclose(expected, lstm(torch.from_numpy(x_TBI))[0].detach().numpy(), atol=1e-5)
