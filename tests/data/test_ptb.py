import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data import hub, ptb
from data.corpus import load
from data.errors import DataError
from data.settings import Corpus

LINES = {"train": ["the cat sat", "the <unk> sat"], "validation": ["a cat"], "test": ["the dog sat"]}
PTB = Corpus(corpus="ptb", level="word")


@pytest.fixture(autouse=True)
def no_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "treebank" not in request.fixturenames:
        monkeypatch.delenv("LSTM_DATA", raising=False)


@pytest.fixture
def treebank() -> Corpus:
    folder = Path(os.environ.get("LSTM_DATA", "")) / "ptb"
    if "LSTM_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("the environment variable LSTM_DATA names no folder with ptb/ in it")
    return PTB


@pytest.fixture
def silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in zip(ptb.FILES, LINES.values(), strict=True):
        (folder / name).write_text("".join(f" {line} \n" for line in lines))
    return folder


def test_a_folder_is_read(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=f"has md5 [0-9a-f]{{32}}, the usual Penn Treebank {ptb.TRAIN_MD5}"):
        raw = ptb.read(Corpus(corpus="ptb", path=str(write(tmp_path))))
    assert raw == ("the cat sat\nthe <unk> sat\n", "a cat\n", "the dog sat\n", str(tmp_path))


@pytest.mark.filterwarnings("ignore:.*has md5")
def test_the_environment_names_a_folder_of_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "ptb")
    monkeypatch.setenv("LSTM_DATA", str(tmp_path))
    assert ptb.read(PTB).source == str(tmp_path / "ptb")


@pytest.mark.filterwarnings("ignore:.*has md5")
def test_the_hub_gives_the_same_as_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.load

    asked: list[Any] = []

    def load_dataset(name: str, revision: str) -> dict[str, dict[str, list[str]]]:
        asked.append((name, revision))
        return {split: {"sentence": lines} for split, lines in LINES.items()}

    monkeypatch.setattr(datasets.load, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    from_hub = ptb.read(PTB)
    assert asked == [("ptb-text-only/ptb_text_only", "refs/convert/parquet")]
    assert from_hub[:3] == ptb.read(Corpus(corpus="ptb", path=str(write(tmp_path))))[:3]
    assert "hub" in from_hub.source


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
        ptb.read(Corpus(corpus="ptb", path=None if path is None else str(tmp_path / path)))
    assert "\n" not in str(caught.value)
    assert datasets.config.HF_HUB_OFFLINE is offline


def test_an_error_of_the_hub_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.load

    def broken(name: str, revision: str) -> None:
        raise FileNotFoundError("no such data set\nand more")

    monkeypatch.setattr(datasets.load, "load_dataset", broken)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    with pytest.raises(DataError, match=r"hub \(.*\): FileNotFoundError: no such data set; put ptb"):
        ptb.read(PTB)


def test_a_server_that_never_answers_does_not_hold_us_up(silent_server: str) -> None:
    began = time.monotonic()
    assert not hub.reachable(silent_server, timeout=0.3)
    assert time.monotonic() - began < 2


def test_a_closed_port_is_not_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert not hub.reachable(url)


def test_the_real_one_has_its_known_sizes(treebank: Corpus) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus = load(treebank)
    assert len(corpus.train) == 929_589
    assert len(corpus.validation) == 73_760
    assert len(corpus.test) == 82_430
    assert len(corpus.vocabulary) == 10_000
