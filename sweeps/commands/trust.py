"""The flag ``--trust`` of commands that read results: whose code they may run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks.registry import trust


def trusting(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of a command, with ``--trust NAME``, and trust the own tasks that it names."""
    parser.add_argument(
        "--trust",
        metavar="NAME",
        action="append",
        default=[],
        help="own task that results may name, as package.module:Class: its code runs, so give it for results of your own",
    )
    options = parser.parse_args(arguments)
    for name in options.trust:
        trust(name)
    return options
