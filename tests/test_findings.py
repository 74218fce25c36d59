"""The numbers of docs/findings.md are those of the committed results."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from doping.matrices import plan_matrix
from doping.method import Method

ROOT = Path(__file__).parents[1]
FINDINGS = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")

ROWS = {
    "pruned, by magnitude": ("pruned", False, False),
    "pruned, by saliency": ("pruned", True, False),
    "doped KP, by magnitude": ("doped_kp", False, False),
    "doped KP + CMR, by magnitude (the paper's)": ("doped_kp", False, True),
    "doped KP, by saliency": ("doped_kp", True, False),
    "doped KP + CMR, by saliency": ("doped_kp", True, True),
    "KP alone": ("kp", False, False),
    "doped LMF": ("doped_lmf", False, False),
    "doped LMF + CMR": ("doped_lmf", False, True),
    "doped HMD": ("doped_hmd", False, False),
    "doped HMD + CMR": ("doped_hmd", False, True),
    "LMF": ("lmf", False, False),
    "HMD": ("hmd", False, False),
}
FACTORS = (10, 20, 25, 40)


def rows(study):
    return pd.read_csv(ROOT / "results" / study / "results.csv")


def cell(results, kind, factor):
    """The trials of a method, with or without saliency and row dropout, at a factor."""
    method, by_saliency, cmr = kind
    saliency = results.settings.str.contains('"criterion":"saliency"')
    right = (results.method == method) & (saliency == by_saliency) & ((results.cmr > 0) == cmr)
    return results[right & (results.cf_requested == factor)]


def numbers(section, label):
    """What a table of a section shows beside a label; bold ones keep their stars."""
    text = FINDINGS.partition(f"## {section}")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
    return [[shown.strip() for shown in line.split("|")[2:-1]] for line in lines]


@pytest.mark.parametrize(("label", "kind"), ROWS.items(), ids=ROWS.keys())
def test_the_table_beyond_the_paper(label, kind):
    expected = []
    for study in ("beyond_paper-quick", "beyond_paper-long"):
        results = rows(study)
        for factor in FACTORS:
            own = cell(results, kind, factor)
            assert len(own) in (0, 3)
            best = min(c.validation.mean() for k in ROWS.values() if len(c := cell(results, k, factor)))
            text = f"{own.test.mean():.3f}" if len(own) else ""
            expected.append(f"**{text}**" if len(own) and own.validation.mean() == best else text)
    assert numbers("Beyond the paper", label)[0] == expected


def test_what_is_said_of_the_dense_model_and_of_losses():
    quick, long, regularized = (rows(f"beyond_paper-{name}") for name in ("quick", "long", "dense"))
    first, last = (results[results.method == "dense"].test.mean() for results in (quick, long))
    best = regularized.test.mean()
    text = " ".join(FINDINGS.split())
    assert f"Dense has {first:.3f} after 12 epochs, over-fits after 48 ({last:.3f})" in text
    assert f"(24 epochs, dropout 0.3) {best:.3f} (`beyond_paper-dense`)" in text

    def loss(kind, factor, dense):
        return f"{100 * (cell(long, kind, factor).test.mean() / dense - 1):.1f} %"

    chosen = {10: ("doped_kp", True, False), 20: ("doped_kp", True, False)}
    shown = [loss(chosen.get(factor, ("pruned", True, False)), factor, best) for factor in FACTORS]
    assert "the best dense one: {} at 10x, {} at 20x, {} at 25x, {} at 40x".format(*shown) in text
    recipe = ("doped_kp", False, True)
    assert (
        f"lose {shown[2]} and {shown[3]}, the paper's recipe {loss(recipe, 25, best)} and {loss(recipe, 40, best)}" in text
    )
    assert f"they lose {loss(('pruned', True, False), 25, last)} and {loss(('pruned', True, False), 40, last)}" in text


def test_what_saliency_gains():
    said = []
    for study in ("beyond_paper-quick", "beyond_paper-long"):
        results = rows(study)
        differences = np.concatenate(
            [
                cell(results, (method, False, False), factor).set_index("seed").test
                - cell(results, (method, True, False), factor).set_index("seed").test
                for method in ("pruned", "doped_kp")
                for factor in FACTORS
            ]
        )
        error = differences.std(ddof=1) / len(differences) ** 0.5
        said.append((f"{differences.mean():.3f} ± {error:.3f}", int((differences > 0).sum()), len(differences)))
    (early, better, pairs), (late, better_late, pairs_late) = said
    text = " ".join(FINDINGS.split())
    assert (
        f"by {early} after 12 epochs ({better} pairs of {pairs}) and by {late} after 48 ({better_late} of {pairs_late})"
        in text
    )


@pytest.mark.parametrize("epochs", [12, 48])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_row_dropout_gains_at_one_width(epochs, split):
    results = rows("beyond_paper-quick" if epochs == 12 else "beyond_paper-long")
    expected = []
    for factor in FACTORS:
        without, dropped = (
            cell(results, ("doped_kp", False, cmr), factor).set_index("seed")[split] for cmr in (False, True)
        )
        gain = without - dropped
        expected.append(f"{gain.mean():+.3f} ± {gain.std(ddof=1) / 3**0.5:.3f}".replace("-", "−"))
    assert numbers("When does row dropout pay?", f"read {epochs} times, {split}") == [expected]


@pytest.mark.parametrize(
    ("study", "factor", "reading"),
    [
        ("kp_vs_pruning-quick", 5, "332,020 characters, 4 times"),
        ("kp_vs_pruning-quick", 10, "the same"),
        ("kp_vs_pruning-quick", 20, "the same"),
        ("pareto-20x", 20, "60,000, 12 times, both tuned"),
        ("cmr_probability-quick", 20, "60,000, 40 times, dropout 0.3"),
    ],
)
def test_the_gain_of_row_dropout_in_other_regimes(study, factor, reading):
    results = rows(study)
    settings = results.settings
    usual = settings.str.contains('"sparse_variance":0.5')
    final = results.stage == "final" if "stage" in results else True
    doped = results[(results.method == "doped_kp") & (results.cf_requested == factor) & usual & final]
    without, dropped = doped[doped.cmr == 0], doped[(doped.cmr > 0) & doped.settings.str.contains('"on":"sparse"')]
    gain = without.test.mean() - dropped.test.mean()
    (line,) = [line for line in FINDINGS.splitlines() if re.match(rf"\| {re.escape(reading)} \| \d+ \| {factor}x \|", line)]
    shown = line.split("|")[4].split("(")[0].strip().replace("−", "-")
    assert float(shown) == pytest.approx(gain, abs=0.0011)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("pruned", ROWS["pruned, by magnitude"]),
        ("doped KP", ROWS["doped KP, by magnitude"]),
        ("doped KP + CMR", ROWS["doped KP + CMR, by magnitude (the paper's)"]),
    ],
)
def test_the_climb_while_annealing(label, kind):
    results, curves = rows("beyond_paper-long"), pd.read_csv(ROOT / "results" / "beyond_paper-long" / "curves.csv")
    expected = []
    for factor in FACTORS[1:]:
        own = curves[curves.trial_id.isin(cell(results, kind, factor).trial_id)]
        course = own.groupby("step").agg(validation=("validation", "mean"), sparsity=("sparsity", "mean"))
        lowest = course.validation[(course.sparsity > 0) & (course.sparsity < 0.9)].min()
        climb = course.validation[course.sparsity > 0.9].max() - lowest
        expected += [f"{climb:.3f}", f"{cell(results, kind, factor).validation.mean():.3f}"]
    assert numbers("CMA and its cure, measured", label) == [expected]


@pytest.mark.parametrize(
    "label", ["pruned, by magnitude", "pruned, by saliency", "doped KP, by magnitude", "doped KP, by saliency"]
)
def test_what_starting_and_distilling_give(label):
    expected = [
        f"{cell(rows(f'beyond_paper-{study}'), ROWS[label], factor).test.mean():.3f}"
        for factor in (25, 40)
        for study in ("quick", "started", "distilled")
    ]
    assert numbers("Beyond the paper", label)[1] == expected


def test_what_is_said_of_distilling_for_long():
    long, short = rows("beyond_paper-long-distilled"), rows("beyond_paper-distilled")
    text = " ".join(FINDINGS.split())
    pruned, doped = (
        [cell(long, (method, True, False), factor).test.mean() for factor in (25, 40)] for method in ("pruned", "doped_kp")
    )
    assert "pruned {:.3f} and {:.3f}, doped KP {:.3f} and {:.3f};".format(*pruned, *doped) in text
    once, again = (results[results.method == "dense"].test.mean() for results in (short, long))
    assert f"distilled from itself it has {once:.3f} after 12 epochs and {again:.3f} after 48" in text
    losses = [100 * (test / again - 1) for test in pruned]
    assert "lose {:.1f} % and {:.1f} %".format(*losses) in text
    scratch = rows("beyond_paper-long")
    gains = [
        cell(scratch, (method, True, False), factor).test.mean() - cell(long, (method, True, False), factor).test.mean()
        for method in ("pruned", "doped_kp")
        for factor in (25, 40)
    ]
    assert f"after 48 epochs {min(gains):.3f} to {max(gains):.3f}" in text


def test_how_long_the_annealing_takes():
    results = rows("cma_degradation-quick")
    text = " ".join(FINDINGS.split())
    for label, method in (("pruned", "pruned"), ("doped KP", "doped_kp"), ("doped LMF", "doped_lmf")):
        own = results[results.method == method]
        ends = [own[own.settings.str.contains(f'"length":{length}')].validation.mean() for length in (0.3, 0.5, 0.8)]
        assert f"{label} {', '.join(f'{end:.3f}' for end in ends)}" in text


def test_how_far_runs_differ_by_their_seeds():
    variances = [
        cell(rows(study), kind, factor).test.var()
        for study in ("beyond_paper-quick", "beyond_paper-long")
        for kind in ROWS.values()
        for factor in FACTORS
    ]
    deviation = np.nanmean(variances) ** 0.5
    text = " ".join(FINDINGS.split())
    assert f"standard deviation of {deviation:.3f} on test" in text
    assert f"two means of three has one of {deviation * (2 / 3) ** 0.5:.3f}" in text


WORDS = {
    "dense": ("beyond_paper-words", ("dense", False, False), 1),
    "pruned, by magnitude": ("beyond_paper-words", ("pruned", False, False), 20),
    "pruned, by saliency": ("beyond_paper-words", ("pruned", True, False), 20),
    "doped KP": ("beyond_paper-words-scaled", ("doped_kp", False, False), 20),
    "doped KP + CMR": ("beyond_paper-words-scaled", ("doped_kp", False, True), 20),
    "doped KP, plain SGD": ("beyond_paper-words", ("doped_kp", False, False), 20),
    "doped KP + CMR, plain SGD": ("beyond_paper-words", ("doped_kp", False, True), 20),
    "KP alone": ("beyond_paper-words-scaled", ("kp", False, False), 20),
    "LMF": ("beyond_paper-words-scaled", ("lmf", False, False), 20),
    "HMD": ("beyond_paper-words-scaled", ("hmd", False, False), 20),
    "doped KP, started from dense and distilled": ("beyond_paper-words-distilled", ("doped_kp", False, False), 20),
}


@pytest.mark.parametrize(("label", "study", "kind", "factor"), [(label, *where) for label, where in WORDS.items()])
def test_words(label, study, kind, factor):
    def only(study, kind, factor):
        (row,) = cell(rows(study), kind, factor).itertuples()
        return row

    own, dense = only(study, kind, factor), only(*WORDS["dense"])
    best = min(only(*where).validation for where in WORDS.values())
    validation = f"{own.validation:.1f}"
    shown = [
        f"**{validation}**" if own.validation == best else validation,
        f"{own.test:.1f}",
        "" if kind[0] == "dense" else f"{100 * (own.test / dense.test - 1):+.1f} %".replace("-", "−"),
        f"{own.bytes:,}",
    ]
    text = FINDINGS.partition("### Words")[2].partition("\n## ")[0]
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
    assert [part.strip() for part in line.split("|")[2:-1]] == shown


def test_what_is_said_of_words():
    text = " ".join(FINDINGS.split())

    def of(label):
        study, kind, factor = WORDS[label]
        (row,) = cell(rows(study), kind, factor).itertuples()
        return row

    def energy(label):
        curves = pd.read_csv(ROOT / "results" / WORDS[label][0] / "curves.csv")
        return 100 * curves[curves.trial_id == of(label).trial_id].energy_structured.iloc[-1]

    dense, doped, dropped = of("dense"), of("doped KP"), of("doped KP + CMR")
    kp, lmf, hmd = (f"{100 * (of(label).test / dense.test - 1):.1f} %" for label in ("KP alone", "LMF", "HMD"))
    assert f"they lose {kp}, {lmf} and {hmd}" in text
    assert f"it costs, as in all short trainings: {dropped.validation - doped.validation:.1f} of validation" in text
    shares = f"M carries {energy('doped KP + CMR'):.0f} % of the energy with it and {energy('doped KP'):.0f} % without"
    assert shares in text
    started = of("doped KP, started from dense and distilled")
    assert f"{doped.validation - started.validation:.1f} of validation against the same method from random weights" in text
    assert f"which over-fits ({started.test:.1f} against {dense.test:.1f} on test)" in text
    assert started.steps == doped.steps
    minutes = [
        row.seconds / 60 for study in ("beyond_paper-words", "beyond_paper-words-scaled") for row in rows(study).itertuples()
    ]
    assert f"{min(minutes):.0f} to {max(minutes):.0f} minutes a trial" in text
    assert f"{started.seconds / 60:.0f} when distilled" in text


def test_how_doped_kp_fares_under_a_learning_rate_of_one():
    text = " ".join(FINDINGS.split())
    at_step = {}
    for study, method in (
        ("beyond_paper-words", "pruned"),
        ("beyond_paper-words", "doped_kp"),
        ("beyond_paper-words-scaled", "doped_kp"),
    ):
        (trial,) = cell(rows(study), (method, False, False), 20).trial_id
        curves = pd.read_csv(ROOT / "results" / study / "curves.csv")
        curve = curves[curves.trial_id == trial].set_index("step").validation
        if (study, method) == ("beyond_paper-words", "doped_kp"):
            hump = f"hardly a hump for row dropout to cure ({curve[6972]:.0f} to {curve[9296]:.0f} with plain SGD)"
            assert hump in text
        at_step[study, method] = curve[9296], curve.iloc[-1], curves[curves.trial_id == trial].energy_structured.iloc[-1]
    pruned, plain, scaled = at_step.values()
    assert f"stood at {plain[0]:.0f} while the learning rate was 1 (pruned: {pruned[0]:.0f})" in text
    assert f"has {scaled[0]:.0f} there and ends {plain[1] - scaled[1]:.1f} lower" in text
    assert (
        f"M carries {100 * plain[2]:.0f} % of the pre-activation energy at the end, with scaled SGD {100 * scaled[2]:.0f} %"
        in text
    )


def test_a_high_probability_of_row_dropout():
    text = " ".join(FINDINGS.split())
    assert f"p = 0.7 is worse than none ({rows('cmr_probability-0.7').validation.mean():.3f})" in text


def test_how_far_a_step_of_kronecker_factors_goes():
    """Against that of a dense weight it is, at the start, the squared norm of the other factor."""
    text = " ".join(FINDINGS.split())
    torch.manual_seed(0)
    doped, alone = (
        plan_matrix(Method(name=name, factor=20), (800, 200)).initialized(0.1 / 3**0.5) for name in ("doped_kp", "kp")
    )
    norms = [float(factor.detach().square().sum()) for factor in (doped.structured.b, doped.structured.c)]
    assert "some 16 times" in text
    assert norms == pytest.approx([16, 16], rel=0.15)
    assert "of KP alone up to 400 times" in text
    assert float(alone.c.detach().square().sum()) == pytest.approx(400, rel=0.3)
