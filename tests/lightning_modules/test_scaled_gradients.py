"""Scaled gradient descent: a step moves the matrix as its gradient says, however the factors share its scale."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from references.matrices import METHODS, STRUCTURED, factors, plan_near, shapes
from tiny_task import TinyText, model, trainer
from tiny_task import settings as task_settings

from doping.families import is_doped
from doping.matrices.hybrid import Hybrid
from doping.matrices.kronecker import Kronecker
from doping.matrices.low_rank import LowRank
from doping.matrices.monarch import Monarch
from doping.method import Method

double = pytest.mark.usefixtures("float64")
some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
PAIRS = {LowRank: ("u", "v"), Kronecker: ("b", "c"), Hybrid: ("u", "v"), Monarch: ("u", "v")}
STEP = 1e-6


def projected(gradient, left, right):
    """Of the gradient of a product left @ right, what lies in the rows of right, plus what lies in the columns of left."""
    return gradient @ np.linalg.pinv(right) @ right + left @ np.linalg.pinv(left) @ gradient


def motion(matrix, gradient):
    """How the reference moves the matrix."""
    values = {name: tensor.detach().numpy() for name, tensor in matrix.named_parameters()}
    if isinstance(matrix, LowRank):
        return projected(gradient, values["u"], values["v"])
    if isinstance(matrix, Kronecker):
        (terms, m1, n1), (_, m2, n2) = matrix.b.shape, matrix.c.shape
        blocks = gradient.reshape(m1, m2, n1, n2).transpose(0, 2, 1, 3).reshape(m1 * n1, m2 * n2)
        moved = projected(blocks, values["b"].reshape(terms, -1).T, values["c"].reshape(terms, -1))
        return moved.reshape(m1, n1, m2, n2).transpose(0, 2, 1, 3).reshape(matrix.shape)
    if isinstance(matrix, Monarch):
        (c, _, y), (b, _, width) = values["u"].shape, values["v"].shape
        rank, gates, expected = y // b, 4 if matrix.shape[0] % 4 == 0 else 1, np.zeros(matrix.shape)
        for i, j in np.ndindex(c, b):
            rows = np.arange(matrix.shape[0]).reshape(gates, c, -1)[:, i].ravel()
            block = np.ix_(rows, range(j * width, (j + 1) * width))
            own = slice(j * rank, (j + 1) * rank), slice(i * rank, (i + 1) * rank)
            expected[block] = projected(gradient[block], values["u"][i][:, own[0]], values["v"][j][own[1]])
        return expected
    assert isinstance(matrix, Hybrid)
    rows, half = len(values["a"]), matrix.shape[1] // 2
    places = matrix.places.numpy()
    gradient = gradient[np.argsort(places)]  # the rows of A first
    left = projected(gradient[rows:, :half], values["u"][:, :1], values["v"][None, :half])
    right = projected(gradient[rows:, half:], values["u"][:, 1:], values["v"][None, half:])
    return np.vstack([gradient[:rows], np.hstack([left, right])])[places]


def moved(matrix, gradient):
    """What a small step of scaled gradient descent adds to the matrix, divided by the step."""
    before = matrix.dense().detach()
    matrix.zero_grad()
    (matrix.dense() * gradient).sum().backward()
    matrix.scale_gradients()
    with torch.no_grad():
        for parameter in matrix.parameters():
            parameter += STEP * parameter.grad
        return ((matrix.dense() - before) / STEP).numpy()


@double
@pytest.mark.parametrize("name", STRUCTURED)
@some
@given(shape=shapes, factor=factors)
def test_a_step_moves_the_matrix_along_its_gradient(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = plan.initialized(0.1)
    gradient = torch.randn(shape)
    expected = motion(matrix, gradient.numpy())
    np.testing.assert_allclose(moved(matrix, gradient), expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.exhaustive(keep_every=2)
@double
@pytest.mark.parametrize("name", STRUCTURED)
@given(share=st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_a_step_is_the_same_however_the_factors_share_the_scale(name, share):
    plan = plan_near(name, (24, 12), 2)
    even, uneven = plan.initialized(0.1), plan.initialized(0.1)
    uneven.load_state_dict(even.state_dict())
    left, right = (getattr(uneven, factor) for factor in PAIRS[type(uneven)])
    with torch.no_grad():
        left *= share
        right /= share
    gradient = torch.randn(24, 12)
    np.testing.assert_allclose(moved(uneven, gradient), moved(even, gradient), atol=1e-2)


@double
@pytest.mark.parametrize("label", [label for label in METHODS if label not in STRUCTURED])
def test_what_has_no_factors_keeps_its_gradient(label):
    matrix = plan_near(label, (24, 16), 2).initialized(0.1)
    (matrix.dense() * torch.randn(24, 16)).sum().backward()
    before = {name: parameter.grad.clone() for name, parameter in matrix.named_parameters()}
    matrix.scale_gradients()
    changed = {name for name, parameter in matrix.named_parameters() if not torch.equal(parameter.grad, before[name])}
    factors = PAIRS[type(matrix.structured)] if is_doped(label) else ()
    assert changed == {f"structured.{factor}" for factor in factors}


@double
@pytest.mark.parametrize("name", STRUCTURED)
def test_a_factor_of_zeros_has_a_gradient(name):
    matrix = plan_near(name, (24, 12), 2).initialized(0.1)
    left, right = (getattr(matrix, factor) for factor in PAIRS[type(matrix)])
    with torch.no_grad():
        right.zero_()
    (matrix.dense() * torch.randn(24, 12)).sum().backward()
    matrix.scale_gradients()
    assert all(parameter.grad.isfinite().all() for parameter in matrix.parameters())
    assert not left.grad.any()
    assert right.grad.any()


def trained(optimizer, share, folder, clip, callbacks=()):
    """A model trained for two epochs, whose factors share their scale so."""
    method = Method(name="kp", factor=10)
    net = model(method, task_settings(optimizer=optimizer, learning_rate=0.5))
    with torch.no_grad():
        for matrix in net.matrices():
            matrix.b *= share
            matrix.c /= share
    trainer(method, folder, callbacks=callbacks, gradient_clip_val=clip).fit(net, TinyText())
    return net.eval().metric_on(next(iter(TinyText().val_dataloader())))


@pytest.mark.exhaustive
def test_a_training_is_the_same_however_the_factors_share_the_scale(tmp_path):
    plain, scaled = ([trained(optimizer, share, tmp_path, 1e9) for share in (1, 16)] for optimizer in ("sgd", "scaled_sgd"))
    assert scaled[1] == pytest.approx(scaled[0], rel=1e-3)
    assert plain[1] != pytest.approx(plain[0], rel=1e-2)


class _Norms(pl.Callback):
    """The norm of the whole gradient that each step took."""

    def __init__(self):
        self.seen = []

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        if gradients:
            self.seen.append(float(torch.nn.utils.get_total_norm(gradients)))


def test_the_scaled_gradient_is_what_is_clipped(tmp_path):
    norms = _Norms()
    trained("scaled_sgd", 1, tmp_path, 0.25, (norms,))
    assert max(norms.seen) == pytest.approx(0.25, rel=1e-3)
