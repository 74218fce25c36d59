import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.settings import Corpus
from data.sources import text
from data.sources.raw import RawCorpus, Text
from doping.errors import DataError

LINES = [f"line number {i}\n" for i in range(100)]


def read(path: Path) -> RawCorpus:
    return text.read(Corpus(corpus="text", path=str(path)))


def texts(raw: RawCorpus) -> list[str]:
    return [str(text) for text in raw[:3]]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_is_split_by_position_at_line_ends(tmp_path: Path) -> None:
    raw = read(write(tmp_path / "book.txt", "".join(LINES)))
    assert "".join(texts(raw)) == "".join(LINES)
    assert [split.count("\n") for split in texts(raw)] == [90, 5, 5]
    assert all(split.endswith("\n") for split in texts(raw))
    assert str(tmp_path / "book.txt") in raw.source


def split_at_once(content: str) -> list[str] | None:
    """The split of a text in memory: 90/5/5, each cut at the nearest line end, the one before where both are as near."""
    cuts = [0]
    for percent in (90, 95):
        place = len(content) * percent // 100
        ends = [0, *(i + 1 for i, character in enumerate(content) if character == "\n"), len(content)]
        cuts.append(min(ends, key=lambda end: (abs(end - place), end)))
    parts = [content[start:end] for start, end in itertools.pairwise([*cuts, len(content)])]
    return parts if all(parts) else None


@given(st.lists(st.integers(0, 60), min_size=1), st.integers(1, 100), st.booleans())
def test_a_split_is_the_same_whatever_the_pieces(lengths: list[int], size: int, ended: bool) -> None:
    content = "".join("x" * length + "\n" for length in lengths) + "x" * (not ended)
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    try:
        raw = text._split(Text(lambda: iter(pieces)), "here")
    except DataError:
        assert split_at_once(content) is None
    else:
        assert texts(raw) == split_at_once(content)


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", "".join(LINES[50:]))
    write(tmp_path / "a.txt", "".join(LINES[:50]).removesuffix("\n"))
    write(tmp_path / "notes.md", "not this")
    assert "".join(texts(read(tmp_path))) == "".join(LINES)


def test_every_file_of_a_folder_is_ended(tmp_path: Path) -> None:
    for number in range(100):
        write(tmp_path / f"{number:02}.txt", f"line number {number}")
    assert "".join(texts(read(tmp_path))) == "".join(LINES)


def test_three_files_are_the_splits(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        write(tmp_path / f"{name}.txt", f"the {name} text\n")
    write(tmp_path / "other.txt", "not this")
    assert texts(read(tmp_path)) == ["the train text\n", "the valid text\n", "the test text\n"]


def test_line_ends_and_byte_order_mark_of_other_systems(tmp_path: Path) -> None:
    plain = read(write(tmp_path / "a.txt", "".join(LINES)))
    windows = read(write(tmp_path / "b.txt", b"\xef\xbb\xbf" + "".join(LINES).replace("\n", "\r\n").encode()))
    assert texts(windows) == texts(plain)


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ({}, "missing.txt", "missing.txt: no such file or folder; give"),
        ({"a.txt": ""}, "a.txt", "a.txt: the file is empty"),
        ({"a.txt": " \n\n"}, "a.txt", "a.txt: the file is empty"),
        ({"a.txt": "text\n", "b.txt": ""}, "", "b.txt: the file is empty"),
        ({"a.md": "text\n"}, "", r"a folder without any \*.txt file; expected"),
        ({"a.txt": "one line without an end"}, "a.txt", "23 characters with 0 line ends cannot be split 90/5/5"),
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
    assert str(read(Path("~/a.txt")).train).startswith(LINES[0])
