"""Memory and time that a text of 2 GB takes over a small one: cut into tokens, read as one epoch, trained on.

    python -m benchmarks.text_memory [--megabytes 2000] [--folder DIR] [--out results/text_memory.csv]

The text is made up: numbers drawn from Zipf's law, and new words up to the end, so that it has about two million different
ones, as real text of that size has. The small text has 2 MB. Every measurement is a process of its own, which tells its peak
memory (resident, files included): the first one finds an empty cache, the second one the tokens of the first. ``DIR`` (by
default a temporary folder) gets the texts and the cache, together up to three times the size of the text.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SMALL = 2
"""Megabytes of the text that is compared with."""
LEVELS = ("word", "character")
STEPS = 50
"""Optimizer steps that are trained."""


def write_text(path: Path, megabytes: int) -> None:
    """Write a text of about so many megabytes: 100,000 lines again and again, a new word in every tenth of them."""
    import numpy as np

    words = np.random.default_rng(0).zipf(1.3, size=(100_000, 20)).tolist()
    lines = [f"{' '.join(map(str, line))}\n" for line in words]
    with path.open("w", encoding="ascii") as file:
        for turn in itertools.count():
            for number in range(0, len(lines), 10):
                if file.tell() >= megabytes * 1_000_000:
                    return
                file.write(f"{turn}-{number} {''.join(lines[number : number + 10])}")


def measure(path: Path, level: str) -> dict[str, Any]:
    """Load a text, read all batches of an epoch, train for some steps; seconds of each, and peak memory in MB."""
    from doping.method import Method
    from lightning_modules.trainer import plain_trainer, quiet_lightning
    from tasks.language_model import LanguageModelTask

    quiet_lightning()
    task = LanguageModelTask.model_validate(
        {
            "data": {"corpus": "text", "path": str(path), "level": level, "max_vocabulary": 10_000},
            "model": {"hidden": 64},
            "training": {"batch_size": 64},
        }
    )
    began = time.perf_counter()
    model, data = task.build(Method())
    loaded = time.perf_counter()
    batches = sum(1 for _ in data.train_dataloader())
    read = time.perf_counter()
    trainer = plain_trainer(
        max_steps=STEPS,
        accelerator="cpu",
        limit_val_batches=0,
    )
    trainer.fit(model, data)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return {
        "tokens": len(data.train_tokens) + len(data.validation_tokens) + len(data.test_tokens),
        "load_s": round(loaded - began, 1),
        "epoch_batches": batches,
        "read_epoch_s": round(read - loaded, 1),
        "steps": trainer.global_step,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte / 1e6),
    }


def main() -> None:
    """Measure a small and a large text, at both levels, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2000, help="size of the large text (default: %(default)s)")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=LEVELS, help="default: both")
    parser.add_argument("--folder", type=Path, help="where the text and the cache go (default: a temporary folder)")
    parser.add_argument("--out", type=Path, help="also write the table as CSV")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(Path(options.one[0]), options.one[1])))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = _rows(Path(folder), options.megabytes, options.levels)
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _rows(folder: Path, megabytes: int, levels: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for size in (SMALL, megabytes):
        write_text(folder / f"{size}.txt", size)
    for level in levels:
        small = None
        for size, cache in ((SMALL, "none"), (megabytes, "empty"), (megabytes, "filled")):
            command = [sys.executable, "-m", "benchmarks.text_memory", "--one", str(folder / f"{size}.txt"), level]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "LSTM_CACHE": str(folder / "cache")}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            measured = json.loads(done.stdout)
            small = small or measured["peak_mb"]
            row = {"text_mb": size, "level": level, "cache": cache, **measured, "extra_mb": measured["peak_mb"] - small}
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()
