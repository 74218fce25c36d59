"""The numbers of docs/findings.md are those of the committed results."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
FINDINGS = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")

ROWS = {
    "pruned, by magnitude": ("pruned", False, False),
    "pruned, by saliency": ("pruned", True, False),
    "KP alone": ("kp", False, False),
    "doped KP, by magnitude (the paper's)": ("doped_kp", False, False),
    "doped KP, by magnitude, row dropout": ("doped_kp", False, True),
    "doped KP, by saliency": ("doped_kp", True, False),
}


def rows(study):
    return pd.read_csv(ROOT / "results" / study / "results.csv")


@pytest.mark.parametrize(("label", "kind"), ROWS.items(), ids=ROWS.keys())
def test_the_table_beyond_the_paper(label, kind):
    results, (method, by_saliency, cmr) = rows("beyond_paper-quick"), kind
    saliency = results.settings.str.contains('"criterion":"saliency"')
    section = FINDINGS.partition("## Beyond the paper")[2]
    (line,) = [line for line in section.splitlines() if line.startswith(f"| {label} |")]
    shown = [cell.replace("*", "").strip() for cell in line.split("|")[2:-1]]
    for factor, numbers in zip((25, 40), shown, strict=True):
        cell = results[(results.method == method) & (saliency == by_saliency) & ((results.cmr > 0) == cmr)]
        cell = cell[(cell.cf_requested == factor) & (cell.seed == 1)]
        expected = f"{cell.validation.item():.3f} / {cell.test.item():.3f}" if len(cell) else ""
        assert numbers == expected


def test_what_is_said_of_the_dense_model_and_of_losses():
    results = rows("beyond_paper-quick")
    dense = results[results.method == "dense"].iloc[0]
    assert f"Dense has {dense.validation:.3f} / {dense.test:.3f}" in FINDINGS
    loss = 100 * (results[results.cf_requested == 25].test.min() / dense.test - 1)
    recipe = 100 * (results[(results.cf_requested == 25) & (results.cmr > 0)].test.item() / dense.test - 1)
    assert f"the best loses {loss:.1f} %, the paper's recipe (row dropout included) {recipe:.1f} %" in FINDINGS


@pytest.mark.parametrize(
    ("study", "factor", "units_and_reading"),
    [
        ("kp_vs_pruning-quick", 5, "332,020 characters, 4 times"),
        ("kp_vs_pruning-quick", 10, "the same"),
        ("kp_vs_pruning-quick", 20, "the same"),
        ("pareto-20x", 20, "60,000, 12 times, both tuned"),
        ("cmr_probability-quick", 20, "60,000, 40 times"),
        ("beyond_paper-quick", 25, "60,000, 12 times"),
    ],
)
def test_the_gain_of_row_dropout(study, factor, units_and_reading):
    results = rows(study)
    settings = results.settings
    usual = settings.str.contains('"sparse_variance":0.5') & ~settings.str.contains('"criterion"')
    final = results.stage == "final" if "stage" in results else True
    doped = results[(results.method == "doped_kp") & (results.cf_requested == factor) & usual & final]
    asked = '"on":"sparse"'
    without, dropped = doped[doped.cmr == 0], doped[(doped.cmr > 0) & doped.settings.str.contains(asked)]
    gain = without.test.mean() - dropped.test.mean()
    (line,) = [
        line for line in FINDINGS.splitlines()
        if re.match(rf"\| {re.escape(units_and_reading)} \| \d+ \| {factor}x \|", line)
    ]  # fmt: skip
    shown = line.split("|")[6].split("(")[0].strip().replace("−", "-")
    assert float(shown) == pytest.approx(gain, abs=0.0011)
