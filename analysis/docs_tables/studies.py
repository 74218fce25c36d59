"""Tables of what studies gave."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd

from analysis.docs_tables.rows import Kind, markdown, read, signed, test_table

PRUNED, PRUNED_BY_SALIENCY = Kind("pruned"), Kind("pruned", saliency=True)
DOPED, DOPED_BY_SALIENCY, DROPPED = Kind("doped_kp"), Kind("doped_kp", saliency=True), Kind("doped_kp", cmr=True)
STRUCTURED = {"KP alone": Kind("kp"), "LMF": Kind("lmf"), "HMD": Kind("hmd")}


def main_study(results: Path) -> list[str]:
    """Every method at three factors; in brackets the number of seeds."""
    rows = read(results, "kp_vs_pruning-quick")
    kinds = {"pruned": PRUNED, "doped KP": DOPED, "doped KP + CMR": DROPPED, **STRUCTURED}
    return test_table(["", "5x", "10x", "20x"], kinds, [(rows, factor) for factor in (5, 10, 20)], digits=3, counts=True)


def beyond_paper(results: Path) -> list[str]:
    """Every method at four factors, after short and long training."""
    kinds = {
        "pruned, by magnitude": PRUNED,
        "pruned, by saliency": PRUNED_BY_SALIENCY,
        "doped KP, by magnitude": DOPED,
        "doped KP + CMR, by magnitude (the paper's)": DROPPED,
        "doped KP, by saliency": DOPED_BY_SALIENCY,
        "doped KP + CMR, by saliency": Kind("doped_kp", saliency=True, cmr=True),
        "KP alone": STRUCTURED["KP alone"],
        "doped LMF": Kind("doped_lmf"),
        "doped LMF + CMR": Kind("doped_lmf", cmr=True),
        "LMF": STRUCTURED["LMF"],
    }
    factors = (10, 20, 25, 40)
    cells = [(rows, factor) for name in ("quick", "long") for rows in [read(results, f"beyond_paper-{name}")]
             for factor in factors]  # fmt: skip
    header = ["", "12 epochs: 10x", "20x", "25x", "40x", "48 epochs: 10x", "20x", "25x", "40x"]
    return test_table(header, kinds, cells, digits=3, counts=False)


def started(results: Path) -> list[str]:
    """What starting from the dense model, and distilling it, give."""
    kinds = {
        "pruned, by magnitude": PRUNED,
        "pruned, by saliency": PRUNED_BY_SALIENCY,
        "doped KP, by magnitude": DOPED,
        "doped KP + CMR, by magnitude": DROPPED,
        "doped KP, by saliency": DOPED_BY_SALIENCY,
    }
    studies = [read(results, f"beyond_paper-{name}") for name in ("quick", "started", "distilled")]
    lines = [
        [label, *(f"{kind.at(study, factor)['test'].mean():.3f}" for factor in (25, 40) for study in studies)]
        for label, kind in kinds.items()
    ]
    return markdown(
        ["", *(head for factor in (25, 40) for head in (f"{factor}x: random start", "started", "distilled, too"))], lines
    )


def climb(results: Path) -> list[str]:
    """How far validation climbs while annealing, from its lowest point below 90 % sparsity, and where it ends."""
    rows, curves = read(results, "beyond_paper-long"), pd.read_csv(results / "beyond_paper-long" / "curves.csv")
    lines = []
    for label, kind in {"pruned": PRUNED, "doped KP": DOPED, "doped KP + CMR": DROPPED}.items():
        line = [label]
        for factor in (20, 25, 40):
            own = kind.at(rows, factor)
            course = curves[curves["trial_id"].isin(own["trial_id"])].groupby("step")[["validation", "sparsity"]].mean()
            lowest = course.loc[(course["sparsity"] > 0) & (course["sparsity"] < 0.9), "validation"].min()
            highest = course.loc[course["sparsity"] > 0.9, "validation"].max()
            line += [f"{highest - lowest:.3f}", f"{own['validation'].mean():.3f}"]
        lines.append(line)
    return markdown(["", "20x: climb", "end", "25x: climb", "end", "40x: climb", "end"], lines)


def row_dropout(results: Path) -> list[str]:
    """What row dropout gains at one width, paired by seed, with the standard error of the mean."""
    lines = []
    for epochs, name in ((12, "quick"), (48, "long")):
        rows = read(results, f"beyond_paper-{name}")
        for split in ("validation", "test"):
            line = [f"read {epochs} times, {split}"]
            for factor in (10, 20, 25, 40):
                without, dropped = (kind.at(rows, factor).set_index("seed")[split] for kind in (DOPED, DROPPED))
                gain = without - dropped
                line.append(f"{signed(gain.mean(), 3)} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f}")
            lines.append(line)
    return markdown(["", "10x", "20x", "25x", "40x"], lines)


def row_dropout_elsewhere(results: Path) -> list[str]:
    """What row dropout gains in other regimes, on test; in brackets the number of seeds."""
    regimes = [
        ("332,020 characters, 4 times", 200, 5, "kp_vs_pruning-quick"),
        ("the same", 200, 10, "kp_vs_pruning-quick"),
        ("the same", 200, 20, "kp_vs_pruning-quick"),
        ("60,000, 12 times, both tuned", 200, 20, "pareto-20x"),
        ("60,000, 40 times, dropout 0.3", 125, 20, "cmr_probability-quick"),
    ]
    lines = []
    for reading, units, factor, study in regimes:
        rows = read(results, study)
        if "stage" in rows:
            rows = rows[rows["stage"] == "final"]
        rows = rows[rows["settings"].str.contains('"sparse_variance":0.5')]
        dropped = DROPPED.at(rows, factor)
        dropped = dropped[dropped["settings"].str.contains('"on":"sparse"')]
        gain = DOPED.at(rows, factor)["test"].mean() - dropped["test"].mean()
        seeds = dropped["seed"].nunique()
        lines.append([reading, f"`{study}`", str(units), f"{factor}x", f"{signed(gain, 3)} ({seeds})"])
    return markdown(["text, and how often it is read", "study", "units", "factor", "gain of CMR (seeds)"], lines, texts=2)


def words(results: Path) -> list[str]:
    """Perplexity of every method on words, one seed."""
    lines_of = {
        "dense": ("words", Kind("dense"), 1),
        "pruned, by magnitude": ("words", PRUNED, 20),
        "pruned, by saliency": ("words", PRUNED_BY_SALIENCY, 20),
        "doped KP": ("words-scaled", DOPED, 20),
        "doped KP + CMR": ("words-scaled", DROPPED, 20),
        "doped KP, plain SGD": ("words", DOPED, 20),
        "doped KP + CMR, plain SGD": ("words", DROPPED, 20),
        **{label: ("words-scaled", STRUCTURED[label], 20) for label in ("KP alone", "LMF")},
        "doped KP, started from dense and distilled": ("words-distilled", DOPED, 20),
    }
    found = {label: kind.at(read(results, f"beyond_paper-{study}"), factor).iloc[0]
             for label, (study, kind, factor) in lines_of.items()}  # fmt: skip
    best = min(row["validation"] for row in found.values())
    lines = []
    for label, row in found.items():
        validation = f"{row['validation']:.1f}"
        loss = "" if label == "dense" else f"{signed(100 * (row['test'] / found['dense']['test'] - 1), 1)} %"
        bold = f"**{validation}**" if row["validation"] == best else validation
        lines.append([label, bold, f"{row['test']:.1f}", loss, f"{row['bytes']:,}"])
    return markdown(["", "validation", "test", "against dense", "bytes"], lines)


def deployed(results: Path) -> list[str]:
    """Mean quality of every setting by its bytes as deployed; bold where nothing as small, in kB, validates better."""
    trials = read(results, "deployed-targets")
    cells = trials[trials["status"] == "finished"].groupby("cell", sort=False)
    own = ["deployed_bytes", "model_bytes", "validation", "test"]
    rounded = {values: [f"{column}_{values}" for column in ("bytes", "model_bytes", "validation", "test")]
               for values in ("int8", "int4")}  # fmt: skip
    means = cells[[*own, *rounded["int8"], *rounded["int4"], "latency_us"]].mean()
    found = [(str(cell), *mean[[*own, "latency_us"]]) for cell, mean in means.iterrows()]
    for values, columns in rounded.items():
        found.append((f"dense, rounded to {values} after the training", *means.loc["dense", columns], math.nan))
    lines = []
    for cell, layer, model, validation, test, step in sorted(found, key=lambda line: -line[1]):
        best = all(validation <= other[3] for other in found if round(other[1], -3) <= round(layer, -3))
        shown = f"**{validation:.3f}**" if best else f"{validation:.3f}"
        seeds = str(cells.size().get(cell, cells.size()["dense"]))
        kilobytes = [f"{size / 1000:,.0f}" for size in (layer, model)]
        lines.append([cell, *kilobytes, "" if math.isnan(step) else f"{step:.1f}", shown, f"{test:.3f}", seeds])
    return markdown(["", "kB of the layer", "kB of the model", "µs per step", "validation", "test", "seeds"], lines)


def deployed_sizes(results: Path) -> list[str]:
    """Mean quality on test, and microseconds per step, of every method (lines) in so many bytes as deployed (columns).

    Bold: the best on validation of its size.
    """
    trials = read(results, "deployed-quick")
    trials = trials[(trials["status"] == "finished") & (trials["cf_unit"] == "size")].copy()
    trials["setting"] = trials["cell"].str.replace(r" \d+ kB", "", regex=True)
    groups = trials.groupby(["setting", "cf_requested"], sort=False)
    records = groups[["validation", "test", "latency_us"]].mean().reset_index().to_dict("records")
    means = {(str(mean["setting"]), float(mean["cf_requested"])): mean for mean in records}
    sizes = sorted(trials["cf_requested"].unique())
    best = {size: min(mean["validation"] for (_, at), mean in means.items() if at == size) for size in sizes}

    def shown(setting: str, size: float) -> str:
        mean = means.get((setting, size))
        if mean is None:
            return ""
        test = f"**{mean['test']:.3f}**" if mean["validation"] == best[size] else f"{mean['test']:.3f}"
        return f"{test} ({mean['latency_us']:.1f})"

    lines = [[name, *(shown(name, size) for size in sizes)] for name in dict.fromkeys(trials["setting"])]
    return markdown(["", *(f"{size / 1000:.0f} kB" for size in sizes)], lines)


def recipes(results: Path) -> list[str]:
    """Mean quality of one pruned model, by what its recipe has that the first one's has not."""
    lines, first = [], None
    for folder, also in (("deployed-recipes", []), ("deployed-started", ["from a dense model"])):
        for _, trials in read(results, folder).groupby("cell", sort=False):
            method = json.loads(trials["settings"].iloc[0])["method"]
            parts = {
                **{f"annealing.{key}": value for key, value in method["annealing"].items()},
                "rounding.share": method.get("rounding", {}).get("share", 0.0),
            }
            first = first or parts
            changed = [f"`{key}: {value}`" for key, value in parts.items() if value != first.get(key, "magnitude")]
            means = [f"{trials[column].mean():.3f}" for column in ("validation", "test")]
            lines.append([", ".join(also + changed) or "as in the tables above", *means, str(len(trials))])
    return markdown(["", "validation", "test", "seeds"], lines)


