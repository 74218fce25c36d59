"""Exports to C as a test builds and runs them, their kernels compiled once for all tests with the same flags."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess

import exhaustive

from doping.inference.exporters.c import TEMPLATE
from doping.inference.exporters.c_names import kernel_names
from doping.inference.kernels.build import FLOAT32, FOLDER
from doping.inference.kernels.int8.native import INSTRUCTION_SETS, INT8

NAME = "net"
"""Of the model in all tests, so that they share the kernels."""
STRICT = "-O0 -Werror -Wpedantic"
SANITIZED = f"{STRICT} -g -fsanitize=address,undefined -fno-sanitize-recover=all" if exhaustive.ASKED_FOR else STRICT
"""Every access is watched, in a session of exhaustive tests: to compile that takes more than twice as long."""
SMALL = f"{SANITIZED} -DDOPED_SMALL"
"""One vector at a time."""
ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


def builder(folders):
    """A function that builds and runs the demo of a folder, with settings of ``make``, and gives what it prints.

    ``folders`` makes folders (``tmp_path_factory``).
    """
    compiled = functools.cache(lambda int8, settings: _kernels(int8, settings, folders.mktemp("kernels")))

    def run(folder, *settings):
        flags = tuple(setting for setting in settings if not setting.startswith("RUN="))
        for path, made in compiled((folder / "kernels/int8").is_dir(), flags).items():
            shutil.copy(made, folder / path)
        command = ["make", "--no-print-directory", "-C", str(folder), "check", *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not done.stderr
        return done.stdout

    return run


def differences(output):
    """The largest differences to Python that a demo prints."""
    return [float(number) for number in re.findall(r"largest difference to Python (\S+)", output)]


def _kernels(int8, settings, folder):
    """The kernels compiled with these settings: they take most of the time."""
    library = INT8 if int8 else FLOAT32
    constants = [f"int8_{name}" for name in INSTRUCTION_SETS] if int8 else []
    shutil.copytree(FOLDER, folder / "kernels")
    (folder / "kernels/names.h").write_text(kernel_names(library.headers, NAME, constants))
    makefile = (TEMPLATE / "Makefile").read_text()
    (folder / "Makefile").write_text(makefile.replace("contract=fast", "contract=off") if int8 else makefile)
    objects = [source.relative_to(FOLDER.parent).with_suffix(".o") for source in library.sources]
    subprocess.run(["make", "-C", folder, *objects, *settings], check=True, stdout=subprocess.DEVNULL)
    return {made: folder / made for made in objects}
