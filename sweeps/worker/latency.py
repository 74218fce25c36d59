"""How fast the trained model of a trial runs after export: for studies that search for fast models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from doping.errors import UserError
from sweeps.trials.trial import Trial
from tasks.script import Script


def check() -> None:
    """Whether latency can be measured here.

    Raises:
        UserError: the kernels cannot be compiled.

    """
    from doping.inference.kernels.build import KernelError
    from doping.inference.kernels.native import kernels

    try:
        kernels()
    except KernelError as error:
        raise UserError(f"{error}; a study with objective: latency needs it") from error


def latency(trial: Trial, folder: Path) -> float:
    """Microseconds a time step of all its LSTM layers together, exported, one sequence on one thread; of a training of one's
    own, microseconds of the whole deployed model for its example.

    ``folder`` is the trial's own, with ``model.ckpt`` in it.

    Raises:
        UserError: the kernels cannot be compiled on this machine, or a model of one's own cannot be made again.

    """
    import torch

    from doping.inference.bundle.narrowing import narrow
    from doping.inference.latency import as_it_runs_fastest, step_latency
    from tasks.bundles import to_bundle

    check()
    if isinstance(trial.task, Script):
        from sweeps.results.script_models import script_model

        found = script_model(folder, trial)
        return round(model_latency(deployed(found.model), found.example), 2)
    task, method = trial.built
    model, _ = task.build(method)
    model.load_state_dict(torch.load(folder / "model.ckpt", map_location="cpu", weights_only=True)["state_dict"])
    bundles = [to_bundle(lstm) for _, lstm in model.lstms()]
    if method.values != "float32":
        bundles = [narrow(bundle, method.values) for bundle in bundles]
    return round(sum(step_latency(as_it_runs_fastest(bundle)) for bundle in bundles), 2)


def deployed(model: Any) -> Any:
    """A model of one's own on the kernels, as it runs fastest: in int8 arithmetic where all its values are narrow."""
    from doping.deployment.deploy import deploy_
    from doping.layers.compressed import compressed_layers

    methods = [method for _, layer in compressed_layers(model) for method in layer.methods.values()]
    narrow = bool(methods) and all(method.values != "float32" for method in methods)
    return deploy_(model, arithmetic="int8" if narrow else "float32") if methods else model


def model_latency(model: Any, example: Any, seconds: float = 1.0) -> float:
    """Fastest of the calls of a model with an example, in microseconds, measured for so many seconds on one thread."""
    import torch

    inputs = example if isinstance(example, tuple) else (example,)
    threads = torch.get_num_threads()
    times: list[float] = []
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            end = time.perf_counter() + seconds
            while len(times) < 2 or time.perf_counter() < end:
                start = time.perf_counter()
                model(*inputs)
                times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1e6 * min(times)
