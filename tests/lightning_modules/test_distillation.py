"""Starting from a trained dense model, and learning from its predictions."""

from __future__ import annotations

import pytest
import torch
from tiny_task import TinyText, model, settings, trainer
from torch.nn import functional as F

from doping.matrices import Doped, Sparse
from doping.method import Method
from examples.adding_problem import AddingProblem
from lightning_modules.settings import Training

pytestmark = pytest.mark.filterwarnings("ignore")

DENSE = Method()
TRAINED_TOGETHER = [Method(name=name, factor=5) for name in ("pruned", "doped_kp", "doped_lmf")]


def started(method: Method, distillation: float):
    """A model that starts from another, and that other, with the same settings."""
    start = {"path": "somewhere", "distillation": distillation}
    task = settings(start_from=start)
    student, dense = model(method, task, seed=1), model(DENSE, task, seed=2)
    student.start_from(dense)
    return student, dense


@pytest.mark.parametrize("method", [DENSE, *TRAINED_TOGETHER], ids=lambda method: method.name)
def test_where_nothing_is_pruned_yet_it_predicts_what_the_dense_model_does(method):
    student, dense = started(method, 0.0)
    tokens_TB = torch.randint(0, 12, (9, 3))
    with torch.no_grad():
        torch.testing.assert_close(student.eval()(tokens_TB)[0], dense.eval()(tokens_TB)[0], atol=1e-5, rtol=0)


def test_it_shares_no_weights_with_the_dense_model(tmp_path):
    student, dense = started(DENSE, 0.5)
    before = {name: tensor.clone() for name, tensor in dense.state_dict().items()}
    trainer(DENSE, tmp_path, epochs=1).fit(student, TinyText())
    assert all(torch.equal(tensor, before[name]) for name, tensor in dense.state_dict().items())
    assert not torch.equal(student.softmax.weight, dense.softmax.weight)


@pytest.mark.parametrize("name", ["lmf", "kp"])
def test_structured_matrices_start_as_the_nearest_ones(name):
    method = Method(name=name, factor=4)
    student, dense = started(method, 0.0)
    for ours, theirs in zip(student.matrices(), dense.matrices(), strict=True):
        distance = (ours.dense() - theirs.dense()).norm()
        assert distance < theirs.dense().norm()
        other = next(iter(model(method, seed=5).matrices()))
        assert distance < (other.dense() - theirs.dense()).norm()


@pytest.mark.parametrize("method", TRAINED_TOGETHER, ids=lambda method: method.name)
def test_it_ends_at_its_size(method, tmp_path):
    student, _ = started(method, 0.5)
    trainer(method, tmp_path).fit(student, TinyText())
    for matrix in student.matrices():
        sparse = matrix.sparse if isinstance(matrix, Doped) else matrix
        assert isinstance(sparse, Sparse)
        assert sparse.nonzeros() == sparse.planned_nonzeros


def test_the_teacher_is_no_part_of_the_model():
    student, _ = started(Method(name="pruned", factor=5), 0.5)
    alone = model(Method(name="pruned", factor=5))
    assert student.state_dict().keys() == alone.state_dict().keys()
    assert sum(1 for _ in student.parameters()) == sum(1 for _ in alone.parameters())


@pytest.mark.parametrize("distillation", [0.0, 0.3, 1.0])
def test_the_loss_is_that_of_the_data_and_the_divergence_from_the_teacher(distillation):
    student, dense = started(Method(name="kp", factor=5), distillation)
    student, dense = student.double().eval(), dense.double()  # no dropout
    batches = list(TinyText().train_dataloader())[:3]
    ours = theirs = None
    for index, batch in enumerate(batches):
        with torch.no_grad():
            found = student.training_step(batch, index)["loss"] / len(batch.tokens_TB)
            p, ours = student(batch.tokens_TB, ours)
            q, theirs = dense(batch.tokens_TB, theirs)
        p, q = (logits.flatten(0, 1).softmax(-1) for logits in (p, q))
        nats = F.nll_loss(p.log(), batch.targets_TB.flatten())
        divergence = (q * (q / p).log()).sum(-1).mean()
        assert float(found) == pytest.approx(float((1 - distillation) * nats + distillation * divergence), rel=1e-9)


def test_a_regression_learns_from_the_numbers_of_its_teacher():
    settings = Training(start_from={"path": "/dense", "distillation": 0.25})
    task = AddingProblem(data={"examples": 40, "length": 5}, training=settings)
    dense, data = task.build(Method())
    student, _ = task.build(Method(name="pruned", factor=4))
    with torch.no_grad():
        student.sum.bias.add_(1.0)
        student.start_from(dense)
        student.sum.bias.add_(1.0)  # apart from its teacher by exactly one
        batch = data.monitored_batch()
        error = F.mse_loss(student(batch.sequence), batch.sum)
        assert float(student.training_step(batch, 0)["loss"]) == pytest.approx(0.75 * float(error) + 0.25 * 1.0, rel=1e-5)
