"""How the commands of the project start: what goes wrong before they can say so themselves is said here."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from typing import NoReturn


def start(module: str) -> NoReturn:
    """Run ``main`` of a module and end with its exit code; one line and 2 where a package is not installed."""
    # End quietly where the reader of the output has left, as `| head` does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(importlib.import_module(module).main())
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or (Path(__file__).parents[1] / package).exists():
            raise
        print(
            f"error: the package {package} is not installed for {sys.executable}: "
            "use the environment of the README (. .venv/bin/activate), or pip install -r requirements.txt",
            file=sys.stderr,
        )
        sys.exit(2)
