"""The numbers in the sentences of docs/findings.md are those of the committed rows; its tables are made from them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from doping.matrices import plan_matrix
from doping.method import Method

ROOT = Path(__file__).parents[1]
TEXT = " ".join((ROOT / "docs" / "findings.md").read_text(encoding="utf-8").split())

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
    "LMF": ("lmf", False, False),
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


def test_what_is_said_of_the_dense_model_and_of_losses():
    quick, long, regularized = (rows(f"beyond_paper-{name}") for name in ("quick", "long", "dense"))
    first, last = (results[results.method == "dense"].test.mean() for results in (quick, long))
    best = regularized.test.mean()
    assert f"Dense has {first:.3f} after 12 epochs, over-fits after 48 ({last:.3f})" in TEXT
    assert f"(24 epochs, dropout 0.3) {best:.3f} (`beyond_paper-dense`)" in TEXT

    def loss(kind, factor, dense):
        return f"{100 * (cell(long, kind, factor).test.mean() / dense - 1):.1f} %"

    chosen = {10: ("doped_kp", True, False), 20: ("doped_kp", True, False)}
    shown = [loss(chosen.get(factor, ("pruned", True, False)), factor, best) for factor in FACTORS]
    assert "the best dense one: {} at 10x, {} at 20x, {} at 25x, {} at 40x".format(*shown) in TEXT
    recipe = ("doped_kp", False, True)
    assert (
        f"lose {shown[2]} and {shown[3]}, the paper's recipe {loss(recipe, 25, best)} and {loss(recipe, 40, best)}" in TEXT
    )
    assert f"they lose {loss(('pruned', True, False), 25, last)} and {loss(('pruned', True, False), 40, last)}" in TEXT


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
    assert (
        f"by {early} after 12 epochs ({better} pairs of {pairs}) and by {late} after 48 ({better_late} of {pairs_late})"
        in TEXT
    )


def test_what_is_said_of_distilling_for_long():
    long, short = rows("beyond_paper-long-distilled"), rows("beyond_paper-distilled")
    pruned, doped = (
        [cell(long, (method, True, False), factor).test.mean() for factor in (25, 40)] for method in ("pruned", "doped_kp")
    )
    assert "pruned {:.3f} and {:.3f}, doped KP {:.3f} and {:.3f};".format(*pruned, *doped) in TEXT
    once, again = (results[results.method == "dense"].test.mean() for results in (short, long))
    assert f"distilled from itself it has {once:.3f} after 12 epochs and {again:.3f} after 48" in TEXT
    losses = [100 * (test / again - 1) for test in pruned]
    assert "lose {:.1f} % and {:.1f} %".format(*losses) in TEXT
    scratch = rows("beyond_paper-long")
    gains = [
        cell(scratch, (method, True, False), factor).test.mean() - cell(long, (method, True, False), factor).test.mean()
        for method in ("pruned", "doped_kp")
        for factor in (25, 40)
    ]
    assert f"after 48 epochs {min(gains):.3f} to {max(gains):.3f}" in TEXT


def test_how_long_the_annealing_takes():
    results = rows("cma_degradation-quick")
    for label, method in (("pruned", "pruned"), ("doped KP", "doped_kp"), ("doped LMF", "doped_lmf")):
        own = results[results.method == method]
        ends = [own[own.settings.str.contains(f'"length":{length}')].validation.mean() for length in (0.3, 0.5, 0.8)]
        assert f"{label} {', '.join(f'{end:.3f}' for end in ends)}" in TEXT


def test_how_far_runs_differ_by_their_seeds():
    variances = [
        cell(rows(study), kind, factor).test.var()
        for study in ("beyond_paper-quick", "beyond_paper-long")
        for kind in ROWS.values()
        for factor in FACTORS
    ]
    deviation = np.nanmean(variances) ** 0.5
    assert f"standard deviation of {deviation:.3f} on test" in TEXT
    assert f"two means of three has one of {deviation * (2 / 3) ** 0.5:.3f}" in TEXT


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
    "doped KP, started from dense and distilled": ("beyond_paper-words-distilled", ("doped_kp", False, False), 20),
}


def test_what_is_said_of_words():

    def of(label):
        study, kind, factor = WORDS[label]
        (row,) = cell(rows(study), kind, factor).itertuples()
        return row

    def energy(label):
        curves = pd.read_csv(ROOT / "results" / WORDS[label][0] / "curves.csv")
        return 100 * curves[curves.trial_id == of(label).trial_id].energy_structured.iloc[-1]

    dense, doped, dropped = of("dense"), of("doped KP"), of("doped KP + CMR")
    kp, lmf = (f"{100 * (of(label).test / dense.test - 1):.1f} %" for label in ("KP alone", "LMF"))
    assert f"they lose {kp} and {lmf}" in TEXT
    assert f"it costs, as in all short trainings: {dropped.validation - doped.validation:.1f} of validation" in TEXT
    shares = f"M carries {energy('doped KP + CMR'):.0f} % of the energy with it and {energy('doped KP'):.0f} % without"
    assert shares in TEXT
    started = of("doped KP, started from dense and distilled")
    assert f"{doped.validation - started.validation:.1f} of validation against the same method from random weights" in TEXT
    assert f"which over-fits ({started.test:.1f} against {dense.test:.1f} on test)" in TEXT
    assert started.steps == doped.steps
    minutes = [
        row.seconds / 60 for study in ("beyond_paper-words", "beyond_paper-words-scaled") for row in rows(study).itertuples()
    ]
    assert f"{min(minutes):.0f} to {max(minutes):.0f} minutes per trial" in TEXT
    assert f"{started.seconds / 60:.0f} when distilled" in TEXT


def test_how_doped_kp_fares_under_a_learning_rate_of_one():
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
            assert hump in TEXT
        at_step[study, method] = curve[9296], curve.iloc[-1], curves[curves.trial_id == trial].energy_structured.iloc[-1]
    pruned, plain, scaled = at_step.values()
    assert f"stood at {plain[0]:.0f} while the learning rate was 1 (pruned: {pruned[0]:.0f})" in TEXT
    assert f"has {scaled[0]:.0f} there and ends {plain[1] - scaled[1]:.1f} lower" in TEXT
    assert (
        f"M carries {100 * plain[2]:.0f} % of the pre-activation energy at the end, with scaled SGD {100 * scaled[2]:.0f} %"
        in TEXT
    )


def test_a_high_probability_of_row_dropout():
    assert f"p = 0.7 is worse than none ({rows('cmr_probability-0.7').validation.mean():.3f})" in TEXT


def test_how_far_a_step_of_kronecker_factors_goes():
    """Against that of a dense weight it is, at the start, the squared norm of the other factor."""
    torch.manual_seed(0)
    doped, alone = (
        plan_matrix(Method(name=name, factor=20), (800, 200)).initialized(0.1 / 3**0.5) for name in ("doped_kp", "kp")
    )
    norms = [float(factor.detach().square().sum()) for factor in (doped.structured.b, doped.structured.c)]
    assert "some 16 times" in TEXT
    assert norms == pytest.approx([16, 16], rel=0.15)
    assert "of KP alone up to 400 times" in TEXT
    assert float(alone.c.detach().square().sum()) == pytest.approx(400, rel=0.3)


def test_the_dense_model_of_the_main_study():
    results = rows("kp_vs_pruning-quick")
    dense = results[results.method == "dense"]
    assert f"Dense reaches {dense.test.mean():.3f} ({len(dense)} seeds)" in TEXT


def test_the_scaling_of_sweeps():
    results = pd.read_csv(ROOT / "results" / "sweep_scaling.csv")
    assert f"make {results.scaling.median():.1f} times the trials of one" in TEXT
    assert f"costs {results.overhead_seconds.median():.1f} s beyond its training" in TEXT
    assert results.scaling.median() >= 1.7
    assert results.overhead_seconds.median() <= 1


def test_the_tuned_study():
    results = rows("pareto-20x")
    test = results[results.stage == "final"].groupby("cell").test.mean()
    assert f"pruning ({test['pruned 20x']:.3f} on test), doped KP ({test['doped_kp 20x']:.3f})" in TEXT
    assert f"even KP alone ({test['kp 20x']:.3f}," in TEXT
    assert f"({test['doped_kp + cmr 20x']:.3f}), and dense is at {test['dense']:.3f}." in TEXT
    tried = results[(results.cell == "doped_kp 20x") & (results.stage == "tuning")].validation
    assert f"had {tried.iloc[0]:.3f} on validation, tuned {tried.min():.3f}." in TEXT


def test_the_dense_classifier():
    results = rows("atis-paper")
    results = results[(results.stage == "final") & (results.status == "finished")]
    dense = results[results.method == "dense"]
    assert len(dense) == 5
    assert f"Dense is wrong in {dense.test.mean():.2f} % (accuracy {100 - dense.test.mean():.2f} %)" in TEXT
    assert dense.test.mean() <= 3.5


def test_what_is_said_of_sixteen_texts_at_once():
    results = pd.read_csv(ROOT / "results" / "inference_benchmark.csv")
    own = results[(results.engine == "doped_kp") & (results["values"] == "float32") & (results.factor == 20)]
    own = own[(own.batch == 16) & (own.threads == 1) & (own["mode"] == "generating")]
    low, high = own.groupby("hidden").speedup.min(), own.groupby("hidden").speedup.max()
    said = [f"{low[hidden]:.1f} to {high[hidden]:.1f}" for hidden in (200, 650, 1500)]
    assert "{} times at 200 units, {} at 650 and {} at 1500 (generating)".format(*said) in TEXT


def test_what_was_promised_of_training_and_int8():
    steps = pd.read_csv(ROOT / "results" / "step_time.csv")
    assert steps.time_ratio.max() <= 1.25
    assert steps.memory_ratio.max() <= 1.5
    deployed = pd.read_csv(ROOT / "results" / "deployed-quick" / "results.csv")
    wide = deployed[~deployed.cell.str.contains("int")]
    assert len(wide) and ((wide.validation_int8 / wide.validation - 1).abs() <= 0.001).all()
