"""Entry: ``python analysis/wandb_workspace.py`` writes or publishes a W&B workspace and report."""

import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from analysis.wandb_command import main

    # End quietly where the reader of the output has left, as `| head` does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
