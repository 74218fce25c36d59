"""Records with ``strace`` what processes do to the files of a folder, in order.

Names are to be absolute, as those of a folder of results are: a relative one is taken to lie outside of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmarks.power_cuts.disk import Disk
from doping.errors import UserError
from doping.machine import ROOT

_CALLS = (
    "openat,open,creat,write,writev,pwrite64,rename,renameat,renameat2,fsync,fdatasync,mkdir,mkdirat,unlink,unlinkat,"
    "rmdir,ftruncate,truncate,link,linkat,symlink,symlinkat,sendfile,copy_file_range"
)
_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)(?P<rest>.*)")
_UNFINISHED, _RESUMED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$"), re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OPENED = re.compile(r"<((?:\\x[0-9a-f]{2}|[^<>\\])*)>")


@dataclass(frozen=True)
class Call:
    """A system call that went well."""

    pid: int
    name: str
    paths: tuple[PurePosixPath, ...]
    """What it names, relative to the folder; only what lies in it."""
    content: bytes = b""
    """What is written."""
    number: int = 0
    """Length that a file is cut to."""
    empties: bool = False
    """Whether a file is opened to be written anew."""
    says: str = ""
    """What is written elsewhere: how a worker tells its parent."""

    def apply(self, disk: Disk) -> None:
        """Do the same to a disk."""
        match self.name:
            case "mkdir" | "mkdirat":
                disk.make_folder(self.paths[0])
            case "openat" | "open" | "creat":
                disk.open(self.paths[0], self.empties)
            case "write":
                disk.append(self.paths[0], self.content)
            case "rename" | "renameat" | "renameat2":
                disk.rename(*self.paths)
            case "unlink" | "unlinkat" | "rmdir":
                disk.remove(self.paths[0])
            case "ftruncate" | "truncate":
                disk.cut(self.paths[0], self.number)
            case "fsync" | "fdatasync":
                disk.sync(self.paths[0])
            case _:
                raise UserError(f"{self.name} in the folder of results: power_cuts does not know what it does to a disk")


def record(command: Sequence[str], environment: Mapping[str, str], folder: Path, trace: Path) -> list[Call]:
    """Run a command to its end; returns what it and its children did to a folder.

    Raises ``UserError`` if there is no strace, or the command does not end well.
    """
    strace = shutil.which("strace")
    if not strace:
        raise UserError("strace is not installed; on Debian: apt-get install strace")
    flags = ["-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={_CALLS}", "-o", str(trace)]
    ended = subprocess.run(
        [strace, *flags, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise UserError(f"the run to record ended with {ended.returncode}: {ended.stderr[-300:]}")
    return list(_calls(trace, folder))


def _calls(trace: Path, folder: Path) -> Iterator[Call]:
    for line in _whole_lines(trace):
        found = _LINE.match(line)
        if not found or found["result"].startswith("-") or found["result"] == "?":
            continue
        call = _call(int(found["pid"]), found["call"], found["arguments"], found["rest"], folder)
        if call:
            yield call


def _whole_lines(trace: Path) -> Iterator[str]:
    """The lines, those that another process has interrupted put together."""
    begun: dict[str, str] = {}
    for line in trace.read_text(encoding="ascii").splitlines():
        if found := _UNFINISHED.match(line):
            begun[found[1]] = line.removesuffix(" <unfinished ...>")
        elif found := _RESUMED.match(line):
            yield begun.pop(found[1]) + found[2]
        else:
            yield line


def _call(pid: int, name: str, arguments: str, rest: str, folder: Path) -> Call | None:
    opened = [_plain(text).decode() for text in _OPENED.findall(arguments)]
    texts = [_plain(text) for text in _TEXT.findall(arguments)]
    if name in ("openat", "open", "creat"):
        writes = any(flag in arguments for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")) or name == "creat"
        path = _plain(_OPENED.findall(rest)[0]).decode()
        paths = _inside([path], folder)
        return Call(pid, name, paths, empties="O_TRUNC" in arguments) if writes and paths else None
    if name in ("write", "writev", "fsync", "fdatasync", "ftruncate", "pwrite64", "sendfile", "copy_file_range"):
        paths = _inside(opened, folder)
        if not paths:
            return Call(pid, "says", (), says=texts[0].decode(errors="replace")) if name == "write" and texts else None
        length = int(arguments.rpartition(",")[2]) if name == "ftruncate" else 0
        return Call(pid, name, paths, b"".join(texts), length)
    # Paths are relative to a folder where a descriptor of one is given.
    whole = [str(Path(opened[0] if opened else "/", text.decode())) for text in texts]
    paths = _inside(whole, folder)
    return Call(pid, name, paths) if paths else None


def _inside(paths: Sequence[str], folder: Path) -> tuple[PurePosixPath, ...]:
    return tuple(PurePosixPath(path).relative_to(folder) for path in paths if PurePosixPath(path).is_relative_to(folder))


def _plain(text: str) -> bytes:
    """The bytes that strace shows as hexadecimal numbers; some paths it shows as they are."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda each: bytes.fromhex(each[1].decode()), text.encode())
