"""Sentences and their translations are read from files and from the hub alike, and mistakes in them are named."""

import os
from pathlib import Path
from typing import Any

import pytest

from data.parallel import sentences as parallel
from data.settings import ParallelText
from data.sources import hub
from doping.errors import DataError

LINES = {
    "train": (["a cat", "two dogs", "three"], ["eine Katze", "zwei Hunde", "drei"]),
    "val": (["a dog"], ["ein Hund"]),
    "test_2016_flickr": (["a house"], ["ein Haus"]),
}
MULTI30K = ParallelText(corpus="multi30k")


@pytest.fixture(autouse=True)
def no_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "corpora" not in request.fixturenames:
        monkeypatch.delenv("LSTM_DATA", raising=False)


@pytest.fixture
def corpora() -> Path:
    if "LSTM_DATA" not in os.environ:
        pytest.skip("the environment variable LSTM_DATA names no folder of corpora")
    return Path(os.environ["LSTM_DATA"])


def write(folder: Path, names: tuple[str, ...] = tuple(LINES), languages: tuple[str, str] = ("en", "de")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, sides in zip(names, LINES.values(), strict=True):
        for language, lines in zip(languages, sides, strict=True):
            (folder / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def test_files_are_read_in_either_direction(tmp_path: Path) -> None:
    path = str(write(tmp_path))
    read = parallel.read(ParallelText(path=path))
    assert read.train == (("a cat", "two dogs", "three"), ("eine Katze", "zwei Hunde", "drei"))
    assert (read.validation, read.test) == ((("a dog",), ("ein Hund",)), (("a house",), ("ein Haus",)))
    assert read.source == path
    assert parallel.read(ParallelText(path=path, source="de", target="en")).train == read.train[::-1]


def test_a_folder_of_ones_own_has_train_valid_and_test(tmp_path: Path) -> None:
    write(tmp_path, ("train", "valid", "test"), ("xx", "yy"))
    own = ParallelText(corpus="folder", source="xx", target="yy", path=str(tmp_path))
    assert parallel.read(own).test == (("a house",), ("ein Haus",))


def test_iwslt_has_its_own_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "iwslt15_en_vi", ("train", "tst2012", "tst2013"), ("en", "vi"))
    monkeypatch.setenv("LSTM_DATA", str(tmp_path))
    read = parallel.read(ParallelText(corpus="iwslt15", target="vi"))
    assert (read.train.target[0], read.test.source) == ("eine Katze", ("a house",))
    assert read.source == str(tmp_path / "iwslt15_en_vi")


def test_separators_of_unicode_and_windows_line_ends_do_not_move_lines(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "val.en").write_bytes("a\u2028dog \x85 here\r\n".encode())
    assert parallel.read(ParallelText(path=str(tmp_path))).validation.source == ("a\u2028dog \x85 here",)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train.de", b"eine Katze\nzwei Hunde\n", r"train.en has 3 lines, \S+train.de has 2; a line of one must be the"),
        ("val.en", b"\n", "val.en: the file is empty"),
        ("val.de", b"ein Hund\n\nund\n", "val.en has 1 lines, .*val.de has 3"),
        ("train.en", b"a cat\ntwo d\xf6gs\nthree\n", r"train.en: byte 0xf6 at offset 11 \(line 2\) is not UTF-8"),
        (
            "train.en",
            b"a cat\n" + b"x" * 10_001 + b"\nthree\n",
            "train.en, line 2: 10001 characters; expected a sentence of",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    write(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        parallel.read(ParallelText(path=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_empty_lines_are_left_out_of_training_and_an_error_elsewhere(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train.en").write_text("a cat\n \n\n")
    with pytest.warns(UserWarning, match=r"train.en, line 2: an empty line, one of 2; what has no translation"):
        assert parallel.read(ParallelText(path=str(tmp_path))).train == (("a cat",), ("eine Katze",))
    (tmp_path / "val.en").write_text("a dog\n\n")
    (tmp_path / "val.de").write_text("ein Hund\nzwei\n")
    with (
        pytest.warns(UserWarning, match="train.en"),
        pytest.raises(DataError, match=r"val.en, line 2: an empty line; write the sentence, or delete the line in both"),
    ):
        parallel.read(ParallelText(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("path", "environment", "message"),
    [
        ("missing", None, r"missing: no such folder; give one with train.{en,de}, val.{en,de}, test_2016_flickr.{en,de}"),
        ("partial", None, "partial: has no train.de and no val.en and no val.de and no test_2016_flickr.en"),
        (None, "missing", "LSTM_DATA is .*missing: no such folder; name one that has multi30k_en_de/ in it"),
        (
            None,
            None,
            r"neither path nor LSTM_DATA names a folder, and the hub \(bentrevett/multi30k\): cannot be reached; put",
        ),
        (None, "partial", r"partial \(LSTM_DATA\) has no multi30k_en_de/, and the hub \(.*\): cannot be reached; put train"),
    ],
)
def test_a_missing_corpus_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None, environment: str | None, message: str
) -> None:
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "train.en").write_text("a\n")
    if environment is not None:
        monkeypatch.setenv("LSTM_DATA", str(tmp_path / environment))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda url: False)
    with pytest.raises(DataError, match=message):
        parallel.read(ParallelText(path=None if path is None else str(tmp_path / path)))


def test_a_folder_of_ones_own_needs_a_path() -> None:
    with pytest.raises(DataError, match=r"needs the setting path; give a folder with train.{en,de}, valid.{en,de}, test"):
        parallel.read(ParallelText(corpus="folder"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for the hub: what was asked of it. Columns are languages, but in ``pairs`` they are in ``translation``."""
    import datasets.load
    from datasets import Dataset

    calls: list[Any] = []

    def stand_in(path: str, revision: str | None, name: str | None, split: list[str]) -> list[Dataset]:
        calls.append((path, revision, name, split))
        if path == "someone/english":
            return [Dataset.from_dict({"en": sides[0]}) for sides in LINES.values()]
        if path == "someone/pairs":
            return [
                Dataset.from_list([{"translation": {"en": en, "de": de}} for en, de in zip(*sides, strict=True)])
                for sides in LINES.values()
            ]
        return [Dataset.from_dict({"en": sides[0], "de": sides[1]}) for sides in LINES.values()]

    monkeypatch.setattr(datasets.load, "load_dataset", stand_in)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    return calls


@pytest.mark.parametrize("name", [None, "someone/columns", "someone/pairs"])
def test_the_hub_gives_the_same_as_a_folder(tmp_path: Path, asked: list[Any], name: str | None) -> None:
    own = {"corpus": "hub", "dataset": name, "configuration": "de-en", "revision": "abc", "splits": ("a", "b", "c")}
    read = parallel.read(ParallelText(**own if name else {}))
    known = ("bentrevett/multi30k", "refs/convert/parquet", None, ["train", "validation", "test"])
    assert asked == [(name, "abc", "de-en", ["a", "b", "c"]) if name else known]
    assert read[:3] == parallel.read(ParallelText(path=str(write(tmp_path))))[:3]
    assert "hub" in read.source


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs the setting dataset; give a name such as"),
        ({"dataset": "someone/english"}, "someone/english has no 'de', only en; set source and target to two of them"),
        ({"dataset": "someone/pairs", "target": "vi"}, "someone/pairs has no 'vi', only en, de"),
    ],
)
def test_what_the_hub_does_not_have_is_named(asked: list[Any], settings: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parallel.read(ParallelText(corpus="hub", **settings))


def test_the_real_ones_have_their_known_sizes(corpora: Path) -> None:
    if not (corpora / "multi30k_en_de").is_dir():
        pytest.skip(f"no multi30k_en_de/ in {corpora}")
    read = parallel.read(MULTI30K)
    assert [len(split.source) for split in read[:3]] == [29_000, 1_014, 1_000]