def rounding(results: Path) -> list[str]:
    """Mean quality on validation of what was trained in float32, and of the same rounded as it is exported."""
    trials = read(results, "deployed-quick")
    trials = trials[(trials["status"] == "finished") & (trials["validation"] != trials["validation_int8"])]
    trials = trials[~trials["cell"].str.contains("int")]
    own = ["validation", "validation_int8", "validation_int4"]
    sizes = ["deployed_bytes", "bytes_int8", "bytes_int4", "model_bytes", "model_bytes_int8", "model_bytes_int4"]
    lines = []
    for cell, mean in trials.groupby("cell", sort=False)[[*own, *sizes]].mean().iterrows():
        lines.append([str(cell), *(f"{mean[name]:.4f}" for name in own), *(f"{mean[name]:,.0f}" for name in sizes)])
    kinds = ["float32", "int8", "int4"]
    return markdown(["", *kinds, "bytes of the LSTM", *kinds[1:], "of the model", *kinds[1:]], lines)


def atis(results: Path) -> list[str]:
    """Error rate in per cent of every method at four factors, mean of five seeds."""
    rows = read(results, "atis-paper")
    rows = rows[(rows["stage"] == "final") & (rows["status"] == "finished")]
    kinds = {"pruned": PRUNED, "KP alone": STRUCTURED["KP alone"]}
    for family in ("KP", "LMF"):
        name = f"doped_{family.lower()}"
        kinds |= {f"doped {family}": Kind(name), f"doped {family} + CMR": Kind(name, cmr=True)}
    kinds["LMF"] = STRUCTURED["LMF"]
    factors = (5, 10, 20, 40)
    return test_table(
        ["", *(f"{factor}x" for factor in factors)], kinds, [(rows, factor) for factor in factors], digits=2, counts=False
    )
