import sys

import pytest

from data.settings import Corpus
from data.sources import embedded
from doping.errors import DataError

SPLITS = ("train", "validation", "test")


def paragraphs(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]


def test_no_paragraph_stands_twice_within_or_across_splits() -> None:
    raw = embedded.read(Corpus())
    everything = [paragraph for split in SPLITS for paragraph in paragraphs(str(getattr(raw, split)))]
    assert len(everything) == len(set(everything))


def test_hardly_any_long_passage_of_a_held_out_split_is_in_the_training_text() -> None:
    raw = embedded.read(Corpus())
    size = 60

    def passages(text: str) -> set[str]:
        flat = " ".join(text.split())
        return {flat[i : i + size] for i in range(len(flat) - size)}

    known = passages(str(raw.train))
    for split in (str(raw.validation), str(raw.test)):
        assert len(passages(split) & known) < 0.01 * len(passages(split))


def test_sizes_of_the_splits() -> None:
    raw = embedded.read(Corpus())
    assert len(str(raw.train)) > 300_000
    assert 15_000 < len(str(raw.validation)) < 35_000
    assert 15_000 < len(str(raw.test)) < 35_000


def test_all_held_out_topics_exist_here_and_none_is_in_both() -> None:
    from pydoc_data.topics import topics

    names = embedded.VALIDATION_TOPICS + embedded.TEST_TOPICS
    assert set(names) <= set(embedded.deduplicate(topics))
    assert len(names) == len(set(names))


def test_nearly_all_characters_of_the_held_out_text_are_known() -> None:
    raw = embedded.read(Corpus())
    known = set(str(raw.train))
    for split in (str(raw.validation), str(raw.test)):
        assert sum(character not in known for character in split) < 0.001 * len(split)


def test_a_paragraph_stays_in_the_longest_topic() -> None:
    shared, long, short = "s" * 150, "l" * 400, "t" * 300
    topics = {"a": f"{short}\n\n{shared}", "b": f"{shared}\n\n{long}\n\n\n {shared}\n", "c": shared}
    assert embedded.deduplicate(topics) == {"a": short, "b": f"{shared}\n\n{long}"}


def test_a_python_without_the_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="which this Python lacks; install the full standard library"):
        embedded.read(Corpus())


def test_a_python_with_quite_another_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydoc_data import topics

    monkeypatch.setattr(topics, "topics", {"objects": "word " * 1000})
    with pytest.raises(DataError, match=r"splits into 0 / \d+ / 0 characters"):
        embedded.read(Corpus())


def test_a_path_is_refused() -> None:
    with pytest.raises(DataError, match="leave path out"):
        embedded.read(Corpus(path="book.txt"))
