"""How the commands of the project start: what goes wrong before they can say so themselves is said here."""

from __future__ import annotations

# Only what Python has loaded when it starts, so that a stop is answered from the first moment on.
import _signal  # type: ignore[import-not-found] # what the module ``signal`` is made of
import os
import sys

INTERRUPTED = 128 + _signal.SIGINT
"""Exit code of a command that was interrupted."""

_OWN = ("doping", "lightning_modules", "data", "tasks", "sweeps", "analysis", "benchmarks", "examples")
"""Packages of the project itself: one that cannot be found is a defect, not a package to install."""


def run_command(module: str) -> None:
    """Run ``main`` of a module and end with its exit code; one line and 2 where a package is not installed."""
    # With %run in a notebook the process is IPython's: it goes on afterwards, with its own answers to signals.
    if "IPython" in sys.modules:
        kept = {number: _signal.getsignal(number) for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGPIPE)}
        try:
            sys.exit(_run(module))
        finally:
            for number, answer in kept.items():
                _signal.signal(number, answer)
    # Nothing is begun while a command imports, so that it may end at once; an exception could be lost in a library.
    _signal.signal(_signal.SIGINT, _leave)
    # End quietly where the reader of the output has left, as `| head` does.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    sys.unraisablehook = _unraisable
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows ASCII only is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = _run(module)
    # All is done; a stop has nothing to add.
    _signal.signal(_signal.SIGINT, _leave)
    sys.exit(code)


def _run(module: str) -> int:
    try:
        __import__(module)
        return int(sys.modules[module].main())
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        # Rarely needed, so imported only now.
        from pathlib import Path

        if not package or package in _OWN:
            raise
        remedy = f"pip install {package}"
        if (
            Path(__file__).parents[1] / "requirements.txt"
        ).is_file():  # In the repository; elsewhere the library was installed.
            remedy = "use the environment of the README (. .venv/bin/activate), or pip install -r requirements.txt"
        print(f"error: the package {package} is not installed for {sys.executable}: {remedy}", file=sys.stderr)
        return 2


def _leave(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt that comes where Python cannot raise it would be lost, and shown as a traceback."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    sys.__unraisablehook__(unraisable)
