import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ngram import FALLBACK_DISCOUNT, KneserNey, _discounts, main

ABRA = [0, 1, 2, 0, 3, 0, 4, 0, 1, 2, 0]  # abracadabra with a, b, r, c, d
SIZE = 6  # and one token that never occurs


def test_bigram_probabilities_of_abracadabra() -> None:
    """By hand. Bigrams: ab 2, br 2, ra 2, ac 1, ca 1, ad 1, da 1; too few for estimates, so d = 0.75.

    Kinds of predecessors: a 3 (r, c, d) and once as the very first token, b, r, c, d 1 each: 8 in all, 5 kinds.
    """
    d = FALLBACK_DISCOUNT
    model = KneserNey(ABRA, 2, SIZE)
    a, b, r, c, d_, unseen = range(SIZE)
    uniform = 5 * d / 8 / SIZE
    unigram = {a: (4 - d) / 8 + uniform, b: (1 - d) / 8 + uniform, unseen: uniform}
    for token, probability in unigram.items():
        assert model.probability([], token) == pytest.approx(probability)
    # after a: ab 2, ac 1, ad 1, so 4 in all and three kinds
    assert model.probability([a], b) == pytest.approx((2 - d) / 4 + 3 * d / 4 * unigram[b])
    assert model.probability([a], c) == pytest.approx((1 - d) / 4 + 3 * d / 4 * unigram[b])
    assert model.probability([a], a) == pytest.approx(3 * d / 4 * unigram[a])
    # after r: only ra, twice
    assert model.probability([r], a) == pytest.approx((2 - d) / 2 + d / 2 * unigram[a])
    assert model.probability([r], unseen) == pytest.approx(d / 2 * unigram[unseen])
    # after an unseen token: the unigram; and what is further back does not matter
    assert model.probability([unseen], a) == pytest.approx(unigram[a])
    assert model.probability([b, d_, a], b) == model.probability([a], b)


def test_bits_are_the_mean_over_all_tokens_but_the_first() -> None:
    model = KneserNey(ABRA, 3, SIZE)
    stream = [2, 0, 1, 5]
    steps = [model.probability(stream[max(0, i - 2) : i], stream[i]) for i in (1, 2, 3)]
    assert model.bits(stream) == pytest.approx(-sum(map(math.log2, steps)) / 3)


def test_discounts_are_those_of_the_formula() -> None:
    from collections import Counter

    y = 100 / (100 + 2 * 40)
    expected = (0, 1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 12 / 20)
    assert _discounts(Counter({1: 100, 2: 40, 3: 20, 4: 12, 9: 7})) == pytest.approx(expected)


@given(
    st.lists(st.integers(0, 4), min_size=6, max_size=200),
    st.integers(1, 6),
    st.lists(st.lists(st.integers(0, 5), max_size=7), max_size=5),
)
def test_probabilities_are_a_distribution_after_any_context(
    tokens: list[int], order: int, contexts: list[list[int]]
) -> None:
    model = KneserNey(tokens, order, SIZE)
    for context in [[], tokens[:order], *contexts]:
        probabilities = [model.probability(context, token) for token in range(SIZE)]
        assert min(probabilities) > 0
        assert sum(probabilities) == pytest.approx(1)


def test_it_is_a_distribution_on_real_text_too() -> None:
    from data.settings import Corpus
    from data.text.corpus import load

    corpus = load(Corpus(limit=50_000))
    size = len(corpus.vocabulary)
    model = KneserNey(corpus.train[:].tolist(), 6, size)
    for start in (0, 1000, 5000):
        context = corpus.validation[start : start + 5].tolist()
        assert sum(model.probability(context, token) for token in range(size)) == pytest.approx(1)


@pytest.mark.parametrize("order", [0, 12])
def test_an_impossible_order_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"order is {order}, expected 1 to 11"):
        KneserNey(ABRA, order, SIZE)


def test_the_command_reads_a_text(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("the cat sat on the mat\n" * 200)
    command = [
        sys.executable,
        "-m",
        "benchmarks.ngram",
        "--corpus",
        "text",
        "--path",
        str(tmp_path / "book.txt"),
        "--order",
        "3",
    ]
    lines = subprocess.run(
        command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:] == ["1", "2", "3"]
    assert lines[-1].startswith("best on validation: order 3, 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "text"], "needs the setting path"),
        (["--corpus", "text", "--path", "nowhere.txt"], "nowhere.txt: no such file"),
        (["--order", "-1"], "--order is -1, expected at least 1"),
        (["--order", "0"], "--order is 0, expected at least 1"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
