"""The pages: what they name exists, and the ten lines of the README run as they stand."""

import importlib.util
import re
from pathlib import Path

import pytest

from doping.deployment.layers import DeployedRecurrent

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "results" / "README.md"])
MODULES = re.compile(r"python3? -m ((?:doping|sweeps|data|analysis|benchmarks|examples|tasks)[\w.]*)")
SCRIPTS = re.compile(r"python3? ((?:sweeps|analysis|doping|examples|inference|benchmarks)/[\w/]+\.py)")
LINKS = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


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
    assert missing == []


def test_the_ten_lines_of_the_readme_compress_a_model(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rnn ")]
    assert re.fullmatch(r"rnn +LSTM +doped_kp +[\d,]+ +[\d,]+ +[\d,]+ +20x +(19\.[89]|20\.\d)x", row), row
    assert isinstance(names["model"]["rnn"], DeployedRecurrent)
