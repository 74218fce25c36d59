"""The ways to run a bundle that are tried: float32 kernels, and each instruction set of int8 arithmetic."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError, UserError
from doping.inference import reference
from doping.inference.bundle.file import Bundle
from doping.inference.kernels.int8.native import CHOICE, INSTRUCTION_SETS, available
from doping.inference.models.classifier import Classifier
from doping.inference.models.language_model import LanguageModel
from doping.inference.runtime import runnable

FLOAT32 = "float32"
PATHS = (FLOAT32, *INSTRUCTION_SETS)
SANITIZED = "LSTM_DOPING_FUZZ_SANITIZED"

Random = np.random.Generator
Outputs = npt.NDArray[np.floating]


def check(path: str) -> None:
    """Whether this processor has the path.

    Raises:
        UserError: it has not.

    """
    if path != FLOAT32 and path not in available():
        raise UserError(f"--path {path}: this processor has {', '.join([FLOAT32, *available()])}")


def outputs_of(loaded: Bundle, path: str, random: Random) -> tuple[Outputs, Outputs]:
    """What a bundle computes for random inputs, on the path and in float64.

    Raises:
        InferenceError: the bundle is refused.

    """
    with _instructions(path):
        model = runnable(loaded, arithmetic="float32" if path == FLOAT32 else "int8")
        if isinstance(model, LanguageModel):
            tokens_TB = random.integers(0, len(model.vocabulary), (9, 2))
            return model.forward(tokens_TB)[0], reference.logits(loaded, tokens_TB)
        if isinstance(model, Classifier):
            words_T = random.integers(0, len(model.vocabulary), 9)
            return model.forward(words_T), reference.class_logits(loaded, words_T)
        x_TBI = random.standard_normal((9, 2, model.input_size))
        return model.forward(x_TBI)[0], reference.lstm_outputs(loaded, x_TBI)


def text_of(loaded: Bundle, path: str) -> str:
    """A text that a language model in int8 writes, and its score; empty for others."""
    with _instructions(path):
        model = runnable(loaded, arithmetic="int8")
        if not isinstance(model, LanguageModel):
            return ""
        text = model.generate(model.vocabulary.tokens[0], 12, seed=1)
        try:
            return f"{text}{model.score(text * 2)}"
        except InferenceError:  # too short
            return text


@contextmanager
def _instructions(path: str) -> Iterator[None]:
    before = os.environ.get(CHOICE)
    if path != FLOAT32:
        os.environ[CHOICE] = path
    try:
        yield
    finally:
        os.environ.pop(CHOICE, None)
        if before is not None:
            os.environ[CHOICE] = before


def under_sanitizers() -> None:
    """Begin the process anew, with kernels that watch every access (AddressSanitizer, UndefinedBehaviorSanitizer).

    Raises:
        UserError: there is no GCC, or it has no sanitizer.

    """
    if os.environ.get(SANITIZED):
        return
    gcc = shutil.which("gcc")
    if gcc is None:
        raise UserError("--sanitize needs GCC; install it, or leave --sanitize out")
    runtime = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(runtime).is_absolute():
        raise UserError("this GCC has no AddressSanitizer (libasan.so); install it, or leave --sanitize out")
    environment = os.environ | {
        "CC": f"{gcc} -g -fsanitize=address,undefined -fno-sanitize-recover=all",
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        SANITIZED: "1",
    }
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
