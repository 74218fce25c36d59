"""Rounding to what is deployed, against float64 in NumPy and plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references.matrices import plan_near

from doping.layers.lstm import CompressedLSTM
from doping.matrices import Sparse
from doping.method import Method
from doping.sizes import lstm_bytes
from doping.training.rounding import deployed, lstm_weights, other_bytes, rounded, row_scales

some = settings(max_examples=25, deadline=None)


def short(number):
    """The bfloat16 at or just above a positive float32."""
    bits = int(np.float32(number).view(np.uint32))
    return np.uint32((bits + 0xFFFF) & 0xFFFF0000).view(np.float32)


@some
@given(rows=st.integers(1, 6), columns=st.integers(1, 40), bits=st.sampled_from([8, 4]), seed=st.integers(0, 999))
def test_every_row_is_rounded_by_a_scale_of_its_own(rows, columns, bits, seed):
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    weight[0] = 0
    found = rounded(weight, row_scales(weight, bits), bits)
    most = {8: 127, 4: 7}[bits]
    for row, values in zip(weight.numpy().astype(np.float64), found.numpy().astype(np.float64), strict=True):
        tried = []
        for share in [1.0] if bits == 8 else np.linspace(0.5, 1, 21):
            scale = float(short(np.float32(share) * np.abs(row.astype(np.float32)).max() / np.float32(most))) or 1.0
            tried.append(scale * np.clip(np.rint(row / scale), -most, most))
        errors = [((one - row) ** 2).sum() for one in tried]
        assert ((values - row) ** 2).sum() == pytest.approx(min(errors), rel=1e-3, abs=1e-9)
        # A bfloat16 has 8 bits of precision: the step is at most 1/128 more than that of the largest magnitude.
        if bits == 8:
            assert np.abs(values - row).max() <= 0.5 * np.abs(row).max() / 127 * (1 + 1 / 127) + 1e-12


def test_terms_of_kronecker_products_share_their_scales():
    weight = torch.randn(3, 4, 5)
    scales = row_scales(weight, 8)
    assert scales.shape == (4, 1)
    largest = weight.abs().amax((0, 2)) / 127
    assert torch.all(scales[:, 0] >= largest)
    assert torch.all(scales[:, 0] <= largest * (1 + 1 / 127))


@pytest.mark.parametrize(
    ("name", "int4"),
    [("dense", {"weight": 4}), ("lmf", {"u": 4, "v": 4}), ("hmd", {"a": 4}), ("kp", {"b": 8, "c": 4}),
     ("doped_kp", {"structured.b": 8, "structured.c": 4, "sparse.weight": 4})],
)  # fmt: skip
def test_which_parameters_are_rounded(name, int4):
    matrix = plan_near(name, (40, 20), 4).initialized(1.0)
    found = {place.removeprefix("."): bits for place, _, bits in lstm_weights(matrix, "int4")}
    assert found == int4
    assert {bits for _, _, bits in lstm_weights(matrix, "int8")} == {8}


def small(method):
    torch.manual_seed(0)
    return torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(30, 20),
            "lstm": CompressedLSTM(20, 20, method=method),
            "out": torch.nn.Linear(20, 3),
        }
    )


def test_within_the_context_all_weights_are_rounded_and_after_it_they_are_as_before():
    model = small(Method(name="pruned", factor=1600 / 384, pattern="tiles"))
    for module in model.modules():
        if isinstance(module, Sparse):
            module.prune(module.planned_nonzeros)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with deployed(model, "int4"):
        for name, weight in model.named_parameters():
            # So many numbers each row can have: 15 of int4, 255 of int8; biases keep theirs.
            if weight.dim() == 2:
                largest = max(len(row.unique()) for row in weight)
                assert largest <= (15 if name.startswith("lstm") else 255), name
                assert not torch.equal(weight, before[name])
            else:
                assert torch.equal(weight, before[name])
        # Zeros of pruning stay zeros.
        sparse = model["lstm"].matrices["weight_hh_l0"]
        assert not sparse.weight[~sparse.mask].any()
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_the_bytes_of_a_whole_model():
    model = small(Method())
    rows, values = 80, 80 * 20 * 2
    lstm = [model["lstm"]]
    assert lstm_bytes(lstm, "float32") == 4 * values + 4 * rows
    assert lstm_bytes(lstm, "int8") == values + 2 * rows * 2 + 4 * rows
    assert lstm_bytes(lstm, "int4") == values // 2 + 2 * rows * 2 + 4 * rows
    assert other_bytes(model, "float32") == 4 * (30 * 20 + 3 * 20 + 3)
    assert other_bytes(model, "int4") == other_bytes(model, "int8") == 30 * 20 + 2 * 30 + 3 * 20 + 2 * 3 + 4 * 3
