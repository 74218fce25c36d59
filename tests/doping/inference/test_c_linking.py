"""The C sources in somebody's program: names, several models at once, C++, weights as a binary file."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from c_code.sources import STRICT
from models import INTENT_WORDS, LABELS, classifier, compressed, language_model

from doping.errors import InferenceError
from doping.inference.bundle.narrowing import narrow
from doping.inference.bundle.weights import cells
from doping.inference.exporters.c import write_c
from doping.inference.exporters.c_names import model_name
from doping.inference.kernels.workspace import layer_workspace, multiply_workspace
from doping.inference.runtime import runnable
from tasks.bundles import to_bundle

pytestmark = pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("g++"), reason="no gcc or no g++")
QUICK = [f"CFLAGS={STRICT}", "ARCH="]

USE = """
#include "{name}/{name}.h"
float run_{name}(void);
float run_{name}(void) {{
    static {name}_state state;
    static float x[{NAME}_INPUTS], y[{NAME}_OUTPUTS], work[{NAME}_WORKSPACE(1)];
    float sum = 0;
    for (int i = 0; i < {NAME}_INPUTS; i++) x[i] = 1;
    {name}_init(&state);
    {name}_step(&state, x, y, work);
    for (int i = 0; i < {NAME}_OUTPUTS; i++) sum += y[i];
    return sum;
}}
"""
USE_BOTH = """
#include <stdio.h>
float run_vad(void), run_denoise(void);
int main(void) { printf("%.7f %.7f\\n", run_vad(), run_denoise()); return 0; }
"""


def run(*command, cwd=None):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["text", "binary"])
def two_models(request, tmp_path_factory):
    """Two exports of the same shape and different weights, compiled; and what Python computes with each."""
    folder = tmp_path_factory.mktemp("program")
    expected = []
    for seed, name in enumerate(("vad", "denoise")):
        torch.manual_seed(seed)
        bundle = to_bundle(compressed(torch.nn.LSTM(20, 20), "doped_kp/unstructured"))
        write_c(bundle, folder / name, weights=request.param)
        run("make", "-s", "-C", folder / name, "libmodel.a", *QUICK)
        (folder / f"use_{name}.c").write_text(USE.format(name=name, NAME=name.upper()))
        run("gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", f"use_{name}.c", cwd=folder)
        expected.append(runnable(bundle).forward(np.ones((1, 1, 20), np.float32))[0].sum())
    (folder / "main.c").write_text(USE_BOTH)
    assert abs(expected[0] - expected[1]) > 0.01
    return folder, expected


def objects(folder, name):
    return sorted(path for path in (folder / name).rglob("*.o"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("linked", ["as archives", "the other first", "as objects", "as shared libraries"])
def test_two_models_in_one_program_compute_their_own_numbers(linked, two_models):
    folder, expected = two_models
    archives = [f"{name}/libmodel.a" for name in ("vad", "denoise")]
    if linked == "as archives":
        parts = archives
    elif linked == "the other first":
        parts = archives[::-1]
    elif linked == "as objects":
        parts = [*objects(folder, "vad"), *objects(folder, "denoise")]
    else:
        parts = []
        for name in ("vad", "denoise"):
            run("make", "-s", "-C", folder / name, "clean")
            run("make", "-s", "-C", folder / name, "libmodel.a", *QUICK, "CFLAGS=-O0 -fPIC")
            run("gcc", "-shared", *objects(folder, name), "-lm", "-o", f"lib{name}.so", cwd=folder)
            parts.append(folder / f"lib{name}.so")
    run("gcc", "main.c", "use_vad.o", "use_denoise.o", *parts, "-lm", "-o", "app", cwd=folder)
    np.testing.assert_allclose(list(map(float, run(folder / "app").split())), expected, atol=1e-5)


@pytest.mark.exhaustive(keep=["text"])
def test_every_symbol_begins_with_the_name_of_the_model(two_models):
    folder, _ = two_models
    for name in ("vad", "denoise"):
        listed = run("nm", "--extern-only", "--defined-only", folder / name / "libmodel.a")
        symbols = re.findall(r"^[0-9a-f]+ [A-Z] (\w+)$", listed, re.MULTILINE)
        assert f"{name}_run" in symbols
        assert [symbol for symbol in symbols if not symbol.startswith(f"{name}_")] == []


@pytest.mark.exhaustive(keep=["text"])
def test_short_names_are_for_one_model_at_a_time(two_models):
    folder, _ = two_models
    (folder / "one.c").write_text('#include "vad/model.h"\nint inputs = MODEL_INPUTS; model_state state;\n')
    run("gcc", "-fsyntax-only", "one.c", cwd=folder)
    (folder / "both.c").write_text('#include "vad/model.h"\n#include "denoise/model.h"\n')
    done = subprocess.run(["gcc", "-fsyntax-only", "both.c"], cwd=folder, capture_output=True, text=True, check=False)
    assert "two models in one source: include denoise.h instead of model.h" in done.stderr
    (folder / "named.c").write_text('#include "vad/vad.h"\n#include "denoise/denoise.h"\n')
    run("gcc", "-fsyntax-only", "-Wall", "-Werror", "named.c", cwd=folder)


CPP = """
#include "{name}.h"
#include <cstdio>
#include <vector>
int main() {{
    static {name}_state state;
    std::vector<float> work({NAME}_WORKSPACE(1)), y({NAME}_OUTPUTS);
    if ({name}_workspace(1) != work.size()) return 2;
    {name}_init(&state);
    const {name}_input x[{NAME}_INPUTS] = {{}};
    {name}_step(&state, x, y.data(), work.data());
    for (float value : y) std::printf("%.7f ", value);
}}
"""


@pytest.mark.exhaustive(keep=["C++-text"])
@pytest.mark.parametrize("weights", ["text", "binary"])
@pytest.mark.parametrize("model_as", ["C", "C++"])
def test_a_cpp_program_uses_it_and_a_cpp_compiler_takes_the_model(weights, model_as, tmp_path):
    bundle = narrow(to_bundle(*language_model("doped_kp/gates")))
    write_c(bundle, tmp_path / "net", weights=weights)
    run("make", "-s", "-C", tmp_path / "net", "libmodel.a", *QUICK)
    strict = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    if model_as == "C++":
        run(*strict, "-x", "c++", "-c", "model.c", "-o", "model.o", cwd=tmp_path / "net")
        run("ar", "rs", "libmodel.a", "model.o", cwd=tmp_path / "net")
    (tmp_path / "main.cpp").write_text(CPP.format(name="net", NAME="NET"))
    run(*strict, "-Inet", "main.cpp", "net/libmodel.a", "-o", "app", cwd=tmp_path)
    expected = runnable(bundle).forward(np.zeros((1, 1), np.int32))[0][0, 0]
    np.testing.assert_allclose(list(map(float, run(tmp_path / "app").split())), expected, atol=1e-5)


@pytest.mark.exhaustive(keep=["text-c99-gcc"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("standard", ["c99", "c11"])
@pytest.mark.parametrize("weights", ["text", "binary"])
def test_both_standards_of_c_take_every_source(compiler, standard, weights, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    write_c(to_bundle(classifier("doped_hmd/rows"), INTENT_WORDS, labels=LABELS), tmp_path, name="net", weights=weights)
    strict = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    run(compiler, *strict, *tmp_path.rglob("*.c"))


@pytest.mark.exhaustive
def test_binary_weights_are_the_same_numbers_in_a_fraction_of_the_bytes(tmp_path):
    bundle = to_bundle(*language_model("doped_lmf/rows", "word"))
    printed = []
    for weights in ("text", "binary"):
        write_c(bundle, tmp_path / "net", weights=weights)
        printed.append(run("make", "-s", "-C", tmp_path / "net", "check", *QUICK))
    assert printed[0] == printed[1]
    tensors = sum(tensor.nbytes for tensor in bundle.tensors.values())
    assert tensors < (tmp_path / "net/weights.bin").stat().st_size < 1.3 * tensors + 64 * len(bundle.tensors) * 8
    assert "static const float" not in (tmp_path / "net/weights.h").read_text()
    write_c(bundle, tmp_path / "net")  # text again: nothing of the binary file stays
    assert run("make", "-s", "-C", tmp_path / "net", "clean", "check", *QUICK) == printed[0]
    assert not list((tmp_path / "net").glob("weights.[Sb]*"))


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("method", ["dense", "kp", "lmf", "hmd", "pruned/rows", "doped_kp/gates"])
def test_the_workspace_is_what_the_kernels_ask_for(method, small, tmp_path):
    bundle = to_bundle(compressed(torch.nn.LSTM(24, 22, num_layers=2, bidirectional=True), method))
    write_c(bundle, tmp_path, name="net")
    made = ["doped_workspace(&layers[s], 1, 1)", "doped_multiply_workspace(&layers[s].input)"]
    prints = "".join(f'printf("%zu ", {call});' for call in made)
    head = '#include <stdio.h>\n#include "weights.h"\n'
    (tmp_path / "ask.c").write_text(head + f"int main(void) {{ for (int s = 0; s < MODEL_STATES; s++) {{ {prints} }} }}")
    flags = [f"CFLAGS={STRICT} -DDOPED_SMALL" if small else f"CFLAGS={STRICT}", "ARCH="]
    run("make", "-s", "-C", tmp_path, "libmodel.a", *flags)
    run("gcc", *(["-DDOPED_SMALL"] if small else []), "ask.c", "libmodel.a", "-lm", "-o", "ask", cwd=tmp_path)
    expected = []
    for cell in cells(bundle):
        expected += [layer_workspace(cell.input, cell.recurrent, small), multiply_workspace(cell.input, small)]
    assert list(map(int, run(tmp_path / "ask").split())) == expected


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("vad", "vad"),
        ("my model-2", "my_model_2"),
        ("2nd", "lstm_2nd"),
        ("Bücher", "B_cher"),
        ("string", "lstm_string"),
        ("model", "lstm_model"),
    ],
)
def test_the_default_name_is_that_of_the_folder_as_an_identifier(folder, name, tmp_path):
    assert model_name(None, tmp_path / folder) == name


@pytest.mark.parametrize("name", ["2nd", "my-model", "", "a b", "é", "string", "Weights", "doped", "model", "vad;"])
def test_a_name_that_c_cannot_have_is_refused_in_one_line(name, tmp_path):
    with pytest.raises(InferenceError, match=r"^the name '.*'.*(expected|give another)[^\n]*$"):
        write_c(to_bundle(compressed(torch.nn.LSTM(4, 6), "kp")), tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()
