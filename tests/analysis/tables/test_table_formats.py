"""Numbers, escapes, and what the tables say, in Markdown, LaTeX and CSV."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from synthetic_results import study, trial, write

from analysis import labels, variants
from analysis.paper import published, published_for, published_loss
from analysis.report.words import facts, sentences
from analysis.results import AnalysisError, load
from analysis.section import Section
from analysis.summary import summarize
from analysis.tables import csv_table, latex, markdown
from doping.command_line import duration

MEDIUM: dict[str, Any] = {"task": "ptb-word", "metric": "perplexity", "base": 86.2}
MEDIUM |= {"task__model__layers": 2, "task__model__hidden": 650}


def sections_of(folder: Path, rows: list[dict[str, Any]]) -> list[Section]:
    return summarize(load(write(folder, rows)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0 B"), (999, "999 B"), (999.6, "1.00 kB"), (1000, "1.00 kB"), (9_996, "10.0 kB"), (78_125, "78.1 kB")),
        *((99_960, "100 kB"), (123_456, "123 kB"), (999_950, "1.00 MB"), (25_400_000, "25.4 MB"), (2.5e9, "2.50 GB")),
    ],
)
def test_scaled(value: float, text: str):
    assert labels.scaled(value, "B") == text


@pytest.mark.parametrize(("value", "text"), [(1.25, "1.2"), (-0.04, "0.0"), (-1.26, "−1.3"), (0, "0.0")])
def test_fixed(value: float, text: str):
    assert labels.fixed(value, 1) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (3599.6, "1 h 0 min"), (4980, "1 h 23 min")]
)
def test_duration(seconds: float, text: str):
    assert duration(seconds) == text


def test_an_unknown_method_or_metric_goes_by_its_own_name():
    assert labels.method_name("kp_sum", False) == "kp sum"
    assert labels.metric_name("word_error_rate") == "Word error rate"
    assert labels.method_rank("kp_sum", False) > labels.method_rank("doped_kp", True)


def test_labels_of_variants_keep_all_digits():
    flats = [variants.flatten({"method": {"cmr": {"probability": p}}}) for p in (0.3, 0.30000001)]
    assert len({variants.describe(flat, variants.varying([flats])) for flat in flats}) == 2


def test_what_the_precision_decides_is_not_named():
    def flat(values, share, method="pruned"):
        return variants.flatten({"method": {"name": method, "values": values, "rounding": {"share": share}}})

    decided = [flat(None, None), flat("int8", 0.3), flat("int4", 0.3)]
    assert variants.varying([decided]) == ["method.values"]
    assert variants.varying([decided, [flat("int8", 0.2), flat("int8", 0.4)]]) == ["method.rounding.share", "method.values"]


def test_labels_of_truths_lists_and_defaults():
    flat = variants.flatten({"method": {"cmr": {"anneal": False}, "left_shape": [4, 5], "terms": None}, "x": True})
    paths = ["method.cmr.anneal", "method.left_shape", "method.terms", "x"]
    assert variants.describe(flat, paths) == "p constant, left shape 4×5, terms by default, x yes"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50% of $x & #1_a", r"50\% of \$x \& \#1\_a"),
        (r"C:\new{a}^~", r"C:\textbackslash{}new\{a\}\textasciicircum{}\textasciitilde{}"),
        ("20× ± −1 – <|>", r"20$\times$ $\pm$ $-$1 -- \textless{}\textbar{}\textgreater{}"),
        ("two\nlines", "two lines"),
    ],
)
def test_latex_escape(text: str, escaped: str):
    assert latex.escape(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a|b *c* `d`", r"a\|b \*c\* \`d\`"), ("doped_kp _x_", r"doped_kp \_x\_"), ("<b>\n[x]", r"\<b\> \[x\]")],
)
def test_markdown_escape(text: str, escaped: str):
    assert markdown.escape(text) == escaped


def test_latex_has_the_columns_it_declares_and_what_it_opens(tmp_path: Path):
    rows = [*study([5, 25], [("pruned", 0.0), ("doped_kp", 0.3)], seeds=2, **MEDIUM), *study([5], [("kp", 0.0)])]
    text = latex.render(sections_of(tmp_path, rows))
    tabulars = re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL)
    # For both tasks the methods and their differences; for one also sizes at equal quality, and the published numbers.
    assert len(tabulars) == 6
    for columns, body in tabulars:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) > 2
        for line in lines:
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert text.isascii()
    assert len(set(re.findall(r"\\label\{(.*?)\}", text))) == 6


def test_markdown_tables_have_as_many_cells_in_each_line(tmp_path: Path):
    rows = [*study([5], [("pruned", 0.0)], seeds=1), trial("kp", 5, status="failed", error="a | b")]
    text = markdown.render(sections_of(tmp_path, rows))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert re.fullmatch(r"[|: -]+", lines[1])
    assert all(cell.count("-") >= 2 for cell in lines[1].strip("|").split("|"))


def test_failed_and_diverged_trials_are_listed_with_their_errors(tmp_path: Path):
    rows = [trial("dense"), trial("kp", 5, 1), trial("kp", 5, 4, status="failed", error="RuntimeError: no\nmemory" * 50)]
    rows += [trial("lmf", 5, 2, status="diverged"), trial("hmd", 5, 3, status="running", validation="", test="")]
    text = markdown.render(sections_of(tmp_path, rows), unfinished=2)
    assert "Not in the means (1 diverged, 1 failed, 1 running): LMF at 5× of values, seed 2: diverged; " in text
    assert "KP at 5× of values, seed 4: failed (RuntimeError: no memoryRuntime" in text
    assert "seed 3: running" in text
    assert "1 of 2" in text
    assert "Trials: 5 (2 finished, 1 diverged, 1 failed, 1 running)" in text
    assert "2 trials have a curve but no result yet" in text
    assert max(map(len, text.splitlines())) < 600


def test_csv_holds_raw_numbers(tmp_path: Path):
    text = csv_table.render(sections_of(tmp_path, [*study([5], [("kp", 0.0)], seeds=2), trial("lmf", 5)]))
    dense, lmf, kp = csv.DictReader(io.StringIO(text))
    assert (dense["n"], kp["n"], lmf["n"]) == ("2", "2", "1")
    assert lmf["validation_sd"] == ""
    assert float(kp["test_loss_percent_mean"]) == pytest.approx(
        100 * (float(kp["test_mean"]) / float(dense["test_mean"]) - 1), rel=1e-6
    )
    assert float(dense["validation_loss_percent_mean"]) == 0
    assert lmf["best"] == "1"
    assert tuple(dense) == csv_table.COLUMNS


def test_published_numbers_stand_beside_the_same_task_model_and_factor(tmp_path: Path):
    rows = study([10, 25], [("pruned", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.3)], seeds=1, **MEDIUM)
    rows.append(trial("kp", 338, cf_values=338.0, **MEDIUM))
    (section,) = sections_of(tmp_path, rows)
    losses = {(row.label, row.factor): published_loss(section, row) for row in section.rows}
    assert {key: loss for key, loss in losses.items() if loss is not None} == {
        ("Pruned", 25): 7.9,
        ("Doped KP + CMR", 25): 1.4,
        ("KP", 338): 26,
    }
    text = markdown.render([section])
    assert "86.2 / 82.7" in text
    assert re.search(r"\| LMF +\| +25× \| +27 \| +– \|", text)
    assert "has no numbers for this task" not in text


@pytest.mark.parametrize(
    "other",
    [MEDIUM | {"task__model__hidden": 300}, MEDIUM | {"task": "text-word"}, MEDIUM | {"metric": "bits_per_character"}],
)
def test_no_published_numbers_for_another_task_or_model(tmp_path: Path, other: dict[str, Any]):
    (section,) = sections_of(tmp_path, study([25], [("pruned", 0.0)], seeds=1, **other))
    assert published_for(section) is None
    assert "has no numbers for this task" in markdown.render([section])


def test_each_published_number_has_a_source_and_one_factor():
    for entry in published():
        assert entry.dense["source"]
        for number in entry.methods:
            assert number.source
            assert (number.factor is None) != (number.at_least is None)
            assert number.method in labels.methods()


def test_other_qualities_have_a_column_each(tmp_path: Path):
    accuracies = {("dense", 1): 97.0, ("dense", 2): 98.0, ("kp", 1): 95.0, ("kp", 2): 96.0}
    rows = [
        trial(method, 1.0 if method == "dense" else 5.0, seed, metric="error_rate", measures=f'{{"accuracy": {accuracy}}}')
        for (method, seed), accuracy in accuracies.items()
    ]
    (section,) = sections_of(tmp_path, rows)
    text = markdown.render([section])
    header, _, dense, kp = [line.split("|") for line in text.splitlines() if line.startswith("|")][:4]
    column = [cell.strip() for cell in header].index("Accuracy, %")
    assert [line[column].strip().split(" ± ")[0] for line in (dense, kp)] == ["97.50", "95.50"]
    assert "Accuracy: on the test split, higher is better." in text
    lines = list(csv.DictReader(io.StringIO(csv_table.render([section]))))
    assert [line["measures"] for line in lines] == ['{"accuracy": 97.5}', '{"accuracy": 95.5}']


def test_how_a_quality_was_measured_stands_below_the_table(tmp_path: Path):
    rows = [trial("dense", seed=seed, measures='{"bleu": 31.5, "bleu_signature": "nrefs:1|tok:13a"}') for seed in (1, 2)]
    (section,) = sections_of(tmp_path, rows)
    text = markdown.render([section]).replace("\\", "")
    assert text.count("BLEU: nrefs:1|tok:13a.") == 1
    assert "BLEU: on the test split, higher is better." in text
    assert "BLEU: nrefs:1" in latex.render([section])
    assert '{""bleu"": 31.5}' in csv_table.render([section])


def test_measures_that_are_no_json_are_a_mistake_in_that_row(tmp_path: Path):
    rows = [trial("dense", seed=1, measures='{"accuracy": '), trial("kp", 5.0)]
    with pytest.raises(AnalysisError, match=r"results\.csv, row 2: measures is not JSON of names and values"):
        sections_of(tmp_path, rows)


def test_losses_of_a_metric_that_can_be_negative_are_differences(tmp_path):
    quality = {"metric": "energy", "validation": -2.0, "test": -2.5}
    rows = [trial("dense", **quality)]
    rows.append(trial("pruned", 4.0, metric="energy", validation=-1.0, test=-1.5))
    rows.append(trial("kp", 4.0, metric="energy", validation=-3.0, test=-3.25))
    (section,) = sections_of(tmp_path, rows)
    losses = {row.method: row.test_loss.mean for row in section.rows}
    assert losses == {"dense": 0.0, "pruned": pytest.approx(1.0), "kp": pytest.approx(-0.75)}
    assert {row.method: row.best for row in section.rows}["kp"]
    table = markdown.render([section])
    assert "Loss |" in table
    assert "Loss, %" not in table
    assert "−0.75" in table
    assert all(not line["test_loss_percent_mean"] for line in csv.DictReader(io.StringIO(csv_table.render([section]))))
    said = " ".join([*sentences(section), *(f"{fact.name} {fact.value}" for fact in facts(section))])
    assert "−0.750 against Dense" in said
    assert "%" not in said.replace("95 %", "")
