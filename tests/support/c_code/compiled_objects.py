"""Compilers that compile a source once in a session of tests, whoever asks: a test, a Makefile, or the library itself.

``remembering_compilers`` makes a folder of commands, named as the compilers of this machine, to stand first on the ``PATH``.
They do what the compilers do, and keep each object file that is made of a C source without a word of warning, for where
compiler, flags, the source, and all headers that it includes are the same to the byte. A command that compiles several
sources and links them does so object by object.
"""

from __future__ import annotations

# Little is imported: this starts for every compilation.
import fcntl
import hashlib
import os
import sys

COMPILERS = ("gcc", "cc", "clang", "aarch64-linux-gnu-gcc", "arm-none-eabi-gcc")
WITH_A_VALUE = ("-o", "-x", "-T", "-I", "-L", "-include", "-isystem", "-MF")
OF_THE_LINKER = ("-l", "-L", "-Wl,", "-shared", "-static", "-nostartfiles", "-T", "-o", "-c")
OTHER_OUTPUT = ("-E", "-M", "-S", "-include", "-isystem")
"""Options of commands that are left to the compiler."""

COMMAND = """#!/bin/sh
# Without a C source there is no object to keep.
for argument; do case "$argument" in *.c) exec {python} -SIB {module} {compiler} {store} "$@";; esac; done
exec {compiler} "$@"
"""


def remembering_compilers(folder) -> str:
    """Make the commands in a folder, where objects are kept, too, and give theirs; several processes may do so at once."""
    import shlex
    import shutil
    from pathlib import Path

    commands = Path(folder, "bin")
    commands.mkdir(parents=True, exist_ok=True)
    for name in COMPILERS:
        if compiler := shutil.which(name):
            draft = commands / f"{name}.{os.getpid()}"
            names = {"python": sys.executable, "module": __file__, "compiler": compiler, "store": str(folder)}
            draft.write_text(COMMAND.format(**{key: shlex.quote(name) for key, name in names.items()}))
            draft.chmod(0o755)
            draft.rename(commands / name)
    return str(commands)


def main(compiler: str, store: str, arguments: list[str]) -> None:
    """Do what the compiler does with these arguments, and end with its exit code."""
    options, files, output = parsed(arguments)
    sources = [name for name in files if name.endswith(".c")]
    linked = not {"-c", "-fsyntax-only"}.intersection(options)
    other = OTHER_OUTPUT if not linked else (*OTHER_OUTPUT, "-x")
    clear = linked or (len(sources) == len(files) and (len(sources) == 1 or not output))
    if not clear or any(option.startswith(other) for option in options):
        os.execv(compiler, [compiler, *arguments])
    flags = [flag for option in options if not option.startswith(OF_THE_LINKER) for flag in option.split("\0")]
    objects = {source: compiled([compiler, *flags], source, store) for source in sources}
    if linked:
        os.execv(compiler, [compiler, *(objects.get(argument, argument) for argument in arguments)])
    for source, made in objects.items():
        if "-c" in options:
            target = output or os.path.basename(source).removesuffix(".c") + ".o"
            with open(made, "rb") as kept, open(target, "wb") as file:
                file.write(kept.read())


def parsed(arguments: list[str]) -> tuple[list[str], list[str], str | None]:
    """The options, one with a value as two lines; the files; and what ``-o`` names."""
    options, files, output, left = [], [], None, iter(arguments)
    for argument in left:
        if argument in WITH_A_VALUE:
            value = next(left)
            output = value if argument == "-o" else output
            options.append(argument + value if argument == "-I" else f"{argument}\0{value}")
        else:
            (options if argument.startswith("-") else files).append(argument)
    return options, files, output


def compiled(command: list[str], source: str, store: str) -> str:
    """The object file of a source; ends the process as the compiler does if it does not compile."""
    path = os.path.join(store, f"{key_of(command, source)}.o")
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            return path
        open(draft := f"{path}.draft.o", "w").close()  # a check of the syntax makes none
        said = os.memfd_create("said")
        actions = [(os.POSIX_SPAWN_DUP2, said, 2)]
        process = os.posix_spawn(command[0], [*command, "-c", source, "-o", draft], os.environ, file_actions=actions)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        length = os.lseek(said, 0, os.SEEK_END)
        os.write(2, os.pread(said, length, 0))
        if code:
            sys.exit(code)
        if length:  # what is warned of is said again the next time
            return draft
        os.rename(draft, path)
    return path


def key_of(command: list[str], source: str) -> str:
    """A hash of what an object file depends on; where the sources lie is no part of it."""
    compiler = os.stat(command[0])
    flags = [flag for flag in command if not flag.startswith("-I")]
    key = hashlib.sha256(repr((flags, compiler.st_size, compiler.st_mtime_ns)).encode())
    folders = [flag[2:] for flag in command if flag.startswith("-I")]
    waiting, read = [source], set()
    while waiting:
        path = waiting.pop()
        if path in read:
            continue
        read.add(path)
        with open(path, "rb") as file:
            content = file.read()
        key.update(b"%s %d " % (os.path.basename(path).encode(), len(content)) + content)
        for line in content.split(b"\n"):
            if line.startswith(b"#") and line[1:].lstrip().startswith(b"include"):
                name = line.replace(b"<", b'"').replace(b">", b'"').split(b'"')[1].decode()
                places = (os.path.join(folder, name) for folder in (os.path.dirname(path), *folders))
                waiting += [place for place in places if os.path.isfile(place)][:1]
    return key.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
