"""The numbers of the README are those of the committed results."""

import csv
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

ROWS = {
    "pruned": ("pruned", False),
    "doped KP": ("doped_kp", False),
    "doped KP + CMR, p = 0.3 falling to 0, rows of S": ("doped_kp", True),
    "KP alone": ("kp", False),
    "LMF": ("lmf", False),
    "HMD": ("hmd", False),
}


@pytest.mark.parametrize(("label", "kind"), ROWS.items(), ids=ROWS.keys())
def test_the_table_of_the_main_study(label, kind):
    results = pd.read_csv(ROOT / "results" / "kp_vs_pruning-quick" / "results.csv")
    method, cmr = kind
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {label} |") and line.count("|") == 5]
    shown = [cell.replace("*", "").split() for cell in line.split("|")[2:-1]]
    for factor, (test, seeds) in zip((5, 10, 20), shown, strict=True):
        cell = results[(results.method == method) & ((results.cmr > 0) == cmr) & (results.cf_requested == factor)]
        assert (test, seeds) == (f"{cell.test.mean():.3f}", f"({len(cell)})")


def test_the_dense_model_of_the_main_study():
    results = pd.read_csv(ROOT / "results" / "kp_vs_pruning-quick" / "results.csv")
    dense = results[results.method == "dense"]
    assert f"Dense reaches {dense.test.mean():.3f} ({len(dense)} seeds)" in README


