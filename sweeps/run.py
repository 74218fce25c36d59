"""Entry: ``python sweeps/run.py --study NAME`` runs a study; ``--help`` says more."""

import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib is not loaded yet, see doping.entry
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if os.path.realpath(path) != here)]  # noqa: PTH120
    from doping.entry import run_command

    run_command("sweeps.commands.main")
