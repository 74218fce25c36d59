"""Makes the synthetic results of the golden test, with everything in them that a table has to cope with.

``PYTHONPATH=tests/support python tests/analysis/tables/make_golden.py`` writes golden/results.csv and golden/curves.csv.
After a change that is meant to change the tables, this makes new ones:
``python analysis/make_tables.py --results tests/analysis/tables/golden --out DIR``. Read them, then copy DIR/tables.* over
the old ones.
"""

from pathlib import Path
from typing import Any

from synthetic_results import study, trial, tuned, write

GOLDEN = Path(__file__).parent / "golden"


def golden_rows() -> list[dict[str, Any]]:
    """Two studies: one with variants and accidents, one with the paper's model."""
    rows = study([10, 20], [("pruned", 0.0), ("kp", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.3)], seeds=3)
    rows += [trial("doped_kp", 20, seed, 0.5, method__annealing__length=0.3) for seed in (1, 2)]
    rows += [trial("lmf", 20, 1), trial("lmf", 10.5, 1, cf_unit="bytes", method__unit="bytes")]
    rows += [trial("hmd", 20, 1), trial("hmd", 20, 2, status="diverged")]
    rows += [trial("doped_lmf", 20, 1, status="failed", error="RuntimeError: out_of_memory | 50% of $x\n(retry)")]
    for row in rows[:6]:
        row |= {"latency_us": 100 * row["seed"] + row["cf_requested"], "bundle_bytes": row["bytes"] + 512}
    rows = tuned(rows, 2)
    medium: dict[str, Any] = {"study": "synthetic_paper", "task": "ptb-word", "metric": "perplexity", "base": 86.2}
    medium |= {"task__model__layers": 2, "task__model__hidden": 650}
    methods = [("pruned", 0.0), ("lmf", 0.0), ("hmd", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.3)]
    rows += study([25], methods, seeds=1, **medium)
    return [*rows, trial("kp", 338, cf_values=338.0, cf_bytes=338.0, values=379, bytes=1516, **medium)]


if __name__ == "__main__":
    running = trial("pruned", 40, 9)
    write(GOLDEN, golden_rows(), only_curves=[running], points=8)
