"""The command ``python -m doping.run``: a bundle tells of itself, scores a text, writes one, or classifies it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from doping.command_line import Parser, answer, arguments_or, path
from doping.errors import InferenceError
from doping.inference.bundle import file as bundle
from doping.inference.bundle.description import summary
from doping.inference.models.classifier import Classifier
from doping.inference.models.language_model import LanguageModel
from doping.inference.models.lstm import Lstm
from doping.inference.runtime import runnable

LABELS_SHOWN = 5

_EXAMPLES = """\
examples:
  python -m doping.run model.lstm                              what it is, how large, how good
  python -m doping.run model.lstm --score my.txt
  python -m doping.run model.lstm --generate "The " --length 300 --temperature 0.7
  python -m doping.run intents.lstm --classify "show me flights from boston to denver"
  python -m doping.run intents.lstm --classify -               a text a line, from standard input"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    loaded = bundle.read(options.bundle)
    model = runnable(loaded, options.threads, options.arithmetic)
    if options.score is None and options.generate is None and options.classify is None:
        print("\n".join(summary(loaded.description)))
        return
    if options.classify is not None:
        if not isinstance(model, Classifier):
            raise InferenceError(f"{options.bundle} holds {_kind(model)}, no classifier; --classify needs one")
        _classify(model, options.classify)
        return
    if not isinstance(model, LanguageModel):
        raise InferenceError(f"{options.bundle} holds {_kind(model)}, no language model; --score and --generate need one")
    if options.score is not None:
        score = model.score(_text(options.score))
        unknown = f", {score.unknown:,} of them unknown" if score.unknown else ""
        quality = (
            f"{score.bits:.4f} bits a character"
            if model.vocabulary.level == "character"
            else f"perplexity {score.perplexity:.2f}"
        )
        print(f"{quality} over {score.tokens:,} {model.vocabulary.level}s{unknown}")
    if options.generate is not None:
        print(model.generate(options.generate, options.length, options.temperature, options.seed))


def _classify(model: Classifier, text: str) -> None:
    """Print the likeliest labels of a text; or, for ``-``, the likeliest one of each line of standard input."""
    if text == "-":
        for line in sys.stdin:
            if not line.strip():
                print(flush=True)  # a line for every line
                continue
            label, probability = model.classify(line)[0]
            print(f"{label}\t{probability:.4f}\t{line.rstrip()}", flush=True)
        return
    for label, probability in model.classify(text)[:LABELS_SHOWN]:
        print(f"{probability:7.2%}  {label}")


def _kind(model: LanguageModel | Classifier | Lstm) -> str:
    names = {LanguageModel: "a language model", Classifier: "a classifier", Lstm: "an LSTM (run it from Python)"}
    return names[type(model)]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="run.py",
        description="Run a model that `python -m sweeps.export` wrote, without the training code.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=path, help="the file")
    parser.add_argument("--score", metavar="FILE", type=path, help="predict this UTF-8 text and say how well")
    parser.add_argument("--generate", metavar="PROMPT", help="go on with this text")
    parser.add_argument("--classify", metavar="TEXT", help="tell the label of this text; -: of every line of standard input")
    parser.add_argument("--length", metavar="N", type=int, default=200, help="tokens to write (default: %(default)s)")
    parser.add_argument(
        "--temperature",
        metavar="T",
        type=float,
        default=1.0,
        help="below 1 is more cautious, 0 greedy (default: %(default)s)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the random choices (default: %(default)s)")
    parser.add_argument(
        "--arithmetic",
        choices=("float32", "int8"),
        default="float32",
        help="of the products; int8 is faster, and rounds inputs and states to 8 bits (default: %(default)s)",
    )
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="pays for wide layers (default: %(default)s)")
    options = parser.parse_args(arguments)
    for flag, least in (("seed", 0), ("threads", 1)):
        if getattr(options, flag) < least:
            raise InferenceError(f"--{flag} {getattr(options, flag)} was given; expected a whole number from {least} on")
    return options


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InferenceError(f"cannot read {path}: {error.strerror}; expected a text to score") from error
    except UnicodeDecodeError as error:
        raise InferenceError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start}); convert it first") from error
