"""The model of one time step, run by ONNX Runtime, against the trained model."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from models import INTENT_WORDS, INTENTS, LABELS, METHODS, classifier, compressed, language_model, lstms
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from doping.inference.bundle.narrowing import narrow
from doping.inference.exporters.onnx import to_onnx, write_onnx
from doping.inference.runtime import runnable
from doping.layers.lstm import CompressedLSTM
from doping.method import Method
from tasks.bundles import to_bundle

BATCH = 3


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(model, name, inputs, state):
    """Outputs of all steps, and the last state; the model sees one step at a time."""
    outputs, engine = [], session(model)
    for step in inputs:
        output, *state = engine.run(None, {name: step, "h": state[0], "c": state[1]})
        outputs.append(output)
    return np.stack(outputs), state


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_an_lstm_a_step_at_a_time(method):
    for lstm in lstms():
        if lstm.bidirectional:
            continue
        trained = compressed(lstm, method).eval()
        x_TBI = torch.randn(7, BATCH, lstm.input_size)
        state = [torch.randn(lstm.num_layers, BATCH, lstm.hidden_size) for _ in range(2)]
        with torch.no_grad():
            expected, (h, c) = trained(x_TBI, tuple(state))
        outputs, last = run(to_onnx(to_bundle(trained)), "x", x_TBI.numpy(), [part.numpy() for part in state])
        np.testing.assert_allclose(outputs, expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(last, np.stack([h.numpy(), c.numpy()]), atol=1e-5)


@pytest.mark.parametrize("method", ["doped_kp/unstructured", "doped_hmd/rows"])
def test_a_language_model_a_step_at_a_time(method, tmp_path):
    trained, vocabulary = language_model(method)
    tokens_TB = torch.arange(24).reshape(8, BATCH) % len(vocabulary)
    with torch.no_grad():
        expected, _ = trained(tokens_TB)
    write_onnx(to_bundle(trained, vocabulary), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    logits, _ = run(model, "token", tokens_TB.numpy(), [np.zeros((2, BATCH, 20), np.float32)] * 2)
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert tuple(json.loads(properties["tokens"])) == vocabulary.tokens


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_a_classifier_reads_a_whole_text(method):
    trained = classifier(method)
    model = to_onnx(to_bundle(trained, INTENT_WORDS, labels=LABELS))
    engine = session(model)
    for text in INTENTS:
        words_T = INTENT_WORDS.encode(text.split()).astype(np.int64)
        with torch.no_grad():
            expected_C = trained(torch.from_numpy(words_T)[:, None], torch.tensor([len(words_T)]))[0]
        np.testing.assert_allclose(engine.run(None, {"words": words_T})[0], expected_C.numpy(), atol=1e-4)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert tuple(json.loads(properties["labels"])) == LABELS
    assert tuple(json.loads(properties["tokens"])) == INTENT_WORDS.tokens


def test_narrow_values_of_a_classifier_are_widened():
    small = narrow(to_bundle(classifier("doped_kp/gates"), INTENT_WORDS, labels=LABELS))
    words_T = INTENT_WORDS.encode(INTENTS[0].split()).astype(np.int64)
    logits_C = session(to_onnx(small)).run(None, {"words": words_T})[0]
    np.testing.assert_allclose(logits_C, runnable(small).forward(words_T), atol=1e-4)


@pytest.mark.parametrize("values", ["int8", "int4"])
@pytest.mark.parametrize("method", ["doped_kp/gates", "doped_kp/tiles", "pruned/n_of_16"])
def test_narrow_values_are_widened(method, values):
    trained, vocabulary = language_model(method)
    small = narrow(to_bundle(trained, vocabulary), values, values)
    tokens_TB = np.arange(24).reshape(8, BATCH) % len(vocabulary)
    logits, _ = run(to_onnx(small), "token", tokens_TB, [np.zeros((2, BATCH, 20), np.float32)] * 2)
    np.testing.assert_allclose(logits, runnable(small).forward(tokens_TB)[0], atol=1e-4)


def test_the_file_stays_small():
    trained = CompressedLSTM.from_lstm(torch.nn.LSTM(200, 200), Method(name="doped_kp", factor=20))
    weight = len(to_onnx(to_bundle(trained)).SerializeToString())
    assert weight < 1.4 * trained.size().bytes + 4 * 800 + 4096


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_an_lstm_in_both_directions_reads_whole_sequences_of_their_lengths(method):
    for lstm in lstms():
        if not lstm.bidirectional:
            continue
        trained = compressed(lstm, method).eval()
        x_TBI, lengths_B = torch.randn(7, BATCH, lstm.input_size), torch.tensor([3, 7, 5])
        with torch.no_grad():
            packed, (h, c) = trained(pack_padded_sequence(x_TBI, lengths_B, enforce_sorted=False))
        inputs = {"x": x_TBI.numpy(), "lengths": lengths_B.numpy().astype(np.int32)}
        found = session(to_onnx(to_bundle(trained))).run(None, inputs)
        for one, other in zip(found, (pad_packed_sequence(packed)[0], h, c), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)
