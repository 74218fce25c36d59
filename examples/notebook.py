"""Runs the cells of a notebook, and writes what they print below them: ``python -m examples.notebook [PATH]``.

Plain Python is enough for cells that print text, so that neither Jupyter nor a kernel has to be installed to check them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

TEXT_TO_MODEL = Path(__file__).with_name("text_to_60kB.ipynb")
"""From a text file to a small model that writes."""


def run(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run all code cells in an empty folder; returns the notebook with their output, and the names that they defined.

    Raises whatever a cell raises.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for number, cell in enumerate((cell for cell in notebook["cells"] if cell["cell_type"] == "code"), start=1):
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
                text = printed.getvalue().splitlines(keepends=True)
                cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text}] if text else []
                cell["execution_count"] = number
        finally:
            os.chdir(before)
    return notebook, names


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else TEXT_TO_MODEL
    chosen.write_text(json.dumps(run(chosen)[0], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
