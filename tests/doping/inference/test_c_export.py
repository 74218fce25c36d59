"""The C sources: they compile without a warning, compute what Python does, and touch no memory that is not theirs."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from c_code.sources import ARM, NAME, SANITIZED, SMALL, STRICT, builder, differences
from models import INTENT_WORDS, INTENTS, LABELS, METHODS, classifier, compressed, language_model, lstms

from doping.families import is_doped
from doping.inference.bundle.narrowing import narrow
from doping.inference.exporters.c import EXPECTED_STEPS, write_c
from doping.inference.exporters.c_weights import _string
from doping.inference.kernels.build import FOLDER, HEADERS, SOURCES
from doping.inference.runtime import runnable
from tasks.bundles import to_bundle

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
needs_arm = pytest.mark.skipif(not all(map(shutil.which, ARM)), reason="no cross compiler or emulator for AArch64")


def written(bundle, folder):
    """The sources with a name that is the same in all tests, so that they share the compiled kernels."""
    write_c(bundle, folder, name=NAME)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Builds and runs the demo of a folder; gives what it prints."""
    return builder(tmp_path_factory)


@pytest.fixture(scope="module")
def language_model_bundle():
    return to_bundle(*language_model("doped_kp/gates"))


@pytest.mark.exhaustive(keep_every=3)
@needs_gcc
@pytest.mark.parametrize("method", METHODS)
def test_every_method_computes_the_same_and_stays_within_its_memory(method, make, tmp_path):
    index = METHODS.index(method) % 3
    model = to_bundle(compressed(list(lstms())[index], method))
    written(model, tmp_path)
    output = make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH=")
    found = differences(output)
    assert len(found) == (1 if model.description.model.lstm.bidirectional else 2)
    assert max(found) < 1e-4


@needs_gcc
def test_the_demo_prints_the_numbers_that_python_computes(language_model_bundle, make, tmp_path):
    written(language_model_bundle, tmp_path)
    output = make(tmp_path, f"CFLAGS={STRICT}", "ARCH=")
    model = runnable(language_model_bundle)
    logits, _ = model.forward(np.arange(EXPECTED_STEPS)[:, None] % len(model.vocabulary))
    printed = re.findall(r"step \d+:(.*)", output)
    assert len(printed) == EXPECTED_STEPS
    np.testing.assert_allclose([list(map(float, line.split())) for line in printed], logits[:, 0, :6], atol=1e-4)
    first = model.vocabulary.tokens[0]
    assert re.search("text: (.*)", output, re.DOTALL)[1].rstrip("\n") == model.generate(first, 60, 0)[1:].rstrip("\n")


