"""Two made-up languages: each word has one translation, and the order is turned. A small model learns that in seconds."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = {
    "one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs",
    "cat": "Katze", "dog": "Hund", "house": "Haus", "tree": "Baum",
}  # fmt: skip


def translated(sentence: str) -> str:
    return " ".join(WORDS[word] for word in reversed(sentence.split()))


def sentences(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(list(WORDS), k=generator.randint(2, 6))) for _ in range(count)]


def write(folder: Path, train: int = 1000) -> Path:
    """Files train, valid and test in the languages xx and yy."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (stem, count) in enumerate((("train", train), ("valid", 40), ("test", 60))):
        found = sentences(count, seed)
        (folder / f"{stem}.xx").write_text("".join(f"{sentence}\n" for sentence in found), encoding="utf-8")
        (folder / f"{stem}.yy").write_text("".join(f"{translated(sentence)}\n" for sentence in found), encoding="utf-8")
    return folder
