"""What is drawn of M and S: row dropout, courses of both parts, and the checkpoints of trained models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_results import study, trial, write

from analysis import checkpoint
from analysis.figures import annealing, cmr, parts, patterns
from analysis.results import AnalysisError, Results, load
from analysis.section import Section
from analysis.summary import summarize
from doping.layers.lstm import CompressedLSTM
from doping.method import Method


def read(folder: Path, rows: list[dict[str, Any]], **how: Any) -> tuple[Section, Results]:
    results = load(write(folder, rows, **how))
    (section,) = summarize(results)
    return section, results


def saved(path: Path, method: Method, layers: int = 1) -> CompressedLSTM:
    """A checkpoint like those of the sweep, of a model whose S is pruned."""
    torch.manual_seed(0)
    dense = torch.nn.LSTM(20, 20, num_layers=layers)
    lstm = CompressedLSTM.from_lstm(dense, method)
    path.parent.mkdir(parents=True)
    state = {f"lstm.{name}": tensor for name, tensor in lstm.state_dict().items()} | {"softmax.bias": torch.zeros(3)}
    torch.save({"state_dict": state, "epoch": 1}, path)
    return lstm


def test_a_checkpoint_gives_masks_gate_by_gate_and_the_shapes_of_the_factors(tmp_path: Path):
    lstm = saved(tmp_path / "t" / "model.ckpt", Method(name="doped_kp", factor=4), layers=2)
    matrices = checkpoint.read(tmp_path / "t" / "model.ckpt")
    assert [matrix.name for matrix in matrices] == [f"weight_{kind}_l{layer}" for layer in (0, 1) for kind in ("ih", "hh")]
    for matrix, trained in zip(matrices, lstm.weight_matrices(), strict=True):
        mask = trained.sparse.mask.numpy()
        assert matrix.gate_shares() == pytest.approx([mask[20 * g : 20 * (g + 1)].sum() / 400 for g in range(4)])
        assert matrix.factors == {"b": tuple(trained.structured.b.shape), "c": tuple(trained.structured.c.shape)}


def test_a_method_without_a_sparse_part_has_no_mask(tmp_path: Path):
    saved(tmp_path / "t" / "model.ckpt", Method(name="lmf", factor=4))
    assert [matrix.mask for matrix in checkpoint.read(tmp_path / "t" / "model.ckpt")] == [None, None]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 torn"])
def test_a_checkpoint_that_cannot_be_read(tmp_path: Path, content: bytes):
    (tmp_path / "model.ckpt").write_bytes(content)
    with pytest.raises(AnalysisError, match=r"cannot read .*model\.ckpt: .*delete it") as error:
        checkpoint.read(tmp_path / "model.ckpt")
    assert "\n" not in str(error.value)


def test_blocks_hold_all_nonzeros_of_any_shape():
    mask = np.random.default_rng(0).random((332, 83)) < 0.1
    blocks = patterns._blocks(mask)
    assert blocks.shape == (40, 160)
    widths = [np.diff(np.linspace(0, size, count + 1).round()) for size, count in ((83, 40), (332, 160))]
    assert (blocks * np.outer(*widths)).sum() == pytest.approx(mask.sum())
    assert np.array_equal(patterns._blocks(mask[:20, :5]), mask[:20, :5].T)


def test_patterns_and_gates_are_drawn_of_the_models_that_are_there(tmp_path: Path):
    rows = study([4], [("pruned", 0.0), ("lmf", 0.0), ("doped_kp", 0.3)], seeds=2)
    for row in rows:
        if row["method"] != "dense" and row["seed"] == 2:
            saved(checkpoint.path_of(tmp_path, row["trial_id"]), Method(name=row["method"], factor=4))
    section, results = read(tmp_path, rows)
    trained = patterns._trained(section, highest=True)
    assert [one.label for one in trained] == ["Pruned, 4×", "Doped KP + CMR, 4×"]
    assert len(patterns.draw_patterns([section], results, tmp_path / "patterns")) == 2
    assert len(patterns.draw_gates([section], results, tmp_path / "gates")) == 2


def test_without_models_there_are_no_patterns(tmp_path: Path):
    section, results = read(tmp_path, study([4], [("pruned", 0.0)], seeds=1))
    assert patterns.draw_patterns([section], results, tmp_path / "p") == []
    assert patterns.draw_gates([section], results, tmp_path / "g") == []


def test_lines_of_row_dropout_join_rows_that_differ_in_the_probability_alone(tmp_path: Path):
    rows = study([20], [("doped_kp", p) for p in (0.0, 0.1, 0.5)] + [("doped_lmf", 0.0), ("doped_lmf", 0.3)], seeds=2)
    rows += [trial("doped_kp", 20, 1, 0.3, method__cmr__anneal=False), trial("doped_kp", 10, 1, 0.3)]
    section, _ = read(tmp_path, rows)
    found = cmr.lines(section)
    # At 10x there is but one probability.
    assert list(found) == [("values", 20)]
    lines = {line.name: [row.probability for row in line.rows] for line in found["values", 20]}
    assert lines == {
        "Doped LMF": [0, 0.3],
        "Doped KP, p annealed": [0, 0.1, 0.5],
        "Doped KP, p constant": [0, 0.3],
    }
    assert len(cmr.draw([section], _, tmp_path / "cmr")) == 2


def test_courses_of_the_parts_are_means_over_seeds(tmp_path: Path):
    rows = [trial("dense"), *(trial("doped_kp", 20, seed) for seed in (1, 2)), trial("pruned", 20)]
    section, results = read(tmp_path, rows, closely=True)
    (doped,) = (row for row in section.rows if row.method == "doped_kp")
    course = annealing.course(doped, results.curves, "energy_sparse")
    assert course is not None
    assert list(course["mean"]) == pytest.approx([0.6 * (1 - sparsity) for sparsity in course["sparsity"]], abs=1e-5)
    (pruned,) = (row for row in section.rows if row.method == "pruned")
    assert annealing.course(pruned, results.curves, "energy_sparse") is None
    assert len(parts.draw([section], results, tmp_path / "parts")) == 2


def test_without_these_columns_there_is_no_figure_of_the_parts(tmp_path: Path):
    section, results = read(tmp_path, [trial("dense"), trial("doped_kp", 20)])
    assert parts.draw([section], results, tmp_path / "parts") == []


def test_the_axis_of_sparsity_is_its_own_inverse():
    sparsity = np.array([0, 0.3, 0.9, 0.999])
    assert annealing.unstretch(annealing.stretch(sparsity)) == pytest.approx(sparsity)
