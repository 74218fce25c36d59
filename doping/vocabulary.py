"""Tokens and their ids."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Literal

from doping.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Level = Literal["character", "word"]

END_OF_LINE = "<eos>"
"""Stands for the line end at word level."""
UNKNOWN = "<unk>"
"""Stands for every token that the training split does not have; the Penn Treebank has it in its text, too."""


LONGEST_WORD = 1_000_000
"""Characters; a longer one is no word but a text without blanks."""


def tokenize(text: str, level: Level) -> list[str]:
    """Cut a text into characters, line ends included, or into words, with ``<eos>`` for each line end.

    Words are what stands between white space. A last line without a line end counts as ended.
    """
    return [token for tokens in token_pieces([text] if text else [], level) for token in tokens]


def token_pieces(pieces: Iterable[str], level: Level) -> Iterator[Sequence[str]]:
    """The tokens of a text in pieces, none of them empty; they may end in the middle of a word.

    Raises:
        DataError: a word is longer than ``LONGEST_WORD``.

    """
    if level == "character":
        yield from pieces
        return
    begun, piece, lines = "", "\n", 0  # the beginning of a word that may go on in the next piece
    for piece in pieces:
        words = (begun + piece.replace("\n", f" {END_OF_LINE} ")).split()
        begun = "" if piece[-1].isspace() else words.pop()
        lines += piece.count("\n")
        if len(begun) > LONGEST_WORD:
            raise DataError(
                f"line {lines + 1} has a word of more than {LONGEST_WORD:,} characters ({begun[:20]}…); "
                "expected words with white space between them: use the level character, or break the text"
            )
        yield words
    if piece[-1] != "\n":
        yield [begun, END_OF_LINE] if begun else [END_OF_LINE]


class Vocabulary:
    """A list of distinct tokens; the place of a token is its id. ``<unk>`` is always one of them."""

    def __init__(self, level: Level, tokens: Sequence[str]) -> None:
        self.level: Level = level
        self.tokens = tuple(tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if level not in ("character", "word"):
            raise DataError(f"level of a vocabulary is {level!r}; expected 'character' or 'word'")
        if len(self._ids) != len(self.tokens):
            raise DataError("a vocabulary has the same token twice; expected distinct tokens")
        if UNKNOWN not in self._ids:
            raise DataError(f"a vocabulary of {len(self.tokens)} tokens lacks {UNKNOWN}; add it to the tokens")

    @classmethod
    def of(cls, tokens: Iterable[str], level: Level) -> Vocabulary:
        """Collect the vocabulary of a token stream: the most frequent first, equals in alphabetical order."""
        return cls.of_counts(Counter(tokens).items(), level)

    @classmethod
    def of_counts(cls, counts: Iterable[tuple[str, int]], level: Level, size: int | None = None) -> Vocabulary:
        """The vocabulary of tokens with their counts; with ``size``, the most frequent so many only, ``<unk>`` included."""

        def rank(count: tuple[str, int]) -> tuple[int, str]:
            return -count[1], count[0]

        known = [token for token, _ in (heapq.nsmallest(size, counts, rank) if size else sorted(counts, key=rank))]
        return cls(level, known if UNKNOWN in known else [*known[: size and size - 1], UNKNOWN])

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and (self.level, self.tokens) == (other.level, other.tokens)

    def __hash__(self) -> int:
        return hash((self.level, self.tokens))

    @property
    def unknown(self) -> int:
        """Id of ``<unk>``."""
        return self._ids[UNKNOWN]

    def encode(self, tokens: Sequence[str]) -> npt.NDArray[np.int64]:
        """Ids of tokens, of shape (len(tokens),); those not in the vocabulary become ``<unk>``."""
        import numpy as np

        return np.fromiter(map(self._ids.get, tokens, repeat(self.unknown)), np.int64, count=len(tokens))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids: characters joined, or words with a space between them and ``<eos>`` as a line end."""
        tokens = [self.tokens[index] for index in ids]
        if self.level == "character":
            return "".join(tokens)
        return " ".join(tokens).replace(f" {END_OF_LINE} ", "\n").replace(f" {END_OF_LINE}", "\n")

    def to_json(self) -> str:
        """JSON that :meth:`from_json` reads; the same vocabulary gives the same bytes."""
        return json.dumps({"level": self.level, "tokens": self.tokens}, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: the text is not such JSON.

        """
        try:
            content = json.loads(text)
            level, tokens = content["level"], content["tokens"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"not a vocabulary ({error!r}); expected JSON with level and tokens") from None
        return cls(level, tokens)
