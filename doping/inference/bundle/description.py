"""What a bundle holds, in words that can be checked: shapes and formats of all its tensors, and where the model comes from.

The description is JSON in the header of the file. It says which tensors there must be, with which types and shapes; so a
file whose tensors are anything else is refused before a single number of it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from doping.inference.families.low_rank import LowRankParts
from doping.inference.families.stored import Count, MatrixParts, Part, TensorShape, Valued, Width
from doping.vocabulary import Level, Vocabulary


class LstmDescription(Part):
    """Layers of an LSTM; names and the order of the gates (input, forget, cell, output) are those of ``nn.LSTM``."""

    input_size: Width
    """Inputs of the first layer."""
    hidden_size: Width
    """Hidden units of each layer and direction."""
    layers: Annotated[int, Field(ge=1, le=256)]
    """Number of layers."""
    bidirectional: bool
    """Whether each layer also runs backwards."""
    bias: bool
    """Whether there are biases: one per row, the sum of the two that ``nn.LSTM`` has."""
    matrices: dict[str, MatrixParts]
    """The weights by name, ``weight_ih_l0``, ``weight_hh_l0``, ``weight_ih_l0_reverse``, …"""

    @model_validator(mode="after")
    def _has_its_matrices(self) -> LstmDescription:
        if set(self.matrices) != set(self.shapes()):
            raise ValueError(f"the matrices are {sorted(self.matrices)}, expected {sorted(self.shapes())}")
        return self

    def cells(self) -> Iterator[tuple[str, int]]:
        """Suffix (``l0``, ``l0_reverse``, ``l1``, …) and number of inputs of each layer and direction, in order."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        for layer in range(self.layers):
            for direction in directions:
                yield f"l{layer}{direction}", self.input_size if layer == 0 else len(directions) * self.hidden_size

    def shapes(self) -> dict[str, tuple[int, int]]:
        """(4·hidden, columns) of each weight, in order."""
        shapes = {}
        for suffix, inputs in self.cells():
            shapes[f"weight_ih_{suffix}"] = (4 * self.hidden_size, inputs)
            shapes[f"weight_hh_{suffix}"] = (4 * self.hidden_size, self.hidden_size)
        return shapes

    def weight_bytes(self) -> int:
        """What the tensors of the weights weigh, biases not counted."""
        return sum(tensor.bytes for tensor in self.weight_tensors().values())

    def weight_tensors(self) -> dict[str, TensorShape]:
        """Tensors of the weights: what the size of the LSTM counts."""
        shapes = self.shapes()
        return {
            f"{name}.{tensor}": shape
            for name, matrix in self.matrices.items()
            for tensor, shape in matrix.tensors(*shapes[name]).items()
        }

    def tensors(self) -> dict[str, TensorShape]:
        """All tensors, biases too."""
        bias = TensorShape(kind="F32", shape=(4 * self.hidden_size,))
        biases = {f"bias_{suffix}": bias for suffix, _ in self.cells()} if self.bias else {}
        return self.weight_tensors() | biases


class LstmModel(Part):
    """An LSTM alone, as ``CompressedLSTM`` is."""

    kind: Literal["lstm"] = "lstm"
    lstm: LstmDescription
    """Its layers."""

    def tensors(self) -> dict[str, TensorShape]:
        """Those of the LSTM under ``lstm.``."""
        return {f"lstm.{name}": shape for name, shape in self.lstm.tensors().items()}


class OfTokens(Valued):
    """Base of models with an embedding and a softmax, whose values may be narrow."""

    embedding_rank: Annotated[Width | None, Field(exclude_if=lambda rank: rank is None)] = None
    """Rank of the matrices with a row for each token: the embedding, and a language model's softmax. Not written where they
    are of full rank."""

    def of_tokens(self, name: str, tokens: int, width: int) -> dict[str, TensorShape]:
        """The tensors of such a matrix: itself, or its factors ``name.u`` and ``name.v``."""
        if self.embedding_rank is None:
            return self.valued(name, (tokens, width), tokens)
        factors = LowRankParts(rank=self.embedding_rank, values=self.values, scales=self.scales)
        return {f"{name}.{factor}": shape for factor, shape in factors.tensors(tokens, width).items()}


