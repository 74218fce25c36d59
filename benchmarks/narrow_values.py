"""What int8 values cost: every exported language model of some studies, before and after, on its validation text.

    python -m benchmarks.narrow_values --results runs/kp_vs_pruning-quick [DIR ...] [--out results/narrow_values.csv]

Takes the models that the studies kept, the best of each cell.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def measure(folder: Path) -> dict[str, Any]:
    """Quality and sizes of the model in a trial's folder, as it was trained and with int8 values.

    Raises:
        InferenceError: the folder has no trained language model.

    """
    from data.sources.registry import read
    from doping.errors import InferenceError
    from doping.inference.bundle import file as bundle
    from doping.inference.bundle.narrowing import narrow
    from doping.inference.models.language_model import LanguageModel
    from doping.inference.runtime import runnable
    from sweeps.results.bundles import trial_bundle
    from sweeps.trials.trial import Trial
    from tasks.language_model import LanguageModelTask

    trial = Trial.model_validate_json((folder / "trial.json").read_bytes())
    if not isinstance(trial.task, LanguageModelTask):
        raise InferenceError(f"trial {trial.id} is of the task {trial.task.name}; expected a language model")
    wide = trial_bundle(folder)
    text = str(read(trial.task.data).validation)
    row: dict[str, Any] = {
        "method": trial.method.name,
        "pattern": trial.method.pattern if trial.method.sparse else "",
        "cmr": trial.method.cmr.probability,
        "factor": trial.method.factor,
        "seed": trial.seed,
        "metric": "bits_per_character" if trial.task.data.level == "character" else "perplexity",
    }
    for name, model in (("float32", wide), ("int8", narrow(wide))):
        runs = runnable(model)
        assert isinstance(runs, LanguageModel)
        score = runs.score(text)
        row[f"validation_{name}"] = round(score.bits if trial.task.data.level == "character" else score.perplexity, 5)
        row[f"lstm_bytes_{name}"] = model.description.sizes.bytes
        row[f"file_bytes_{name}"] = len(bundle.to_bytes(model))
    return row


def main() -> None:
    """Measure all models of the folders, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="folders of studies, with their models")
    parser.add_argument("--out", type=Path, help="also write the table as CSV")
    options = parser.parse_args()
    rows = []
    for folder in _with_models(options.results):
        row = measure(folder)
        print("  ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)
        rows.append(row)
    if not rows:
        sys.exit(f"no trained model in {', '.join(map(str, options.results))}: run the study first")
    if options.out:
        from doping.machine import commit, hardware, versions

        about = {"hardware": hardware(), "versions": versions(), "commit": commit()}
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], *about])
            writer.writeheader()
            writer.writerows({**row, **about} for row in rows)


def _with_models(results: list[Path]) -> Iterator[Path]:
    """Folders of the trials that finished and whose model was kept."""
    for path in (path for folder in results for path in sorted(folder.glob("trials/*/row.json"))):
        if json.loads(path.read_text())["status"] == "finished" and (path.parent / "model.ckpt").exists():
            yield path.parent


if __name__ == "__main__":
    main()
