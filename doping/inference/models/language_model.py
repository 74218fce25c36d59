"""A language model that scores and writes text.

Legend of dimensions: T steps, B batch, H hidden units, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError
from doping.inference.bundle import description
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import Table, cells, factors, product, rows, table
from doping.inference.kernels.int8 import Int8Layer, Int8Model, Int8Steps, narrow
from doping.inference.models.lstm import Arithmetic, Floats, FromBundle, Lstm, State
from doping.perplexity import perplexity
from doping.vocabulary import END_OF_LINE, Vocabulary, tokenize

CHUNK = 256
"""Steps that are scored at once; changes memory and speed, not the result."""

TokenIds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """How well a text was predicted, every token but the first from those before it."""

    nats: float
    """Mean negative log-likelihood of a token."""
    tokens: int
    """Tokens that were predicted."""
    unknown: int
    """Tokens of the text that the vocabulary does not have."""

    @property
    def bits(self) -> float:
        """Bits a token."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """Perplexity a token."""
        return perplexity(self.nats)


class LanguageModel(FromBundle):
    """Embedding, LSTM, softmax; as it was trained, dropout off.

    Attributes:
        bundle: the file it was made of: sizes, quality, origin.
        vocabulary: tokens and their ids.
        lstm: its layers.

    """

    def __init__(self, bundle: Bundle, threads: int = 1, arithmetic: Arithmetic = "float32") -> None:
        described = bundle.description.model
        assert isinstance(described, description.LanguageModelDescription)
        super().__init__(bundle, threads, arithmetic)
        self.vocabulary = Vocabulary(described.level, described.tokens)
        self.lstm = Lstm(bundle, threads, arithmetic)
        self._embedding = table(bundle.tensors, "embedding")
        self._softmax = factors(table(bundle.tensors, "softmax.weight"))
        self._bias_V: Floats = bundle.tensors["softmax.bias"]
        self._in_c = self._model_in_c() if arithmetic == "int8" else None

    def _model_in_c(self) -> Int8Model:
        """The same model, that reads and writes whole texts in C."""
        layers = [Int8Layer(narrow(cell.input), narrow(cell.recurrent), cell.bias) for cell in cells(self.bundle)]
        embedding, softmax = (narrow(table(self.bundle.tensors, name)) for name in ("embedding", "softmax.weight"))
        assert isinstance(embedding, Table)
        assert isinstance(softmax, Table)
        return Int8Model(Int8Steps(layers), embedding, softmax, self._bias_V)

    def forward(
        self, tokens_TB: npt.ArrayLike, state: State | None = None, lengths_B: npt.ArrayLike | None = None
    ) -> tuple[Floats, State]:
        """Logits of the next token after each one.

        Args:
            tokens_TB: ids of the tokens to read, (T, B).
            state: the state before them, each part (layers, B, H); zeros by default. It is not changed.
            lengths_B: tokens of each sequence where they differ, (B,), from 1 to T; behind them the logits mean nothing.

        Returns:
            Logits (T, B, V), and the state after the last token.

        Raises:
            InferenceError: if an array has another shape, or an id is not in the vocabulary.

        """
        outputs_TBH, state = self.lstm.forward(self._embedded(tokens_TB), state, lengths_B)
        return product(outputs_TBH, self._softmax) + self._bias_V, state

    def score(self, text: str) -> Score:
        """Predict a text from its first token on, starting with an empty memory.

        Raises:
            InferenceError: if the text has fewer than two tokens.

        """
        tokens = tokenize(text, self.vocabulary.level)
        ids = self.vocabulary.encode(tokens)
        if len(ids) < 2:
            raise InferenceError(f"the text has {len(ids)} tokens; expected at least 2, to predict one from the other")
        known = set(self.vocabulary.tokens)
        unknown = sum(token not in known for token in tokens)
        if self._in_c:
            return Score(self._in_c.score(ids) / (len(ids) - 1), len(ids) - 1, unknown)
        state, nats = None, 0.0
        for start in range(0, len(ids) - 1, CHUNK):
            piece = ids[start : start + CHUNK + 1]
            logits_TBV, state = self.forward(piece[:-1, None], state)
            log_probabilities_TV = _log_softmax(logits_TBV[:, 0])
            nats -= float(log_probabilities_TV[np.arange(len(piece) - 1), piece[1:]].sum())
        return Score(nats / (len(ids) - 1), len(ids) - 1, unknown)

    def generate(self, prompt: str, length: int, temperature: float = 1.0, seed: int = 0) -> str:
        """Go on with a text.

        Args:
            prompt: text to start with; an empty one stands for a line end.
            length: tokens to write.
            temperature: divides the logits: below 1 the likely becomes likelier; 0 always takes the likeliest.
            seed: of the random choices; the same one gives the same text, in the same arithmetic.

        Returns:
            The prompt as the model reads it, and what it wrote.

        Raises:
            InferenceError: if ``length`` or ``temperature`` is negative, or the prompt is empty and there is no line end.

        """
        if length < 0 or not 0 <= temperature < math.inf:
            raise InferenceError(f"length {length} and temperature {temperature:g} were given; expected numbers from 0 on")
        ids = self._prompt(prompt)
        if self._in_c:
            return self.vocabulary.decode([*ids, *self._in_c.generate(ids, length, temperature, seed)])
        return self.vocabulary.decode([*ids, *self._continued(ids, length, temperature, np.random.default_rng(seed))])

    def _continued(self, ids: TokenIds, length: int, temperature: float, random: np.random.Generator) -> Iterator[int]:
        outputs_TBH, state = self.lstm.forward(self._embedded(ids[:, None]))
        for _ in range(length):
            logits_V = product(outputs_TBH[-1, 0], self._softmax) + self._bias_V
            token = _choose(logits_V, temperature, random)
            yield token
            outputs_TBH, state = self.lstm.forward(self._embedded([[token]]), state)

    def _prompt(self, prompt: str) -> TokenIds:
        level = self.vocabulary.level
        tokens = tokenize(prompt, level)
        if level == "word" and not prompt.endswith("\n"):
            tokens = tokens[:-1]  # the line goes on
        if not tokens:
            tokens = ["\n" if level == "character" else END_OF_LINE]
            if tokens[0] not in self.vocabulary.tokens:
                raise InferenceError("the prompt is empty, and the vocabulary has no line end to start with; give a prompt")
        return self.vocabulary.encode(tokens)

    def _embedded(self, tokens_TB: npt.ArrayLike) -> Floats:
        ids_TB = np.asarray(tokens_TB)
        if ids_TB.ndim != 2 or not (np.issubdtype(ids_TB.dtype, np.integer) or not ids_TB.size):
            raise InferenceError(
                f"the tokens have shape {ids_TB.shape} and type {ids_TB.dtype}; expected whole numbers (steps, batch)"
            )
        words = len(self.vocabulary)
        if ids_TB.size and not 0 <= ids_TB.min() <= ids_TB.max() < words:
            raise InferenceError(f"a token has id {ids_TB.max()} or {ids_TB.min()}; expected ids from 0 to {words - 1}")
        return rows(self._embedding, ids_TB.astype(np.int64))


def _log_softmax(logits_TV: Floats) -> npt.NDArray[np.float64]:
    shifted_TV = logits_TV.astype(np.float64) - logits_TV.max(axis=-1, keepdims=True)
    log_probabilities_TV: npt.NDArray[np.float64] = shifted_TV - np.log(np.exp(shifted_TV).sum(axis=-1, keepdims=True))
    return log_probabilities_TV


def _choose(logits_V: Floats, temperature: float, random: np.random.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    # The Gumbel-max trick: the largest of logits / temperature + Gumbel noise is a draw from their softmax.
    return int((logits_V.astype(np.float64) + temperature * random.gumbel(size=len(logits_V))).argmax())
