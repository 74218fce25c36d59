"""What a power cut may leave of files and names, and what the recording makes of what processes do."""

import shutil
import sys
from pathlib import PurePosixPath

import pytest

from benchmarks.power_cuts.command import cuts
from benchmarks.power_cuts.disk import Disk, write_tree
from benchmarks.power_cuts.record import Call, record

ROW = PurePosixPath("trials/a/row.json")
DRAFT = PurePosixPath("trials/a/draft")


def written(*syncs: str) -> Disk:
    """A row written under another name and renamed, with the syncs that are named."""
    disk = Disk()
    for folder in ("trials", "trials/a"):
        disk.make_folder(PurePosixPath(folder))
    disk.open(DRAFT, empties=True)
    disk.append(DRAFT, b"12345678")
    for path in syncs:
        if path == str(ROW):
            disk.sync(DRAFT)
    disk.rename(DRAFT, ROW)
    for path in syncs:
        if path != str(ROW):
            disk.sync(PurePosixPath(path))
    return disk


@pytest.mark.parametrize(
    ("syncs", "nothing", "names"),
    [
        ((), {}, b""),
        ((str(ROW),), {}, b"12345678"),
        # Neither a file nor a folder makes the names above it outlast anything.
        ((str(ROW), "trials/a"), {}, b"12345678"),
        ((str(ROW), "trials/a", "trials"), {}, b"12345678"),
        ((str(ROW), "trials/a", "trials", "."), {"trials", "trials/a", str(ROW)}, b"12345678"),
    ],
)
def test_what_is_not_synced_may_be_gone(syncs, nothing, names):
    left = written(*syncs).left()
    assert set(left["nothing"]) == set(nothing)
    assert left["names, no content"][str(ROW)] == names
    assert left["all"][str(ROW)] == b"12345678"
    assert len(left["names, half of the content"][str(ROW)]) == (8 if names else 4)


def test_a_row_that_is_reported_done_before_it_is_synced_would_be_found(tmp_path):
    calls = [
        Call(1, "mkdir", (PurePosixPath("trials"),)),
        Call(1, "mkdir", (PurePosixPath("trials/a"),)),
        Call(1, "openat", (DRAFT,), empties=True),
        Call(1, "write", (DRAFT,), b"{}"),
        Call(1, "rename", (DRAFT, ROW)),
        Call(1, "says", (), says='{"event": "end", "kind": "done"}'),
    ]
    last = [cut for cut in cuts(calls) if cut.done]
    assert {cut.left for cut in last} == {"all", "names, no content", "names, half of the content", "nothing"}
    assert all(cut.done == {"a": b"{}"} for cut in last)
    assert [cut.left for cut in last if cut.tree.get(str(ROW)) == b"{}"] == ["all"]
    write_tree(last[0].tree, tmp_path / "left")
    assert (tmp_path / "left" / ROW).read_bytes() == b"{}"


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_recording_has_every_write_rename_and_sync(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    program = (
        "import os, sys, pathlib; out = pathlib.Path(sys.argv[1]); (out / 'a').mkdir(); f = open(out / 'a/x', 'wb');"
        "f.write(b'one'); f.flush(); os.fsync(f.fileno()); f.truncate(2); os.rename(out / 'a/x', out / 'y');"
        "print('done', flush=True)"
    )
    calls = record([sys.executable, "-c", program, str(folder)], {}, folder, tmp_path / "trace")
    names = [(call.name, *map(str, call.paths)) for call in calls if call.paths]
    assert names == [
        ("mkdir", "a"), ("openat", "a/x"), ("write", "a/x"), ("fsync", "a/x"), ("ftruncate", "a/x"), ("rename", "a/x", "y"),
    ]  # fmt: skip
    assert [call.says for call in calls if call.says] == ["done\n"]
    disk = Disk()
    for call in calls:
        if call.paths:
            call.apply(disk)
    assert disk.left()["all"] == {"a": None, "y": b"on"}
