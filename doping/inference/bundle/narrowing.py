"""A bundle with narrow values, and what that changes in its results."""

from __future__ import annotations

from typing import Any

import numpy as np

from doping.inference.bundle.description import Description
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import Table, cells, matrix, stored_arrays, table, table_arrays
from doping.inference.families.matrix import narrowed
from doping.inference.families.narrow import Bits
from doping.inference.families.stored import MatrixParts, Narrow, Valued
from doping.inference.models.classifier import Classifier
from doping.inference.models.language_model import LanguageModel
from doping.inference.models.lstm import Lstm
from doping.inference.runtime import runnable

WRITTEN = 2000
"""Tokens that a language model writes, to be predicted before and after."""
TEXTS, WORDS = 1000, 12
"""Random texts that are classified before and after."""
STEPS, BATCH = 100, 4
"""Random inputs of an LSTM alone."""
BITS: dict[Narrow, Bits] = {"int8": 8, "int4": 4}


def narrow(bundle: Bundle, values: Narrow = "int8", embedding_values: Narrow = "int8") -> Bundle:
    """The bundle with narrow weights, each row with a scale of 16 bits.

    Biases stay float32, and so do u and v of hybrid matrices; left Kronecker factors have 8 bits at least.

    Args:
        bundle: any.
        values: of the LSTM's weights.
        embedding_values: of an embedding and a softmax.

    Raises:
        InferenceError: the bundle's numbers are not valid.

    """
    cells(bundle)  # checks them
    model = bundle.description.model
    lstm = model.lstm
    tensors = {name: array for name, array in bundle.tensors.items() if not name.startswith("lstm.weight_")}
    parts: dict[str, MatrixParts] = {}
    for name, described in lstm.matrices.items():
        parts[name] = _narrow_parts(described, values)
        made = narrowed(matrix(lstm, bundle.tensors, name), BITS[values], short_scales=True)
        tensors |= {f"lstm.{name}.{tensor}": array for tensor, array in stored_arrays(made, parts[name]).items()}
    lstm = lstm.model_copy(update={"matrices": parts})
    sizes = bundle.description.sizes.model_copy(update={"bytes": lstm.weight_bytes()})
    update: dict[str, Any] = {"lstm": lstm}
    if model.kind != "lstm":
        update |= {"values": embedding_values, "scales": "bfloat16"}
        for name in ("embedding", "softmax.weight"):
            of_table = narrowed(table(bundle.tensors, name), BITS[embedding_values], short_scales=True)
            assert isinstance(of_table, Table)
            tensors |= table_arrays(name, of_table)
    return Bundle(_changed(bundle.description, model=model.model_copy(update=update), sizes=sizes), tensors)


def all_narrow(bundle: Bundle) -> Bundle:
    """The bundle as it is if all its weights are narrow; else with int8 values."""
    model = bundle.description.model
    matrices = model.lstm.matrices.values()
    parts: list[Valued | None] = [part for matrix in matrices for part in (matrix.structured, matrix.sparse)]
    parts.append(None if model.kind == "lstm" else model)
    return narrow(bundle) if any(part and part.values == "float32" for part in parts) else bundle


def narrow_and_measure(bundle: Bundle, values: Narrow = "int8", embedding_values: Narrow = "int8") -> Bundle:
    """The bundle with narrow values, and in its origin, under ``narrowed``, what that changes."""
    made = narrow(bundle, values, embedding_values)
    alike = bundle.description.model.kind == "lstm" or values == embedding_values
    named = values if alike else f"{values}, embedding and softmax {embedding_values}"
    origin = {**bundle.description.origin, "narrowed": f"{named}: {difference(bundle, made)}"}
    return Bundle(_changed(made.description, origin=origin), made.tensors)


def difference(before: Bundle, after: Bundle) -> str:
    """What narrowing does to a model's results, in words.

    A language model writes a text; how much worse the narrow one predicts it estimates their Kullback–Leibler divergence:
    what narrowing costs on text like its own. An LSTM alone gets random inputs.
    """
    wide, narrow = runnable(before), runnable(after)
    if isinstance(wide, LanguageModel) and isinstance(narrow, LanguageModel):
        text = wide.generate(wide.vocabulary.tokens[0], WRITTEN)
        bits = [model.score(text).bits for model in (wide, narrow)]
        return f"{bits[0]:.4f} bits a token before, {bits[1]:.4f} after, on {WRITTEN:,} tokens that it wrote itself before"
    if isinstance(wide, Classifier) and isinstance(narrow, Classifier):
        words_ET = np.random.default_rng(0).integers(0, len(wide.vocabulary), (TEXTS, WORDS))
        both = [[model.forward(words_T) for words_T in words_ET] for model in (wide, narrow)]
        alike = sum(int(one.argmax() == other.argmax()) for one, other in zip(*both, strict=True))
        return f"the same label for {alike:,} of {TEXTS:,} texts of random words"
    assert isinstance(wide, Lstm)
    assert isinstance(narrow, Lstm)
    x_TBI = np.random.default_rng(0).standard_normal((STEPS, BATCH, wide.input_size)).astype(np.float32)
    expected, outputs = wide.forward(x_TBI)[0], narrow.forward(x_TBI)[0]
    off = outputs - expected
    share = float(np.sqrt(np.mean(off**2)) / np.sqrt(np.mean(expected**2)))
    return f"outputs for random inputs differ by {100 * share:.2g} % in root mean square, by {np.abs(off).max():.2g} at most"


def _narrow_parts(parts: MatrixParts, values: Narrow) -> MatrixParts:
    changed = {
        name: part.model_copy(update={"values": values, "scales": "bfloat16"})
        for name in ("structured", "sparse")
        if (part := getattr(parts, name))
    }
    return parts.model_copy(update=changed)


def _changed(description: Description, **fields: Any) -> Description:
    return description.model_copy(update=fields)
