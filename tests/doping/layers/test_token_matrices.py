"""An embedding and a softmax of low rank: what they compute, how they start, and which ranks there are."""

import pytest
import torch
from torch import nn

from doping.layers.lstm import CompressedLSTM
from doping.layers.token_matrices import LowRankEmbedding, LowRankSoftmax, RankError, check_rank
from doping.matrices import BudgetError
from doping.method import Method

TOKENS, WIDTH, RANK = 90, 40, 8


def test_an_embedding_looks_up_rows_of_u_v():
    embedding = LowRankEmbedding(TOKENS, WIDTH, RANK)
    tokens = torch.tensor([[3, 3], [0, 89]])
    torch.testing.assert_close(embedding(tokens), nn.functional.embedding(tokens, embedding.u @ embedding.v))
    assert sum(parameter.numel() for parameter in embedding.parameters()) == RANK * (TOKENS + WIDTH)


def test_a_softmax_multiplies_by_u_v_and_adds_its_bias():
    softmax, x = LowRankSoftmax(WIDTH, TOKENS, RANK), torch.randn(5, 2, WIDTH)
    torch.testing.assert_close(softmax(x), nn.functional.linear(x, softmax.u @ softmax.v, softmax.bias))


def test_they_start_with_entries_as_large_as_those_of_full_rank():
    torch.manual_seed(0)
    for low, full in (
        (LowRankEmbedding(TOKENS, WIDTH, RANK).dense(), nn.Embedding(TOKENS, WIDTH).weight),
        (LowRankSoftmax(WIDTH, TOKENS, RANK).dense(), nn.Linear(WIDTH, TOKENS).weight),
    ):
        sizes = [float(weight.detach().square().mean().sqrt()) for weight in (low, full)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_the_nearest_to_a_matrix_is_its_truncated_singular_value_decomposition():
    torch.manual_seed(0)
    weight, low = torch.randn(TOKENS, WIDTH), LowRankEmbedding(TOKENS, WIDTH, RANK)
    low.fit(weight)
    off = torch.linalg.matrix_norm(low.dense() - weight)
    torch.testing.assert_close(off, torch.linalg.svdvals(weight)[RANK:].square().sum().sqrt())


@pytest.mark.parametrize("shape", [(104, 300), (7, 5), (10_000, 64), (50, 50)])
def test_every_rank_that_saves_values_is_possible_and_no_other(shape):
    rows, columns = shape
    smaller = [rank for rank in range(2, min(shape) + 1) if rank * (rows + columns) < rows * columns]
    for rank in range(2, min(shape) + 3):
        if rank in smaller:
            check_rank(rank, {"embedding": shape})
            continue
        possible = f"possible: 2 to {smaller[-1]}$" if smaller else "possible: none"
        with pytest.raises(RankError, match=possible):
            check_rank(rank, {"embedding": shape})


def test_the_smaller_of_several_matrices_decides():
    shapes = {"embedding": (104, 64), "softmax": (104, 300)}
    with pytest.raises(RankError) as caught:
        check_rank(50, shapes)
    assert str(caught.value) == (
        "embedding_rank 50 makes the embedding of 104 x 64 no smaller: its factors would have 8,400 values in place of "
        "6,656; possible: 2 to 39"
    )


def test_layers_of_ones_own_model_have_no_such_setting():
    with pytest.raises(BudgetError, match="the setting embedding_rank belongs to a whole model"):
        CompressedLSTM(20, 20, method=Method(embedding_rank=4))
