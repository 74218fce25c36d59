"""How often each token occurs, exactly, in texts that have more different tokens than fit into memory."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import IO

from data import cache

LIMIT = 500_000
"""Different tokens that are counted in memory, in about 100 MB; then the counts go to a file, and counting starts anew."""
FILES = 100
"""So many files are merged into one."""

Count = tuple[str, int]


def count(pieces: Iterable[Sequence[str]]) -> Iterator[Count]:
    """All different tokens of a stream with their counts, in any order.

    Raises:
        DataError: they do not fit into memory, and cannot be written to the folder of the cache either.

    """
    counts: Counter[str] = Counter()
    files: list[IO[str]] = []
    for tokens in pieces:
        counts.update(tokens)
        if len(counts) > LIMIT:
            files.append(_written(sorted(counts.items())))
            counts.clear()
            if len(files) == FILES:
                files = [_written(_merged(files))]
    if not files:
        return iter(counts.items())
    return _merged([*files, _written(sorted(counts.items()))])


def _written(counts: Iterable[Count]) -> IO[str]:
    """A file of sorted counts, without a name, which is gone when it is closed."""
    try:
        file = tempfile.TemporaryFile("w+", encoding="utf-8", dir=cache.folder())  # noqa: SIM115 - closed when merged
        file.writelines(f"{json.dumps(count)}\n" for count in counts)
        file.seek(0)
    except OSError as error:
        raise cache.cannot_write("counts of words", error) from error
    return file


def _merged(files: list[IO[str]]) -> Iterator[Count]:
    """The counts of several sorted files added up, sorted."""
    everything = heapq.merge(*((tuple(json.loads(line)) for line in file) for file in files))
    for token, same in groupby(everything, key=itemgetter(0)):
        yield token, sum(count for _, count in same)
    for file in files:
        file.close()
