"""Sizes count what is stored and computed, and meet the factor that was asked for."""

import math

import pytest
import torch
from hypothesis import assume, given
from references.matrices import (
    METHODS,
    every_method,
    factors,
    method_of,
    named_factors,
    plan_near,
    shapes,
    some,
    stored_in,
)
from torch.utils.flop_counter import FlopCounterMode

from doping.matrices import BudgetError, Sparse, plan_matrix
from doping.matrices.hybrid import HybridPlan
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.exhaustive(keep_every=2)
@every_method
@some
@given(shape=shapes, factor=factors)
def test_size_counts_what_is_stored(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = plan.initialized(0.1)
    for module in matrix.modules():
        if isinstance(module, Sparse):
            module.prune(module.planned_nonzeros)
    assert matrix.size() == plan.size()
    values, stored_bytes, narrow = 0, 0, {8: 0.0, 4: 0.0}
    sparse = [module for module in matrix.modules() if isinstance(module, Sparse)]
    for module in sparse:
        stored, indices, lines = stored_in(module.dense().detach().numpy(), module.pattern)
        values += stored
        stored_bytes += 4 * stored + indices + (4 * (lines + 1) if lines else 0)
        for bits in narrow:
            narrow[bits] += math.ceil(bits * stored / 8) + indices + 2 * lines + 2 * shape[0]
    pruned_parameters = {id(module.weight) for module in sparse}
    for parameter_name, parameter in matrix.named_parameters():
        if id(parameter) in pruned_parameters:
            continue
        values += parameter.numel()
        stored_bytes += 4 * parameter.numel()
        last = parameter_name.rpartition(".")[2]
        for bits in narrow:
            kept = 32 if "hmd" in name and last in ("u", "v") else 8 if last == "b" else bits
            narrow[bits] += math.ceil(parameter.numel() * kept / 8) + (0 if kept == 32 else 2 * parameter.shape[-2])
    assert matrix.size().values == values
    assert matrix.size().bytes == stored_bytes
    assert (matrix.size().bytes_int8, matrix.size().bytes_int4) == (narrow[8], pytest.approx(narrow[4], abs=1))


def test_column_indices_take_four_bytes_in_very_wide_matrices():
    wide = plan_matrix(Method(name="pruned", factor=100), (2, 70_000))
    assert wide.size().bytes == 1400 * (4 + 4) + 3 * 4


@pytest.mark.parametrize("name", ["dense", "lmf", "kp"])
@some
@given(shape=shapes, factor=factors)
def test_multiply_adds_are_those_that_matmul_does(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = plan.initialized(0.1)
    with FlopCounterMode(display=False) as counter:
        matrix.matmul(torch.randn(1, shape[1]))
    assert matrix.size().multiply_adds == counter.get_total_flops() / 2


def test_multiply_adds_of_hybrid_and_sparse_matrices():
    assert HybridPlan((20, 8), rows=5).size().multiply_adds == 5 * 8 + 8 + 2 * 15
    assert plan_matrix(Method(name="pruned", factor=4), (20, 8)).size().multiply_adds == 40
    doped = plan_matrix(Method(name="doped_kp", factor=4), (20, 8))
    assert doped.size().multiply_adds == doped.structured.size().multiply_adds + doped.sparse.size().multiply_adds


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("unit", ["values", "bytes"])
@pytest.mark.parametrize("name", METHODS[1:])
@some
@given(shape=shapes, factor=factors)
def test_the_factor_is_met_within_one_percent_or_refused_with_nearest_ones_that_work(name, unit, shape, factor):
    method = method_of(name, factor, unit=unit)
    assume(method.pattern not in ("gates", "tiles") or shape[0] % 4 == 0)
    try:
        size = plan_matrix(method, shape).size()
    except BudgetError as error:
        refusal = str(error)
    else:
        dense = shape[0] * shape[1]
        reached = dense / size.values if unit == "values" else 4 * dense / size.bytes
        assert reached == pytest.approx(factor, rel=0.01 + 1e-9)
        return
    assert "\n" not in refusal
    assert f"{shape[0]} x {shape[1]}" in refusal
    if not method.doped:
        for nearest in named_factors(refusal):
            if nearest >= 1:
                offered = plan_matrix(method.model_copy(update={"factor": nearest}), shape).size()
                reached = shape[0] * shape[1] / (offered.values if unit == "values" else offered.bytes / 4)
                assert reached == pytest.approx(nearest, rel=0.01)


def test_a_refusal_says_what_was_asked_and_what_there_is():
    with pytest.raises(BudgetError) as refusal:
        plan_matrix(Method(name="lmf", factor=20), (512, 128))
    assert str(refusal.value) == (
        "factor 20 in values is impossible for a 512 x 128 matrix as lmf: nearest possible 17.07 (rank 6) and "
        "20.48 (rank 5); choose such a factor, or another width of the model"
    )
