"""The page as a file: whole, small, without a network, and safe against what is in the results."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vl_convert
from synthetic_results import FULL, study, trial, tuned, write

from analysis.main import main
from analysis.report import charts
from analysis.results import load
from analysis.summary import summarize

MEGABYTE = 1_000_000


class _Page(HTMLParser):
    """Collects elements, and checks that they nest."""

    VOID = ("meta", "link", "input", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        # A paragraph or an option may end with what holds it; here each is closed.
        assert self.open.pop() == tag


def report(folder: Path) -> str:
    assert main(["--results", str(folder), "--only", "report"]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


def content_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    content: dict[str, object] = json.loads(found[1])
    return content


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a study of every method, watched closely."""
    return report(write(tmp_path_factory.mktemp("page"), study([5], FULL, seeds=1), closely=True))


def five_hundred() -> list[dict[str, object]]:
    rows = study([5, 10, 20, 40], FULL, seeds=10)
    rows += [
        trial(name, 80, seed) for name in ("pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf") for seed in range(1, 11)
    ]
    rows += [trial("doped_hmd", 80, seed) for seed in range(1, 501 - len(rows))]
    assert len(rows) == 500
    return rows


@pytest.mark.exhaustive
def test_500_trials_take_less_than_5_megabytes(tmp_path: Path):
    large = report(write(tmp_path, five_hundred(), closely=True))
    assert len(large.encode()) < 5 * MEGABYTE
    assert len(content_of(large)["trials"]) == 500  # type: ignore[arg-type]


def test_the_page_is_well_formed_and_loads_nothing(whole: str):
    page = _Page(whole)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "").startswith(("data:", "#", "")), (tag, attributes)
            assert not re.match(r"\w+://|//", attributes.get(name) or ""), (tag, attributes)
    assert "@import" not in whole
    assert "url(" not in whole.split("</style>")[0]


def test_all_that_is_seen_is_said_and_all_that_is_set_has_a_name(whole: str):
    elements = _Page(whole).elements
    assert all(attributes.get("alt") for tag, attributes in elements if tag == "img")
    plots = [attributes for _, attributes in elements if attributes.get("class") == "plot"]
    assert len(plots) == 2
    assert all(len(attributes["aria-label"] or "") > 50 for attributes in plots)
    regions = [attributes for _, attributes in elements if attributes.get("role") == "region"]
    assert all(attributes.get("tabindex") == "0" and attributes.get("aria-label") for attributes in regions)
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in elements if tag == "a" and attributes["href"]}
    assert {target for target in targets if target} <= {f"#{name}" for name in ids}


def test_what_is_in_the_results_cannot_break_out_of_the_page(tmp_path: Path):
    evil = "</script><script>alert(1)</script><!-- & \" ' \u2028"
    rows = [trial("dense"), trial("kp", 20, 1, commit=evil), trial("kp", 20, 2, status="failed", error=evil)]
    page = report(write(tmp_path, rows))
    assert "<script>alert" not in page
    _Page(page)
    trials = content_of(page)["trials"]
    assert isinstance(trials, dict)
    assert trials[rows[2]["trial_id"]]["error"] == " ".join(evil.split())


@pytest.mark.exhaustive
def test_each_study_has_a_page(tmp_path: Path):
    write(tmp_path, [*study([5], [("kp", 0.0)]), trial("dense", study="other/one"), trial("kp", 9, study="other/one")])
    assert main(["--results", str(tmp_path), "--only", "report"]) == 0
    assert {path.name for path in tmp_path.glob("*.html")} == {"report-synthetic.html", "report-other_one.html"}
    assert '"trials":{' in (tmp_path / "report-other_one.html").read_text(encoding="utf-8")


def test_trials_of_tuning_and_of_accidents_are_listed(tmp_path: Path):
    rows = tuned([trial("dense"), trial("kp", 20), trial("kp", 20, 2, status="diverged")], budget=2)
    page = report(write(tmp_path, rows))
    assert page.count('data-stage="tuning"') == 4
    assert page.count('data-stage="final"') == 3
    assert '<td class="left">diverged</td>' in page
    assert '<td class="left">stopped</td>' in page


def test_the_charts_are_valid_and_compile(tmp_path: Path):
    rows = study([10, 20], [("doped_kp", p) for p in (0.0, 0.1, 0.3)], seeds=2)
    results = load(write(tmp_path, rows, closely=True))
    (section,) = summarize(results)
    found = charts.charts(section, results)
    assert [chart.name for chart in found] == ["pareto", "courses", "cmr"]
    data = charts.data(section, results)
    for chart in found:
        # Raises if the specification is wrong; drawn outside of a browser there is no container to fit.
        svg = vl_convert.vegalite_to_svg(chart.spec | {"datasets": data, "width": 600}, vl_version="6.4")
        assert svg.count("<path") > 10
    courses = found[1]
    assert [choice.signal for choice in courses.choices] == ["place", "shown", "against"]
    assert "energy_sparse" in courses.choices[1].options


def test_there_is_no_chart_of_what_is_not_there(tmp_path: Path):
    results = load(write(tmp_path, study([10], [("lmf", 0.0)], seeds=1)))
    (section,) = summarize(results)
    assert [chart.name for chart in charts.charts(section, results)] == ["pareto"]
