"""What a sweep adds to its trainings, and how it scales: ``python -m benchmarks.sweep_scaling``.

The same trials are run by one worker on one core, by as many workers as there are cores, and by one worker that has all
cores to itself; then, by one worker, trials that train for a single step. Times are those of the rows on disk, from
the first of every worker on, so imports do not count.

- scaling: trials a minute of N workers on N cores over those of one worker on one core;
- against threads: the same over those of one worker with N threads, which is what ``--workers 1`` gives;
- overhead: the time of a trial that trains for a single step: claiming it, loading the data, making the model, W&B, the
  row, Optuna, and handing out the next one. The validation and the test split are tiny, so that their evaluation,
  which is no overhead, hardly counts.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median

import yaml

from doping import machine

CHARACTERS = 60_000
ONE_STEP = 16 * 64 + 1
"""Characters of the training split; a step reads sixteen lanes of 64, and one more to predict."""


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3, help="of all three, interleaved (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=6, help="of each worker in each run (default: %(default)s)")
    parser.add_argument(
        "--wandb", choices=("offline", "off"), default="offline", help="as for a sweep (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="CSV to write, a row a repetition")
    options = parser.parse_args()
    workers = machine.cores()
    rows = []
    for repetition in range(options.repetitions):
        one, threaded, all_workers, step = (
            seconds_a_trial(characters, count, options.trials, options.wandb, cores)
            for characters, count, cores in (
                (CHARACTERS, 1, 1),
                (CHARACTERS, 1, workers),
                (CHARACTERS, workers, workers),
                (ONE_STEP, 1, 1),
            )
        )
        rows.append(
            {
                "repetition": repetition + 1,
                "workers": workers,
                "trials_a_minute_one_core": round(60 / one, 2),
                "trials_a_minute_threads": round(60 / threaded, 2),
                "trials_a_minute_workers": round(60 / all_workers, 2),
                "scaling": round(one / all_workers, 3),
                "against_threads": round(threaded / all_workers, 3),
                "overhead_seconds": round(step, 3),
                "wandb": options.wandb,
                "hardware": machine.hardware(),
                "versions": machine.versions(),
                "commit": machine.commit(),
            }
        )
        print(", ".join(f"{key} {value}" for key, value in list(rows[-1].items())[:8]), flush=True)
    scaling, overhead = (median(float(str(row[key])) for row in rows) for key in ("scaling", "overhead_seconds"))
    print(f"median: {workers} workers make {scaling:.2f} times the trials of one; {overhead:.2f} s overhead a trial")
    if options.out:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    return 0


def seconds_a_trial(characters: int, workers: int, trials: int, wandb: str, cores: int) -> float:
    """Seconds that a trial on so many characters takes, so many workers side by side on so many cores, once all are warm."""
    task: dict[str, object] = {
        "model": {"hidden": 125},
        "training": {"epochs": 4 if characters > ONE_STEP else 1, "batch_size": 16, "sequence_length": 64, "validations": 1},
    }
    runs = [{"method": "doped_kp", "factor": 20, "cmr": {"probability": 0.3}}]
    content = {"task": task, "seeds": list(range(trials * workers)), "runs": runs}
    with tempfile.TemporaryDirectory() as scratch:
        text = "".join(f"{topic}\n" for topic in topics.values())
        for split, length in (("train", characters), ("valid", 500), ("test", 500)):
            (Path(scratch) / f"{split}.txt").write_text(text[:length], encoding="utf-8")
        task["data"] = {"corpus": "text", "level": "character", "path": scratch}
        study = Path(scratch) / "study.yaml"
        study.write_text(yaml.safe_dump({"description": "scaling", "presets": {"quick": content}}), encoding="utf-8")
        command = [sys.executable, machine.ROOT / "sweeps" / "run.py", "--study", study, "--out", Path(scratch) / "out"]
        flags = ["--workers", str(workers), "--wandb", wandb, "--quiet"]
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        subprocess.run(
            [*map(str, command), *flags],
            check=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        ends = sorted(path.stat().st_mtime for path in Path(scratch).glob("out/trials/*/row.json"))
    return (ends[-1] - ends[workers - 1]) / (len(ends) - workers)


if __name__ == "__main__":
    sys.exit(main())
