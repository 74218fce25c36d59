"""A loaded model computes what the trained one does, and needs nothing that it was trained with."""

import copy
import math
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from models import METHODS, TEXT, compressed, language_model, lstms
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from data.text.batches import StreamBatches
from doping.errors import InferenceError
from doping.inference.kernels.layer import default_engine
from doping.inference.models.language_model import _choose
from doping.inference.runtime import LanguageModel, Lstm, load, runnable
from doping.vocabulary import tokenize
from tasks.bundles import export, to_bundle

ROOT = Path(__file__).resolve().parents[3]


def loaded(model, vocabulary, folder):
    export(model, folder / "model.lstm", vocabulary)
    again = load(folder / "model.lstm")
    assert isinstance(again, LanguageModel)
    return again


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return loaded(*language_model("doped_kp/gates"), tmp_path_factory.mktemp("model"))


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_outputs_and_state_are_those_of_the_trained_lstm(method, tmp_path):
    for lstm in lstms():
        trained = compressed(lstm, method).eval()
        export(trained, tmp_path / "model.lstm")
        model = load(tmp_path / "model.lstm")
        assert isinstance(model, Lstm)
        states = lstm.num_layers * (1 + lstm.bidirectional)
        for steps, batch in ((1, 1), (9, 1), (19, 3)):
            x_TBI = torch.randn(steps, batch, lstm.input_size)
            state = (torch.randn(states, batch, lstm.hidden_size), torch.randn(states, batch, lstm.hidden_size))
            for given in (None, state):
                with torch.no_grad():
                    expected, (h, c) = trained(x_TBI, given)
                outputs, (last_h, last_c) = model.forward(x_TBI.numpy(), given and tuple(part.numpy() for part in given))
                for ours, theirs in ((outputs, expected), (last_h, h), (last_c, c)):
                    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4)


@pytest.mark.exhaustive(keep_every=5)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", ["character", "word"])
def test_perplexity_is_that_of_the_trained_model_to_four_digits(method, level, tmp_path):
    trained, vocabulary = language_model(method, level)
    ids = torch.from_numpy(vocabulary.encode(tokenize(TEXT, level)))
    with torch.no_grad():
        for batch in StreamBatches(ids, lanes=1, length=100):
            trained.validation_step(batch, 0)
    score = loaded(trained, vocabulary, tmp_path).score(TEXT)
    assert score.tokens == len(ids) - 1
    ours = score.bits if level == "character" else score.perplexity
    assert f"{ours:.4g}" == f"{trained.measured():.4g}"
    assert score.perplexity > 2
    assert math.isclose(2**score.bits, score.perplexity)


@pytest.mark.parametrize("method", METHODS)
def test_logits_are_those_of_the_trained_model(method, tmp_path):
    trained, vocabulary = language_model(method)
    tokens_TB = torch.arange(33).reshape(11, 3) % len(vocabulary)
    with torch.no_grad():
        expected, (h, c) = trained(tokens_TB)
    logits, (last_h, last_c) = loaded(trained, vocabulary, tmp_path).forward(tokens_TB.numpy())
    for ours, theirs in ((logits, expected), (last_h, h), (last_c, c)):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4)


