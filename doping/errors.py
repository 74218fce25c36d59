"""Mistakes of users: one family of exceptions. Each is one line: what was given, what was expected, what to do.

``doping.entry`` is the one place that prints them; the commands then end with exit code 2.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class UserError(ValueError):
    """A mistake that the user can put right. The message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class SettingsError(UserError):
    """A setting that does not exist, or has a value that it cannot have, such as ``Method(factor=-1)``."""


class DataError(UserError):
    """A corpus that is missing, unreadable or too short; the message says in one line what to do."""


class InferenceError(UserError):
    """A bundle that cannot be written, read or used as asked; the message says in one line what to do."""


class CompressionError(UserError):
    """A layer, a pattern or a setting that cannot be compressed as asked; the message says in one line what to do."""


class UnfinishedError(UserError, RuntimeError):
    """A model that is not as small as was asked, because its pruning is not over."""


def as_path(given: Any, what: str) -> Path:
    """A path that the user gave; raises ``InferenceError`` if it is none. ``what`` is its name in the message."""
    try:
        return Path(given)
    except TypeError:
        kind = type(given).__name__
        raise InferenceError(f"the {what} is {'None' if given is None else f'a {kind}'}; expected a path") from None


def suggestion(given: str, known: Iterable[str], several: str = "known are") -> str:
    """``did you mean 'x'?`` where something known is close to ``given``, else a list of all that is known."""
    names = list(known)
    close = difflib.get_close_matches(given, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"{several} {', '.join(names)}" if names else f"{several} none"


_DANGEROUS = re.compile(r"weights_only|allow_pickle|trust_remote_code|verify\s*=\s*False", re.IGNORECASE)
"""Libraries advise these where a file cannot be trusted; who follows the advice runs what a stranger wrote."""


def one_line(error: BaseException) -> str:
    """Type and message of an error, in one line of at most 300 characters, without advice that is dangerous to follow."""
    sentences = re.split(r"(?<=[.:;!?])\s+", " ".join(str(error).split()))
    harmless = [sentence for sentence in sentences if not _DANGEROUS.search(sentence)]
    if len(harmless) < len(sentences):
        # What stands behind belongs to the advice.
        harmless = sentences[: next(n for n, sentence in enumerate(sentences) if _DANGEROUS.search(sentence))]
    return f"{type(error).__name__}: {' '.join(harmless)}".rstrip(": ")[:300]


def hide_passwords(text: str) -> str:
    """The text with the password of every URL in it as ``***``."""
    return re.sub(r"([?&]password=)[^\s&]*", r"\1***", re.sub(r"(://[^\s:/@]*):[^\s]*@", r"\1:***@", text))


def without_home(text: str) -> str:
    """A text with ``~`` in place of the user's home folder."""
    home = str(Path.home())
    return text if home == "/" else re.sub(rf"{re.escape(home)}(?=[/\"'\s]|$)", "~", text)
