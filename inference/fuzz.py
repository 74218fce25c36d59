"""Entry: ``python inference/fuzz.py --count N`` loads damaged and malicious bundles; ``--help`` says more."""

import faulthandler
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[:] = [str(here.parent), *(path for path in sys.path if Path(path).resolve() != here)]
    from entry import start

    faulthandler.enable()  # after a crash it says where
    start("inference.fuzz_command")
