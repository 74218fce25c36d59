"""Entry: ``python inference/run.py model.lstm`` runs an exported model; ``--help`` says more."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from inference.run_command import main

    sys.exit(main())
