"""A C export as the image of a microcontroller: compiled, its memory counted, run in an emulator.

The board is Arm's MPS2 with a Cortex-M4 and floating point (AN386), as qemu knows it: 4 MB for code and constants, 4 MB of
RAM. The image has no operating system, no heap and no file: it is linked without a single system call.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError

BOARD = Path(__file__).with_name("board")
COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
PROGRAMS = (COMPILER, "arm-none-eabi-size", "arm-none-eabi-nm", EMULATOR)
PROCESSOR = ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-mthumb")
FLAGS = ("-std=c99", "-O2", "-ffp-contract=fast", "-ffunction-sections", "-fdata-sections", "-DDOPED_SMALL")
LINKED = ("-nostartfiles", "-T", str(BOARD / "board.ld"), "-Wl,--gc-sections", "-Wl,--no-warn-execstack", "-lm")
MACHINE = ("-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none")
INSTRUCTIONS_A_TICK = 40
"""qemu counts a nanosecond an instruction (``-icount shift=0``), and this board's clock ticks at 25 MHz."""
SECONDS = 300


class Memory(NamedTuple):
    """Bytes of an image, without the stack."""

    flash: int
    """Code and constants, and what initialized data starts from."""
    weights: int
    """Of that, the weights with their scales and indices."""
    ram: int
    """Static data: state, workspace and outputs."""


class Run(NamedTuple):
    """What the image did."""

    outputs: npt.NDArray[np.float32]
    """(steps, outputs)"""
    instructions: int
    """Of a step, the median; counted in ticks, so a multiple of 40."""
    stack: int
    """Bytes of the stack that were used."""


def missing() -> list[str]:
    """Programs that are needed and not there."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def versions() -> str:
    """Compiler and emulator, on which the numbers depend."""
    first = [_output([program, "--version"]).splitlines()[0] for program in (COMPILER, EMULATOR)]
    gcc, qemu = (found[0] if (found := re.findall(r"\d+\.\d+\.\d+", line)) else line for line in first)
    return f"gcc {gcc}, qemu {qemu}"


def build(sources: Path) -> Path:
    """Compile and link the sources of an export; gives the image.

    Raises:
        InferenceError: they do not compile, or do not fit the board.

    """
    image = sources / "firmware.elf"
    files = [*BOARD.glob("*.c"), sources / "model.c", *sources.glob("*.S"), *sorted(sources.glob("kernels/*/*.c"))]
    warnings = ("-Wall", "-Wextra", "-Werror")
    command = [COMPILER, *PROCESSOR, *FLAGS, *warnings, f"-I{sources}", f"-I{BOARD}", *map(str, files), *LINKED]
    _output([*command, "-o", str(image)], sources)
    return image


def memory(image: Path) -> Memory:
    """Bytes of an image."""
    listed = _output(["arm-none-eabi-size", "-A", str(image)])
    sections = {name: int(size) for name, size in re.findall(r"^\.(\w+)\s+(\d+)\s", listed, re.MULTILINE)}
    return Memory(
        sections["flash"] + sections["data"],
        next(size for name, size in symbols(image).items() if name.endswith("_weights")),
        sections["data"] + sections["bss"],
    )


def symbols(image: Path) -> dict[str, int]:
    """Bytes of each symbol that has a size."""
    listed = _output(["arm-none-eabi-nm", "-S", str(image)])
    return {name: int(size, 16) for size, name in re.findall(r"^[0-9a-f]+ ([0-9a-f]+) \w (\S+)$", listed, re.MULTILINE)}


def run(image: Path) -> Run:
    """Run an image in the emulator.

    Raises:
        InferenceError: it did not end well.

    """
    debugger = ("-semihosting-config", "enable=on,target=native", "-icount", "shift=0")
    printed = _output([EMULATOR, *MACHINE, *debugger, "-kernel", str(image)])
    steps = [line.split()[1:] for line in printed.splitlines() if line.startswith("step ")]
    (stack,) = re.findall(r"^stack (\w+)", printed, re.MULTILINE)
    bits = np.array([[int(word, 16) for word in step[1:]] for step in steps], np.uint32)
    ticks = int(np.median([int(step[0], 16) for step in steps]))
    return Run(bits.view(np.float32), ticks * INSTRUCTIONS_A_TICK, int(stack, 16))


def _output(command: Sequence[str], folder: Path | None = None) -> str:
    """What a program prints, on both of its outputs: semihosting writes to the second."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InferenceError(f"{command[0]} did not end within {SECONDS} seconds") from error
    if done.returncode != 0:
        said = done.stdout.strip().splitlines()
        raise InferenceError(f"{command[0]} ended with {done.returncode}: {said[-1] if said else 'it said nothing'}")
    return done.stdout
