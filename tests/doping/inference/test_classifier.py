"""An exported classifier tells what the trained one does, in one file that nothing can be smuggled into."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from models import INTENT_WORDS, INTENTS, LABELS, METHODS, classifier

from doping.errors import InferenceError
from doping.inference import reference
from doping.inference.bundle import description
from doping.inference.bundle.narrowing import narrow_and_measure
from doping.inference.commands.run import main as run
from doping.inference.models.classifier import Classifier
from doping.inference.runtime import load, runnable
from tasks.bundles import export, to_bundle


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS)
def test_probabilities_are_those_of_the_trained_model(method: str, tmp_path: Path) -> None:
    trained = classifier(method)
    export(trained, tmp_path / "model.lstm", INTENT_WORDS, labels=LABELS)
    model = load(tmp_path / "model.lstm")
    assert isinstance(model, Classifier)
    for text in INTENTS:
        words_T1 = torch.from_numpy(INTENT_WORDS.encode(text.split()))[:, None]
        with torch.no_grad():
            expected_C = trained(words_T1, torch.tensor([len(words_T1)]))[0].softmax(-1)
        told = model.classify(text)
        assert [probability for _, probability in told] == sorted((p for _, p in told), reverse=True)
        for label, probability in told:
            assert probability == pytest.approx(float(expected_C[LABELS.index(label)]), abs=1e-4)


def test_the_reference_of_the_fuzz_test_agrees() -> None:
    made = to_bundle(classifier("doped_kp/gates"), INTENT_WORDS, labels=LABELS)
    model = runnable(made)
    assert isinstance(model, Classifier)
    words_T = np.arange(len(INTENT_WORDS))
    np.testing.assert_allclose(model.forward(words_T), reference.class_logits(made, words_T), atol=1e-4)


def test_narrow_values_keep_the_labels() -> None:
    small = narrow_and_measure(to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS))
    assert "the same label for" in small.description.origin["narrowed"]
    model = runnable(small)
    assert isinstance(model, Classifier)
    wide = runnable(to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS))
    assert isinstance(wide, Classifier)
    assert [model.classify(text)[0][0] for text in INTENTS] == [wide.classify(text)[0][0] for text in INTENTS]


@pytest.mark.parametrize("text", ["", " \t\n"])
def test_a_text_without_words_is_refused(text: str) -> None:
    model = runnable(to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS))
    assert isinstance(model, Classifier)
    with pytest.raises(InferenceError, match="the text has no words"):
        model.classify(text)


@pytest.mark.parametrize("words", [[], [[1]], [-1], [len(INTENT_WORDS)], [0.5]])
def test_ids_that_are_no_words_are_refused(words: list[object]) -> None:
    model = runnable(to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS))
    assert isinstance(model, Classifier)
    with pytest.raises(InferenceError, match="expected ids"):
        model.forward(np.array(words))


def test_labels_must_be_those_that_it_learned_and_distinct() -> None:
    with pytest.raises(InferenceError, match="2 labels were given for a classifier that tells 3"):
        to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS[:2])
    with pytest.raises(ValueError, match="a label stands twice"):
        to_bundle(classifier("kp"), INTENT_WORDS, labels=("fare", "fare", "meal"))
    with pytest.raises(InferenceError, match="no vocabulary was given for a model of"):
        to_bundle(classifier("kp"), labels=LABELS)


def test_the_command_classifies_a_text_and_lines_of_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(classifier("kp"), tmp_path / "model.lstm", INTENT_WORDS, labels=LABELS)
    model = load(tmp_path / "model.lstm")
    assert isinstance(model, Classifier)
    best, probability = model.classify(INTENTS[0])[0]
    assert run([str(tmp_path / "model.lstm"), "--classify", INTENTS[0]]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == [f"{probability:.2%}", best]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{text}\n" for text in INTENTS)))
    assert run([str(tmp_path / "model.lstm"), "--classify", "-"]) == 0
    told = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(label, text) for label, _, text in told] == [(model.classify(text)[0][0], text) for text in INTENTS]
    assert run([str(tmp_path / "model.lstm"), "--generate", "The"]) == 2
    assert "holds a classifier, no language model" in capsys.readouterr().err


def test_the_summary_says_what_it_is() -> None:
    made = to_bundle(classifier("kp"), INTENT_WORDS, labels=LABELS)
    first = description.summary(made.description)[0]
    assert first.startswith(f"classifier of texts by 3 labels, {len(INTENT_WORDS)} words, LSTM 2 x 20 in both directions")
