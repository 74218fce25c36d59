"""The five models of ``examples/`` on one thread: PyTorch, deployed, and ONNX Runtime with int8 of the whole dense model.

    python -m benchmarks.own_models [--out results/own_models.csv]

Microseconds of processor time for one input of batch 1, the fastest of interleaved rounds, so that other work on the
machine counts little.
Weights are random: time does not depend on them. ``deployed`` is as ``deploy_`` does it, ``deployed_int8`` in int8
arithmetic.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import logging
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

import doping
from doping.inference.models.lstm import Arithmetic

ROUNDS, REPEATS = 200, 5
COLUMNS = ("pytorch", "deployed", "deployed_int8", "onnx_int8")


def models() -> dict[str, tuple[nn.Module, Any, Mapping[str | re.Pattern[str], doping.Method]]]:
    """Each model, an input, and how the example compresses it."""
    from examples import decoding, forecasting, keyword_spotting, mixed_precision, tagging

    kp, lmf = (doping.Method(name=name, factor=10) for name in ("doped_kp", "doped_lmf"))
    forecaster = forecasting.Forecaster()
    spotter, decoder, follower = keyword_spotting.Spotter(), decoding.Reverser(), mixed_precision.Follower()
    return {
        "keyword_spotting": (spotter, keyword_spotting.batch(1)[0], {"gru": kp}),
        "forecasting": (_Last(forecaster), torch.randn(1, forecasting.PAST, 3), {"model.lstm": kp}),
        "tagging": (tagging.Tagger(), tagging.batch(1)[0], {"lstm": kp}),
        "decoding": (decoder, torch.randint(decoding.NUMBERS, (4, 1)), {"encoder": lmf, "cell": lmf}),
        "mixed_precision": (follower, mixed_precision.batch(1)[0], {"lstm": lmf, "wide.*": lmf, "out.0": lmf}),
    }


class _Last(nn.Module):
    """The forecaster as it is asked."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> Any:
        return self.model.head(self.model.lstm(x)[0][:, -1])


def onnx_int8(model: nn.Module, x: Any, folder: Path) -> Callable[[], Any] | None:
    """A call of the dense model in ONNX Runtime's dynamic int8; None if PyTorch cannot write it."""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            torch.onnx.export(model, (x,), str(folder / "dense.onnx"), dynamo=False)
    except Exception:  # whatever it is that the exporter lacks, there is nothing to time then
        return None
    logging.disable()
    quantize_dynamic(folder / "dense.onnx", folder / "int8.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "int8.onnx"), options)
    inputs = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, inputs)


def main() -> None:
    """Print a line for each model, and write them to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("model".ljust(18) + "".join(column.rjust(15) for column in COLUMNS) + "   µs")
    rows = []
    for name, (model, x, methods) in models().items():
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model.eval()
            calls: dict[str, Callable[[], Any] | None] = {"pytorch": lambda model=model, x=x: model(x)}  # type: ignore[misc]
            arithmetics: tuple[Arithmetic, ...] = ("float32", "int8")
            for arithmetic in arithmetics:
                small = doping.compress_(models()[name][0], methods).eval()
                doping.Annealer(small, total_steps=10).finish_(at_once=True)
                doping.deploy_(small, arithmetic=arithmetic)
                calls[arithmetic] = lambda model=small, x=x: model(x)  # type: ignore[misc]
            calls["onnx"] = onnx_int8(model, x, Path(folder))
            row = [name, *("" if one is None else f"{one:.0f}" for one in _fastest(calls))]
        rows.append(row)
        print(name.ljust(18) + "".join((one or "-").rjust(15) for one in row[1:]), flush=True)
    if out:
        with out.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("model", *COLUMNS), *rows])


def _fastest(calls: dict[str, Callable[[], Any] | None]) -> list[float | None]:
    times: dict[str, list[float]] = {key: [] for key in calls}
    for _ in range(ROUNDS):
        for key, call in calls.items():
            if call is None:
                continue
            call()
            start = time.process_time()
            for _ in range(REPEATS):
                call()
            times[key].append((time.process_time() - start) / REPEATS)
    return [min(of_call) * 1e6 if of_call else None for of_call in times.values()]


if __name__ == "__main__":
    main()
