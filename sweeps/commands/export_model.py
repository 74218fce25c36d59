"""The command ``python -m sweeps.export``: from a trained model to what runs elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doping.command_line import Parser, answer, arguments_or, path
from doping.errors import InferenceError
from doping.inference.bundle import file as bundle
from doping.inference.bundle.description import summary
from doping.inference.bundle.file import Bundle
from sweeps.commands.trust import trusting

if TYPE_CHECKING:
    from sweeps.results.script_models import ScriptModel

_DESCRIPTION = """\
Export a trained model: to one file that `doping-run` and `doping.inference.runtime.load` run without the training code, to C
sources, or to ONNX."""

_EXAMPLES = """\
examples:
  python -m sweeps.export --from runs/kp_vs_pruning-quick --method doped_kp --factor 20 --out model.lstm
  python -m sweeps.export --from runs/kp_vs_pruning-quick/trials/0123456789ab --out model.lstm
  python -m sweeps.export --from model.lstm --values int4 --out small.lstm
  python -m sweeps.export --from model.lstm --format c --name vad --out vad
  python -m sweeps.export --from model.lstm --format onnx --out model.onnx"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    out = options.out
    model = _source(options.source, options.method, options.factor)
    if not isinstance(model, Bundle):
        if options.format != "onnx":
            raise InferenceError("a model of one's own is exported as ONNX: add --format onnx")
        model.write_onnx(out, options.values)
        print(f"wrote {out}: {_weight(out):,} bytes")
        return
    if options.values != "float32":
        from doping.inference.bundle.narrowing import narrow_and_measure

        model = narrow_and_measure(model, options.values, options.embedding_values or "int8")
    if options.format == "bundle":
        bundle.write(model, out)
    elif options.format == "c":
        from doping.inference.exporters.c import write_c

        write_c(model, out, options.name, options.weights or "text", options.arithmetic or "float32")
    else:
        from doping.inference.exporters.onnx import write_onnx

        write_onnx(model, out)
    print("\n".join([*summary(model.description), f"wrote {out}: {_weight(out):,} bytes"]))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="export.py",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        type=path,
        required=True,
        help="folder of a study's results, of which the best model is taken; folder of a trial; or a bundle",
    )
    parser.add_argument("--method", metavar="NAME", help="of a study: only models of this method, e.g. doped_kp")
    parser.add_argument("--factor", metavar="N", type=float, help="of a study: only models of this compression factor")
    parser.add_argument("--out", metavar="PATH", type=path, required=True, help="file to write; with --format c, a folder")
    parser.add_argument(
        "--values",
        choices=("float32", "int8", "int4"),
        default="float32",
        help="how weights are stored: int8 with a scale for each row takes about a quarter of the bytes, int4 an eighth; "
        "the error is measured and said (default: as they are)",
    )
    parser.add_argument(
        "--embedding-values",
        choices=("int8", "int4"),
        help="with --values int8 or int4: how embedding and softmax are stored (default: int8)",
    )
    parser.add_argument("--format", choices=("bundle", "c", "onnx"), default="bundle", help="default: %(default)s")
    parser.add_argument(
        "--name", help="with --format c: begins the name of every function, e.g. vad_step (default: the folder's name)"
    )
    parser.add_argument(
        "--weights",
        choices=("text", "binary"),
        help="with --format c: weights as C text, or for large models as a file that the assembler includes (default: text)",
    )
    parser.add_argument(
        "--arithmetic",
        choices=("float32", "int8"),
        help="with --format c: of the products; int8 is faster, rounds inputs and states to 8 bits, and takes the fastest "
        "instructions of the processor that it runs on (default: float32)",
    )
    options = trusting(parser, arguments)
    if options.format != "c" and (options.name or options.weights or options.arithmetic):
        raise InferenceError(
            f"--name, --weights and --arithmetic are for C sources, and --format is {options.format}; add --format c"
        )
    if options.embedding_values and options.values == "float32":
        raise InferenceError("--embedding-values is for narrow values; add --values int8 or --values int4")
    return options


def _source(path: Path, method: str | None, factor: float | None) -> Bundle | ScriptModel:
    is_study = (path / "trials").is_dir()
    if not is_study and (method or factor):
        raise InferenceError(f"--method and --factor choose among the trials of a study, but {path} is not its folder")
    if path.is_file():
        return bundle.read(path)
    if not path.is_dir():
        raise InferenceError(f"{path} does not exist; give the folder of a study or of a trial, or a bundle")
    if not is_study and not (path / "trial.json").exists():
        raise InferenceError(f"{path} holds neither trials nor a trial.json; give the folder of a study or of a trial")
    from sweeps.results.bundles import trial_bundle
    from sweeps.results.script_models import script_model
    from sweeps.results.trained_models import best_trial, finished_trial
    from tasks.script import Script

    folder = best_trial(path, method, factor) if is_study else path
    trial, _ = finished_trial(folder)
    return script_model(folder, trial) if isinstance(trial.task, Script) else trial_bundle(folder)


def _weight(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
