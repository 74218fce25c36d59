"""The C sources in int8 arithmetic: they compute what Python does, with every instruction set, in memory that is theirs."""

import shutil
import subprocess

import numpy as np
import pytest
from c_code.sources import ARM, NAME, SANITIZED, builder, differences
from models import INTENT_WORDS, INTENTS, LABELS, classifier, compressed, language_model, lstms

from benchmarks.firmware import image
from doping.errors import InferenceError
from doping.inference.bundle.narrowing import narrow
from doping.inference.exporters.c import EXPECTED_STEPS, _logits, write_c
from doping.inference.runtime import runnable
from tasks.bundles import to_bundle

STRICT = (f"CFLAGS={SANITIZED}", "ARCH=")

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
needs_arm = pytest.mark.skipif(not all(map(shutil.which, ARM)), reason="no cross compiler or emulator for AArch64")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Builds and runs the demo of a folder; gives what it prints."""
    return builder(tmp_path_factory)


def written(bundle, folder):
    write_c(bundle, folder, name=NAME, arithmetic="int8")


@pytest.mark.exhaustive(keep=["dense-int8", "doped_kp/tiles-int4"])
@needs_gcc
@pytest.mark.parametrize("values", ["int8", "int4"])
@pytest.mark.parametrize("method", ["dense", "lmf", "hmd", "kp", "pruned/tiles", "doped_kp/tiles"])
def test_every_method_computes_exactly_what_python_does_and_stays_within_its_memory(method, values, make, tmp_path):
    for index, lstm in enumerate(lstms()):
        bundle = narrow(to_bundle(compressed(lstm, method)), values)
        written(bundle, tmp_path / str(index))
        *single, together = differences(make(tmp_path / str(index), *STRICT))
        assert together == 0
        # One vector alone may be summed in another order, and then a number be rounded to the next one.
        assert max(single, default=0) < 5e-3


@needs_gcc
def test_weights_that_are_not_narrow_are_rounded(make, tmp_path):
    bundle = to_bundle(compressed(next(lstms()), "doped_lmf/tiles"))
    written(bundle, tmp_path)
    assert differences(make(tmp_path, *STRICT)) == [0, 0]
    assert "static const int8_t input_l0_tiles_values[" in (tmp_path / "weights.h").read_text()


@needs_gcc
@pytest.mark.parametrize("values", ["int8", "int4"])
def test_a_language_model_writes_what_python_writes_in_int8(values, make, tmp_path):
    bundle = narrow(to_bundle(*language_model("doped_kp/tiles")), values)
    written(bundle, tmp_path)
    output = make(tmp_path, *STRICT)
    assert max(differences(output)) < 1e-6
    model = runnable(bundle, arithmetic="int8")
    first = model.vocabulary.tokens[0]
    text = output[output.index("text: ") + len("text: ") :]
    assert text.rstrip("\n") == model.generate(first, 60, 0)[len(first) :].rstrip("\n")


@needs_gcc
def test_a_classifier_tells_the_labels_that_python_tells_in_int8(make, tmp_path):
    bundle = narrow(to_bundle(classifier("doped_lmf/tiles"), INTENT_WORDS, labels=LABELS), "int4")
    written(bundle, tmp_path)
    (difference,) = differences(make(tmp_path, *STRICT))
    assert difference < 1e-5
    for text in INTENTS:
        told = subprocess.run([tmp_path / "demo", *text.split()], capture_output=True, text=True, check=True).stdout
        assert told == runnable(bundle, arithmetic="int8").classify(text)[0][0] + "\n"


@pytest.mark.exhaustive
@needs_arm
@pytest.mark.parametrize("processor", ["max", "cortex-a53"])
def test_a_64_bit_arm_with_and_without_dot_products_computes_the_same(processor, make, tmp_path):
    written(narrow(to_bundle(*language_model("doped_kp/tiles")), "int4"), tmp_path)
    settings = (f"CC={ARM[0]}", "ARCH=", f"RUN={ARM[1]} -cpu {processor} -L /usr/aarch64-linux-gnu", "CFLAGS=-O1 -Werror")
    assert max(differences(make(tmp_path, *settings))) < 1e-6


@pytest.mark.exhaustive
@pytest.mark.skipif(bool(image.missing()), reason="no compiler or emulator for a Cortex-M4")
def test_a_microcontroller_computes_the_same_in_plain_c(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "FLAGS", [flag.replace("contract=fast", "contract=off") for flag in image.FLAGS])
    bundle = narrow(to_bundle(*language_model("doped_kp/tiles")), "int4")
    write_c(bundle, tmp_path / "lm", weights="binary", arithmetic="int8")
    outputs = image.run(image.build(tmp_path / "lm")).outputs
    expected = _logits(runnable(bundle, arithmetic="int8"), np.arange(EXPECTED_STEPS) % 22, "int8")
    np.testing.assert_allclose(outputs, expected[:, : outputs.shape[1]], atol=1e-5)


@needs_gcc
def test_its_names_begin_with_the_model_so_that_one_in_float32_links_beside_it(make, tmp_path):
    bundle = narrow(to_bundle(compressed(next(lstms()), "kp")))
    written(bundle, tmp_path)
    make(tmp_path, *STRICT)
    symbols = subprocess.run(
        ["nm", "-g", "--defined-only", tmp_path / "libmodel.a"], capture_output=True, text=True, check=True
    )
    names = [line.split()[2] for line in symbols.stdout.splitlines() if len(line.split()) == 3]
    assert f"{NAME}_int8_choose" in names
    assert all(name.startswith(f"{NAME}_") for name in names if not name.startswith("__odr_asan"))


def test_4_bits_lie_two_in_a_byte_in_the_sources(tmp_path):
    bundle = narrow(to_bundle(compressed(next(lstms()), "dense")), "int4")
    written(bundle, tmp_path)
    groups, across = 3, 3  # 10 units by fours, 12 columns by fours
    assert f"static const uint8_t input_l0_first_values[{groups * across * 32}]" in (tmp_path / "weights.h").read_text()
    assert f"#define EXPECTED_STEPS {EXPECTED_STEPS}" in (tmp_path / "expected.h").read_text()


@pytest.mark.parametrize("method", ["pruned/unstructured", "doped_kp/gates", "pruned/n_of_16"])
def test_what_has_no_product_in_int8_is_refused_in_one_line(method, tmp_path):
    with pytest.raises(InferenceError, match=r"int8 arithmetic: S has the pattern .*expected tiles, or float32") as caught:
        written(to_bundle(compressed(next(lstms()), method)), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_values_of_4_bits_give_the_products_of_the_same_in_8(monkeypatch):
    bundle = narrow(to_bundle(compressed(next(lstms()), "doped_kp/tiles")), "int4")
    x = np.random.default_rng(0).normal(size=(9, 2, 12)).astype(np.float32)
    in_four, _ = runnable(bundle, arithmetic="int8").forward(x)
    monkeypatch.setattr("doping.inference.kernels.int8.native.fitting_bits", lambda matrix: 8)
    in_eight, _ = runnable(bundle, arithmetic="int8").forward(x)
    assert np.array_equal(in_four, in_eight)
