"""The file of a model: what it weighs, that it repeats, and that nothing but itself is taken for it."""

import pickle

import numpy as np
import pytest
import safetensors.numpy
import torch
from models import METHODS, compressed, language_model, lstms

from doping.errors import InferenceError
from doping.inference import from_torch
from doping.inference.bundle import file as bundle
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import narrow
from doping.inference.runtime import load, runnable
from doping.layers.lstm import CompressedLSTM
from doping.method import Method
from tasks.bundles import export, to_bundle


@pytest.fixture(scope="module")
def small():
    return to_bundle(compressed(next(lstms()), "doped_kp/unstructured"))


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_the_file_weighs_what_the_size_says_plus_a_header_and_biases(method, tmp_path):
    for lstm in lstms():
        model = compressed(lstm, method)
        export(model, tmp_path / "model.lstm")
        data = (tmp_path / "model.lstm").read_bytes()
        header = 8 + int.from_bytes(data[:8], "little")
        biases = sum(4 * bias.numel() for bias in model.biases.values()) // 2
        assert len(data) == header + biases + model.size().bytes
        assert header < 2000 + 700 * len(model.matrices)


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_a_narrow_file_weighs_what_its_size_says(method):
    for lstm in lstms():
        model = to_bundle(compressed(lstm, method))
        small = narrow(model)
        data = bundle.to_bytes(small)
        header = 8 + int.from_bytes(data[:8], "little")
        biases = sum(tensor.nbytes for name, tensor in small.tensors.items() if "bias" in name)
        assert len(data) == header + biases + small.description.sizes.bytes
        assert small.description.sizes.values == model.description.sizes.values
        assert small.description.sizes.bytes < model.description.sizes.bytes


def test_narrow_weights_take_little_more_than_a_byte_each():
    model = to_bundle(CompressedLSTM.from_lstm(torch.nn.LSTM(200, 200), Method(name="kp", factor=20)))
    sizes = narrow(model).description.sizes
    assert sizes.values <= sizes.bytes < 1.15 * sizes.values
    doped = to_bundle(CompressedLSTM.from_lstm(torch.nn.LSTM(200, 200), Method(name="doped_kp", factor=20, pattern="gates")))
    assert narrow(doped).description.sizes.bytes < 0.45 * doped.description.sizes.bytes


def test_files_without_narrow_values_are_what_they_were_before_there_were_any(small):
    data = bundle.to_bytes(small)
    assert data.count(b'"version":"1"') == 1
    assert b"float32" not in data[: 8 + int.from_bytes(data[:8], "little")]
    narrow_data = bundle.to_bytes(narrow(small))
    assert narrow_data.count(b'"version":"4"') == 1
    assert bundle.from_bytes(narrow_data).description == narrow(small).description
    for file, right, wrong in ((narrow_data, b"4", b"2"), (data, b"1", b"2")):
        changed = with_metadata(file, b'"version":"' + right, b'"version":"' + wrong)
        assert "does not fit the model that is described" in refusal(changed)


def test_scales_that_lead_beyond_float32_are_refused(small):
    narrowed = narrow(small)
    name = "lstm.weight_hh_l0.sparse.values_scale"
    scales = narrowed.tensors[name].copy()
    scales[0] = 2.0**123
    assert "has scales beyond 2.66e+36" in refusal(resealed(narrowed, **{name: scales}))
    scales[0] = np.nan
    assert "not finite" in refusal(resealed(narrowed, **{name: scales}))


def test_at_a_real_width_the_header_is_nothing():
    model = CompressedLSTM.from_lstm(torch.nn.LSTM(200, 200), Method(name="doped_kp", factor=20))
    size = len(bundle.to_bytes(to_bundle(model)))
    assert size - model.size().bytes - 4 * 800 < 4096
    assert size < 0.12 * 4 * sum(p.numel() for p in torch.nn.LSTM(200, 200).parameters())


def test_what_is_read_is_what_was_written(small, tmp_path):
    bundle.write(small, tmp_path / "model.lstm")
    again = bundle.read(tmp_path / "model.lstm")
    assert again.description == small.description
    assert again.tensors.keys() == small.tensors.keys()
    assert all(np.array_equal(again.tensors[name], tensor) for name, tensor in small.tensors.items())
    assert [path.name for path in tmp_path.iterdir()] == ["model.lstm"]


def test_the_same_model_gives_the_same_bytes():
    first, second = (bundle.to_bytes(to_bundle(compressed(next(lstms()), "doped_hmd/rows"))) for _ in range(2))
    assert first == second


def test_any_reader_of_safetensors_reads_it(small, tmp_path):
    bundle.write(small, tmp_path / "model.lstm")
    tensors = safetensors.numpy.load_file(tmp_path / "model.lstm")
    assert tensors["lstm.weight_ih_l0.b"].dtype == np.float32
    assert tensors["lstm.weight_ih_l0.sparse.columns"].dtype == np.uint16
    assert tensors["lstm.weight_ih_l0.sparse.offsets"].tolist()[-1] == len(tensors["lstm.weight_ih_l0.sparse.values"])


def test_the_vocabulary_and_the_origin_travel_along():
    model, vocabulary = language_model("kp")
    described = to_bundle(model, vocabulary, origin={"trial": "0123456789ab"}).description
    assert described.model.tokens == vocabulary.tokens
    assert described.origin["trial"] == "0123456789ab"
    assert {"commit", "versions"} < set(described.origin)


