"""A picture of W&B's terminal dashboard: ``python -m benchmarks.leet_picture DIR/wandb docs/wandb_leet.png``.

It starts ``wandb leet`` in tmux, shows all runs of the folder, and draws what the terminal then holds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

COLUMNS, ROWS = 200, 46
_SOCKET = f"leet-picture-{os.getpid()}"
_WIDTH, _HEIGHT, _SIZE = 7, 15, 12
"""Pixels of a character, and its font size."""
_BRAILLE = 0x2800
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of a Braille character's bits."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="leet_picture", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="a study's folder wandb/")
    parser.add_argument("picture", type=Path, help="PNG to write")
    args = parser.parse_args(argv)
    draw(capture(args.folder), args.picture)
    print(f"wrote {args.picture}")
    return 0


def tmux(*arguments: str) -> str:
    """What a command of tmux prints, on a server of its own."""
    return subprocess.run(["tmux", "-L", _SOCKET, *arguments], check=True, capture_output=True, text=True).stdout


def capture(folder: Path, columns: int = COLUMNS, rows: int = ROWS) -> str:
    """The screen of the dashboard with all runs of a folder shown and no overview, with its colours as escapes."""
    runs = len(list(folder.glob("run-*")))
    # With settings of its own, so that what a user has set in the dashboard neither shows nor changes.
    settings = tempfile.mkdtemp(prefix="leet-")
    command = f"WANDB_CONFIG_DIR='{settings}' '{sys.executable}' -m wandb leet '{folder.name}'"
    size = ["-x", str(columns), "-y", str(rows)]
    tmux("new-session", "-d", *size, "-c", str(folder.absolute().parent), "-s", "leet", command)
    try:
        _until("Metrics [")  # the newest run is shown at once
        tmux("send-keys", "-t", "leet", "C-a")
        _until("y to confirm")
        tmux("send-keys", "-t", "leet", "y")
        _until("● run", runs - 1)
        tmux("send-keys", "-t", "leet", "]")
        time.sleep(2)
        # Without the last line, which names the folder on this machine.
        return tmux("capture-pane", "-e", "-p", "-t", "leet").rstrip("\n").rpartition("\n")[0]
    finally:
        tmux("kill-server")
        shutil.rmtree(settings)


def _until(words: str, times: int = 1, seconds: float = 60) -> None:
    """Wait until the screen shows something so many times. Raises ``TimeoutError``."""
    deadline = time.monotonic() + seconds
    while (screen := tmux("capture-pane", "-p", "-t", "leet")).count(words) < times:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not {times} times {words!r} in {seconds:g} s; the screen is:\n{screen}")
        time.sleep(0.2)


def draw(screen: str, picture: Path) -> None:
    """Draw what a terminal shows, given with its escapes, as a PNG of few colours."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont
    from rich.text import Text

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), _SIZE)
    lines = [Text.from_ansi(line) for line in screen.rstrip("\n").split("\n")]
    size = (max(line.cell_len for line in lines) * _WIDTH + 16, len(lines) * _HEIGHT + 16)
    image = Image.new("RGB", size, (16, 18, 22))
    brush = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        colours = ["#d0d4da"] * len(line.plain)
        backgrounds = [""] * len(line.plain)
        for span in line.spans:
            background = getattr(span.style, "bgcolor", None)
            if background is not None and not background.is_default:
                backgrounds[span.start : span.end] = [background.get_truecolor().hex] * (span.end - span.start)
            colour = getattr(span.style, "color", None)
            if colour is not None and not colour.is_default:
                colours[span.start : span.end] = [colour.get_truecolor().hex] * (span.end - span.start)
        for column, (character, colour) in enumerate(zip(line.plain, colours, strict=True)):
            x, y = 8 + column * _WIDTH, 8 + row * _HEIGHT
            if _BRAILLE <= ord(character) < _BRAILLE + 256:
                for bit, (across, down) in enumerate(_DOTS):
                    if ord(character) - _BRAILLE >> bit & 1:
                        left, top = x + 1 + across * 3.5, y + 1 + down * 3.75
                        brush.rectangle((left, top, left + 1.5, top + 1.5), fill=colour)
                continue
            if backgrounds[column]:
                brush.rectangle((x, y, x + _WIDTH, y + _HEIGHT), fill=backgrounds[column])
            if character != " ":
                brush.text((x, y), character, font=font, fill=colour)
    picture.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(64).save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
