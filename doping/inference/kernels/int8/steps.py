"""Sequences that are read step by step, and language models, wholly in C: the state stays there between calls.

Legend: I inputs, H hidden units, S layers, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.families.dense import Dense
from doping.inference.families.int8_layout import known
from doping.inference.families.low_rank import LowRank
from doping.inference.families.sparse import Array
from doping.inference.kernels.int8.native import Int8Layer, Int8Matrix, instructions, kernels, workspace
from doping.inference.kernels.native import aligned

TokenIds = npt.NDArray[np.int64]


class Int8Steps:
    """Layers of one direction, one above the other, and the state of one sequence; not for two threads at once.

    Attributes:
        x: (inputs,), what the next step reads; to be written into.
        h, c: (layers, hidden), the state; to be read, and to be written into between steps.
        output: (hidden,), h of the last layer: the same array after each step.

    Raises:
        ValueError: the layers do not fit each other, or one runs backwards.

    """

    def __init__(self, layers: Sequence[Int8Layer], instruction_set: str | None = None):
        ffi, library = kernels()
        hidden = layers[0].hidden_size
        for below, layer in zip([None, *layers], layers, strict=False):
            if layer.hidden_size != hidden or (below and layer.input_size != hidden) or layer.structure.reverse:
                raise ValueError("layers of steps must have the same hidden size, and run forwards")
        self._layers = layers  # they own the arrays
        self._array = ffi.new("int8_layer[]", [layer.structure[0] for layer in layers])
        self.x = aligned(np.zeros(layers[0].input_size, np.float32))
        self._state = [aligned(np.zeros((len(layers), library.int8_padded(hidden)), np.float32)) for _ in range(2)]
        self.h, self.c = (part[:, :hidden] for part in self._state)
        self.output: Array = self.h[-1]
        self.structure = ffi.new("int8_steps *", {"layers": len(layers), "layer": self._array})
        for name, array in zip("xhc", (self.x, *self._state), strict=True):
            setattr(self.structure, name, ffi.cast("float *", array.ctypes.data))
        self._workspace = workspace(library.int8_steps_workspace(self.structure, ffi.NULL))
        self.structure.workspace = self._workspace
        self.instructions = instructions(instruction_set)
        self._step = self.instructions.step

    def step(self) -> Array:
        """Read ``x``: one step of every layer. The output, which the next step overwrites."""
        self._step(self.structure)
        return self.output

    def forget(self) -> None:
        """The state before the first step."""
        self.h[...] = 0
        self.c[...] = 0

    def widen(self, size: int) -> None:
        """Have at least so many bytes of workspace."""
        if size > len(self._workspace):
            self._workspace = self.structure.workspace = workspace(size)


class Int8Model:
    """A language model that reads, writes and scores tokens; not for two threads at once.

    Args:
        steps: its layers, which it takes over.
        embedding: narrow, (vocabulary, inputs); of low rank, it is looked up as a row of U times V.
        softmax: narrow, (vocabulary, hidden).
        bias_V: of the logits.

    Raises:
        ValueError: shapes do not fit each other.

    """

    def __init__(self, steps: Int8Steps, embedding: Dense | LowRank, softmax: Dense | LowRank, bias_V: Array):
        ffi, library = kernels()
        words = len(bias_V)
        expected = (words, len(steps.x)), (words, len(steps.output))
        if (embedding.shape, softmax.shape) != expected:
            raise ValueError(f"embedding and softmax are {embedding.shape} and {softmax.shape}; expected {expected}")
        self._words, self._steps = words, steps
        self._softmax = Int8Matrix(softmax)
        arrays, rank = {"softmax_bias": bias_V}, 0
        if isinstance(embedding, LowRank):
            rank = len(embedding.v)
            arrays |= {"embedding": embedding.u, "embedding_scales": known(embedding.u_scale)}
            arrays |= {"embedding_v": embedding.v, "embedding_v_scales": known(embedding.v_scale)}
        else:
            arrays |= {"embedding": embedding.weight, "embedding_scales": known(embedding.weight_scale)}
        self._arrays = {name: aligned(array) for name, array in arrays.items()}
        types = {"float32": "float *", "int8": "int8_t *"}
        fields: dict[str, Any] = {
            name: ffi.cast(types[array.dtype.name], array.ctypes.data) for name, array in self._arrays.items()
        }
        fields |= {"vocabulary": words, "embedding_rank": rank, "softmax": self._softmax.structure[0]}
        self._model = ffi.new("int8_model *", fields)
        steps.widen(library.int8_steps_workspace(steps.structure, self._model))

    def generate(self, given: TokenIds, length: int, temperature: float, seed: int) -> TokenIds:
        """Tokens that go on after those given, (length,), from an empty memory.

        Args:
            given: ids, at least one.
            length: of what is written.
            temperature: divides the logits; 0 takes the likeliest.
            seed: of the draws; the same one gives the same tokens, with every instruction set.

        Raises:
            ValueError: there is no token given, or one is not in the vocabulary.

        """
        ffi, _ = kernels()
        tokens = np.zeros(len(given) + length, np.int32)
        tokens[: len(given)] = self._checked(given, 1)
        self._steps.forget()
        self._steps.instructions.generate(
            self._model, self._steps.structure, len(given), length, ffi.from_buffer("int32_t[]", tokens), temperature,
            ffi.new("uint64_t *", seed % (1 << 64)),
        )  # fmt: skip
        return tokens[len(given) :].astype(np.int64)

    def score(self, ids: TokenIds) -> float:
        """Sum of the negative log-likelihoods of all tokens but the first, in nats, from an empty memory.

        Raises:
            ValueError: there are fewer than two tokens, or one is not in the vocabulary.

        """
        tokens = self._checked(ids, 2).astype(np.int32)
        self._steps.forget()
        pointer: Any = kernels()[0].from_buffer("int32_t[]", tokens)
        return float(self._steps.instructions.score(self._model, self._steps.structure, len(ids) - 1, pointer))

    def _checked(self, ids: TokenIds, least: int) -> TokenIds:
        if len(ids) < least:
            raise ValueError(f"{len(ids)} tokens were given; expected at least {least}")
        if not 0 <= ids.min() <= ids.max() < self._words:
            raise ValueError(f"a token has id {ids.max()} or {ids.min()}; expected ids from 0 to {self._words - 1}")
        return ids
