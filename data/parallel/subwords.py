"""Subwords of a language: byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) of the ``tokenizers`` library.

Words are merged from bytes, so no text is unknown, and what was encoded is decoded to the same text. The same sentences
give the same vocabulary, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from doping.errors import DataError


class Subwords:
    """A vocabulary of subwords; ``len`` is the number of their ids."""

    PAD, BEGIN, END = range(3)
    """Ids of what fills a batch up, of the begin and of the end of a sentence."""

    _SPECIAL = ("<pad>", "<begin>", "<end>")

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Use a tokenizer that ``of`` made."""
        # A text may have the words <pad> or <end> in it; they mean nothing there.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer

    @classmethod
    def of(cls, sentences: Iterable[str], size: int) -> Subwords:
        """Learn at most ``size`` subwords; few sentences give fewer."""
        tokenizer = Tokenizer(models.BPE())
        # A space belongs to the word after it, and the first word gets one too: it is the same word anywhere.
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            special_tokens=list(cls._SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(sentences, trainer)
        return cls(tokenizer)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Ids of each sentence, without begin and end."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(sentences))]

    def decode(self, ids: Iterable[int]) -> str:
        """The sentence of ids; begin, end and filling are left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text.strip()

    def to_json(self) -> str:
        """JSON that :meth:`from_json` reads; the same vocabulary gives the same text."""
        return str(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> Subwords:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: the text is not such JSON.

        """
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing more precise
            raise DataError(f"not a vocabulary of subwords ({error}); expected JSON of the tokenizers library") from None
        if [tokenizer.token_to_id(token) for token in cls._SPECIAL] != [cls.PAD, cls.BEGIN, cls.END]:
            raise DataError(f"not a vocabulary of this project: expected {', '.join(cls._SPECIAL)} as its first tokens")
        return cls(tokenizer)
