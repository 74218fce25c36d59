"""Tokens and their ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from data.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Level = Literal["character", "word"]

END_OF_LINE = "<eos>"
"""Stands for the line end at word level."""
UNKNOWN = "<unk>"
"""Stands for every token that the training split does not have; the Penn Treebank has it in its text, too."""


def tokenize(text: str, level: Level) -> list[str]:
    """Cut a text into characters, line ends included, or into words, with ``<eos>`` for each line end.

    Words are what stands between white space. A last line without a line end counts as ended.
    """
    if level == "character":
        return list(text)
    lines = text.removesuffix("\n").split("\n") if text else []
    return [token for line in lines for token in (*line.split(), END_OF_LINE)]


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
        counts = Counter(tokens)
        known = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(level, known if UNKNOWN in counts else [*known, UNKNOWN])

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

        unknown = self.unknown
        return np.fromiter((self._ids.get(token, unknown) for token in tokens), np.int64, count=len(tokens))

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
