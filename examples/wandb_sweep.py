"""One run of a W&B sweep: runs a study with the settings that the sweep proposes, and tells the sweep the best validation.

``wandb agent`` starts it; see ``wandb_sweep.yaml`` beside it. All arguments are those of ``sweeps/run.py``.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run the study, then the sweep's own run with its result; returns the exit code of the study."""
    root = Path(__file__).resolve().parents[1]
    out = Path("runs") / "wandb_sweep" / os.environ["WANDB_RUN_ID"]
    done = subprocess.run([sys.executable, str(root / "sweeps" / "run.py"), "--out", str(out), *sys.argv[1:]], check=False)
    if done.returncode:
        return done.returncode
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        best = min((row for row in csv.DictReader(file) if row["validation"]), key=lambda row: float(row["validation"]))

    import wandb

    with wandb.init() as run:
        run.summary.update({"validation": float(best["validation"]), "trial": best["trial_id"]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
