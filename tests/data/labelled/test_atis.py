"""ATIS is read as its files are written, and a line that is not so is named."""

import os
from collections import Counter
from pathlib import Path

import pytest

from data.labelled import atis
from data.labelled.corpus import load
from data.labelled.texts import Labelled
from data.settings import LabelledText
from doping.errors import DataError

TRAIN = [
    "BOS flights to denver EOS\tO O O B-toloc.city_name atis_flight",
    "BOS fares and flights EOS\t O O O O atis_airfare#atis_flight",
]
VALIDATION = ["BOS a fare EOS\tO O O atis_airfare"]
TEST = ["BOS meals EOS\tO O atis_meal"]


@pytest.fixture(autouse=True)
def no_folder(request, monkeypatch):
    if "real" not in request.fixturenames:
        monkeypatch.delenv("LSTM_DATA", raising=False)


@pytest.fixture
def real():
    if not (Path(os.environ.get("LSTM_DATA", "")) / "atis").is_dir() or "LSTM_DATA" not in os.environ:
        pytest.skip("the environment variable LSTM_DATA names no folder with atis/ in it")


def write(folder: Path, **files: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name.replace('_', '.').replace('atis2', 'atis-2')}.w-intent.iob").write_text("\n".join(lines) + "\n")
    return folder


def read(folder: Path):
    return atis.read(LabelledText(path=str(folder)))


def test_words_and_intents_are_read(tmp_path):
    splits = read(write(tmp_path, atis2_train=TRAIN, atis2_dev=VALIDATION, atis_test=TEST))
    assert splits.train == [
        Labelled(("flights", "to", "denver"), ("atis_flight",)),
        Labelled(("fares", "and", "flights"), ("atis_airfare", "atis_flight")),
    ]
    assert splits.validation == [Labelled(("a", "fare"), ("atis_airfare",))]
    assert splits.test == [Labelled(("meals",), ("atis_meal",))]
    assert splits.source == str(tmp_path)


def test_every_tenth_utterance_validates_where_there_is_no_other_split(tmp_path):
    utterances = [f"BOS number {n} EOS\tO O O atis_flight" for n in range(25)]
    splits = read(write(tmp_path, atis_train=utterances, atis_test=TEST))
    assert [utterance.words[1] for utterance in splits.validation] == ["9", "19"]
    assert len(splits.train) == 23
    assert "every tenth utterance of atis.train.w-intent.iob to validate" in splits.source


def test_the_environment_names_a_folder_of_corpora(tmp_path, monkeypatch):
    write(tmp_path / "atis", atis2_train=TRAIN, atis2_dev=VALIDATION, atis_test=TEST)
    monkeypatch.setenv("LSTM_DATA", str(tmp_path))
    assert atis.read(LabelledText()).source == str(tmp_path / "atis")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("BOS flights EOS O O atis_flight", "0 tabs, expected one"),
        ("BOS flights EOS\tO O\tatis_flight", "2 tabs, expected one"),
        ("", "0 tabs, expected one"),
        ("flights EOS\tO atis_flight", "'flights EOS' is not BOS, words, EOS"),
        ("BOS EOS\tO atis_flight", "'BOS EOS' is not BOS, words, EOS"),
        ("BOS flights EOS\tO O", "1 words, and 2 slots with the intent"),
        ("BOS flights to EOS\tO O atis_flight", "2 words, and 3 slots with the intent"),
        ("BOS flights EOS\tO O B-city", "'B-city' is no intent"),
        ("BOS flights EOS\tO O atis_flight#", "'atis_flight#' is no intent"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    write(tmp_path, atis2_train=[*TRAIN, line], atis2_dev=VALIDATION, atis_test=TEST)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert f"atis-2.train.w-intent.iob, line 3: {message}; a line is BOS" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_corpus_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"no ATIS: neither path nor LSTM_DATA .* put atis-2.train.w-intent.iob"):
        atis.read(LabelledText())
    with pytest.raises(DataError, match=r"has atis.test.w-intent.iob; expected atis-2.train"):
        read(write(tmp_path, atis_test=TEST))


def test_the_real_one_has_its_known_sizes(real):
    corpus = load(LabelledText())
    assert [len(split) for split in (corpus.train, corpus.validation, corpus.test)] == [4478, 500, 893]
    assert len(corpus.vocabulary) == 867 + 1
    assert corpus.classes == 17
    assert corpus.labels[17:] == ("atis_day_name",)
    several = Counter(len(example.labels) for example in corpus.test)
    assert several == {1: 878, 2: 15}
