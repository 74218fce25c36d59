"""Entry: ``python sweeps/run.py --study NAME`` runs a study; ``--help`` says more."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[:] = [str(here.parent), *(path for path in sys.path if Path(path).resolve() != here)]
    from doping.entry import start

    start("sweeps.commands.main")
