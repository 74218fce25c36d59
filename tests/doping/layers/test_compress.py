"""What ``compress_`` makes of a weight: other types of numbers, what other tools made, too few inputs, fresh values."""

import copy
import warnings

import pytest
import torch
from references.matrices import method_of
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch_layers.to_compress import assert_same, finished, made

import doping
from doping import BudgetError, Method
from doping.matrices import Sparse

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("label", ["pruned", "lmf", "hmd", "kp", "doped_kp"])
def test_other_types_of_numbers_are_fitted_in_float32_and_cast_back(dtype, label):
    """Case 11."""
    torch.manual_seed(0)
    weight = nn.Linear(40, 80).to(dtype)
    exact = doping.compress_(copy.deepcopy(weight).float(), {"*": method_of(label, 3)})
    layer = doping.compress_(weight, {"*": method_of(label, 3)})
    assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
    assert layer(torch.randn(2, 40, dtype=dtype)).dtype == dtype
    torch.testing.assert_close(layer.weight.float(), exact.weight, atol=0.01, rtol=0.02)


class WeightDrop(nn.LSTM):
    """As AWD-LSTM does it: the weight is a plain tensor, made from a raw parameter."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        for name in ("weight_ih_l0", "weight_hh_l0"):
            raw = getattr(self, name)
            del self._parameters[name]
            self.register_parameter(f"{name}_raw", raw)
            setattr(self, name, raw.data.clone())


def pruned_by_torch():
    lstm = nn.LSTM(40, 40)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        prune.l1_unstructured(lstm, name, 0.5)
    return lstm


def normed():
    lstm = nn.LSTM(40, 40)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        lstm = parametrizations.weight_norm(lstm, name)
    return lstm


def normed_by_hooks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.utils.weight_norm(nn.LSTM(40, 40), "weight_ih_l0"), "weight_hh_l0")


@pytest.mark.parametrize("make", [pruned_by_torch, normed, normed_by_hooks, lambda: WeightDrop(40, 40)])
def test_weights_that_other_tools_make_are_taken_as_tensors(make):
    """Case 12."""
    torch.manual_seed(0)
    lstm = make()
    x = torch.randn(5, 2, 40)
    expected = lstm(x)[0].detach()
    doping.compress_(lstm, {"*": Method(name="doped_kp", factor=4)})
    assert_same(lstm(x)[0], expected)
    assert {name.split(".")[0] for name, _ in lstm.named_parameters()} == {"bias_ih_l0", "bias_hh_l0", "matrices"}
    assert_same(finished(copy.deepcopy(lstm))(x)[0], lstm(x)[0], atol=1)
    assert not lstm._forward_pre_hooks


def test_few_inputs_stay_dense_and_are_warned_of_and_reported():
    """Case 13."""
    lstm = nn.LSTM(1, 64)
    with pytest.warns(UserWarning, match=r"weight_ih_l0: 256 x 1 cannot be compressed 10x as doped_kp"):
        doping.compress_(lstm, {"*": Method(name="doped_kp", factor=10)})
    assert isinstance(lstm._parameters["weight_ih_l0"], nn.Parameter)
    assert list(lstm.matrices) == ["weight_hh_l0"]
    table = str(doping.report(lstm))
    assert "left dense in the model: weight_ih_l0" in table
    with pytest.raises(BudgetError, match=r"weight_ih_l0: .*small='keep' leaves such matrices dense"):
        doping.compress_(nn.LSTM(1, 64), {"*": Method(name="doped_kp", factor=10)}, small="raise")


def test_a_matrix_that_is_not_small_is_never_left_dense():
    with pytest.raises(
        BudgetError, match=r"weight: factor 100 in values is impossible for a 128 x 128 matrix.*or exclude it"
    ):
        doping.compress_(nn.Linear(128, 128), {"*": Method(name="lmf", factor=100)})


def test_the_nearest_smaller_plan_is_taken_where_a_family_has_none_of_the_factor():
    layer = doping.compress_(nn.Linear(96, 256), {"*": Method(name="lmf", factor=4)})
    row = doping.report(layer).rows[0]
    assert row.asked == (4,)
    assert row.reached == pytest.approx(96 * 256 / (17 * (96 + 256)))


def test_fresh_matrices_are_random_with_the_scale_of_the_weights():
    torch.manual_seed(0)
    layer = nn.Linear(400, 400)
    before = layer.weight.detach().clone()
    doping.compress_(layer, {"*": Method(name="lmf", factor=4)}, fresh=True)
    after = layer.weight.detach()
    assert float(after.square().mean().sqrt()) == pytest.approx(float(before.square().mean().sqrt()), rel=1e-3)
    assert abs(float(torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1])) < 0.05


def test_resetting_draws_anew_and_prunes_nothing():
    _, layer = made("LSTM")
    finished(layer).reset_parameters()
    assert not any(module.pruned.any() for module in layer.modules() if isinstance(module, Sparse))
    assert float(layer.weight_hh_l0.detach().std()) == pytest.approx(40**-0.5 / 3**0.5, rel=0.05)