def test_a_model_that_cannot_be_exported_is_refused(tmp_path):
    model, vocabulary = language_model("pruned/unstructured")
    with pytest.raises(InferenceError, match="no vocabulary was given for a model of 22 tokens"):
        to_bundle(model)
    with pytest.raises(InferenceError, match=r"a bundle holds a CompressedLSTM, not a Sequential; doping.to_onnx and"):
        from_torch.to_bundle(torch.nn.Sequential())
    diverged = compressed(next(lstms()), "lmf")
    with torch.no_grad():
        next(diverged.parameters())[0, 0] = torch.inf
    with pytest.raises(InferenceError, match="values that are not finite; export a model that has not diverged"):
        to_bundle(diverged)
    with pytest.raises(InferenceError, match=r"cannot write .*nowhere.*No such file or directory; give another path"):
        bundle.write(to_bundle(model, vocabulary), tmp_path / "nowhere" / "model.lstm")


def refusal(data):
    with pytest.raises(InferenceError) as caught:
        runnable(bundle.from_bytes(data))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def resealed(small, **tensors):
    """The bundle with other tensors in place of some, and the checksum that belongs to them."""
    return bundle.to_bytes(Bundle(small.description, {**small.tensors, **tensors}))


def with_metadata(data, old, new):
    """The file with a text of the header replaced by another of the same length."""
    assert data.count(old) == 1
    assert len(old) == len(new)
    return bundle.sealed(data.replace(old, new))


def test_foreign_files_are_refused():
    foreign = safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"})
    assert refusal(b"").startswith("no safetensors file")
    assert refusal(b"# A text\n" * 100).startswith("no safetensors file")
    assert refusal(pickle.dumps({"a": 1})).startswith("no safetensors file")
    assert refusal(foreign).startswith("a safetensors file, but no bundle of this project")
    assert refusal(safetensors.numpy.save({"a": np.zeros(3)})).startswith(
        "the header is no safetensors header with metadata"
    )
    assert refusal((1 << 20).to_bytes(8, "little") + b'{"a":' * (1 << 20)).startswith("the header is no")
    assert "only 92 are there" in refusal(b"\xff" * 8 + b"{" * 92)


def test_a_newer_format_asks_for_an_update(small):
    newer = with_metadata(bundle.to_bytes(small), b'"version":"1"', b'"version":"6"')
    assert refusal(newer) == (
        "format version '6', but this runtime reads 1 to 5; it was written by a newer version of this project; update, or "
        "export the model again"
    )


def test_every_single_altered_byte_is_noticed(small):
    data = bundle.to_bytes(small)
    for place in range(0, len(data), 7):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        refusal(bytes(altered))


def test_every_truncation_and_extension_is_noticed(small):
    data = bundle.to_bytes(small)
    for length in range(0, len(data), 11):
        refusal(data[:length])
    refusal(data + b"\0")
    refusal(bundle.sealed(data + b"\0\0\0\0"))


def test_numbers_that_would_lead_astray_are_refused_even_with_the_right_checksum(small):
    name = "lstm.weight_hh_l0.sparse"
    columns, offsets, values = (small.tensors[f"{name}.{part}"].copy() for part in ("columns", "offsets", "values"))
    columns[3] = 10
    assert "a block lies in column 10, but there are 10" in refusal(resealed(small, **{f"{name}.columns": columns}))
    offsets[1] = offsets[-1] + 1
    assert "offsets must rise from 0 to" in refusal(resealed(small, **{f"{name}.offsets": offsets}))
    values[0] = np.nan
    assert "values that are not finite" in refusal(resealed(small, **{f"{name}.values": values}))
    twice = small.tensors[f"{name}.columns"].copy()
    row = int(np.flatnonzero(np.diff(small.tensors[f"{name}.offsets"].astype(int)) > 1)[0])
    start = small.tensors[f"{name}.offsets"][row]
    twice[start + 1] = twice[start]
    assert "columns of a sparse matrix do not ascend" in refusal(resealed(small, **{f"{name}.columns": twice}))


def test_values_beyond_the_last_row_are_refused():
    lstm = torch.nn.LSTM(6, 5)
    with torch.no_grad():
        lstm.weight_ih_l0[16:] = 5  # so that blocks of the last rows are kept
    odd = to_bundle(compressed(lstm, "pruned/rows"))
    name = "lstm.weight_ih_l0.sparse.values"
    values = odd.tensors[name].copy()
    values[-1, -1] = 1
    assert "a sparse matrix of 20 rows has values beyond the last one" in refusal(resealed(odd, **{name: values}))


def test_a_description_that_does_not_fit_the_tensors_is_refused(small):
    data = bundle.to_bytes(to_bundle(compressed(next(lstms()), "pruned/gates")))
    described = rb"\"hidden_size\":10"
    assert "described as U32 (13,)" in refusal(with_metadata(data, described, rb"\"hidden_size\":12"))
    assert "the description is not valid, model.lstm" in refusal(with_metadata(data, described, rb"\"hidden_size\":-1"))
    assert "the description is not valid" in refusal(with_metadata(data, described, rb"\"hidden_units\":1"))
    renamed = with_metadata(data, b'"lstm.bias_l0"', b'"lstm.bias_l1"')
    assert "the tensor 'lstm.bias_l0' is missing" in refusal(renamed)


def test_a_path_without_a_bundle_is_one_line(tmp_path):
    with pytest.raises(InferenceError, match=r"cannot read .*: No such file or directory; expected a bundle"):
        load(tmp_path / "missing.lstm")
    (tmp_path / "text").write_text("hello world, this is a text")
    with pytest.raises(InferenceError, match=r"text: no safetensors file; expected a bundle"):
        load(tmp_path / "text")
