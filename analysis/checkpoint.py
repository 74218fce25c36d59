"""What a checkpoint says of the weight matrices of a model: where the nonzeros of S fell, and the shapes of the factors.

Read from the names of the tensors alone (``lstm.matrices.weight_ih_l0.sparse.pruned``), so that no model has to be built.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.results import MARK, AnalysisError

GATES = ("input", "forget", "cell", "output")
"""In the order of the rows of a weight matrix of an LSTM, a quarter each."""
_TENSOR = re.compile(r"\.(weight_[ih]h_l\d+(?:_reverse)?)\.(structured\.|sparse\.)?(\w+)$")


@dataclass(frozen=True)
class WeightMatrix:
    """A weight matrix (m, n) of an LSTM as it is stored."""

    name: str
    """As ``nn.LSTM`` calls it, e.g. ``weight_ih_l0``."""
    mask: Any = None
    """Where the nonzeros are, bool (m, n); None without a sparse part."""
    factors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes of the factors of the structured part, by name."""

    def gate_shares(self) -> list[float]:
        """Share of the entries of each gate that are nonzero."""
        return [float(block.mean()) for block in np.split(self.mask, len(GATES))]


def path_of(results_folder: Path, trial_id: str) -> Path:
    """Where a sweep leaves the trained model of a trial."""
    return results_folder / "trials" / trial_id.partition(MARK)[0] / "model.ckpt"


def read(path: Path) -> list[WeightMatrix]:
    """The weight matrices in a checkpoint, in its order. Raises ``AnalysisError`` if it cannot be read."""
    import torch

    try:
        # Mapped, so that of a large model only the masks are read.
        state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)["state_dict"]
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise AnalysisError(f"cannot read {path}: {' '.join(str(error).split())[:120]}; delete it to go without") from error
    found: dict[str, WeightMatrix] = {}
    for key, tensor in state.items():
        if match := _TENSOR.search(key):
            name, part, kind = match.groups()
            matrix = found.setdefault(name, WeightMatrix(name))
            if kind in ("mask", "pruned"):  # of older and of newer versions
                mask = tensor.bool() if kind == "mask" else tensor == 0
                found[name] = WeightMatrix(name, mask.numpy(), matrix.factors)
            elif part == "structured.":
                matrix.factors[kind] = tuple(tensor.shape)
    return list(found.values())