@needs_gcc
def test_words_and_several_layers(make, tmp_path):
    written(to_bundle(*language_model("doped_lmf/rows", "word")), tmp_path)
    assert max(differences(make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH="))) < 1e-4


@pytest.mark.exhaustive(keep=["float32-dense", "int8-doped_kp/gates"])
@needs_gcc
@pytest.mark.parametrize("method", ["dense", "doped_kp/gates", "doped_hmd/rows"])
@pytest.mark.parametrize("values", ["float32", "int8"])
def test_a_classifier_tells_the_labels_that_python_tells(method, values, make, tmp_path):
    model = to_bundle(classifier(method), INTENT_WORDS, labels=LABELS)
    model = narrow(model) if values == "int8" else model
    written(model, tmp_path)
    (difference,) = differences(make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH="))
    assert difference < 1e-4
    for text in INTENTS:
        told = subprocess.run([tmp_path / "demo", *text.split()], capture_output=True, text=True, check=True).stdout
        assert told == runnable(model).classify(text)[0][0] + "\n"


@pytest.mark.exhaustive(keep=["doped_kp/unstructured"])
@needs_gcc
@pytest.mark.parametrize("method", ["dense", "doped_kp/unstructured", "doped_lmf/rows", "doped_hmd/gates"])
def test_narrow_weights_stay_narrow_and_compute_the_same(method, make, tmp_path):
    model = narrow(to_bundle(*language_model(method)))
    written(model, tmp_path)
    assert "static const int8_t embedding[" in (tmp_path / "weights.h").read_text()
    assert max(differences(make(tmp_path, f"CFLAGS={SANITIZED}", "ARCH="))) < 1e-4


@pytest.mark.exhaustive
@pytest.mark.skipif(not shutil.which("clang"), reason="no clang")
def test_clang_compiles_it_as_well(language_model_bundle, make, tmp_path):
    written(narrow(language_model_bundle), tmp_path)
    assert max(differences(make(tmp_path, "CC=clang", "CFLAGS=-O2 -Werror"))) < 1e-4


@needs_gcc
def test_a_changed_weight_fails_the_check(language_model_bundle, make, tmp_path):
    written(language_model_bundle, tmp_path)
    weights = tmp_path / "weights.h"
    weights.write_text(weights.read_text().replace("softmax_bias[22] = {\n    ", "softmax_bias[22] = {\n    1 + "))
    with pytest.raises(AssertionError, match=r"(?s)largest difference to Python 1\b.*Error 1"):
        make(tmp_path, f"CFLAGS={STRICT}", "ARCH=")


@pytest.mark.exhaustive
@needs_arm
@pytest.mark.parametrize("method", ["doped_kp/unstructured", "doped_kp/gates", "doped_hmd/rows", "lmf"])
def test_a_64_bit_arm_computes_the_same(method, make, tmp_path):
    model = to_bundle(*language_model(method))
    written(narrow(model) if is_doped(method) else model, tmp_path)
    settings = (f"CC={ARM[0]}", "ARCH=", f"RUN={ARM[1]} -L /usr/aarch64-linux-gnu", "CFLAGS=-O2 -Werror")
    assert max(differences(make(tmp_path, *settings))) < 1e-4


@needs_gcc
def test_tokens_are_written_byte_for_byte(tmp_path):
    tokens = ['"', "\\", "\n", "%d", "??=", "é", "1", "\t", "*/", "\x7f", "a b"]
    lines = "".join(f"fputs({_string(token + '1')}, stdout);" for token in tokens)
    source = tmp_path / "tokens.c"
    source.write_text(f"#include <stdio.h>\nint main(void) {{ {lines} return 0; }}\n")
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "tokens", source], check=True)
    printed = subprocess.run([tmp_path / "tokens"], capture_output=True, check=True).stdout
    assert printed.decode() == "".join(token + "1" for token in tokens)


def test_the_same_model_gives_the_same_sources(tmp_path):
    bundle = to_bundle(compressed(torch.nn.LSTM(4, 6), "kp"))
    for parent in ("first", "second"):
        write_c(bundle, tmp_path / parent / "net")
    first, second = (tmp_path / parent / "net" for parent in ("first", "second"))
    files = sorted(path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file())
    kernels = sorted(f"kernels/{path.relative_to(FOLDER).as_posix()}" for path in (*SOURCES, *HEADERS))
    mine = ["Makefile", "README.md", "expected.h", "main.c", "model.c", "model.h", "net.h", "weights.h"]
    assert files == sorted([*mine, *kernels])
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


@pytest.mark.exhaustive
@needs_gcc
@pytest.mark.parametrize("method", ["dense", "kp", "doped_kp/unstructured", "doped_hmd/rows", "doped_lmf/gates"])
def test_one_vector_at_a_time_computes_the_same_in_the_workspace_that_the_header_states(method, make, tmp_path):
    written(narrow(to_bundle(*language_model(method))), tmp_path)
    assert max(differences(make(tmp_path, f"CFLAGS={SMALL}", "ARCH="))) < 1e-4


@pytest.mark.exhaustive
@needs_gcc
def test_a_model_and_a_program_of_different_workspaces_do_not_link(language_model_bundle, make, tmp_path):
    written(language_model_bundle, tmp_path)
    make(tmp_path, f"CFLAGS={SMALL}", "ARCH=")
    (tmp_path / "main.o").unlink()
    command = ["make", "-C", tmp_path, "main.o", "demo", f"CFLAGS={SANITIZED}", "ARCH="]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "undefined reference to `net_workspace'" in done.stderr
