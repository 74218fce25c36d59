"""A classifier that tells the label of a text.

Legend of dimensions: T words, D outputs of the LSTM in both directions, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError
from doping.inference.bundle import description
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import rows, table
from doping.inference.models.lstm import Arithmetic, Floats, FromBundle, Lstm
from doping.vocabulary import Vocabulary


class Classifier(FromBundle):
    """Embedding, LSTM, attention over its outputs, softmax; as it was trained, dropout off.

    Attributes:
        bundle: the file it was made of: sizes, quality, origin.
        vocabulary: words and their ids.
        labels: what a text can be told to be.
        lstm: its layers.

    """

    def __init__(self, bundle: Bundle, threads: int = 1, arithmetic: Arithmetic = "float32") -> None:
        described = bundle.description.model
        assert isinstance(described, description.ClassifierDescription)
        super().__init__(bundle, threads, arithmetic)
        self.vocabulary = Vocabulary("word", described.tokens)
        self.labels = described.labels
        self.lstm = Lstm(bundle, threads, arithmetic)
        self._embedding = table(bundle.tensors, "embedding")
        self._attention_D: Floats = bundle.tensors["attention"]
        self._softmax_CD: Floats = table(bundle.tensors, "softmax.weight").dense()
        self._bias_C: Floats = bundle.tensors["softmax.bias"]

    def forward(self, words_T: npt.ArrayLike) -> Floats:
        """Logits of the labels, (C,), of a text given as ids of its words.

        Raises:
            InferenceError: if there is no word, or an id is not in the vocabulary.

        """
        ids_T = np.asarray(words_T)
        words = len(self.vocabulary)
        if ids_T.ndim != 1 or not ids_T.size or not np.issubdtype(ids_T.dtype, np.integer):
            raise InferenceError(f"the words have shape {ids_T.shape} and type {ids_T.dtype}; expected ids of at least one")
        if not 0 <= ids_T.min() <= ids_T.max() < words:
            raise InferenceError(f"a word has id {ids_T.max()} or {ids_T.min()}; expected ids from 0 to {words - 1}")
        outputs_T1D, _ = self.lstm.forward(rows(self._embedding, ids_T)[:, None])
        outputs_TD = outputs_T1D[:, 0]
        read_D = _softmax(outputs_TD @ self._attention_D) @ outputs_TD
        logits_C: Floats = (read_D @ self._softmax_CD.T + self._bias_C).astype(np.float32)
        return logits_C

    def classify(self, text: str) -> list[tuple[str, float]]:
        """The labels of a text with their probabilities, the likeliest first.

        Words stand between white space; those that the vocabulary lacks are read as unknown.

        Raises:
            InferenceError: if the text has no word.

        """
        words: Sequence[str] = text.split()
        if not words:
            raise InferenceError("the text has no words; give one to classify")
        probabilities_C = _softmax(self.forward(self.vocabulary.encode(words)))
        order = np.argsort(-probabilities_C, kind="stable")
        return [(self.labels[index], float(probabilities_C[index])) for index in order]


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max())
    shares: Floats = shifted / shifted.sum()
    return shares
