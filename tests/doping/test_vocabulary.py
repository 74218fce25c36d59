import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doping.errors import DataError
from doping.vocabulary import END_OF_LINE, UNKNOWN, Vocabulary, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("a b\n", ["a", "b", END_OF_LINE]),
        ("a  b", ["a", "b", END_OF_LINE]),
        (" a \n\nb\n", ["a", END_OF_LINE, END_OF_LINE, "b", END_OF_LINE]),
        ("a\x0bb\u2028c\n", ["a", "b", "c", END_OF_LINE]),
    ],
)
def test_words_are_what_stands_between_white_space(text: str, words: list[str]) -> None:
    assert tokenize(text, "word") == words


@given(st.text())
def test_characters_are_those_of_the_text(text: str) -> None:
    tokens = tokenize(text, "character")
    vocabulary = Vocabulary.of(tokens, "character")
    assert vocabulary.decode(vocabulary.encode(tokens)) == text


@given(st.lists(st.lists(st.sampled_from(["cat", "sat", "the"]), min_size=1), min_size=1))
def test_words_come_back_as_lines(lines: list[list[str]]) -> None:
    text = "".join(f"{' '.join(line)}\n" for line in lines)
    tokens = tokenize(text, "word")
    vocabulary = Vocabulary.of(tokens, "word")
    assert [line.strip() for line in vocabulary.decode(vocabulary.encode(tokens)).splitlines()] == text.splitlines()


def test_frequent_tokens_come_first_and_the_order_of_the_text_does_not_matter() -> None:
    assert Vocabulary.of("bbaac", "character").tokens == ("a", "b", "c", UNKNOWN)
    assert Vocabulary.of("bbaac", "character") == Vocabulary.of("caabb", "character")


def test_an_unseen_token_becomes_unknown() -> None:
    vocabulary = Vocabulary.of("ab", "character")
    assert vocabulary.encode("aé").tolist() == [0, vocabulary.unknown]


def test_an_unknown_word_in_the_text_is_no_second_type() -> None:
    vocabulary = Vocabulary.of(["a", UNKNOWN, UNKNOWN], "word")
    assert vocabulary.tokens == (UNKNOWN, "a")


@given(st.text())
def test_json_gives_the_vocabulary_back(text: str) -> None:
    vocabulary = Vocabulary.of(text, "character")
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a vocabulary"),
        ("[]", "not a vocabulary"),
        ('{"level": "word"}', "not a vocabulary"),
        (json.dumps({"level": "word", "tokens": ["a", "a", UNKNOWN]}), "same token twice"),
        (json.dumps({"level": "word", "tokens": ["a"]}), "lacks <unk>"),
        (json.dumps({"level": "letter", "tokens": [UNKNOWN]}), "'letter'; expected 'character' or 'word'"),
    ],
)
def test_bad_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vocabulary.from_json(text)
