"""A model whose embedding and softmax are of low rank: the file, the runtime and every export compute U V."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from c_code.sources import NAME, SANITIZED, builder, differences
from models import INTENT_WORDS, LABELS, classifier, language_model

from doping.errors import InferenceError
from doping.inference.bundle import file
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import narrow
from doping.inference.bundle.weights import cells, table
from doping.inference.exporters.c import write_c
from doping.inference.exporters.onnx import to_onnx
from doping.inference.kernels import Dense
from doping.inference.kernels.int8 import Int8Layer, Int8Model, Int8Steps, available
from doping.inference.reference import class_logits
from doping.inference.reference import logits as reference_logits
from doping.inference.runtime import runnable
from doping.sizes import lstm_bytes
from doping.training.rounding import deployed, other_bytes
from tasks.bundles import to_bundle

RANK = 4
PRECISIONS = [("float32", None), ("int8", "int8"), ("int4", "int8"), ("int4", "int4")]
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    return builder(tmp_path_factory)


@pytest.fixture(scope="module")
def trained():
    return language_model("pruned/tiles", embedding_rank=RANK)


@pytest.fixture(scope="module")
def bundle(trained):
    return to_bundle(*trained)


@pytest.fixture(scope="module")
def texts():
    return to_bundle(classifier("lmf", embedding_rank=RANK), INTENT_WORDS, labels=LABELS)


def stored(bundle, values, embedding_values):
    return bundle if values == "float32" else narrow(bundle, values, embedding_values)


def through_a_file(bundle):
    return file.from_bytes(file.to_bytes(bundle))


def of_full_rank(bundle):
    """The same model with U V written out."""
    tensors, names = dict(bundle.tensors), {name.rpartition(".")[0] for name in bundle.tensors if name.endswith(".u")}
    for name in names & {"embedding", "softmax.weight"}:
        tensors[name] = tensors.pop(f"{name}.u") @ tensors.pop(f"{name}.v")
    model = bundle.description.model.model_copy(update={"embedding_rank": None})
    return Bundle(bundle.description.model_copy(update={"model": model}), tensors)


@pytest.mark.parametrize(("values", "embedding_values"), PRECISIONS)
def test_the_file_weighs_to_the_byte_what_is_counted(trained, bundle, values, embedding_values):
    model, vocabulary = trained
    data = file.to_bytes(stored(bundle, values, embedding_values))
    entries = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    spans = {name: entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"}
    found = {name: end - start for name, (start, end) in spans.items()}
    assert sum(found.values()) == lstm_bytes([model.lstm], values) + other_bytes(model, values, embedding_values)
    bits = {None: 32, "int8": 8, "int4": 4}[embedding_values]
    assert found["embedding.u"] == found["softmax.weight.u"] == len(vocabulary) * RANK * bits // 8
    assert found["embedding.v"] == found["softmax.weight.v"] == RANK * 20 * bits // 8
    if embedding_values:
        assert found["embedding.u_scale"] == 2 * len(vocabulary)
        assert found["embedding.v_scale"] == 2 * RANK


@pytest.mark.parametrize(("values", "embedding_values"), PRECISIONS)
def test_it_computes_what_the_trained_model_does(trained, bundle, values, embedding_values):
    model, vocabulary = trained
    tokens = torch.arange(12)[:, None] % len(vocabulary)
    read = through_a_file(stored(bundle, values, embedding_values))
    with deployed(model, values, embedding_values), torch.no_grad():
        expected = model(tokens)[0].numpy()
    np.testing.assert_allclose(runnable(read).forward(tokens.numpy())[0], expected, atol=1e-4)
    np.testing.assert_allclose(reference_logits(read, tokens.numpy()), expected, atol=1e-4)


def test_it_writes_and_scores_as_the_same_model_written_out(bundle):
    low, full = runnable(bundle), runnable(of_full_rank(bundle))
    text = full.generate("The ", 60, temperature=0.0)
    assert low.generate("The ", 60, temperature=0.0) == text
    assert low.score(text).nats == pytest.approx(full.score(text).nats, rel=1e-5)


def test_a_classifier_has_such_an_embedding_and_a_softmax_of_full_rank(texts):
    assert {name for name in texts.tensors if not name.startswith("lstm")} == {
        "embedding.u", "embedding.v", "attention", "softmax.weight", "softmax.bias"
    }  # fmt: skip
    for values in ("float32", "int8", "int4"):
        read = through_a_file(stored(texts, values, "int8"))
        words = np.arange(5) % len(INTENT_WORDS)
        np.testing.assert_allclose(runnable(read).forward(words), class_logits(read, words), atol=1e-4)


def test_only_such_files_have_the_new_version(bundle):
    assert b'"version":"5"' in file.to_bytes(bundle)
    assert b'"version":"5"' in file.to_bytes(narrow(bundle, "int4", "int4"))
    assert b'"version":"5"' not in file.to_bytes(of_full_rank(bundle))
    assert b"embedding_rank" not in file.to_bytes(of_full_rank(bundle))


@pytest.mark.parametrize("values", ["float32", "int8", "int4"])
def test_an_onnx_model_computes_the_same_and_keeps_the_factors(bundle, values):
    onnxruntime = pytest.importorskip("onnxruntime")
    read = stored(bundle, values, values)
    model = to_onnx(read)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens, state = np.arange(3), np.zeros((2, 3, 20), np.float32)
    (logits,) = session.run(["logits"], {"token": tokens, "h": state, "c": state})
    np.testing.assert_allclose(logits, reference_logits(read, tokens[None])[0], atol=1e-4)
    words = len(read.description.model.tokens)
    assert (words, 20) not in {tuple(constant.dims) for constant in model.graph.initializer}


def test_an_onnx_classifier_computes_the_same(texts):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(to_onnx(texts).SerializeToString(), providers=["CPUExecutionProvider"])
    words = np.array([3, 1, 2])
    np.testing.assert_allclose(session.run(["logits"], {"words": words})[0], class_logits(texts, words), atol=1e-4)


@needs_gcc
@pytest.mark.parametrize("values", ["float32", "int8", "int4"])
def test_c_sources_compute_the_same_and_stay_within_their_memory(bundle, values, make, tmp_path):
    write_c(stored(bundle, values, values if values != "float32" else "int8"), tmp_path, name=NAME)
    found = differences(make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH="))
    assert len(found) == 2
    assert max(found) < 1e-4


@needs_gcc
@pytest.mark.parametrize("values", ["float32", "int4"])
def test_c_sources_of_a_classifier_too(texts, values, make, tmp_path):
    write_c(stored(texts, values, "int8"), tmp_path, name=NAME)
    (difference,) = differences(make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH="))
    assert difference < 1e-4


@needs_gcc
@pytest.mark.parametrize("kind", ["language model", "classifier"])
@pytest.mark.parametrize("weights", ["text", "binary"])
def test_c_sources_in_int8_arithmetic_give_the_numbers_of_python(bundle, texts, kind, weights, make, tmp_path):
    chosen = narrow(bundle if kind == "language model" else texts, "int4", "int4")
    write_c(chosen, tmp_path, name=NAME, weights=weights, arithmetic="int8")
    assert max(differences(make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH="))) < 1e-5


@needs_gcc
def test_in_int8_arithmetic_every_instruction_set_reads_and_writes_the_same(bundle):
    narrowed = narrow(bundle, "int4", "int4")
    ids, expected = np.arange(13) % 20, {}
    for name in available():
        layers = [Int8Layer(cell.input, cell.recurrent, cell.bias, instruction_set=name) for cell in cells(narrowed)]
        tables = [table(narrowed.tensors, part) for part in ("embedding", "softmax.weight")]
        model = Int8Model(Int8Steps(layers, name), *tables, narrowed.tensors["softmax.bias"])
        found = model.score(ids), model.generate(ids, 20, 1.0, seed=3).tolist()
        assert found == expected.setdefault("any", found)
    # Rounding inputs and states to 8 bits moves a text's likelihood by little.
    wide = -reference_log_probability(narrowed, ids)
    assert expected["any"][0] == pytest.approx(wide, rel=0.05)
    assert runnable(narrowed, arithmetic="int8").generate("The ", 30, 0.0).startswith("The ")


def reference_log_probability(bundle, ids):
    logits = reference_logits(bundle, ids[:-1, None])[:, 0]
    shifted = logits - logits.max(axis=1, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))[np.arange(len(ids) - 1), ids[1:]].sum()


def test_an_embedding_in_float32_has_no_model_in_c(bundle):
    layers = [Int8Layer(cell.input, cell.recurrent, cell.bias) for cell in cells(narrow(bundle))]
    tables = [table(bundle.tensors, part) for part in ("embedding", "softmax.weight")]
    with pytest.raises(ValueError, match="a matrix of float32 values has no product in int8; round it first"):
        Int8Model(Int8Steps(layers), *tables, bundle.tensors["softmax.bias"])


def described(bundle, **changes):
    model = bundle.description.model.model_copy(update=changes)
    return replace(bundle, description=bundle.description.model_copy(update={"model": model}))


def altered(data, change):
    """A file with another description, and the right checksum."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    content = json.loads(header["__metadata__"]["description"])
    change(content["model"])
    header["__metadata__"]["description"] = json.dumps(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return file.sealed(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        (RANK + 1, r"the tensor 'embedding.u' has type F32 and shape \(\d+, 4\), described as F32 \(\d+, 5\)"),
        (0, "the description is not valid, .*embedding_rank: Input should be greater than or equal to 1"),
        (1 << 40, "the description is not valid, .*embedding_rank: Input should be less than or equal to"),
        ("4", "the description is not valid, .*embedding_rank: Input should be a valid integer"),
        (None, "format version 5 does not fit the model that is described"),
    ],
)
def test_a_rank_that_is_not_that_of_the_factors_is_refused_in_a_line(bundle, rank, message):
    data = altered(file.to_bytes(bundle), lambda model: model.update(embedding_rank=rank))
    with pytest.raises(InferenceError, match=message) as caught:
        file.from_bytes(data)
    assert "\n" not in str(caught.value)


def test_factors_that_are_not_finite_are_refused(bundle):
    broken = bundle.tensors["softmax.weight.v"].copy()
    broken[1, 2] = np.inf
    altered_bundle = Bundle(bundle.description, {**bundle.tensors, "softmax.weight.v": broken})
    with pytest.raises(InferenceError, match=r"'softmax\.weight\.v' has values that are not finite"):
        runnable(through_a_file(altered_bundle))


def test_a_model_of_full_rank_keeps_its_tables(bundle):
    full = of_full_rank(bundle)
    assert isinstance(table(full.tensors, "embedding"), Dense)
    np.testing.assert_allclose(
        table(full.tensors, "embedding").dense(), table(bundle.tensors, "embedding").dense(), rtol=1e-6
    )
