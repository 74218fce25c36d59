"""Entry: ``python analysis/wandb_workspace.py`` writes or publishes a W&B workspace and report."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[:] = [str(here.parent), *(path for path in sys.path if Path(path).resolve() != here)]
    from entry import start

    start("analysis.wandb_command")
