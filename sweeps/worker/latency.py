"""How fast the trained model of a trial runs after export: for studies that search for fast models."""

from __future__ import annotations

from pathlib import Path

from doping.errors import UserError
from sweeps.trials.trial import Trial


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
    """Microseconds a time step of all its LSTM layers together, exported, one sequence on one thread.

    ``folder`` is the trial's own, with ``model.ckpt`` in it.

    Raises:
        UserError: the kernels cannot be compiled on this machine.

    """
    import torch

    from doping.inference.bundle.narrowing import narrow
    from doping.inference.latency import as_it_runs_fastest, step_latency
    from tasks.bundles import to_bundle

    check()
    task, method = trial.built
    model, _ = task.build(method)
    model.load_state_dict(torch.load(folder / "model.ckpt", map_location="cpu", weights_only=True)["state_dict"])
    bundles = [to_bundle(lstm) for _, lstm in model.lstms()]
    if method.values != "float32":
        bundles = [narrow(bundle, method.values) for bundle in bundles]
    return round(sum(step_latency(as_it_runs_fastest(bundle)) for bundle in bundles), 2)
