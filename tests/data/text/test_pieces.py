"""Texts larger than the memory: read, counted and cut into tokens in pieces, as if they had been read at once."""

from __future__ import annotations

import errno
import multiprocessing
import pickle
import resource
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data import DataError
from data.settings import Corpus
from data.sources import raw
from data.text import corpus, counts
from data.text.corpus import TokenizedCorpus, _load, load
from data.text.tokens import TokenFile, write_tokens
from doping import vocabulary
from doping.vocabulary import END_OF_LINE, UNKNOWN, Level, Vocabulary, token_pieces, tokenize

LEVELS: tuple[Level, ...] = ("character", "word")
LINES = "".join(f"line {i} of été, café and 東京 {i % 7}\n" for i in range(300))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, in which every text is large."""
    monkeypatch.setenv("LSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus, "LARGE", 0)
    _load.cache_clear()
    return tmp_path / "cache"


def pieces_of(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def settings(path: Path, **further: Any) -> Corpus:
    return Corpus(corpus="text", path=str(path), **further)


def in_memory(asked: Corpus, monkeypatch: pytest.MonkeyPatch) -> TokenizedCorpus:
    monkeypatch.setattr(corpus, "LARGE", 1 << 40)
    _load.cache_clear()
    loaded = load(asked)
    _load.cache_clear()
    return loaded


def splits(loaded: TokenizedCorpus) -> list[list[int]]:
    return [split[:].tolist() for split in (loaded.train, loaded.validation, loaded.test)]


def words_at_once(text: str) -> list[str]:
    """By lines, as word level is defined."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [token for line in lines for token in (*line.split(), END_OF_LINE)]


texts = st.text(st.sampled_from("ab \n\t\r\u2028é") | st.characters(exclude_categories=["Cs"]))


@given(texts, st.integers(1, 9))
def test_tokens_do_not_depend_on_the_pieces(text: str, size: int) -> None:
    for level, expected in (("word", words_at_once(text)), ("character", list(text))):
        cut = [token for tokens in token_pieces(pieces_of(text, size), level) for token in tokens]
        assert cut == tokenize(text, level) == expected


@given(texts, st.integers(1, 9), st.booleans())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_is_read_the_same_whatever_the_blocks(tmp_path: Path, text: str, size: int, mark: bool) -> None:
    path = write(tmp_path / "text.txt", ("\ufeff" if mark else "") + "x" + text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "PIECE", size)
        expected = ("x" + text).replace("\r\n", "\n")
        if "\0" in text:
            with pytest.raises(DataError, match="byte 0x00"):
                raw.read_utf8(path)
        else:
            assert raw.read_utf8(path) == expected
            assert "" not in list(raw.utf8_pieces(path))


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=20)), st.integers(1, 4), st.integers(2, 3))
def test_counts_that_do_not_fit_into_memory_are_exact(pieces: list[list[str]], limit: int, files: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "LIMIT", limit)
        patch.setattr(counts, "FILES", files)
        assert dict(counts.count(pieces)) == Counter(token for piece in pieces for token in piece)


