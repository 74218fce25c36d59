"""The kernels, compiled for this processor when first used and kept in the user's cache folder.

A library is known by a hash of the sources, of the flags, and of what the compiler predefines under them, which tells its
version and the instructions of the processor; so a new compiler, another processor on a shared home folder, or a changed
source makes a new library, and several can lie side by side.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import platformdirs

from doping.errors import UserError
from doping.files import replacing

FOLDER = Path(__file__).parent
HEADER = FOLDER / "doped_lstm.h"
NAMES = FOLDER / "names.h"
SOURCES = tuple(sorted(FOLDER.glob("float32/*.c")))
HEADERS = (HEADER, NAMES, *sorted(FOLDER.glob("float32/*.h")))

COMMON_FLAGS = ("-std=c99", "-O3", "-ffp-contract=fast", "-fPIC", "-shared")
CHOICES = (("-march=native", "-fopenmp"), ("-march=native",), ("-mcpu=native",), ())
"""Flags to try, the best first: for this processor, on several threads."""


class Library(NamedTuple):
    """What a library is compiled from."""

    name: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...]
    flags: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    """Further flags to try, the best first."""


FLOAT32 = Library("doped_lstm", SOURCES, HEADERS, COMMON_FLAGS, CHOICES)


class KernelError(UserError, RuntimeError):
    """The kernels cannot be compiled here; the message says why."""


def compiler() -> list[str]:
    """The C compiler with its own flags: ``$CC``, or the first of cc, gcc and clang.

    Raises:
        KernelError: if there is none.

    """
    named = shlex.split(os.environ.get("CC", ""))
    for command in [named] if named else [["cc"], ["gcc"], ["clang"]]:
        if found := shutil.which(command[0]):
            return [found, *command[1:]]
    wanted = f"CC names {named[0]!r}, which is not there" if named else "found none of cc, gcc and clang"
    raise KernelError(f"no C compiler: {wanted}; install GCC or Clang")


def library(wanted: Library = FLOAT32) -> Path:
    """The compiled library; compiles it if it is not in the cache yet, and says so on standard error.

    Raises:
        KernelError: if there is no compiler, it fails, or the cache cannot be written.

    """
    command = compiler()
    sources = b"".join(path.name.encode() + path.read_bytes() for path in (*wanted.sources, *wanted.headers))
    folder = platformdirs.user_cache_path("lstm-doping") / "kernels"
    problem = "the compiler accepts no flags"
    for choice in wanted.choices:
        flags = [*wanted.flags, *choice]
        target = subprocess.run([*command, *flags, "-dM", "-E", "-x", "c", os.devnull], capture_output=True, check=False)
        if target.returncode != 0:
            continue
        key = hashlib.sha256(sources + shlex.join(flags).encode() + target.stdout).hexdigest()[:32]
        path = folder / f"{wanted.name}-{key}.so"
        if path.is_file():
            return path
        failure = _compile([*command, *flags], wanted.sources, path)
        if failure is None:
            return path
        problem = failure
    raise KernelError(f"{shlex.join(command)} cannot compile the kernels: {problem}")


def _compile(command: list[str], sources: tuple[Path, ...], path: Path) -> str | None:
    """Compile into place in one step, so that two processes at once do no harm; the compiler's complaint if it fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            print(f"compiling the kernels once with {shlex.join(command)}; kept in {path.parent}", file=sys.stderr)
            subprocess.run([*command, *map(str, sources), "-o", str(draft)], capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as failed:
        complaint = failed.stderr.strip()
        return complaint.splitlines()[-1] if complaint else f"exit code {failed.returncode}"
    except OSError as error:
        raise KernelError(f"cannot write the compiled kernels to {path.parent}: {error.strerror}") from error
    return None
