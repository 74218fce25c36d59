"""The page as a reader uses it, in headless Chromium: charts, filters, sorting, a trial on request, a phone, paper."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_results import study, trial, tuned, write

from analysis.main import main

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path (Debian: apt-get install chromium)")

METHODS = [("pruned", 0.0), ("kp", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.1), ("doped_kp", 0.3)]


class Reader:
    """A page that is open, and what went wrong on it."""

    def __init__(self, browser: Any, path: Path, width: int, **how: Any) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 800}, **how)
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._ask(request.url, path))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def _ask(self, url: str, path: Path) -> None:
        if url != path.as_uri() and not url.startswith("data:"):
            self.wrong.append(f"request of {url}")

    def count(self, selector: str) -> int:
        return int(self.page.locator(selector).count())

    def column(self, index: int) -> list[str]:
        """A column of the first table."""
        return list(self.page.locator(f"table >> nth=0 >> tbody tr td:nth-child({index})").all_inner_texts())

    def settle(self) -> None:
        """Wait until the charts are drawn again."""
        self.page.wait_for_timeout(250)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = [*study([5, 20], METHODS, seeds=2), trial("kp", 40, 1, status="failed", error="no memory")]
    only_tuned = trial("lmf", 5, 100, stage="tuning", cell="lmf 5x")
    assert main(["--results", str(write(folder, [*tuned(rows, 2), only_tuned], closely=True)), "--only", "report"]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, as whom tests run in containers.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def reader(browser: Any, report: Path) -> Iterator[Reader]:
    opened = Reader(browser, report, 1280)
    yield opened
    opened.page.close()
    assert opened.wrong == []


def test_all_charts_are_drawn(reader: Reader):
    assert reader.count(".plot svg") == 3
    # A mark a finished trial of a compressed method: 2 factors x 5 settings x 2 seeds.
    assert reader.count("#section-0-pareto .mark-symbol path") == 20


def test_a_filter_takes_marks_out_of_all_charts_and_rows_out_of_the_table(reader: Reader):
    page = reader.page
    before = {plot: reader.count(f"#section-0-{plot} .mark-symbol path") for plot in ("pareto", "courses")}
    rows = page.locator("#trial-table tbody tr:visible").count()
    page.get_by_role("checkbox", name="Pruned").uncheck()
    reader.settle()
    assert reader.count("#section-0-pareto .mark-symbol path") == 16
    assert reader.count("#section-0-courses .mark-symbol path") < before["courses"]
    assert page.locator("#trial-table tbody tr:visible").count() == rows - 2 * (2 + 2)
    page.get_by_role("checkbox", name="2", exact=True).uncheck()
    reader.settle()
    assert reader.count("#section-0-pareto .mark-symbol path") == 8
    page.get_by_role("button", name="Show all").click()
    reader.settle()
    assert reader.count("#section-0-pareto .mark-symbol path") == before["pareto"]
    assert page.locator("#trial-table tbody tr:visible").count() == rows


@pytest.mark.exhaustive
def test_the_stage_of_the_trials_can_be_chosen(reader: Reader):
    reader.page.locator("#stage").select_option("tuning")
    # Two trials each of Dense, of four cells at two factors, and of KP at a third; one of LMF, which no chart has.
    shown = reader.page.locator("#trial-table tbody tr:visible")
    assert shown.count() == 2 * (1 + 2 * 4 + 1) + 1
    assert reader.page.locator("#count").inner_text() == f"{shown.count()} of {reader.count('#trial-table tbody tr')} shown"


@pytest.mark.exhaustive
def test_a_choice_redraws_the_chart_and_its_title(reader: Reader):
    plot = reader.page.locator("#section-0-pareto")
    assert "against values" in plot.inner_text()
    reader.page.locator("figure", has=plot).get_by_label("Size").select_option("bytes")
    reader.settle()
    assert "against bytes" in plot.inner_text()
    courses = reader.page.locator("#section-0-courses")
    figure = reader.page.locator("figure", has=courses)
    figure.get_by_label("Show", exact=False).select_option("energy_sparse")
    figure.locator("[data-signal=against]").select_option("step")
    reader.settle()
    assert "energy share of S x" in courses.inner_text()
    assert "optimizer step" in courses.inner_text()


def test_a_table_sorts_by_numbers_both_ways(reader: Reader):
    headers = reader.page.locator("table >> nth=0 >> thead th")
    place = next(i for i, text in enumerate(headers.all_inner_texts(), start=1) if text.startswith("Bytes"))
    header = headers.nth(place - 1)

    def numbers() -> list[float]:
        scale = {"B": 1.0, "kB": 1e3, "MB": 1e6}
        pairs = [cell.split() for cell in reader.column(place) if cell != "–"]
        return [float(number) * scale[unit] for number, unit in pairs]

    header.get_by_role("button").click()
    assert numbers() == sorted(numbers())
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").click()
    assert numbers() == sorted(numbers(), reverse=True)
    assert header.get_attribute("aria-sort") == "descending"


@pytest.mark.exhaustive
def test_hover_names_the_trial_and_a_click_shows_it(reader: Reader):
    mark = reader.page.locator("#section-0-pareto .mark-symbol path").first
    mark.hover()
    tooltip = reader.page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    told = tooltip.inner_text()
    mark.click()
    dialog = reader.page.locator("dialog")
    trial_id = dialog.locator("#trial-id").inner_text()
    assert trial_id in told
    assert f"--study {trial_id}.yaml --preset again" in dialog.locator("#trial-command").inner_text()


@pytest.mark.exhaustive
def test_a_trial_can_be_reached_and_left_by_keyboard(reader: Reader):
    button = reader.page.locator("#trial-table .trial").first
    button.focus()
    reader.page.keyboard.press("Enter")
    dialog = reader.page.locator("dialog")
    assert dialog.is_visible()
    assert "learning_rate" in dialog.inner_text()
    assert dialog.locator("#trial-save").get_attribute("href").startswith("data:text/yaml")
    reader.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert reader.page.evaluate("document.activeElement.dataset.trial") == button.get_attribute("data-trial")


@pytest.mark.exhaustive
def test_the_first_tab_skips_to_the_trials(reader: Reader):
    reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("document.activeElement.textContent") == "Skip to the trials"


@pytest.mark.exhaustive
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(browser: Any, report: Path, scheme: str):
    phone = Reader(browser, report, 390, color_scheme=scheme, has_touch=True)
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [phone.page.locator(".plot svg").nth(index).bounding_box() for index in range(3)]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    # The filter is folded away at first, and opens.
    assert not phone.page.get_by_role("checkbox", name="Pruned").is_visible()
    phone.page.get_by_text("Show in all charts").click()
    assert phone.page.get_by_role("checkbox", name="Pruned").is_visible()
    phone.page.close()
    assert phone.wrong == []


@pytest.mark.exhaustive
def test_on_paper_the_charts_fit_and_of_the_controls_a_legend_is_left(reader: Reader):
    reader.page.get_by_role("checkbox", name="Pruned").uncheck()
    reader.page.emulate_media(media="print")
    reader.page.set_viewport_size({"width": 700, "height": 1000})
    for gone in (".choices", ".filters button", ".filters input", ".filters label:has-text('Pruned')"):
        assert not reader.page.locator(gone).first.is_visible()
    assert reader.page.locator(".filters label:has-text('Dense')").is_visible()
    assert all(reader.page.locator(".plot svg").nth(i).bounding_box()["width"] <= 700 for i in range(3))
    assert len(reader.page.pdf(format="A4")) > 50_000
