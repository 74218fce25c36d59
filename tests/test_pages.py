"""The pages: what they name exists, and the ten lines of the README run as they stand."""

import importlib.util
import re
from pathlib import Path

import pytest

from doping.deployment.layers import DeployedRecurrent
from sweeps.study import study

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "results" / "README.md"])
MODULES = re.compile(r"python3? -m ((?:doping|sweeps|data|analysis|benchmarks|examples|tasks)[\w.]*)")
SCRIPTS = re.compile(r"python3? ((?:sweeps|analysis|doping|examples|inference|benchmarks)/[\w/]+\.py)")
FILES = re.compile(r"`([a-z_][\w-]*(?:/[a-z_][\w-]*)+\.(?:py|c|h|yaml))`")
LINKS = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


TRACKED = [
    str(path.relative_to(ROOT))
    for folder in ("doping", "lightning_modules", "data", "tasks", "sweeps", "analysis", "benchmarks", "examples", "tests")
    for path in (ROOT / folder).rglob("*.*")
]


def of_today(page):
    """The page without what the changelog says of older versions."""
    text = page.read_text(encoding="utf-8")
    return text.partition("\n## 0.3.0")[0] if page.name == "CHANGELOG.md" else text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    text = of_today(page)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    missing = [link for link in LINKS.findall(prose) if not (page.parent / link).exists()]
    missing += [script for script in SCRIPTS.findall(text) if not (ROOT / script).exists()]
    missing += [
        name for name in MODULES.findall(text) if not importlib.util.find_spec(name.rstrip(".").replace(".NAME", ""))
    ]
    missing += [name for name in FILES.findall(text) if not any(f"/{path}".endswith(f"/{name}") for path in TRACKED)]
    assert missing == []


def test_every_study_has_its_line_and_presets_are_said_as_they_are():
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(study.names())
    without = {name for name in study.names() if "paper" not in study.load(name).parsed.presets}
    assert without == {"deployed", "fit"}
    assert "`deployed` and `fit` ask what the paper does not" in text


def test_the_ten_lines_of_the_readme_compress_a_model(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rnn ")]
    assert re.fullmatch(r"rnn +LSTM +doped_kp +[\d,]+ +[\d,]+ +[\d,]+ +20x +(19\.[89]|20\.\d)x", row), row
    assert isinstance(names["model"]["rnn"], DeployedRecurrent)