def test_a_sequence_can_be_read_in_pieces(small):
    tokens = np.arange(40)[:, None] % 22
    whole, (h, c) = small.forward(tokens)
    first, state = small.forward(tokens[:13])
    kept = state[0].copy()
    second, (last_h, last_c) = small.forward(tokens[13:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-5)
    np.testing.assert_allclose(last_h, h, atol=1e-5)
    np.testing.assert_allclose(last_c, c, atol=1e-5)
    assert (state[0] == kept).all(), "the state that was given has changed"
    nothing, unchanged = small.forward(tokens[:0], state)
    assert nothing.shape == (0, 1, 22)
    assert (unchanged[0] == kept).all()


def test_unknown_tokens_are_counted(small):
    assert small.score("The cat").unknown == 0
    assert small.score("The cat = 7").unknown == 2


def test_greedy_text_is_what_the_trained_model_would_write(tmp_path):
    trained, vocabulary = language_model("doped_lmf/rows")
    ids = list(vocabulary.encode("The "))
    with torch.no_grad():
        for _ in range(30):
            logits_TBV, _ = trained(torch.tensor(ids)[:, None])
            ids.append(int(logits_TBV[-1, 0].argmax()))
    assert loaded(trained, vocabulary, tmp_path).generate("The ", 30, temperature=0) == vocabulary.decode(ids)


def test_text_repeats_with_its_seed(small):
    texts = [small.generate("The ", 60, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("The ")
    assert len(texts[0].replace("<unk>", "?")) == 64


def test_tokens_are_drawn_from_the_softmax():
    logits_V = np.array([2.0, 0.5, -1.0, 0.0], np.float32)
    random = np.random.default_rng(0)
    for temperature in (0.5, 1.0, 2.0):
        drawn = np.bincount([_choose(logits_V, temperature, random) for _ in range(4000)], minlength=4)
        expected = 4000 * F.softmax(torch.from_numpy(logits_V) / temperature, dim=0).numpy()
        assert (np.abs(drawn - expected) < 5 * np.sqrt(expected) + 1).all()


def test_an_empty_prompt_is_a_line_end(small):
    assert small.generate("", 5, seed=3) == small.generate("\n", 5, seed=3)


def test_a_prompt_of_words_is_an_unfinished_line(tmp_path):
    model = loaded(*language_model("kp", "word"), tmp_path)
    assert model.generate("The cat", 0) == "The cat"
    assert model.generate("The cat\n", 0) == "The cat\n"
    assert len(model.generate("  ", 4, temperature=0).split()) <= 5


def test_mistakes_are_named(small):
    cases = [
        (lambda: small.forward([0, 1]), r"tokens have shape \(2,\) .*; expected whole numbers \(steps, batch\)"),
        (lambda: small.forward([[0.5]]), "type float64; expected whole numbers"),
        (lambda: small.forward([[22]]), "expected ids from 0 to 21"),
        (lambda: small.forward([[-1]]), "expected ids from 0 to 21"),
        (lambda: small.forward([[1]], (np.zeros((1, 1, 20)),) * 2), r"expected \(2, 1, 20\) twice"),
        (lambda: small.lstm.forward(np.zeros((3, 1, 21))), r"expected \(steps, batch, 20\)"),
        (lambda: small.score("T"), "the text has 1 tokens; expected at least 2"),
        (lambda: small.generate("The", -1), "length -1 and temperature 1 were given"),
        (lambda: small.generate("The", 1, temperature=math.nan), "length 1 and temperature nan were given"),
    ]
    for call, message in cases:
        with pytest.raises(InferenceError, match=message):
            call()


def test_the_runtime_needs_no_training_code(tmp_path):
    if default_engine() != "c":
        pytest.skip("without a C compiler the runtime needs PyTorch")
    export(*(lambda model, vocabulary: (model, tmp_path / "model.lstm", vocabulary))(*language_model("doped_kp/gates")))
    script = f"""
import sys
from doping.inference.runtime import load
load({str(tmp_path / "model.lstm")!r}).generate("The ", 5)
heavy = {{"torch", "pytorch_lightning", "optuna", "wandb", "datasets", "scipy", "onnx"}} & set(sys.modules)
ours = ("sweeps", "lightning_modules", "tasks", "data.", "doping.matrices")
training = [name for name in sys.modules if name.startswith(ours)]
assert not heavy, heavy
assert not training, training
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_bundle_in_memory_runs_as_well():
    trained = compressed(next(lstms()), "kp")
    x_TBI = torch.randn(4, 2, 12)
    outputs, _ = runnable(to_bundle(trained)).forward(x_TBI.numpy())
    np.testing.assert_allclose(outputs, trained(x_TBI)[0].detach().numpy(), atol=1e-4)


def total(model, x):
    return float(model.forward(x)[0].sum())


@pytest.mark.parametrize("lengths", [[7, 3, 1], [2, 7, 7]])
def test_a_padded_batch_is_read_to_the_end_of_each_sequence_in_both_directions(lengths):
    for lstm in lstms():
        trained = compressed(lstm, "doped_kp/gates").eval()
        model = runnable(to_bundle(trained))
        x_TBI = torch.randn(7, 3, lstm.input_size)
        with torch.no_grad():
            packed, (h, c) = trained(pack_padded_sequence(x_TBI, lengths, enforce_sorted=False))
        found, (our_h, our_c) = model.forward(x_TBI.numpy(), lengths_B=lengths)
        for ours, theirs in ((found, pad_packed_sequence(packed)[0]), (our_h, h), (our_c, c)):
            np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [([3, 8], "lengths from 3 to 8"), ([0, 7], "from 0 to 7"), ([3], "expected 2 whole numbers"), ([1.0, 2.0], "float64")],
)
def test_impossible_lengths_are_refused(lengths, said):
    lstm = next(lstms())
    with pytest.raises(InferenceError, match=said):
        runnable(to_bundle(compressed(lstm, "kp").eval())).forward(np.zeros((7, 2, lstm.input_size)), lengths_B=lengths)


def test_a_model_is_pickled_and_copied(small):
    lstm = next(lstms())
    alone = runnable(to_bundle(compressed(lstm, "doped_kp/rows").eval()))
    x_TBI = np.random.default_rng(0).standard_normal((5, 2, lstm.input_size)).astype(np.float32)
    expected = total(alone, x_TBI)
    assert total(pickle.loads(pickle.dumps(alone)), x_TBI) == expected
    assert total(copy.deepcopy(alone), x_TBI) == expected
    assert pickle.loads(pickle.dumps(small)).score(TEXT) == small.score(TEXT)


@pytest.mark.exhaustive
def test_a_model_is_sent_to_other_processes():
    lstm = next(lstms())
    alone = runnable(to_bundle(compressed(lstm, "doped_kp/rows").eval()))
    x_TBI = np.random.default_rng(0).standard_normal((5, 2, lstm.input_size)).astype(np.float32)
    expected = total(alone, x_TBI)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(total, alone, x_TBI).result(timeout=300) == expected
