"""What the commands of this package share: a mistake is one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from doping.errors import InferenceError


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are one line each."""

    def error(self, message: str) -> NoReturn:
        """Raise ``InferenceError`` for a mistake."""
        raise InferenceError(f"{message}; --help says more")


def answer(command: Callable[[], None]) -> int:
    """Run a command; returns its exit code: 0, 2 for a mistake, 130 if it was stopped."""
    try:
        command()
        return 0
    except InferenceError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
