"""Bundles in int8 arithmetic: near the same model in float32, texts in C, and refused where there is no such product."""

from types import SimpleNamespace

import numpy as np
import pytest
from models import INTENT_WORDS, LABELS, TEXT, classifier, compressed, language_model, lstms

from doping.errors import InferenceError
from doping.inference.bundle.narrowing import narrow
from doping.inference.commands.run import main
from doping.inference.kernels.int8 import available, native
from doping.inference.kernels.int8.native import kernels
from doping.inference.runtime import runnable
from tasks.bundles import export, to_bundle

METHODS = ("dense", "lmf", "hmd", "kp")


@pytest.mark.parametrize("method", METHODS)
def test_outputs_are_near_those_in_float32_for_every_kind_of_lstm(method):
    for lstm in lstms():
        bundle = to_bundle(compressed(lstm, method).eval())
        x = np.random.default_rng(0).normal(size=(12, 3, lstm.input_size)).astype(np.float32)
        for stored in (bundle, narrow(bundle)):
            found, state = runnable(stored, arithmetic="int8").forward(x)
            expected, expected_state = runnable(stored).forward(x)
            assert np.abs(found - expected).max() < 0.1
            assert all(np.abs(part - right).mean() < 0.02 for part, right in zip(state, expected_state, strict=True))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", ["character", "word"])
def test_a_language_model_scores_and_writes_as_it_does_in_float32_or_nearly(method, level, monkeypatch):
    bundle = to_bundle(*language_model(method, level))
    model, plain = runnable(bundle, arithmetic="int8"), runnable(bundle)
    found, expected = model.score(TEXT), plain.score(TEXT)
    assert (found.tokens, found.unknown) == (expected.tokens, expected.unknown)
    assert found.nats == pytest.approx(expected.nats, rel=0.01)
    text = model.generate("The ", 50, 0.8, seed=3)
    assert text == model.generate("The ", 50, 0.8, seed=3) != model.generate("The ", 50, 0.8, seed=4)
    monkeypatch.setenv("LSTM_DOPING_INSTRUCTIONS", available()[-1])
    again = runnable(bundle, arithmetic="int8")
    assert (again.generate("The ", 50, 0.8, seed=3), again.score(TEXT)) == (text, found)


def test_a_classifier_in_int8_is_near_the_one_in_float32():
    bundle = to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS)
    words = np.array([0, 3, 2, 1, 4])
    found, expected = (runnable(bundle, arithmetic=kind).forward(words) for kind in ("int8", "float32"))
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())


def test_what_has_no_product_in_int8_is_refused_in_one_line(tmp_path, capsys):
    export(language_model("doped_kp/gates")[0], tmp_path / "model.lstm", language_model("doped_kp/gates")[1])
    assert main([str(tmp_path / "model.lstm"), "--arithmetic", "int8", "--generate", "x"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "int8 arithmetic: S has the pattern 'gates', which has no product in int8; expected tiles, or float32" in said
    bundle = to_bundle(*language_model("kp"))
    with pytest.raises(InferenceError, match="threads is 2; int8 arithmetic runs on 1"):
        runnable(bundle, threads=2, arithmetic="int8")


def test_a_processor_without_the_instructions_takes_plain_c_and_says_so_once(monkeypatch, capfd):
    here, library = kernels()
    none_but_plain = SimpleNamespace(int8_choose=lambda name: library.int8_choose(b"plain"))
    monkeypatch.delenv("LSTM_DOPING_INSTRUCTIONS", raising=False)
    monkeypatch.setattr(native, "kernels", lambda: (here, none_but_plain))
    native._instructions.cache_clear()
    try:
        assert [here.string(native.instructions().name) for _ in range(3)] == [b"plain"] * 3
        assert capfd.readouterr().err.count("computing in plain C, slower") == 1
    finally:
        native._instructions.cache_clear()


def test_an_instruction_set_that_is_not_there_is_one_line(tmp_path, capsys, monkeypatch):
    trained, vocabulary = language_model("kp")
    export(trained, tmp_path / "model.lstm", vocabulary)
    monkeypatch.setenv("LSTM_DOPING_INSTRUCTIONS", "abacus")
    assert main([str(tmp_path / "model.lstm"), "--arithmetic", "int8", "--score", __file__]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "instruction set 'abacus': there is none of that name; expected one of " in said
