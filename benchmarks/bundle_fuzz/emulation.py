"""The kernels of every instruction set on any processor: instructions that it does not have are written out in C
(``instructions.h``).

The sources are the shipped ones. Only what binds them to a processor is taken out: the header of its instructions, the
words that let the compiler use them, and the question which of them are there.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import partial
from pathlib import Path

from doping.inference.kernels import native as float32
from doping.inference.kernels.build import FLOAT32, Library, library
from doping.inference.kernels.int8 import native as int8

INSTRUCTIONS = Path(__file__).with_name("instructions.h")

_REPLACED = (
    (r"#if defined\(__(x86_64__|aarch64__)\).*\n#include <(immintrin|arm_neon)\.h>", '#if 1\n#include "instructions.h"'),
    (r"#if defined\(__clang__\)\n#pragma clang attribute .*\n#else\n(#pragma GCC .*\n)+#endif", ""),
    (r"\bint8_choose\b(?=\()", "int8_choose_of_this_processor"),
    (r"#include <immintrin\.h>", '#include "instructions.h"'),
    (r'__attribute__\(\(target\("avx512f,fma"\)\)\)|__asm__\(.*\);', ""),
    (r'__builtin_cpu_supports\("avx512f"\)', "1"),
)

_CHOOSE = """/* The instruction sets, whatever the processor. */
#include <string.h>
#include "int8.h"

{declarations}

const int8_instructions *int8_choose(const char *name) {{
    static const int8_instructions *const known[] = {{{known}}};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        if (!name || strcmp(name, known[k]->name) == 0)
            return known[k];
    return NULL;
}}
"""


def emulate() -> None:
    """Let this process take such kernels: before any has been called."""
    with tempfile.TemporaryDirectory() as folder:
        int8.INT8 = emulated(int8.INT8, Path(folder))
        int8.kernels()
        of_float32 = emulated(FLOAT32, Path(folder))
        float32.library = partial(library, of_float32)  # type: ignore[attr-defined]
        float32.kernels()


def emulated(wanted: Library, folder: Path) -> Library:
    """The kernels with their sources in a new folder within ``folder``; those in int8 have all of ``INSTRUCTION_SETS``."""
    at = folder / wanted.name / "kernels"
    at.mkdir(parents=True)
    for path in wanted.headers:
        shutil.copy(path, folder / wanted.name)
        shutil.copy(path, at)
    shutil.copy(INSTRUCTIONS, at)
    for path in wanted.sources:
        text = path.read_text()
        for pattern, replacement in _REPLACED:
            text = re.sub(pattern, replacement, text)
        (at / path.name).write_text(text)
    if wanted.name == "int8":
        names = [f"int8_{name}" for name in int8.INSTRUCTION_SETS]
        declarations = "\n".join(f"extern const int8_instructions {name};" for name in names)
        (at / "choose_any.c").write_text(
            _CHOOSE.format(declarations=declarations, known=", ".join(f"&{name}" for name in names))
        )
    return wanted._replace(
        name=f"{wanted.name}_emulated",
        sources=tuple(sorted(at.glob("*.c"))),
        headers=tuple(sorted(at.glob("*.h"))),
        flags=(*wanted.flags, "-Wno-psabi", "-O1"),
    )
