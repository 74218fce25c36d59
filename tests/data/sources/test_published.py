"""Published corpora: the same tokens from a folder and from the hub, and where they are looked for."""

import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from data.settings import Corpus
from data.sources import hub, published
from data.sources.raw import RawCorpus
from data.text.corpus import load
from doping.errors import DataError

LINES = {"train": ["the cat sat", "", "the <unk> sat"], "validation": ["a cat"], "test": ["the dog sat"]}
TEXTS = ["the cat sat\n\nthe <unk> sat\n", "a cat\n", "the dog sat\n"]
PTB = Corpus(corpus="ptb", level="word")
WIKITEXT2 = Corpus(corpus="wikitext2", level="word")
CORPORA = [(published.PTB, PTB), (published.WIKITEXT2, WIKITEXT2)]

both = pytest.mark.parametrize(("wanted", "corpus"), CORPORA, ids=["ptb", "wikitext2"])


@pytest.fixture(autouse=True)
def no_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "corpora" not in request.fixturenames:
        monkeypatch.delenv("LSTM_DATA", raising=False)


@pytest.fixture
def corpora() -> Path:
    if "LSTM_DATA" not in os.environ:
        pytest.skip("the environment variable LSTM_DATA names no folder of corpora")
    return Path(os.environ["LSTM_DATA"])


@pytest.fixture
def silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def write(folder: Path, wanted: published.Published = published.PTB) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in zip(wanted.files, LINES.values(), strict=True):
        (folder / name).write_text("".join(f" {line} \n" for line in lines))
    return folder


def read(corpus: Corpus) -> RawCorpus:
    return published.read({"ptb": published.PTB, "wikitext2": published.WIKITEXT2}[corpus.corpus], corpus)


def texts(raw: RawCorpus) -> list[str]:
    return [str(text) for text in raw[:3]]


def test_a_folder_is_read(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=f"has md5 [0-9a-f]{{32}}, the usual Penn Treebank {published.PTB.train_md5}"):
        raw = read(Corpus(corpus="ptb", path=str(write(tmp_path))))
    assert (texts(raw), raw.source) == (TEXTS, str(tmp_path))


def test_a_text_of_another_length_is_no_wikitext2(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="has 9 words, the usual WikiText-2 2088628; results do not compare"):
        raw = read(Corpus(corpus="wikitext2", path=str(write(tmp_path, published.WIKITEXT2))))
    assert texts(raw) == TEXTS


@both
@pytest.mark.filterwarnings("ignore:.*the usual")
def test_the_environment_names_a_folder_of_corpora(
    wanted: published.Published, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / wanted.folder, wanted)
    monkeypatch.setenv("LSTM_DATA", str(tmp_path))
    assert read(corpus).source == str(tmp_path / wanted.folder)


@both
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.filterwarnings("ignore:.*the usual")
def test_the_hub_and_its_cache_give_the_same_as_a_folder(
    wanted: published.Published, corpus: Corpus, online: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.load

    asked: list[Any] = []

    def load_dataset(path: str, *, name: str | None, split: list[str], revision: str | None) -> list[Dataset]:
        asked.append((path, name, revision, datasets.config.HF_HUB_OFFLINE))
        # As on the hub: the lines of one corpus come stripped, those of the other with blanks and line ends.
        lines = {"sentence": LINES, "text": {key: [f" {line} \n" for line in part] for key, part in LINES.items()}}
        return [Dataset.from_dict({wanted.hub.column: lines[wanted.hub.column][part]}) for part in split]

    monkeypatch.setattr(datasets.load, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "reachable", lambda url: online)
    raw = read(corpus)
    assert texts(raw) == texts(read(corpus.model_copy(update={"path": str(write(tmp_path, wanted))})))
    assert asked == [(wanted.hub.name, wanted.hub.config, wanted.hub.revision, not online)]
    assert wanted.hub.revision in raw.source
    assert ("on the Hugging Face hub" in raw.source) == online
    assert ("in the cache, as the Hugging Face hub cannot be reached" in raw.source) == (not online)


@pytest.mark.parametrize(
    ("path", "environment", "message"),
    [
        ("missing", None, "missing: no such folder; give one with ptb.train.txt"),
        ("partial", None, "partial: has no ptb.valid.txt and no ptb.test.txt; the Penn Treebank is ptb.train.txt"),
        (None, "missing", "LSTM_DATA is .*missing: no such folder; name one that has ptb/ in it"),
        (None, None, r"neither path nor LSTM_DATA names a folder, and the hub \(ptb-.*\): cannot be reached; put ptb"),
        (None, "partial", r"partial \(LSTM_DATA\) has no ptb/, and the hub \(ptb-.*\): cannot be reached; put ptb"),
    ],
)
def test_a_missing_treebank_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None, environment: str | None, message: str
) -> None:
    import datasets.load

    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "ptb.train.txt").write_text("a\n")
    if environment is not None:
        monkeypatch.setenv("LSTM_DATA", str(tmp_path / environment))
    monkeypatch.setattr(hub, "reachable", lambda url: False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    offline = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(DataError, match=message) as caught:
        read(Corpus(corpus="ptb", path=None if path is None else str(tmp_path / path)))
    assert "\n" not in str(caught.value)
    assert datasets.config.HF_HUB_OFFLINE is offline


def test_an_error_of_the_hub_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.load

    def broken(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("no such data set\nand more")

    monkeypatch.setattr(datasets.load, "load_dataset", broken)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    with pytest.raises(DataError, match=r"hub \(.*\): FileNotFoundError: no such data set; put ptb"):
        read(PTB)


def test_a_server_that_never_answers_does_not_hold_us_up(silent_server: str) -> None:
    began = time.monotonic()
    assert not hub.reachable(silent_server, timeout=0.3)
    assert time.monotonic() - began < 2


def test_a_closed_port_is_not_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert not hub.reachable(url)


def test_the_real_treebank_has_its_known_sizes(corpora: Path) -> None:
    if not (corpora / "ptb").is_dir():
        pytest.skip("the folder in LSTM_DATA has no ptb/")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus = load(PTB)
    assert [len(split) for split in (corpus.train, corpus.validation, corpus.test)] == [929_589, 73_760, 82_430]
    assert len(corpus.vocabulary) == 10_000
    # As it was before texts were read in pieces: results name it, and ids of trials follow from it.
    assert corpus.data_hash == "c855ba42ddbb7b41cef35a99caab5c93efe3cc4ee110ab474afcfa9cf3507400"


def test_the_real_wikitext2_has_its_known_sizes(corpora: Path) -> None:
    folder = corpora / "wikitext2"
    if not folder.is_dir():
        pytest.skip("the folder in LSTM_DATA has no wikitext2/")
    known = {"train": 2_088_628, "valid": 217_646, "test": 245_569}
    words = {path.stem: sum(len(line.split()) + 1 for line in path.open(encoding="utf-8")) for path in folder.glob("*.txt")}
    assert words
    assert words == {name: known[name] for name in words}
