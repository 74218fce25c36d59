"""The command ``python -m benchmarks.bundle_fuzz``: loads bundles that are damaged, or made up by somebody who means harm.

Each attempt takes a small valid bundle, alters it, and mostly puts the right checksum on it, so that the checks behind the
checksum are what is tested. Two outcomes are allowed: an ``InferenceError``, or a model that computes what its tensors say,
which a plain float64 loop works out anew. In int8 arithmetic that loop is near only; so each instruction set must also give
bit for bit what plain C gives. An altered file whose checksum was left alone must be refused. Anything else, another
exception or a crash of the process, is a failure; the seed of the attempt is named.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.bundle_fuzz.cases import Random, altered, samples
from benchmarks.bundle_fuzz.emulation import emulate
from benchmarks.bundle_fuzz.paths import FLOAT32, PATHS, check, outputs_of, text_of, under_sanitizers
from doping.command_line import Parser, answer, arguments_or, path
from doping.errors import InferenceError
from doping.inference.bundle import file as bundle
from doping.inference.bundle.file import Bundle
from doping.inference.families.narrow import LARGEST
from doping.machine import commit, hardware

AGREES = "loaded and run; outputs agree with the reference"
NEAR, NEAR_IN_INT8 = 2e-3, 0.3
"""How far outputs may be from those of float64, which rounds neither inputs nor states."""
LARGEST_WEIGHT, LARGEST_IN_INT8 = 30.0, 3.0
"""Beyond that they may be farther for good reasons, and are not compared."""

YES = {True: "yes", False: "no"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    parser = Parser(prog="bundle_fuzz", description="Load damaged and malicious bundles; see that none does harm.")
    parser.add_argument("--count", metavar="N", type=int, default=20_000, help="attempts (default: %(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument(
        "--path",
        choices=PATHS,
        default=FLOAT32,
        help="float32 kernels, or an instruction set of int8 (default: %(default)s)",
    )
    parser.add_argument("--sanitize", action="store_true", help="with kernels that watch every access to memory; needs GCC")
    parser.add_argument(
        "--emulate",
        action="store_true",
        help="with the instructions of all sets written out in C, for any processor",
    )
    parser.add_argument("--out", metavar="CSV", type=path, help="add a line on the attempts to this table")
    options: argparse.Namespace = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0:
        raise InferenceError(
            f"--count {options.count} and --seed {options.seed} were given; expected whole numbers from 1 and 0 on"
        )
    if options.sanitize:
        under_sanitizers()
    if options.emulate:
        emulate()
    check(options.path)
    outcomes = fuzz(options.count, options.seed, options.path)
    print(f"{options.count:,} altered bundles, seeds {options.seed} to {options.seed + options.count - 1}, none did harm:")
    print("\n".join(f"{count:8,} {outcome}" for outcome, count in outcomes.most_common()))
    if options.out:
        _add(options, outcomes)


def _add(options: argparse.Namespace, outcomes: Counter[str]) -> None:
    row = {
        "path": options.path, "emulated": YES[options.emulate], "sanitizers": YES[options.sanitize],
        "first_seed": options.seed,
        "altered": sum(outcomes.values()), "refused": sum(n for name, n in outcomes.items() if name.startswith("refused")),
        "run": sum(n for name, n in outcomes.items() if not name.startswith("refused")),
        "compared": outcomes[AGREES], "hardware": hardware(), "commit": commit(),
    }  # fmt: skip
    there = options.out.exists()
    with options.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if not there:
            writer.writeheader()
        writer.writerow(row)


def fuzz(count: int, first_seed: int = 0, path: str = FLOAT32) -> Counter[str]:
    """Make so many attempts on a path; returns how often each outcome came.

    Raises:
        AssertionError: something was neither refused nor computed rightly; the message names the seed.

    """
    files = [bundle.to_bytes(original) for original in samples(in_int8=path != FLOAT32)]
    outcomes: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + count):
        random = np.random.default_rng(seed)
        data, is_sealed = altered(files, random)
        if data in files:
            continue
        try:
            with np.errstate(all="ignore"):  # huge weights overflow
                outcomes[attempt(data, is_sealed, random, path)] += 1
        except Exception as error:
            raise AssertionError(f"attempt with seed {seed}: {type(error).__name__}: {error}") from error
    return outcomes


def attempt(data: bytes, is_sealed: bool, random: Random, path: str = FLOAT32) -> str:
    """Load a file's content and run it on a path; returns the outcome."""
    at = random.integers(1 << 32)
    try:
        loaded = bundle.from_bytes(data)
        outputs, expected = outputs_of(loaded, path, np.random.default_rng(at))
    except InferenceError as error:
        return f"refused: {_kind(str(error))}"
    assert is_sealed, "the file was altered, and the checksum did not tell"
    near, most = NEAR, LARGEST_WEIGHT
    if path != FLOAT32:
        near, most = NEAR_IN_INT8, LARGEST_IN_INT8
        plain, _ = outputs_of(loaded, "plain", np.random.default_rng(at))
        assert np.array_equal(outputs, plain, equal_nan=True), "outputs differ from those of plain C"
        assert text_of(loaded, path) == text_of(loaded, "plain"), "the text differs from that of plain C"
    if _largest_weight(loaded) > most:
        return "loaded and run; weights too large to compare"
    difference = float(np.abs(outputs - expected).max())
    assert difference < near, f"outputs differ from the reference by {difference:.3g}"
    return AGREES


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
