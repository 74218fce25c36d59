"""README.md of a folder of results: what it is, and the commands to go on with it, to see it, and to pass it on."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sweeps.results.files import write_whole
from sweeps.results.folder import ResultsFolder

_TEXT = """\
# {title}

Trainings of compressed LSTMs, made by the commands below in a checkout of the project. `DIR` is this folder, as seen from
there.

{studies}
## See it

```sh
python sweeps/run.py --status --watch --out DIR     # how far it is, and what is best
wandb leet DIR/wandb                                # all curves, in a terminal
python analysis/make_tables.py --results DIR        # tables, figures and report.html, into DIR
```

In `wandb leet`, `ctrl+a` and `y` draw all runs, space one more or less, `]` gives names and charts more room, `f` filters,
`h` helps.

## Pass it on

```sh
python -m sweeps.export --from DIR --out model.lstm   # a trained model, see docs/inference.md
wandb sync DIR/trials/*/wandb/offline-run-*            # to Weights & Biases, after `wandb login`
```

## What is here

| | |
|---|---|
| `results.csv` | a row a trial: settings, quality, size, time |
| `curves.csv` | a row a validation |
| `trials/ID/` | a trial: its row, curve, log and trained model |
| `wandb/` | links to the W&B runs of all trials |
| `studies/` | what each study asked for |
| `optuna.journal` | the same results for Optuna |

`results.csv`, `curves.csv`, `optuna.journal` and this file are made anew from `trials/` and `studies/`.
"""


def write_readme(folder: ResultsFolder) -> None:
    """Write the README of a folder's studies. Raises ``OSError``."""
    studies = {}
    for path in sorted(folder.studies.glob("*.json")):
        try:
            plan = json.loads(path.read_text(encoding="utf-8"))
            studies[str(plan["study"])] = _section(plan)
        except (ValueError, KeyError, TypeError):
            continue  # a plan that cannot be read is written anew by its own study
    text = _TEXT.format(title=", ".join(studies), studies="\n".join(studies.values()))
    write_whole(folder.path / "README.md", text)


def _section(plan: Mapping[str, object]) -> str:
    name, trials = plan["study"], plan["trials"]
    assert isinstance(trials, list)
    command = plan.get("command") or "python sweeps/run.py --study {} --preset {}".format(*str(name).rsplit("-", 1))
    cells = list(dict.fromkeys(trial["cell"] for trial in trials))
    of_them = f"{', '.join(cells[:8])}{f' and {len(cells) - 8} more' if len(cells) > 8 else ''}"
    return (
        f"## {name}\n\n{len(trials)} trials: {of_them}.\n\n```sh\n"
        f"{command} --out DIR                          # runs it, or goes on where it ended\n"
        f"{command} --out DIR --export results/{name}  # small files to keep\n```\n"
    )
