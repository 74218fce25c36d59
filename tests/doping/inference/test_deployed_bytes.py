"""What is deployed weighs in the file, to the byte, what sizes and tables say, and is what training rounds to."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from models import compressed, language_model, lstms

from doping.errors import InferenceError
from doping.families import FAMILIES
from doping.inference.bundle import file
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import narrow
from doping.inference.bundle.weights import matrix
from doping.inference.runtime import runnable
from doping.matrices.sparse import SparsePlan
from doping.method import Method
from doping.patterns import PATTERNS
from doping.sizes import lstm_bytes
from doping.training.rounding import deployed, other_bytes
from tasks.bundles import to_bundle

METHODS = [
    "dense",
    *FAMILIES,
    *(f"{name}/{pattern}" for name in ("pruned", *(f"doped_{family}" for family in FAMILIES)) for pattern in PATTERNS),
]
VALUES = ("float32", "int8", "int4")
OLD = Path(__file__).with_name("old_bundles")


def stored(bundle, values):
    return bundle if values == "float32" else narrow(bundle, values)


def header_of(data):
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def tensor_bytes(data):
    """Bytes of each tensor, as the header of the file says where they are."""
    entries = {name: entry for name, entry in header_of(data).items() if name != "__metadata__"}
    return {name: entry["data_offsets"][1] - entry["data_offsets"][0] for name, entry in entries.items()}


@pytest.mark.exhaustive(keep_every=5)
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("method", METHODS)
def test_the_file_weighs_to_the_byte_what_is_counted(method, values):
    for lstm in lstms():
        model = compressed(lstm, method)
        found = tensor_bytes(file.to_bytes(stored(to_bundle(model), values)))
        weights = sum(size for name, size in found.items() if "bias" not in name)
        assert weights == model.size().bytes_in(values)
        assert sum(found.values()) == lstm_bytes([model], values)


@pytest.mark.parametrize("values", VALUES)
def test_a_hybrid_matrix_with_free_rows_in_every_gate_does_too(values):
    from doping.layers.lstm import CompressedLSTM

    model = CompressedLSTM.from_lstm(torch.nn.LSTM(12, 10), Method(name="hmd", factor=1.5))
    found = tensor_bytes(file.to_bytes(stored(to_bundle(model), values)))
    assert sum(found.values()) == lstm_bytes([model], values)


@pytest.mark.parametrize("values", VALUES)
def test_so_does_the_whole_model(values):
    model, vocabulary = language_model("doped_kp/tiles")
    found = tensor_bytes(file.to_bytes(stored(to_bundle(model, vocabulary), values)))
    assert sum(found.values()) == lstm_bytes([model.lstm], values) + other_bytes(model, values)


@pytest.mark.exhaustive(keep_every=5)
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_read_back_has_the_weights_that_training_rounds_to(method, values):
    model = compressed(next(lstms()), method)
    again = file.from_bytes(file.to_bytes(stored(to_bundle(model), values)))
    with deployed(model, values), torch.no_grad():
        for name, trained in zip(model.matrices, model.weight_matrices(), strict=True):
            read = matrix(again.description.model.lstm, again.tensors, name).dense()
            np.testing.assert_allclose(read, trained.dense().numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", ["dense", "lmf", "kp", "pruned/tiles", "doped_kp/tiles", "doped_lmf/n_of_16"])
@pytest.mark.parametrize("values", ["int8", "int4"])
def test_it_runs_as_the_rounded_model_does(method, values):
    model, vocabulary = language_model(method)
    tokens = torch.arange(12)[:, None] % len(vocabulary)
    run = runnable(file.from_bytes(file.to_bytes(narrow(to_bundle(model, vocabulary), values))))
    with deployed(model, values), torch.no_grad():
        expected, _ = model(tokens, None)
    np.testing.assert_allclose(run.forward(tokens.numpy())[0], expected.numpy(), atol=1e-4)


def test_values_of_4_bits_lie_two_in_a_byte_the_first_in_the_lower_half():
    bundle = narrow(to_bundle(compressed(torch.nn.LSTM(3, 1), "dense")), "int4")
    data = file.to_bytes(bundle)
    entry = header_of(data)["lstm.weight_ih_l0.weight"]
    assert (entry["dtype"], entry["shape"]) == ("U8", [6])
    start = 8 + int.from_bytes(data[:8], "little") + entry["data_offsets"][0]
    values = bundle.tensors["lstm.weight_ih_l0.weight"].astype(int)
    assert list(data[start : start + 6]) == [(low & 15) + 16 * (high & 15) for low, high in values.reshape(6, 2)]


def test_embedding_and_softmax_may_have_4_bits_too():
    model, vocabulary = language_model("kp")
    wide = to_bundle(model, vocabulary)
    sizes = {kind: tensor_bytes(file.to_bytes(narrow(wide, "int4", kind))) for kind in ("int8", "int4")}
    for name, rows in (("embedding", len(vocabulary)), ("softmax.weight", len(vocabulary))):
        assert sizes["int8"][name] == rows * 20
        assert sizes["int4"][name] == rows * 10
        assert sizes["int4"][f"{name}_scale"] == 2 * rows
    again = file.from_bytes(file.to_bytes(narrow(wide, "int4", "int4")))
    scales = again.tensors["embedding_scale"]
    off = again.tensors["embedding"] * scales[:, None] - wide.tensors["embedding"]
    with deployed(model, "int4", "int4"), torch.no_grad():
        np.testing.assert_allclose(again.tensors["embedding"] * scales[:, None], model.embedding.weight.numpy(), rtol=1e-6)
    assert sum(sizes["int4"].values()) == lstm_bytes([model.lstm], "int4") + other_bytes(model, "int4", "int4")
    assert np.sqrt((off**2).mean()) < 0.12 * np.sqrt((wide.tensors["embedding"] ** 2).mean())


@pytest.mark.parametrize("path", sorted(OLD.glob("*.lstm")), ids=lambda path: path.stem)
def test_files_of_older_versions_compute_what_they_did(path):
    bundle = file.read(path)
    x = np.linspace(-1, 1, 5 * bundle.description.model.lstm.input_size).reshape(5, 1, -1).astype(np.float32)
    expected = json.loads((OLD / "expected.json").read_text())[path.stem]
    np.testing.assert_allclose(runnable(bundle).forward(x)[0][-1, 0], expected, atol=2e-5)
    assert runnable(narrow(bundle, "int4")).forward(x)[0].shape == (5, 1, len(expected))


def refusal(bundle, **changes):
    tensors = {**bundle.tensors, **changes}
    with pytest.raises(InferenceError) as caught:
        runnable(file.from_bytes(file.to_bytes(Bundle(bundle.description, tensors))))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_places_that_lead_out_of_a_group_or_come_twice_are_refused():
    model = compressed(torch.nn.LSTM(20, 20), "dense")
    for weight, dense in list(zip(model.matrices, model.weight_matrices(), strict=True)):
        model.matrices[weight] = SparsePlan(dense.shape, 80 * 2 * 5, "n_of_16").fitted(dense.dense())
    bundle = to_bundle(model)
    name = "lstm.weight_ih_l0.sparse."
    assert bundle.tensors[name + "values"].shape == (80 * 2 * 5, 1)
    places, values = bundle.tensors[name + "places"], bundle.tensors[name + "values"]
    assert len(places) == 80 * 2 * 5 // 2
    twice = np.full_like(places, 0x22)
    assert "has values or places beyond the last one" in refusal(bundle, **{name + "places": twice})
    beyond = values.copy()
    beyond[9] = 1.0  # the second group of a row has four columns, so its fifth value is none
    assert "has values or places beyond the last one" in refusal(bundle, **{name + "values": beyond})
    first = places.copy()
    first[0] = 0x00
    assert "columns of a sparse matrix do not ascend" in refusal(bundle, **{name + "places": first})
    last = places.copy()
    last[4] = 5  # column 21 of 20
    assert "a block lies in column 21, but there are 20" in refusal(bundle, **{name + "places": last})


def test_a_half_byte_beyond_the_last_value_is_refused():
    bundle = narrow(to_bundle(compressed(torch.nn.LSTM(5, 5), "lmf")), "int4")
    data = bytearray(file.to_bytes(bundle))
    entry = header_of(data)["lstm.weight_ih_l0.v"]
    at = 8 + int.from_bytes(data[:8], "little") + entry["data_offsets"][1] - 1
    assert entry["data_offsets"][1] - entry["data_offsets"][0] == 8  # of 15 values
    data[at] |= 0x10
    with pytest.raises(InferenceError, match=r"'lstm.weight_ih_l0.v' has a value beyond its last one; the file is damaged"):
        file.from_bytes(file.sealed(bytes(data)))