class LanguageModelDescription(OfTokens):
    """Embedding, LSTM, softmax over the vocabulary."""

    kind: Literal["language_model"] = "language_model"
    lstm: LstmDescription
    """Its layers."""
    level: Level
    """What a token is: ``character`` or ``word``."""
    tokens: Annotated[tuple[str, ...], Field(min_length=1, max_length=1 << 24)]
    """The vocabulary; the place of a token is its id."""

    @model_validator(mode="after")
    def _is_one(self) -> LanguageModelDescription:
        if self.lstm.bidirectional:
            raise ValueError("a language model cannot be bidirectional")
        "".join(self.tokens).encode()  # half a surrogate pair is no text
        Vocabulary(self.level, self.tokens)
        return self

    def tensors(self) -> dict[str, TensorShape]:
        """``embedding``, ``softmax.weight``, ``softmax.bias``, and those of the LSTM under ``lstm.``."""
        words, lstm = len(self.tokens), self.lstm
        return {
            **self.of_tokens("embedding", words, lstm.input_size),
            **self.of_tokens("softmax.weight", words, lstm.hidden_size),
            "softmax.bias": TensorShape(kind="F32", shape=(words,)),
            **{f"lstm.{name}": shape for name, shape in lstm.tensors().items()},
        }


class ClassifierDescription(OfTokens):
    """Embedding, LSTM, attention over its outputs, softmax over the labels."""

    kind: Literal["classifier"] = "classifier"
    lstm: LstmDescription
    """Its layers."""
    tokens: Annotated[tuple[str, ...], Field(min_length=1, max_length=1 << 24)]
    """Words; the place of one is its id."""
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=1 << 16)]
    """What a text can be told to be."""

    @model_validator(mode="after")
    def _is_one(self) -> ClassifierDescription:
        "".join((*self.tokens, *self.labels)).encode()  # half a surrogate pair is no text
        Vocabulary("word", self.tokens)
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label stands twice; expected distinct labels")
        return self

    @property
    def features(self) -> int:
        """Width D of the LSTM's outputs, both directions together."""
        return self.lstm.hidden_size * (2 if self.lstm.bidirectional else 1)

    def tensors(self) -> dict[str, TensorShape]:
        """``embedding``, ``attention``, ``softmax.weight``, ``softmax.bias``, and those of the LSTM under ``lstm.``."""
        words, labels = len(self.tokens), len(self.labels)
        return {
            **self.of_tokens("embedding", words, self.lstm.input_size),
            "attention": TensorShape(kind="F32", shape=(self.features,)),
            **self.valued("softmax.weight", (labels, self.features), labels),
            "softmax.bias": TensorShape(kind="F32", shape=(labels,)),
            **{f"lstm.{name}": shape for name, shape in self.lstm.tensors().items()},
        }


Model = Annotated[LstmModel | LanguageModelDescription | ClassifierDescription, Field(discriminator="kind")]


class Sizes(Part):
    """Size of the LSTM's weight matrices together, biases not counted."""

    values: Count
    """Values that are stored."""
    bytes: Count
    """What they weigh, indices included."""
    multiply_adds: Count
    """Multiply–adds of one time step."""
    dense_values: Count
    """Values of the same matrices, uncompressed."""

    @property
    def factor(self) -> float:
        """Compression factor in values."""
        return self.dense_values / max(self.values, 1)


class Quality(Part):
    """How well the model did when it was trained."""

    metric: str
    """What is measured, e.g. ``bits_per_character``; lower is better."""
    validation: float
    """On the validation split."""
    test: float
    """On the test split."""


class Description(Part):
    """All that a bundle says of itself."""

    model: Model
    """What it computes."""
    sizes: Sizes
    """How large it is."""
    method: str
    """How it was compressed, e.g. ``doped_kp + cmr``."""
    quality: Quality | None = None
    """How good it was; unknown where it does not come from a study."""
    origin: dict[str, str]
    """Where it comes from: trial, task, settings, hash of the data, commit, versions. Nothing is computed from it."""


def summary(description: Description) -> list[str]:
    """A few lines on a model: what it is, how large, how good."""
    model, sizes, quality, origin = description.model, description.sizes, description.quality, description.origin
    lstm = model.lstm
    layers = f"{lstm.layers} x {lstm.hidden_size}{' in both directions' if lstm.bidirectional else ''}"
    match model:
        case LanguageModelDescription():
            kind = f"language model of {len(model.tokens):,} {model.level}s, LSTM"
        case ClassifierDescription():
            kind = f"classifier of texts by {len(model.labels):,} labels, {len(model.tokens):,} words, LSTM"
        case _:
            kind = "LSTM"
    lines = [
        f"{kind} {layers}, {description.method}",
        f"LSTM weights: {sizes.values:,} values ({sizes.factor:.4g}x fewer than dense), {sizes.bytes:,} bytes, "
        f"{sizes.multiply_adds:,} multiply-adds a step",
    ]
    if quality:
        lines.append(f"{quality.metric}: validation {quality.validation:.4g}, test {quality.test:.4g}")
    if "narrowed" in origin:
        lines.append(f"narrowed after that to {origin['narrowed']}")
    if "trial" in origin:
        lines.append(f"trial {origin['trial']} on {origin['task']}")
    return lines
