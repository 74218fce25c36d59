"""YAML without its traps: a key given twice is an error, ``on`` and ``no`` are text, ``2e-3`` is a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import yaml

from doping.errors import UserError


class _Strict(yaml.composer.Composer, yaml.resolver.Resolver):
    """Nodes of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As the base class, but a key that stands twice is an error; a key merged with ``<<`` may be overridden."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", "nN~"),
    ("int", r"0|[-+]?[1-9][0-9]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _Strict.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Strict.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])


class _Loader(_Strict, yaml.SafeLoader):
    """A safe loader: it makes no objects but plain ones."""


if yaml.__with_libyaml__:

    class _FastLoader(_Strict, yaml.cyaml.CParser, yaml.constructor.SafeConstructor):  # type: ignore[name-defined,misc]
        """The same, with the parser of libyaml: five times as fast, but it says less about a mistake."""

        def __init__(self, text: str) -> None:
            yaml.cyaml.CParser.__init__(self, text)  # type: ignore[attr-defined]
            yaml.composer.Composer.__init__(self)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)


LARGEST = 256_000
"""Characters of a study file."""
MOST_VALUES = 50_000
"""Values of a study file, those of aliases counted as often as they stand for."""


def parse(text: str, source: str) -> Any:
    """Parse one YAML document. Raises ``UserError`` with ``source``, line and column of a mistake."""
    if len(text) > LARGEST:
        raise UserError(f"{source}: {len(text):,} characters, expected at most {LARGEST:,}; is it a study?")
    if yaml.__with_libyaml__:
        with suppress(UserError, UnicodeEncodeError):  # to be told by the other, which says more
            return _parsed(_FastLoader, text, source)
    return _parsed(_Loader, text, source)


def _parsed(loader_class: Callable[[str], _Loader], text: str, source: str) -> Any:
    try:
        loader = loader_class(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        given = repr(text[error.position : error.position + 1])
        raise UserError(f"{source}, line {line}: the character {given} may not stand in YAML; escape it") from error
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            raise UserError(f"{source}: more than {MOST_VALUES:,} values, those of aliases included; is it a study?")
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        raise UserError(f"{place}: {error.problem or error.context}") from error
    except UserError:
        raise
    except RecursionError as error:
        raise UserError(f"{source}: it is nested too deeply, or an alias contains itself") from error
    except Exception as error:  # what a tag such as !!bool makes of a text that is none
        raise UserError(f"{source}: a tag (!!…) and the text behind it do not fit; leave tags out") from error


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for. Raises ``RecursionError`` where one contains itself."""
    if id(node) not in known:
        known[id(node)] = -1
        below = [child for pair in node.value for child in (pair if isinstance(pair, tuple) else (pair,))]
        children = below if isinstance(node, yaml.CollectionNode) else []
        known[id(node)] = 1 + sum(_values(child, known) for child in children)
    if known[id(node)] < 0:
        raise RecursionError
    return known[id(node)]
