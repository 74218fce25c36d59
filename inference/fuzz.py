"""Entry: ``python inference/fuzz.py --count N`` loads damaged and malicious bundles; ``--help`` says more."""

import faulthandler
import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from inference.fuzz_command import main

    faulthandler.enable()  # after a crash it says where
    sys.exit(main())