def test_the_table_of_step_times():
    with (ROOT / "results" / "step_time.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            time, memory = float(row["time_ratio"]), float(row["memory_ratio"])
            line = f"| {row['method']} | {float(row['median_ms']):.0f} | {time:.2f} | {row['peak_mb']} | {memory:.2f} |"
            assert line in README
            assert time <= 1.25
            assert memory <= 1.5


@pytest.mark.parametrize(("hidden", "mode", "label"), [
    (hidden, mode, label)
    for hidden in (200, 650, 1500)
    for mode, label in (("generating", "a step at a time"), ("scoring", "35 steps known"))
])  # fmt: skip
def test_the_table_of_speed_ups(hidden, mode, label):
    results = pd.read_csv(ROOT / "results" / "inference_benchmark.csv")
    cell = results[
        (results.hidden == hidden)
        & (results["mode"] == mode)
        & (results.engine == "doped_kp")
        & (results["values"] == "float32")
        & (results.factor == 20)
        & (results.batch == 1)
        & (results.threads == 1)
    ].set_index("pattern")["speedup"]
    shown = " | ".join(f"{cell[pattern]:.1f}" for pattern in ("unstructured", "gates", "rows"))
    assert f"| {hidden}, {label} | {shown} |" in README


def test_the_scaling_of_sweeps():
    results = pd.read_csv(ROOT / "results" / "sweep_scaling.csv")
    assert f"make {results.scaling.median():.1f} times the trials of one" in README
    assert f"costs {results.overhead_seconds.median():.1f} s beyond its training" in README
    assert results.scaling.median() >= 1.7
    assert results.overhead_seconds.median() <= 1


def test_the_tuned_study():
    results = pd.read_csv(ROOT / "results" / "pareto-20x" / "results.csv")
    test = results[results.stage == "final"].groupby("cell").test.mean()
    text = " ".join(README.split())
    assert f"pruning ({test['pruned 20x']:.3f} on test), doped KP ({test['doped_kp 20x']:.3f})" in text
    assert f"even KP alone ({test['kp 20x']:.3f}," in text
    assert f"({test['doped_kp + cmr 20x']:.3f}), and dense is at {test['dense']:.3f}." in text
    tried = results[(results.cell == "doped_kp 20x") & (results.stage == "tuning")].validation
    assert f"had {tried.iloc[0]:.3f} on validation, tuned {tried.min():.3f}." in text


ATIS_ROWS = {
    "pruned": ("pruned", False),
    "KP alone": ("kp", False),
    "doped KP": ("doped_kp", False),
    "doped KP + CMR": ("doped_kp", True),
    "doped LMF": ("doped_lmf", False),
    "doped LMF + CMR": ("doped_lmf", True),
    "doped HMD": ("doped_hmd", False),
    "doped HMD + CMR": ("doped_hmd", True),
    "LMF": ("lmf", False),
    "HMD": ("hmd", False),
}


def atis():
    results = pd.read_csv(ROOT / "results" / "atis-paper" / "results.csv")
    return results[(results.stage == "final") & (results.status == "finished")]


@pytest.mark.parametrize(("label", "kind"), ATIS_ROWS.items(), ids=ATIS_ROWS.keys())
def test_the_table_of_intent_detection(label, kind):
    results = atis()
    method, cmr = kind
    section = README.partition("**Intent detection**")[2].partition("Dense is wrong")[0]
    (line,) = [line for line in section.splitlines() if line.startswith(f"| {label} |")]
    shown = [cell.replace("*", "").strip() for cell in line.split("|")[2:-1]]
    for factor, error in zip((5, 10, 20, 40), shown, strict=True):
        cell = results[(results.method == method) & ((results.cmr > 0) == cmr) & (results.cf_requested == factor)]
        assert len(cell) == 5
        assert error == f"{cell.test.mean():.2f}"


def test_words():
    plain, scaled, distilled = (
        pd.read_csv(ROOT / "results" / f"beyond_paper-{name}" / "results.csv")
        for name in ("words", "words-scaled", "words-distilled")
    )
    text = " ".join(README.split())

    def test_of(results, method, cmr=False):
        own = (results.method == method) & ((results.cmr > 0) == cmr)
        (test,) = results[own & ~results.settings.str.contains('"criterion":"saliency"')].test
        return f"{test:.1f}"

    doped = f"doped KP {test_of(scaled, 'doped_kp')} (with row dropout {test_of(scaled, 'doped_kp', cmr=True)})"
    others = ", ".join(
        f"{name} {test_of(scaled, key)}" for name, key in (("LMF", "lmf"), ("KP alone", "kp"), ("HMD", "hmd"))
    )
    assert f"dense {test_of(plain, 'dense')}, pruned {test_of(plain, 'pruned')}, {doped}, {others};" in text
    assert f"doped KP started from the dense model and distilled **{test_of(distilled, 'doped_kp')}**" in text
    assert f"with plain SGD doped KP has {test_of(plain, 'doped_kp')}" in text


def test_the_dense_classifier():
    results = atis()
    dense = results[results.method == "dense"]
    assert len(dense) == 5
    assert f"Dense is wrong in {dense.test.mean():.2f} % (accuracy {100 - dense.test.mean():.2f} %)" in README
    assert dense.test.mean() <= 3.5


@pytest.mark.parametrize(
    ("label", "place", "study"),
    [
        ("by magnitude, 12 epochs", 0, "quick"),
        ("by saliency", 0, "quick"),
        ("by saliency, started from dense and distilled", 0, "distilled"),
        ("by magnitude, 48 epochs", 0, "long"),
        ("by saliency", 1, "long"),
    ],
)
def test_what_is_better_than_the_papers_recipe(label, place, study):
    results = pd.read_csv(ROOT / "results" / f"beyond_paper-{study}" / "results.csv")
    results = results[results.cf_requested == 25]
    results = results[results.settings.str.contains('"criterion":"saliency"') == ("saliency" in label)]
    cells = [results[(results.method == method) & ((results.cmr > 0) == cmr)] for method, cmr in
             (("pruned", False), ("doped_kp", False), ("doped_kp", True))]  # fmt: skip
    shown = " | ".join(f"{cell.test.mean():.3f}" if len(cell) else "" for cell in cells)
    lines = [line for line in README.splitlines() if line.startswith(f"| {label} |")]
    assert lines[place].split() == f"| {label} | {shown} |".split()


@pytest.mark.parametrize(
    ("label", "method", "pattern", "factor"),
    [
        ("dense", "dense", "", 1),
        ("pruned", "pruned", "unstructured", 20),
        ("doped KP", "doped_kp", "unstructured", 20),
        ("doped KP, blocks of gates", "doped_kp", "gates", 20),
        ("LMF", "lmf", "", 20),
        ("KP", "kp", "", 20),
        ("HMD", "hmd", "", 20),
    ],
)
def test_the_table_of_narrow_values(label, method, pattern, factor):
    results = pd.read_csv(ROOT / "results" / "narrow_values.csv", keep_default_na=False)
    own = (results.method == method) & (results.pattern == pattern) & (results.factor == factor) & (results.cmr == 0)
    (row,) = results[own].to_dict("records")
    difference = row["validation_int8"] - row["validation_float32"]
    numbers = [f"{row['validation_float32']:.4f}", f"{row['validation_int8']:.4f}", f"{difference:+.4f}".replace("-", "−")]
    numbers += [f"{row[f'{part}_bytes_{values}']:,}" for part in ("lstm", "file") for values in ("float32", "int8")]
    document = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
    assert f"| {label} | {' | '.join(numbers)} |" in document
    assert abs(difference) <= 0.0006 * row["validation_float32"]


def test_what_is_said_of_sixteen_texts_at_once():
    results = pd.read_csv(ROOT / "results" / "inference_benchmark.csv")
    own = results[(results.engine == "doped_kp") & (results["values"] == "float32") & (results.factor == 20)]
    own = own[(own.batch == 16) & (own.threads == 1) & (own["mode"] == "generating")]
    low, high = own.groupby("hidden").speedup.min(), own.groupby("hidden").speedup.max()
    said = [f"{low[hidden]:.1f} to {high[hidden]:.1f}" for hidden in (200, 650, 1500)]
    assert "{} times at 200 units, {} at 650 and {} at 1500 (generating)".format(*said) in " ".join(README.split())
