"""What all commands share: the one place that makes a line and an exit code of a mistake.

Exit codes: 0, or another that the command gives; 2 after a mistake, which is one line on stderr; 130 where it was
interrupted, with no traceback at any moment, also while it imports; 141 where the reader of its output has left.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from doping.errors import UserError, hide_passwords

LONGEST = 800
"""Characters of a line that tells a mistake."""
MISTAKE, INTERRUPTED = 2, 128 + signal.SIGINT


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are one line each."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise ``UserError`` for a mistake."""
        raise UserError(f"{message}; --help says more")


def path(text: str) -> Path:
    """Type of an argument that names a file or a folder: an empty one is a mistake, not the current folder."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} was given, expected a path")
    return Path(text)


def answer(command: Callable[[], int | None], interrupted: Callable[[], str] = lambda: "") -> int:
    """Run a command; returns its exit code. ``interrupted`` gives the line to print where it was interrupted."""
    _interrupt.asked = False
    if threading.current_thread() is threading.main_thread():
        # Also where SIGINT is ignored because a script started the command in the background.
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command() or 0
    except BrokenPipeError:
        # Whoever read the output has left. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except UserError as error:
        if not _interrupt.asked:
            print(f"error: {_shortened(hide_passwords(str(error)))}", file=sys.stderr)
            return MISTAKE
    except KeyboardInterrupt:
        pass
    except Exception:
        # Libraries make errors of their own of an interrupt that comes while they are imported.
        if not _interrupt.asked:
            raise
    if line := interrupted():
        print(hide_passwords(line), file=sys.stderr)
    return INTERRUPTED


def arguments_or(given: Sequence[str] | None) -> Sequence[str]:
    """The arguments given, or those of this process."""
    return sys.argv[1:] if given is None else given


def _shortened(line: str) -> str:
    """A line that may quote what was given, without the middle of it where that has no end."""
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 200]} … {line[-200:]}"


class _Interrupt:
    """Raises ``KeyboardInterrupt``, and remembers it: some libraries make another error of it."""

    asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt


_interrupt = _Interrupt()


def duration(seconds: float | None) -> str:
    """A time as one reads it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
