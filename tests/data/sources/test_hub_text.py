"""Any text data set of the hub by its name; a real folder of files goes through the same code as the hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets.config
import datasets.load
import pytest
from datasets import Dataset

from data.settings import Corpus, HubText
from data.sources import hub, hub_text
from data.text.corpus import load
from doping.errors import DataError

ROWS = {
    "train": ["the cat sat", "on\ntwo lines", "", "the dog sat\n"] * 30,
    "validation": ["a cat sat"] * 3,
    "test": ["the dog"] * 3,
}
TEXT = {name: "".join(row if row.endswith("\n") else f"{row}\n" for row in rows) for name, rows in ROWS.items()}


def settings(**given: Any) -> Corpus:
    path = given.pop("path", None)
    return Corpus(corpus="hub", level="word", path=path, hub=HubText(**{"name": "owner/tales", "column": "story", **given}))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No corpora, an empty cache of data sets, and no network."""
    monkeypatch.delenv("LSTM_DATA", raising=False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(hub, "reachable", lambda url: False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data set as files of JSON lines."""
    place = tmp_path / "owner" / "tales"
    place.mkdir(parents=True)
    for name, rows in ROWS.items():
        (place / f"{name}.jsonl").write_text("".join(json.dumps({"story": row, "stars": 5}) + "\n" for row in rows))
    return place


def texts(corpus: Corpus) -> dict[str, str]:
    raw = hub_text.read_corpus(corpus)
    return {name: str(getattr(raw, name)) for name in ROWS}


def test_a_folder_and_the_hub_give_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_folder = settings(path=str(folder))
    assert texts(from_folder) == TEXT
    asked: list[Any] = []

    def load_dataset(path: str, *, name: str | None, split: list[str], revision: str | None) -> list[Dataset]:
        asked.append((path, name, split, revision))
        return [Dataset.from_dict({"story": ROWS[part]}) for part in split]

    monkeypatch.setattr(datasets.load, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    online = settings(config="short", revision="abc123")
    assert texts(online) == TEXT
    assert asked == [("owner/tales", "short", ["train", "validation", "test"], "abc123")]
    assert hub_text.read_corpus(online).source == "owner/tales (short, abc123) on the Hugging Face hub"
    assert hub_text.read_corpus(from_folder).source == str(folder)
    assert load(online).data_hash == load(from_folder).data_hash


def test_the_environment_names_a_folder_of_data_sets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_DATA", str(folder.parents[1]))
    assert texts(settings()) == TEXT


def test_parquet_and_parts_of_splits(tmp_path: Path) -> None:
    place = tmp_path / "parquet"
    place.mkdir()
    Dataset.from_dict({"story": ROWS["train"]}).to_parquet(place / "train.parquet")
    parts = {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}
    assert "".join(texts(settings(path=str(place), **parts)).values()) == TEXT["train"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"column": "text"}, "no column 'text'; it has story, stars"),
        ({"column": "stars"}, "split train, row 1: stars is 5, expected text"),
        ({"test": "exam"}, 'datasets cannot read it: ValueError: Unknown split "exam". Should be one of'),
        ({"path": "missing"}, "missing: no such folder; give one with the files of owner/tales as path"),
    ],
)
def test_what_cannot_be_used_is_one_line(folder: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(settings(**{"path": str(folder), **given}))
    assert "\n" not in str(caught.value)


def test_a_data_set_that_is_nowhere_says_where_it_was_looked_for() -> None:
    expected = "no owner/tales: neither path nor LSTM_DATA names a folder, and the hub (owner/tales): cannot be reached"
    with pytest.raises(DataError, match=re.escape(expected)):
        load(settings())


def test_a_name_is_asked_for() -> None:
    with pytest.raises(DataError, match="the corpus hub needs the name of a data set; give one"):
        load(Corpus(corpus="hub"))


def test_the_network_is_left_as_it_was() -> None:
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(DataError):
        load(settings())
    assert datasets.config.HF_HUB_OFFLINE is before
