"""Subwords: nothing is unknown, nothing is lost, and the same sentences give the same vocabulary."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.parallel.subwords import Subwords
from doping.errors import DataError

SENTENCES = ["a man rides a bike", "two men ride bikes", "the woman rides", "ein Mädchen fährt", "ba con mèo nhỏ"] * 3


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return Subwords.of(SENTENCES, 320)


@given(text=st.text().map(str.strip))
def test_any_text_is_decoded_to_itself(subwords: Subwords, text: str) -> None:
    (ids,) = subwords.encode([text])
    assert subwords.decode(ids) == text
    assert all(0 <= each < len(subwords) for each in ids)


def test_frequent_words_are_one_subword(subwords: Subwords) -> None:
    assert [len(ids) for ids in subwords.encode(["man", "rides", "xylophone"])] == [1, 1, 10]


def test_the_size_is_a_bound(subwords: Subwords) -> None:
    assert len(subwords) <= 320
    assert len(Subwords.of(SENTENCES, 100_000)) < 400


def test_begin_end_and_filling_are_not_written_by_any_text(subwords: Subwords) -> None:
    special = {subwords.PAD, subwords.BEGIN, subwords.END}
    assert not special & set(subwords.encode(["<pad> <begin> <end>"])[0])
    (ids,) = subwords.encode(["a man"])
    assert subwords.decode([subwords.BEGIN, *ids, subwords.END, subwords.PAD]) == "a man"


def test_saved_and_read_again_it_is_the_same(subwords: Subwords) -> None:
    again = Subwords.from_json(subwords.to_json())
    assert again.to_json() == subwords.to_json()
    assert again.encode(["<end> ein Mann"]) == subwords.encode(["<end> ein Mann"])


@pytest.mark.parametrize("text", ["", "{}", '{"model": 3}'])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="not a vocabulary of subwords"):
        Subwords.from_json(text)


def test_a_vocabulary_of_another_project_is_refused() -> None:
    from tokenizers import Tokenizer, models

    with pytest.raises(DataError, match="not a vocabulary of this project: expected <pad>, <begin>, <end>"):
        Subwords.from_json(Tokenizer(models.BPE()).to_str())


def test_threads_do_not_change_it(subwords: Subwords) -> None:
    script = f"from data.parallel.subwords import Subwords; print(Subwords.of({SENTENCES!r}, 320).to_json(), end='')"
    for threads in ("1", "3"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads}
        root = Path(__file__).parents[3]
        made = subprocess.run([sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, check=True)
        assert made.stdout.decode() == subwords.to_json()
