"""Figures: the parts that can be right or wrong; how they look was looked at."""

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from synthetic_results import FULL, study, trial, write

from analysis.figures import annealing, cma, drawing, pareto
from analysis.results import load
from analysis.summary import summarize

NUMBERS = st.floats(-5, 5)


@given(st.lists(st.tuples(NUMBERS, st.floats(0.01, 1)), min_size=1, max_size=12))
def test_spread_keeps_order_leaves_no_overlap_and_stays_within(things: list[tuple[float, float]]):
    positions, sizes = [list(column) for column in zip(*things, strict=True)]
    low, high = -6.0, 6.0 + sum(sizes)
    result = drawing.spread(positions, sizes, low, high)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    for before, after in pairwise(order):
        assert result[after] - result[before] >= (sizes[before] + sizes[after]) / 2 - 1e-9
    assert min(result) >= low
    assert max(result) <= high + 1e-9


def test_spread_leaves_alone_what_does_not_overlap():
    assert drawing.spread([3.0, 1.0, 2.0], [0.5] * 3, 0, 10) == pytest.approx([3, 1, 2])
    assert drawing.spread([1.0, 1.0], [1.0, 1.0], 0, 10) == pytest.approx([0.5, 1.5])


def test_upper_limit_leaves_out_only_the_hopeless():
    assert drawing.upper_limit([1.1, 1.2, 1.3, 4.2], floor=1.0) == 1.3
    assert drawing.upper_limit([1.1, 1.2, 1.3], floor=1.0) == 1.3
    assert drawing.upper_limit([1.0, 1.0, 1.0, 1.5], floor=1.0) == 1.5


def test_labels_do_not_overlap_one_another_or_leave_the_figure():
    texts = [f"Doped KP + CMR\np = 0.{i}" if i % 3 else f"Method {i}" for i in range(9)]
    with drawing.style():
        width, height = drawing.label_room(texts)
        figure = Figure(figsize=(2 + width, height + 0.6))
        axes = figure.add_axes((0, 0.3 / (height + 0.6), 2 / (2 + width), height / (height + 0.6)))
        look = drawing.Look("black", "o", True, "-")
        drawing.label_ends(axes, [drawing.End(0.9, 0.5 + i / 1000, look, text) for i, text in enumerate(texts)])
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_text()]
    assert len(boxes) == len(texts)
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


def test_every_method_has_a_look_of_its_own(tmp_path: Path):
    (section,) = summarize(load(write(tmp_path, study([10], FULL, seeds=1))))
    looks = drawing.looks(section.rows)
    assert len(looks) == len(FULL)
    assert len(set(looks.values())) == len(FULL)
    assert all(look.hollow == key.cmr for key, look in looks.items())


def test_ticks_of_the_size_axis():
    assert pareto._round_numbers(900, 30_000) == [1000, 2000, 5000, 10_000, 20_000]
    assert len(pareto._round_numbers(12_000, 27_000)) > 2
    assert pareto._apart([5, 10, 10.5, 20, 400], 4, 40) == [5, 10, 20]


@pytest.mark.parametrize(
    ("size", "dense", "sizes", "shown"),
    [("values", 640_000, [32_000], ["20×"]), ("bytes", 2_560_000, [198_416, 204_816], ["10×", "15×"])],
)
def test_the_upper_axis_has_numbers_also_where_no_size_is_at_a_factor_of_the_study(size, dense, sizes, shown):
    """Bytes include indices: 20 times fewer values are 13 times fewer bytes."""
    axes = Figure().add_axes((0.1, 0.2, 0.8, 0.6))
    pareto._size_axis(axes, size, sizes, dense, [20])
    (top,) = axes.child_axes
    assert [label.get_text() for label in top.get_xticklabels()] == shown


@pytest.mark.parametrize("densest", [0.9, 0.96, 0.99, 0.995, 0.9975, 0.999])
def test_labels_of_the_sparsity_axis_do_not_touch(densest):
    with drawing.style():
        figure = Figure(figsize=(2.2, 2))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.1, 0.2, 1.75 / 2.2, 0.7))
        annealing.sparsity_axis(axes, densest, end=True)
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 5
    assert all(left.x1 < right.x0 for left, right in pairwise(sorted(boxes, key=lambda box: box.x0)))


@pytest.mark.exhaustive
def test_figures_of_full_and_of_odd_studies_are_drawn(tmp_path: Path):
    name = r"a$b^$c $\frac"  # is no formula
    odd = [trial("dense", task=name), trial("kp", 20, task=name, validation=9.0, test=9.0)]
    odd += [trial("doped_kp", 20, 1, 0.3, task=name), trial("pruned", 20, 1, task=name, status="diverged")]
    odd += [trial("dense", task="b"), trial("lmf", 5, 1, task="b", status="failed"), trial("dense", task="c")]
    for name, rows in (("full", study([5, 10, 20, 40], FULL, seeds=1)), ("odd", odd)):
        results = load(write(tmp_path / name, rows))
        sections = summarize(results)
        paths = [*pareto.draw(sections, results, tmp_path / f"{name}p"), *cma.draw(sections, results, tmp_path / f"{name}c")]
        assert [path.suffix for path in paths] == [".png", ".svg"] * 2
        for path in paths[::2]:
            image = matplotlib.image.imread(path)
            assert image.shape[1] > 900
            assert image[..., :3].min() < 0.2


def test_a_curve_spans_the_annealing_and_ends_where_the_training_does(tmp_path: Path):
    rows = [trial("dense"), *(trial("doped_kp", 20, seed, 0.3) for seed in (1, 2))]
    results = load(write(tmp_path, rows))
    (section,) = summarize(results)
    curve = cma._curve(section.rows[1], results.curves)
    assert curve is not None
    sparsity = list(curve.points["sparsity"])
    assert sparsity[0] == 0
    assert all(a < b for a, b in pairwise(sparsity))
    assert curve.sparsity == pytest.approx(1 - 0.8 / 20, abs=1e-5)
    assert curve.final == pytest.approx((rows[1]["validation"] + rows[2]["validation"]) / 2)
    step = curve.points.index[3]
    seeds = results.curves[(results.curves["step"] == step) & (results.curves["trial_id"] != rows[0]["trial_id"])]
    assert curve.points.loc[step, "mean"] == pytest.approx(seeds["validation"].mean())
    assert curve.points.loc[step, "high"] == seeds["validation"].max()


def test_methods_without_a_sparse_part_have_no_curve(tmp_path: Path):
    results = load(write(tmp_path, study([10], [("lmf", 0.0), ("kp", 0.0)], seeds=1)))
    (section,) = summarize(results)
    assert [cma._curve(row, results.curves) for row in section.rows] == [None] * 3
