from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import text
from data.errors import DataError
from data.settings import Corpus

LINES = [f"line number {i}\n" for i in range(100)]


def read(path: Path) -> text.RawCorpus:
    return text.read(Corpus(corpus="text", path=str(path)))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_is_split_by_position_at_line_ends(tmp_path: Path) -> None:
    raw = read(write(tmp_path / "book.txt", "".join(LINES)))
    assert raw.train + raw.validation + raw.test == "".join(LINES)
    assert [split.count("\n") for split in raw[:3]] == [90, 5, 5]
    assert all(split.endswith("\n") for split in raw[:3])
    assert str(tmp_path / "book.txt") in raw.source


@given(st.lists(st.integers(0, 60), min_size=1))
def test_a_split_loses_nothing_and_is_never_empty(lengths: list[int]) -> None:
    content = "".join("x" * length + "\n" for length in lengths)
    try:
        raw = text._split(content, "here")
    except DataError:
        longest = max(lengths) + 1
        assert longest * 40 > len(content)  # refused only where a line is long against the text
    else:
        assert raw.train + raw.validation + raw.test == content
        assert all(raw[:3])
        assert raw.train.endswith("\n")
        assert raw.validation.endswith("\n")


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", "".join(LINES[50:]))
    write(tmp_path / "a.txt", "".join(LINES[:50]).removesuffix("\n"))
    write(tmp_path / "notes.md", "not this")
    raw = read(tmp_path)
    assert raw.train + raw.validation + raw.test == "".join(LINES)


def test_three_files_are_the_splits(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        write(tmp_path / f"{name}.txt", f"the {name} text\n")
    write(tmp_path / "other.txt", "not this")
    assert read(tmp_path)[:3] == ("the train text\n", "the valid text\n", "the test text\n")


def test_line_ends_and_byte_order_mark_of_other_systems(tmp_path: Path) -> None:
    plain = read(write(tmp_path / "a.txt", "".join(LINES)))
    windows = read(write(tmp_path / "b.txt", b"\xef\xbb\xbf" + "".join(LINES).replace("\n", "\r\n").encode()))
    assert windows[:3] == plain[:3]


def test_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    path = write(tmp_path / "latin.txt", b"one\ntwo\ncaf\xe9\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: byte 0xe9 at offset 11 (line 3) is not UTF-8; convert")


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ({}, "missing.txt", "missing.txt: no such file or folder; give"),
        ({"a.txt": ""}, "a.txt", "a.txt: the file is empty"),
        ({"a.txt": " \n\n"}, "a.txt", "a.txt: the file is empty"),
        ({"a.txt": "text\n", "b.txt": ""}, "", "b.txt: the file is empty"),
        ({"a.md": "text\n"}, "", r"a folder without any \*.txt file; expected"),
        ({"a.txt": "one line without an end"}, "a.txt", "1 lines cannot be split 90/5/5 at line ends; break"),
        ({"train.txt": "a\n", "test.txt": "b\n"}, "", "has train.txt but no valid.txt; add it"),
        ({"train.txt": "a\n", "x.txt": "b\n"}, "", "has train.txt but no valid.txt and no test.txt; add it"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, files: dict[str, str], path: str, message: str) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / path)
    assert "\n" not in str(caught.value)


def test_a_missing_path_is_asked_for() -> None:
    with pytest.raises(DataError, match="needs the setting path; give"):
        text.read(Corpus(corpus="text"))


def test_the_home_folder_may_be_abbreviated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "a.txt", "".join(LINES))
    assert read(Path("~/a.txt")).train.startswith(LINES[0])
