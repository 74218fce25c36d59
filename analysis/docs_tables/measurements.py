"""Tables of what benchmarks measured."""

from __future__ import annotations

from pathlib import Path

from analysis.docs_tables.rows import markdown, read


def speed(results: Path) -> list[str]:
    """How many times faster doped KP at 20x is than the fastest dense engine: batch 1, one thread."""
    rows = read(results, "inference_benchmark.csv")
    own = {"engine": "doped_kp", "values": "float32", "factor": 20, "batch": 1, "threads": 1}
    for column, value in own.items():
        rows = rows[rows[column] == value]
    lines = []
    for hidden in (200, 650, 1500):
        for mode, label in (("generating", "a step at a time"), ("scoring", "35 steps known")):
            cell = rows[(rows["hidden"] == hidden) & (rows["mode"] == mode)].set_index("pattern")["speedup"]
            lines.append([f"{hidden}, {label}", *(f"{cell[pattern]:.1f}" for pattern in ("unstructured", "gates", "rows"))])
    return markdown(["hidden units", "single values", "blocks of 4 gates", "blocks of 8 rows"], lines)


def speed_int8(results: Path) -> list[str]:
    """Microseconds per step in int8 arithmetic, and how many times faster than the fastest dense engine of any precision."""
    rows = read(results, "inference_benchmark_int8.csv")
    lines = []
    for hidden in (200, 650, 1500):
        for mode, label in (("generating", "a step at a time"), ("scoring", "35 steps known")):
            cell = rows[(rows["hidden"] == hidden) & (rows["mode"] == mode) & (rows["batch"] == 1) & (rows["threads"] == 1)]
            line = [f"{hidden}, {label}"]
            for engine, arithmetic in (("ONNX Runtime", "float32"), ("ONNX Runtime", "int8"), ("dense", "int8")):
                (own,) = cell[(cell["engine"] == engine) & (cell["arithmetic"] == arithmetic)].to_dict("records")
                line.append(f"{own['median_us']:.1f}")
            for engine, factor in (("pruned", 4), ("pruned", 10), ("pruned", 20), ("kp", 20), ("doped_kp", 20)):
                (own,) = cell[(cell["engine"] == engine) & (cell["factor"] == factor)].to_dict("records")
                line.append(f"{own['median_us']:.1f} ({own['speedup_over_fastest']:.1f}x)")
            lines.append(line)
    dense = ["ONNX Runtime, float32", "ONNX Runtime, int8", "dense here, int8"]
    compressed = ["pruned in tiles, 4x", "10x", "20x", "KP, 20x", "doped KP in tiles, 20x"]
    return markdown(["hidden units", *dense, *compressed], lines)


def step_time(results: Path) -> list[str]:
    """Time and memory of a training step against those of ``nn.LSTM``."""
    lines = [
        [
            row["method"],
            f"{row['median_ms']:.0f}",
            f"{row['time_ratio']:.2f}",
            f"{row['peak_mb']}",
            f"{row['memory_ratio']:.2f}",
        ]
        for row in read(results, "step_time.csv").to_dict("records")
    ]
    return markdown(["", "median ms", "time", "peak MB", "memory"], lines)


def reliability(results: Path) -> list[str]:
    """What was done to folders and files, and what harm it did."""
    kills, cuts, fuzz = (read(results, f"{name}.csv") for name in ("kill_storm", "power_cuts", "bundle_fuzz"))
    lost, twice, different = (int(kills[name].sum()) for name in ("lost", "twice", "different"))
    lines = [
        [
            "`kill -9` of a worker or of the command",
            f"{kills['kills'].sum():,} kills ({kills['kills_of_parents'].sum():,} of the command) in {len(kills)} rounds",
            f"of {kills['rows'].sum():,} rows {lost} lost, {twice} twice, {different} different; "
            f"{kills['traces'].sum()} tracebacks",
        ],
        [
            "power cuts, at every write, rename and sync",
            f"{len(cuts)} different folders, of which {(cuts['done'] > 0).sum()} had something reported as done",
            f"{cuts['lost'].sum()} lost, {cuts['twice'].sum()} twice, {cuts['different'].sum()} different; "
            f"{cuts['failed'].notna().sum()} ended badly",
        ],
        *(
            [
                f"altered bundles, {row['path']} kernels{' emulated' if row['emulated'] == 'yes' else ''} under sanitizers",
                f"{row['altered']:,}",
                f"{row['refused']:,} refused in one line, {row['run']:,} run without a finding",
            ]
            for row in fuzz.to_dict("records")
        ),
    ]
    return markdown(["what", "how many", "what came of it"], lines)
