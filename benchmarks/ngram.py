"""What a good n-gram model makes of a corpus: the number that an LSTM has to beat.

The model is interpolated modified Kneser–Ney (Chen & Goodman 1998, section 3; equations 23–27), down to the uniform
distribution over the vocabulary, so that every token has a probability. It is trained, and evaluated on every token
but the first of a split, as the language model is: the same tokens, the same vocabulary.

    python -m benchmarks.ngram --corpus embedded --level character --order 12
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

LARGEST_ORDER = {"character": 12, "word": 5}
FALLBACK_DISCOUNT = 0.75
"""Of every count, where a text is too small for the estimate of the discounts (as in Kneser & Ney 1995)."""


class KneserNey:
    """Interpolated modified Kneser–Ney over token ids.

    An n-gram is kept as a string in which a token's id is the code point: short, hashable, and quick to cut.
    """

    def __init__(self, tokens: Iterable[int], order: int, vocabulary_size: int) -> None:
        """Count the n-grams of ``tokens``; ``order`` is the length of the longest ones, the context included."""
        text = "".join(map(chr, tokens))
        if not 1 <= order <= len(text):
            raise ValueError(f"order is {order}, expected 1 to {len(text)}, the number of training tokens")
        self.order = order
        self._uniform = 1 / vocabulary_size
        counts = Counter(text[i : i + order] for i in range(len(text) - order + 1))
        levels = [counts]
        for n in range(order - 1, 0, -1):
            # A shorter n-gram counts the different tokens that come before it; the very first one has none.
            counts = Counter(ngram[1:] for ngram in counts)
            counts[text[:n]] += 1
            levels.append(counts)
        self._levels = [_Level(counts) for counts in reversed(levels)]

    def probability(self, context: Sequence[int], token: int) -> float:
        """Probability of ``token`` after ``context``, of which the last ``order - 1`` tokens matter.

        Over all ids below the vocabulary's size it sums to one.
        """
        return self._after("".join(map(chr, context[-self.order :])), chr(token))

    def bits(self, tokens: Iterable[int]) -> float:
        """Mean bits a token of a stream, its first token only as context."""
        text = "".join(map(chr, tokens))
        context = self.order - 1
        return -sum(math.log2(self._after(text[max(0, i - context) : i], text[i])) for i in range(1, len(text))) / (
            len(text) - 1
        )

    def _after(self, context: str, token: str) -> float:
        probability = self._uniform
        for n, level in enumerate(self._levels):
            suffix = context[len(context) - n :]
            if len(suffix) < n or suffix not in level.totals:
                break  # a longer context has not been seen either
            count = level.counts.get(suffix + token, 0)
            kept = count - level.discounts[min(count, 3)] + level.freed[suffix] * probability
            probability = kept / level.totals[suffix]
        return probability


class _Level:
    """The n-grams of one length."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.discounts = _discounts(Counter(counts.values()))
        self.totals: Counter[str] = Counter()
        """Of a context: the sum of the counts after it."""
        self.freed: dict[str, float] = {}
        """Of a context: what the discounts take away, which is given to the shorter context."""
        for ngram, count in counts.items():
            context = ngram[:-1]
            self.totals[context] += count
            self.freed[context] = self.freed.get(context, 0.0) + self.discounts[min(count, 3)]


def _discounts(counts_of_counts: Counter[int]) -> tuple[float, float, float, float]:
    """Discounts of the counts 0, 1, 2 and 3 or more (equation 26 of Chen & Goodman)."""
    n1, n2, n3, n4 = (counts_of_counts[count] for count in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        estimate = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < discount < count for count, discount in enumerate(estimate, start=1)):
            return (0.0, *estimate)
    return (0.0, FALLBACK_DISCOUNT, FALLBACK_DISCOUNT, FALLBACK_DISCOUNT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print bits a token on validation and test for each order, and the best on validation; exit with 2 on mistakes."""
    from data.sources.registry import READERS

    parser = argparse.ArgumentParser(description="Bits a token of an interpolated modified Kneser–Ney n-gram model.")
    parser.add_argument("--corpus", choices=READERS, default="embedded", help="which text (default: %(default)s)")
    parser.add_argument("--level", choices=LARGEST_ORDER, default="character", help="a token is a ... (%(default)s)")
    parser.add_argument("--path", help="folder or file of the corpus, where it needs one")
    parser.add_argument("--order", type=int, help="largest order to try (default: 12 for characters, 5 for words)")
    options = parser.parse_args(arguments)
    largest = LARGEST_ORDER[options.level] if options.order is None else options.order
    try:
        if largest < 1:
            raise ValueError(f"--order is {largest}, expected at least 1")
        report(options.corpus, options.level, options.path, largest)
    except ValueError as error:
        print(f"ngram.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def report(name: str, level: str, path: str | None, largest: int) -> None:
    """Print the table of one corpus, a line an order up to the largest."""
    from data.settings import Corpus
    from data.text.corpus import load

    corpus = load(Corpus.model_validate({"corpus": name, "level": level, "path": path}))
    sizes = [len(split) for split in (corpus.train, corpus.validation, corpus.test)]
    print(f"{corpus.source}\n{level}s of train / validation / test: {sizes[0]:,} / {sizes[1]:,} / {sizes[2]:,}")
    print(f"vocabulary: {len(corpus.vocabulary):,}, sha256: {corpus.data_hash}\n")
    print(f"| order | validation, bits a {level} | test, bits a {level} |\n|---:|---:|---:|")
    rows = []
    for order in range(1, largest + 1):
        model = KneserNey(corpus.train[:].tolist(), order, len(corpus.vocabulary))
        rows.append((model.bits(corpus.validation[:].tolist()), order, model.bits(corpus.test[:].tolist())))
        print(f"| {order} | {rows[-1][0]:.4f} | {rows[-1][2]:.4f} |", flush=True)
    validation, order, test = min(rows)
    print(f"\nbest on validation: order {order}, {validation:.4f} bits; test {test:.4f} bits", end="")
    print(f", perplexity {2**test:.2f}" if level == "word" else "")


if __name__ == "__main__":
    main()
