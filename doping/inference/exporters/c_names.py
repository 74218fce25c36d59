"""Names in an export to C: what the model is called, and a prefix for all that the linker sees.

The templates and the kernels are written with the names of one model alone (``model_step``, ``doped_run``); so that several
models, each with its kernels, can be linked into one program, each function gets the name of its model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from doping.errors import InferenceError

STANDARD_HEADERS = frozenset(
    """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg stdbool stddef stdint stdio
    stdlib string tgmath time wchar wctype
    """.split()  # noqa: SIM905
)
TAKEN = STANDARD_HEADERS | {"doped", "expected", "int8", "model", "names", "weights"}
"""What a model cannot be called: its header would hide one of C or of the export, or its functions those of the kernels."""


def model_name(name: str | None, folder: Path) -> str:
    """The name that is asked for, or one made of the folder's.

    Raises:
        InferenceError: the name is no C identifier, or one that is taken.

    """
    if name is None:
        name = re.sub(r"\W", "_", folder.resolve().name, flags=re.ASCII)
        return name if re.match("[A-Za-z]", name) and name.lower() not in TAKEN else f"lstm_{name}"
    if not re.fullmatch(r"[A-Za-z]\w*", str(name), flags=re.ASCII):
        raise InferenceError(
            f"the name {name!r} cannot begin a C function's; expected a letter, then letters, digits and underscores"
        )
    if name.lower() in TAKEN:
        raise InferenceError(
            f"the name {name!r} is that of a header or function which the C sources use themselves; give another"
        )
    return name


def renamed(text: str, name: str) -> str:
    """A template's text with the model's name in place of ``model``: ``model_step``, ``MODEL_INPUTS``, ``MODEL_H``."""
    return re.sub(r"\bMODEL_", f"{name.upper()}_", re.sub(r"\bmodel_(?=\w)", f"{name}_", text))


def short_names(interface: str, name: str) -> str:
    """A header that gives the names of the template to those of an interface, for sources that do not know the model's."""
    macros = [found for found in re.findall(r"#define (MODEL_\w+(?:\(\w+\))?)", interface) if found != "MODEL_H"]
    functions = [found for found in re.findall(r"\bmodel_\w+", interface) if not found.endswith("_small")]
    guard = f"{name.upper()}_SHORT_NAMES"
    return "\n".join(
        [
            "/* Written by the export: names without the model's, for the sources here or a program of one model. */",
            f"#ifndef {guard}\n#define {guard}\n",
            "#ifdef MODEL_H",
            f'#error "two models in one source: include {name}.h instead of model.h, and call {name}_..."',
            f'#endif\n#define MODEL_H\n\n#include "{name}.h"\n',
            *(f"#define {short} {renamed(short, name)}" for short in dict.fromkeys(macros + functions)),
            "\n#endif\n",
        ]
    )


def kernel_names(headers: Iterable[Path], name: str, constants: Iterable[str] = ()) -> str:
    """The kernels' header of names: a prefix for each function that one of their headers declares, and for constants."""
    declared = re.compile(r"\b(?:doped|int8)_\w+(?=\()")
    functions = sorted({found for header in headers for found in declared.findall(header.read_text())} | set(constants))
    lines = [f"#define {function} {name}_{function}" for function in functions]
    text = "/* Written by the export: the kernels' functions with the model's name, so that each model keeps its own. */\n"
    return "\n".join([text + "#ifndef DOPED_NAMES_H\n#define DOPED_NAMES_H\n", *lines, "\n#endif\n"])
