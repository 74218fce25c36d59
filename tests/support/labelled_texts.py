"""A small task of labelled texts: what a request is about follows from one of its words."""

from __future__ import annotations

import csv
import random
from pathlib import Path

TOPICS = {"fly": "flight", "cost": "fare", "eat": "meal"}
FILLERS = ["please", "i", "would", "like", "to", "know", "about", "going", "from", "boston", "to", "denver", "on", "monday"]


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts and their labels."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        word, label = chance.choice(list(TOPICS.items()))
        words = chance.choices(FILLERS, k=chance.randint(0, 8))
        words.insert(chance.randint(0, len(words)), word)
        made.append((" ".join(words), label))
    return made


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> Path:
    """Write a file of them."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_folder(folder: Path, train: int = 60) -> Path:
    """A folder of the three splits."""
    for seed, (name, count) in enumerate({"train": train, "valid": 20, "test": 20}.items()):
        write_csv(folder / f"{name}.csv", texts(count, seed))
    return folder