@given(st.text("aabbbcde"), st.integers(2, 8), st.booleans())
def test_a_bounded_vocabulary_has_the_most_frequent_tokens(text: str, size: int, unknown: bool) -> None:
    tokens = [*text, *([UNKNOWN] * 3 if unknown else [])]
    whole = Vocabulary.of(tokens, "character").tokens
    bounded = Vocabulary.of_counts(Counter(tokens).items(), "character", size)
    assert len(bounded) == min(size, len(whole))
    ranked = [token for token in whole if token != UNKNOWN]
    kept = [token for token in bounded.tokens if token != UNKNOWN]
    assert kept == ranked[: len(kept)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("further", [{}, {"limit": 100}, {"limit": 10**9}, {"max_vocabulary": 12}])
def test_a_large_text_gives_the_tokens_and_the_hash_of_a_small_one(
    tmp_path: Path, level: Level, further: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = settings(write(tmp_path / "text.txt", LINES), level=level, **further)
    monkeypatch.setattr(raw, "PIECE", 1000)
    large = load(asked)
    assert isinstance(large.train, TokenFile)
    small = in_memory(asked, monkeypatch)
    assert isinstance(small.train, np.ndarray)
    assert (large.data_hash, large.vocabulary, large.source) == (small.data_hash, small.vocabulary, small.source)
    assert splits(large) == splits(small)


def test_the_hash_is_that_of_the_whole_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.setattr(corpus, "BLOCK", 77)
    loaded = load(settings(write(tmp_path / "text.txt", LINES)))
    digest = hashlib.sha256()
    for part in [loaded.vocabulary.to_json().encode(), *(np.array(s, "<i8").tobytes() for s in splits(loaded))]:
        digest.update(len(part).to_bytes(8, "little") + part)
    assert loaded.data_hash == digest.hexdigest()


def test_a_text_is_cut_into_tokens_once(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "text.txt", LINES)
    first = load(settings(path))
    assert capsys.readouterr().err == f"Cutting {first.source} into tokens, to be kept in {cache}\n"
    copy = write(tmp_path / "copy.txt", LINES)
    assert load(settings(copy)).data_hash == first.data_hash
    assert capsys.readouterr().err == ""
    write(path, LINES.replace("line 7", "line x"))
    _load.cache_clear()
    assert load(settings(path)).data_hash != first.data_hash
    assert capsys.readouterr().err.startswith("Cutting")
    assert sorted(folder.suffix for folder in cache.iterdir()) == ["", "", ".lock", ".lock"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_a_file_of_tokens_is_an_array(tmp_path: Path, dtype: str) -> None:
    ids = np.arange(200)
    tokens = write_tokens(tmp_path / "tokens", [ids[:50], ids[50:]], dtype)
    for _ in range(2):
        for part in (slice(0, 200), slice(3, 17), slice(190, 300), slice(7, 7), slice(9, 2), slice(None)):
            assert tokens[part].tolist() == ids[part].tolist()
            assert tokens[part].dtype == np.int64
        tokens = pickle.loads(pickle.dumps(tokens))  # as a process that is spawned gets it
    assert len(tokens) == 200
    assert (tmp_path / "tokens").stat().st_size == 200 * np.dtype(dtype).itemsize


def _hash_of(asked: Corpus) -> str:
    corpus.LARGE = 0
    return load(asked).data_hash


@pytest.mark.exhaustive
def test_two_processes_at_once_get_the_same(tmp_path: Path, cache: Path) -> None:
    asked = settings(write(tmp_path / "text.txt", LINES * 20), level="word")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_hash_of, [asked, asked], chunksize=1)
    assert first == second == load(asked).data_hash
    assert sorted(folder.suffix for folder in cache.iterdir()) == ["", ".lock"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path, cache: Path) -> None:
    asked = settings(write(tmp_path / "text.txt", LINES))
    expected = load(asked).data_hash
    (entry,) = (folder for folder in cache.iterdir() if folder.is_dir())
    entry.rename(entry.with_suffix(".part"))
    _load.cache_clear()
    assert load(asked).data_hash == expected
    assert entry.is_dir()
    assert not entry.with_suffix(".part").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    asked = settings(write(tmp_path / "text.txt", LINES))
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DataError, match=r"tokens of .*text.txt.* cannot be kept in the cache: .*; make room") as caught:
            load(asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value)
    assert [folder.suffix for folder in cache.iterdir()] == [".lock"]


def test_counts_that_cannot_be_written_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache")

    monkeypatch.setattr(counts, "LIMIT", 5)
    monkeypatch.setattr("data.cache.folder", full)
    with pytest.raises(DataError, match="cannot be kept in the cache: /cache: No space left on device; make room there"):
        list(counts.count([["a", "b", "c"], ["d", "e", "f"], ["g"]]))


@pytest.mark.parametrize("file", ["about.json", "train", "test"])
def test_a_damaged_entry_is_named(tmp_path: Path, cache: Path, file: str) -> None:
    asked = settings(write(tmp_path / "text.txt", LINES))
    load(asked)
    (entry,) = (folder for folder in cache.iterdir() if folder.is_dir())
    (entry / file).write_bytes((entry / file).read_bytes()[:50])
    _load.cache_clear()
    with pytest.raises(DataError, match=rf"{entry} in the cache is damaged \(.*\); delete it"):
        load(asked)
    shutil.rmtree(entry)
    assert load(asked).data_hash


@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo\ncaf\xe9\n", r"byte 0xe9 at offset 11 \(line 3\) is not UTF-8; convert the file"),
        (
            "one\ntwo é\ncaf".encode() + b"\xe9",
            r"ends in the middle of a character at offset 14 \(line 3\); .* truncated",
        ),
        (b"one\ntwo\n\x7fELF\x02\x01\x00\n", r"byte 0x00 at offset 14 \(line 3\) is no UTF-8 text; .* binary"),
        ("one\ntwo\n".encode("utf-16"), r"byte 0x.. at offset . \(line 1\)"),
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \r\n\n", "the file is empty"),
    ],
)
def test_what_is_no_text_is_located(
    tmp_path: Path, content: bytes, message: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "PIECE", block)
    path = write(tmp_path / "bad.txt", content)
    with pytest.raises(DataError, match=f"bad.txt: .*{message}") as caught:
        raw.read_utf8(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("at", [0, 999, 1000, 1001, 4321])
def test_a_bad_byte_is_located_anywhere(tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "PIECE", 1000)
    content = bytearray(LINES.encode("ascii", "replace"))
    content[at] = 0xFF
    path = write(tmp_path / "bad.txt", bytes(content))
    line = content.count(b"\n", 0, at) + 1
    with pytest.raises(DataError, match=rf"byte 0xff at offset {at} \(line {line}\)"):
        raw.read_utf8(path)


def test_a_text_without_blanks_has_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "LONGEST_WORD", 50)
    monkeypatch.setattr(raw, "PIECE", 20)
    for name in ("train", "valid", "test"):
        write(tmp_path / f"{name}.txt", "some words\n" * 3 + ("x" * 80 if name == "valid" else "") + "\n")
    with pytest.raises(DataError, match=r"train.txt.*, validation split: line 4 has a word of more than 50 char"):
        load(settings(tmp_path, level="word"))
    assert load(settings(tmp_path, level="character")).vocabulary


def test_too_many_different_words_want_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "LARGEST_VOCABULARY", 20)
    path = write(tmp_path / "text.txt", LINES)
    with pytest.raises(DataError, match="more than 20 different tokens; say how many to keep with max_vocabulary"):
        load(settings(path, level="word"))
    assert len(load(settings(path, level="word", max_vocabulary=15)).vocabulary) == 15
