"""``embedding_rank`` on tasks: which matrices it concerns, that they are trained, rounded, and what is refused."""

import pytest
import torch
from torch import nn

from doping.layers.token_matrices import LowRankEmbedding, LowRankSoftmax, RankError
from doping.method import Method
from doping.sizes import plan_sizes, resolved
from doping.training.rounding import deployed, lstm_weights, other_weights
from lightning_modules.intent import IntentClassifier
from lightning_modules.language_model import RecurrentLanguageModel
from lightning_modules.settings import IntentModel, IntentTraining, StartFrom
from tasks.language_model import LanguageModelTask
from tasks.translation import TranslationTask

TOKENS, HIDDEN, RANK = 60, 30, 5
LOW = Method(embedding_rank=RANK)


def model_of(method, model=(), training=()):
    task = LanguageModelTask(model={"hidden": HIDDEN, **dict(model)}, training=dict(training))
    return RecurrentLanguageModel(task.model, task.training, method, TOKENS, "character")


def test_a_language_model_has_both_and_a_classifier_its_embedding():
    model = model_of(LOW, {"embedding": 20})
    assert isinstance(model.embedding, LowRankEmbedding)
    assert isinstance(model.softmax, LowRankSoftmax)
    assert (model.embedding.shape, model.softmax.shape) == ((TOKENS, 20), (TOKENS, HIDDEN))
    sizes = {"vocabulary_size": TOKENS, "unknown": 0, "classes": 3, "labels": 3}
    classifier = IntentClassifier(IntentModel(hidden=HIDDEN), IntentTraining(), LOW, **sizes)
    assert isinstance(classifier.embedding, LowRankEmbedding)
    assert isinstance(classifier.softmax, nn.Linear)


def test_it_computes_what_the_model_written_out_does():
    low, full = model_of(LOW).eval(), model_of(Method()).eval()
    for name, matrix in (("embedding", low.embedding), ("softmax", low.softmax)):
        full.get_submodule(name).weight.data = matrix.dense().detach()
    full.softmax.bias.data = low.softmax.bias.data
    full.lstm.load_state_dict(low.lstm.state_dict())
    tokens = torch.randint(TOKENS, (7, 3))
    torch.testing.assert_close(low(tokens)[0], full(tokens)[0])


def test_sizes_of_the_layers_are_those_without():
    assert model_of(LOW).size() == model_of(Method()).size()


def test_a_uniform_start_is_as_wide_as_without():
    torch.manual_seed(0)
    model = model_of(LOW, {"uniform_init": 0.05})
    for matrix in (model.embedding, model.softmax):
        size = float(matrix.dense().detach().square().mean().sqrt())
        assert size == pytest.approx(0.05 / 3**0.5, rel=0.01)
    assert 0.02 < model.softmax.bias.abs().max() <= 0.05


def test_a_training_from_a_dense_model_starts_with_the_nearest():
    dense, low = model_of(Method()), model_of(LOW, training={"start_from": StartFrom(path="-", distillation=0)})
    low.start_from(dense)
    for mine, theirs in ((low.embedding, dense.embedding), (low.softmax, dense.softmax)):
        off = torch.linalg.matrix_norm(mine.dense() - theirs.weight)
        torch.testing.assert_close(off, torch.linalg.svdvals(theirs.weight)[RANK:].square().sum().sqrt())
    torch.testing.assert_close(low.softmax.bias, dense.softmax.bias)


def test_scaled_gradients_move_the_product_along_what_its_factors_can_give_it():
    torch.manual_seed(0)
    model = model_of(LOW, training={"optimizer": "scaled_sgd"}).double()
    model.clip_gradients = lambda *_: None
    wanted = {}
    for matrix in (model.embedding, model.softmax):
        gradient_VN = torch.randn(matrix.shape, dtype=torch.float64)
        u, v = matrix.u.detach(), matrix.v.detach()
        matrix.u.grad, matrix.v.grad = gradient_VN @ v.T, u.T @ gradient_VN
        wanted[matrix] = gradient_VN @ v.T @ torch.linalg.inv(v @ v.T), torch.linalg.inv(u.T @ u) @ u.T @ gradient_VN
    for matrix in model.matrices():
        matrix.scale_gradients = lambda: None
    model.configure_gradient_clipping(None)
    for matrix, (of_u, of_v) in wanted.items():
        torch.testing.assert_close(matrix.u.grad, of_u, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(matrix.v.grad, of_v, rtol=1e-4, atol=1e-6)


def test_they_are_rounded_as_embedding_values_say_not_as_values_do():
    model = model_of(Method(embedding_rank=RANK, values="int4"))
    assert not any("embedding" in name or "softmax" in name for name, _, _ in lstm_weights(model, "int4"))
    factors = {f"{matrix}.{factor}" for matrix in ("embedding", "softmax") for factor in "uv"}
    assert {name for name, _ in other_weights(model)} == factors
    for embedding_values, least, most in (("int8", 16, 255), ("int4", 2, 15)):
        with deployed(model, "int4", embedding_values):
            rows = [row for matrix in (model.embedding, model.softmax) for row in matrix.v.detach()]
        assert all(least <= len(row.unique()) <= most for row in rows)


def test_a_rank_out_of_reach_is_refused_before_anything_is_trained():
    task = LanguageModelTask(data={"limit": 20_000}, model={"hidden": 50})
    tokens = len(task.build(Method())[1].vocabulary)
    most = max(rank for rank in range(50) if rank * (tokens + 50) < tokens * 50)
    plan_sizes(task, Method(embedding_rank=most))
    with pytest.raises(RankError, match=f"of {tokens} x 50 no smaller: .*possible: 2 to {most}$"):
        plan_sizes(task, Method(embedding_rank=most + 1))
    wider = max(rank for rank in range(80) if rank * (tokens + 80) < tokens * 80)
    assert resolved(task, Method(embedding_rank=wider, units=80))[1].embedding_rank == wider > most


def test_a_task_without_such_matrices_says_so():
    with pytest.raises(RankError, match="no embedding or softmax that can be of low rank: leave embedding_rank out"):
        plan_sizes(TranslationTask(), LOW)


def test_runs_are_told_apart_by_it():
    assert Method(name="lmf", factor=5, units=300, embedding_rank=37).budget == "5x, 300 units, embedding rank 37"
    assert Method(name="lmf", factor=5).budget == "5x"
    assert "embedding_rank" not in Method(name="lmf", factor=5).model_dump()
