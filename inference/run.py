"""Entry: ``python inference/run.py model.lstm`` runs an exported model; ``--help`` says more."""

import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this file's folder first on the path; the packages are one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from inference.run_command import main

    # End quietly where the reader of the output has left, as `| head` does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
