"""Which layers of a model are meant: by their names as ``model.named_modules()`` has them, and by patterns of names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from torch import nn

from doping.errors import CompressionError
from doping.layers.kinds import LAYERS, SUPPORTED, weight_names

_OF_REGULAR_EXPRESSIONS = re.compile(r"[\\()|+^${}]")


def matcher(pattern: str | re.Pattern[str], names: Iterable[str]) -> Callable[[str], bool]:
    """What says whether a name is meant by a pattern.

    A pattern is a name, or a glob as in the shell (``encoder.*``). One that holds a character that
    only regular expressions have, or is a glob of none of the names, is a regular expression that a whole name must
    match (``.*rnn``).

    Raises:
        CompressionError: it is neither.

    """
    if isinstance(pattern, re.Pattern):
        return lambda name: pattern.fullmatch(name) is not None
    if not isinstance(pattern, str):
        raise CompressionError(
            f"a pattern is {pattern!r}; expected a text, such as 'encoder.rnn', 'encoder.*' or r'.*\\.rnn'"
        )
    if not _OF_REGULAR_EXPRESSIONS.search(pattern) and any(fnmatchcase(name, pattern) for name in names):
        return lambda name: fnmatchcase(name, pattern)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        if _OF_REGULAR_EXPRESSIONS.search(pattern):
            raise CompressionError(f"pattern {pattern!r} is no regular expression: {error}") from None
        return lambda name: fnmatchcase(name, pattern)
    return lambda name: compiled.fullmatch(name) is not None


def weights_of(model: nn.Module) -> dict[str, tuple[nn.Module, str, str]]:
    """All weights that can be compressed: by their names in the model, the layer, its name, and the weight's name there.

    A layer that is in the model under two names has its weights here under both.
    """
    return {
        f"{layer}.{weight}".lstrip("."): (module, layer, weight)
        for layer, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, LAYERS)
        for weight in weight_names(module)
    }


def matching(model: nn.Module, pattern: str | re.Pattern[str]) -> list[str]:
    """Names of the weights that a pattern means: it matches the name of a layer, or of a weight in one.

    Raises:
        CompressionError: there are none; it says what is near.

    """
    weights = weights_of(model)
    names = [*dict.fromkeys(layer for _, layer, _ in weights.values()), *weights]
    meant = matcher(pattern, [*dict(model.named_modules(remove_duplicate=False)), *weights])
    found = [name for name, (_, layer, _) in weights.items() if meant(layer) or meant(name)]
    if not found:
        raise CompressionError(_no_match(model, pattern, meant, names))
    return found


def _no_match(model: nn.Module, pattern: str | re.Pattern[str], meant: Callable[[str], bool], names: list[str]) -> str:
    shown = repr(pattern.pattern if isinstance(pattern, re.Pattern) else pattern)
    names = ["*" if name == "" else name for name in names]  # the model itself is a layer
    others = [(name, module) for name, module in model.named_modules(remove_duplicate=False) if meant(name)]
    for name, module in others:
        inner = [layer for layer in names if layer.startswith(f"{name}.")]
        if inner:
            return (
                f"pattern {shown} matches {name!r}, a {type(module).__name__}, and no layer; "
                f"name a layer in it, such as {inner[0]!r}, or all of them: '{name}.*'"
            )
    if others:
        name, module = others[0]
        kind = type(module).__name__
        if kind in SUPPORTED.split(", "):  # one of another module, such as a quantized one
            kind = f"{type(module).__module__}.{kind}"
        return f"pattern {shown} matches {name!r}, a {kind}; supported are {SUPPORTED} of torch.nn"
    if not names:
        return (
            f"pattern {shown} matches nothing: the {type(model).__name__} has no layer that can be compressed ({SUPPORTED})"
        )
    near = difflib.get_close_matches(str(shown).strip("'"), names, n=3, cutoff=0.5) or names[:5]
    return f"pattern {shown} matches no layer; did you mean {' or '.join(repr(name) for name in near)}?"
