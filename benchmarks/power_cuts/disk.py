"""A disk as POSIX promises it: what a power cut may leave of the files and names that were written and synced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(eq=False)
class File:
    """Content as a running program sees it, and as it was at the last fsync."""

    content: bytes = b""
    synced: bytes = b""


@dataclass(eq=False)
class Folder:
    """Names as a running program sees them, and as they were at the last fsync of the folder."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)


Tree = dict[str, bytes | None]
"""Files by their path in the folder, with their content; a folder has none."""


class Disk:
    """What is below one folder, which itself outlasts everything."""

    def __init__(self) -> None:
        self._root = Folder()

    def make_folder(self, path: PurePosixPath) -> None:
        """Make a folder."""
        self._parent(path).names[path.name] = Folder()

    def open(self, path: PurePosixPath, empties: bool) -> None:
        """Open a file for writing; make it if it is not there."""
        file = self._parent(path).names.setdefault(path.name, File())
        if empties and isinstance(file, File):
            file.content = b""

    def append(self, path: PurePosixPath, content: bytes) -> None:
        """Write at the end of a file, as all writers of a folder of results do."""
        self._file(path).content += content

    def cut(self, path: PurePosixPath, length: int) -> None:
        """Shorten a file."""
        self._file(path).content = self._file(path).content[:length]

    def rename(self, path: PurePosixPath, new: PurePosixPath) -> None:
        """Give a file another name."""
        self._parent(new).names[new.name] = self._parent(path).names.pop(path.name)

    def remove(self, path: PurePosixPath) -> None:
        """Remove a name."""
        del self._parent(path).names[path.name]

    def sync(self, path: PurePosixPath) -> None:
        """Sync the content of a file, or the names in a folder: neither implies the other."""
        node = self._node(path)
        if isinstance(node, File):
            node.synced = node.content
        else:
            node.synced = dict(node.names)

    def left(self) -> dict[str, Tree]:
        """What a power cut may leave now, by how much of what was not synced reached the disk."""
        return {
            "all": dict(_walk(self._root, True, lambda file: file.content)),
            "names, no content": dict(_walk(self._root, True, lambda file: file.synced)),
            "names, half of the content": dict(_walk(self._root, True, _torn)),
            "nothing": dict(_walk(self._root, False, lambda file: file.synced)),
        }

    def _node(self, path: PurePosixPath) -> File | Folder:
        node: File | Folder = self._root
        for name in path.parts:
            assert isinstance(node, Folder), path
            node = node.names[name]
        return node

    def _parent(self, path: PurePosixPath) -> Folder:
        parent = self._node(path.parent)
        assert isinstance(parent, Folder), path
        return parent

    def _file(self, path: PurePosixPath) -> File:
        file = self._node(path)
        assert isinstance(file, File), path
        return file


def _torn(file: File) -> bytes:
    """Half of what was not synced; where something else was overwritten, half of the new content."""
    kept = len(file.synced) if file.content.startswith(file.synced) else 0
    return file.content[: kept + (len(file.content) - kept) // 2]


def _walk(
    folder: Folder, newest: bool, content: Callable[[File], bytes], above: str = ""
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in (folder.names if newest else folder.synced).items():
        if isinstance(node, File):
            yield above + name, content(node)
        else:
            yield above + name, None
            yield from _walk(node, newest, content, f"{above}{name}/")


def write_tree(tree: Tree, folder: Path) -> None:
    """Write what a power cut left into a real folder."""
    folder.mkdir()
    for name, content in tree.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
