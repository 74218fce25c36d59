"""Entry: ``python sweeps/run.py --study NAME`` runs a study; ``--help`` says more."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry).resolve() != here)]
    try:
        from sweeps.main import main
    except ModuleNotFoundError as error:
        print(f"error: the package {error.name} is missing: pip install -r requirements.txt", file=sys.stderr)
        sys.exit(2)

    sys.exit(main())
