"""The command ``python -m benchmarks.bundle_fuzz``: loads bundles that are damaged, or made up by somebody who means harm.

Each attempt takes a small valid bundle, alters it, and mostly puts the right checksum on it, so that the checks behind the
checksum are what is tested. Two outcomes are allowed: an ``InferenceError``, or a model that computes what its tensors say,
which a plain float64 loop works out anew. An altered file whose checksum was left alone must be refused. Anything else,
another exception or a crash of the process, is a failure; the seed of the attempt is named.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.bundle_fuzz.cases import Random, altered, samples
from doping.command_line import Parser, answer, arguments_or
from doping.errors import InferenceError
from doping.inference import reference
from doping.inference.bundle import file as bundle
from doping.inference.bundle.file import Bundle
from doping.inference.families.narrow import LARGEST
from doping.inference.models.classifier import Classifier
from doping.inference.models.language_model import LanguageModel
from doping.inference.runtime import runnable

LARGEST_WEIGHT = 30.0
"""Beyond that, float32 and float64 may differ for good reasons, and outputs are not compared."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    parser = Parser(prog="fuzz.py", description="Load damaged and malicious bundles; see that none does harm.")
    parser.add_argument("--count", metavar="N", type=int, default=20_000, help="attempts (default: %(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the first one (default: %(default)s)")
    options: argparse.Namespace = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0:
        raise InferenceError(
            f"--count {options.count} and --seed {options.seed} were given; expected whole numbers from 1 and 0 on"
        )
    outcomes = fuzz(options.count, options.seed)
    print(f"{options.count:,} altered bundles, seeds {options.seed} to {options.seed + options.count - 1}, none did harm:")
    print("\n".join(f"{count:8,} {outcome}" for outcome, count in outcomes.most_common()))


def fuzz(count: int, first_seed: int = 0) -> Counter[str]:
    """Make so many attempts; returns how often each outcome came.

    Raises:
        AssertionError: something was neither refused nor computed rightly; the message names the seed.

    """
    originals = samples()
    files = [bundle.to_bytes(original) for original in originals]
    outcomes: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + count):
        random = np.random.default_rng(seed)
        data, is_sealed = altered(files, random)
        if data in files:
            continue
        try:
            with np.errstate(all="ignore"):  # huge weights overflow
                outcomes[attempt(data, is_sealed, random)] += 1
        except Exception as error:
            raise AssertionError(f"attempt with seed {seed}: {type(error).__name__}: {error}") from error
    return outcomes


def attempt(data: bytes, is_sealed: bool, random: Random) -> str:
    """Load a file's content and run it; returns the outcome."""
    try:
        loaded = bundle.from_bytes(data)
        model = runnable(loaded)
    except InferenceError as error:
        return f"refused: {_kind(str(error))}"
    assert is_sealed, "the file was altered, and the checksum did not tell"
    if isinstance(model, LanguageModel):
        tokens_TB = random.integers(0, len(model.vocabulary), (9, 2))
        outputs, _ = model.forward(tokens_TB)
        expected = reference.logits(loaded, tokens_TB)
    elif isinstance(model, Classifier):
        words_T = random.integers(0, len(model.vocabulary), 9)
        outputs, expected = model.forward(words_T), reference.class_logits(loaded, words_T)
    else:
        x_TBI = random.standard_normal((9, 2, model.input_size))
        outputs, _ = model.forward(x_TBI)
        expected = reference.lstm_outputs(loaded, x_TBI)
    if _largest_weight(loaded) > LARGEST_WEIGHT:
        return "loaded and run; weights too large to compare"
    difference = float(np.abs(outputs - expected).max())
    assert difference < 2e-3, f"outputs differ from the reference by {difference:.3g}"
    return "loaded and run; outputs agree with the reference"


def _kind(message: str) -> str:
    """A message without what is special of this file; it must be a line that can be read."""
    assert len(message) < 500, f"an error of {len(message):,} characters"
    assert "\n" not in message, "an error of several lines"
    start = re.split(r" \(|;|, (?!but)|: ", message)[0]
    return re.sub(r"'.*'|\d[\d,]*", "…", start)


def _largest_weight(loaded: Bundle) -> float:
    """Of narrow values, the largest that they could be."""
    return max(
        float(np.abs(tensor).max(initial=0)) * (LARGEST[8] if name.endswith("_scale") else 1)
        for name, tensor in loaded.tensors.items()
        if tensor.dtype.kind == "f"
    )
