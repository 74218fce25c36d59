"""Int8 arithmetic: exact sums, the same results with every instruction set, and how far they are from exact ones."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references.int8 import bound, random_narrow, random_tiles, rounded
from references.kernels import lstm, written_out

from doping.inference.families.int8_layout import fields, stored_bytes
from doping.inference.kernels import Dense, KernelError, Sparse, Tiles, multiply, narrowed
from doping.inference.kernels.int8 import Int8Layer, Int8Matrix, available, instructions
from doping.inference.kernels.int8.native import INSTRUCTION_SETS, kernels, workspace

ROOT = Path(__file__).parents[4]
KINDS = [
    "dense",
    "low_rank",
    "hybrid",
    "monarch",
    "kronecker",
    "tiles",
    "kronecker+tiles",
    "low_rank+tiles",
    "hybrid+tiles",
    "monarch+tiles",
    "dense+tiles",
]
EXTREMES = st.sampled_from([-127, 127, 0])


def _every(name):
    """A parameter for each instruction set, skipped where this processor does not have it."""
    return [pytest.param(s, marks=pytest.mark.skipif(s not in available(), reason=f"no {s} here")) for s in name]


@pytest.mark.parametrize("instruction_set", _every(INSTRUCTION_SETS))
@pytest.mark.parametrize("bits", [8, 4])
@given(
    units=st.integers(1, 40), columns=st.integers(1, 150), vectors=st.integers(1, 19), extreme=st.booleans(),
    tiles=st.booleans(), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sums_are_exact(instruction_set, bits, units, columns, vectors, extreme, tiles, seed):
    generator = np.random.default_rng(seed)
    lowest, highest = (-128, 127) if bits == 8 else (-8, 7)

    def numbers(low, high, shape):
        return (generator.choice([low, high], shape) if extreme else generator.integers(low, high + 1, shape)).astype(
            np.int8
        )

    x = numbers(-127, 127, (vectors, columns))
    if tiles:
        made = random_tiles(generator, 4 * units, columns, 0.2)
        values = (made.values != 0) * numbers(lowest, highest, made.values.shape)
        matrix = Tiles(made.shape, values, made.columns, made.offsets, np.ones(4 * units, np.float32))
        weight = matrix.dense().astype(np.int64)
    else:
        weight = numbers(lowest, highest, (4 * units, columns))
        matrix = Dense(weight, np.ones(4 * units, np.float32))
    np.testing.assert_array_equal(_sums(matrix, x, bits, instruction_set), x.astype(np.int64) @ weight.T.astype(np.int64))


@pytest.mark.parametrize("instruction_set", _every(INSTRUCTION_SETS))
@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("number", [-127, 127])
def test_sums_of_the_widest_matrix_with_nothing_but_extremes(instruction_set, weight, number):
    columns = 1 << 16
    matrix = Dense(np.full((4, columns), weight, np.int8), np.ones(4, np.float32))
    x = np.full((2, columns), number, np.int8)
    np.testing.assert_array_equal(_sums(matrix, x, 8, instruction_set), np.full((2, 4), columns * weight * number))


@pytest.mark.exhaustive(keep_every=6)
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", KINDS)
@given(units=st.integers(1, 40), columns=st.integers(1, 150), batch=st.integers(0, 19), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_every_instruction_set_gives_the_same_products_within_the_bound(kind, bits, units, columns, batch, seed):
    generator = np.random.default_rng(seed)
    matrix = random_narrow(generator, kind, 4 * units, columns, bits, short_scales=bool(seed % 2))
    x = generator.normal(size=(batch, columns)).astype(np.float32)
    found = {name: Int8Matrix(matrix, bits, name).multiply(x) for name in available()}
    found["in gate order"] = Int8Matrix(matrix, bits, gates=True).multiply(x)
    for products in found.values():
        np.testing.assert_array_equal(products, found["plain"])
    if bits == 8 or "hybrid" not in kind:  # v of a hybrid matrix has as many bits as the rest
        assert (np.abs(found["plain"] - x.astype(np.float64) @ written_out(matrix).T) <= bound(matrix, x)).all()


@pytest.mark.parametrize("instruction_set", _every(INSTRUCTION_SETS))
@given(count=st.integers(1, 100), exponent=st.integers(-28, 30), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_vector_is_rounded_to_127ths_of_its_largest_magnitude(instruction_set, count, exponent, seed):
    x = (np.random.default_rng(seed).normal(size=count) * 10.0**exponent).astype(np.float32)
    numbers, scale = _rounded(x, instruction_set)
    expected, step = rounded(x.astype(np.float64))
    assert scale == pytest.approx(step[0], rel=1e-6)
    assert np.abs(numbers).max() == 127
    assert np.abs(numbers - x / step).max() <= 0.501
    assert (numbers != expected).sum() <= 1  # a tie, within the precision of float32


@pytest.mark.parametrize("instruction_set", _every(INSTRUCTION_SETS))
def test_vectors_of_zeros_and_of_what_is_not_finite(instruction_set):
    for tiny in (0, 1e-38, 9e-31):
        numbers, scale = _rounded(np.full(21, tiny, np.float32), instruction_set)
        assert not numbers.any()
        assert scale * 127 <= 1e-30
    for number in (np.nan, np.inf, -np.inf):
        for place in (0, 20):
            x = np.ones(21, np.float32)
            x[place] = number
            numbers, scale = _rounded(x, instruction_set)
            assert not numbers.any()
            assert np.isnan(scale)
            matrix = random_narrow(np.random.default_rng(0), "kronecker+tiles", 36, 21)
            assert np.isnan(Int8Matrix(matrix, 8, instruction_set).multiply(np.stack([x, np.ones_like(x)]))[0]).all()


@pytest.mark.exhaustive(keep_every=2)
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", ["dense", "tiles", "kronecker+tiles", "low_rank+tiles", "hybrid"])
@pytest.mark.parametrize("hidden", [13, 16, 29])
def test_a_layer_is_near_the_plain_loop_and_the_same_with_every_instruction_set(kind, bits, hidden):
    generator = np.random.default_rng(hidden)
    input, recurrent = (random_narrow(generator, kind, 4 * hidden, columns, bits, scale=0.3) for columns in (9, hidden))
    bias = generator.normal(size=4 * hidden).astype(np.float32)
    for steps, batch, reverse in ((0, 1, False), (1, 1, False), (7, 2, True), (8, 1, False), (21, 3, False)):
        x = generator.normal(size=(steps, batch, 9)).astype(np.float32)
        state = [generator.normal(size=(batch, hidden)).astype(np.float32) * 0.5 for _ in range(2)]
        found = {}
        for name in available():
            h, c = (part.copy() for part in state)
            found[name] = Int8Layer(input, recurrent, bias, reverse, bits, name).run(x, h, c), h, c
        for results in found.values():
            for part, right in zip(results, found["plain"], strict=True):
                np.testing.assert_array_equal(part, right)
        for part, right in zip(found["plain"], lstm(input, recurrent, bias, x, *state, reverse), strict=True):
            assert part.shape == right.shape
            assert np.abs(part - right).max(initial=0) < 0.1
            assert np.abs(part - right).mean() < 0.02 if part.size else True


def test_a_sequence_in_pieces_with_the_state_handed_on_is_the_sequence_as_a_whole():
    generator = np.random.default_rng(1)
    input, recurrent = (random_narrow(generator, "low_rank+tiles", 52, columns) for columns in (9, 13))
    layer = Int8Layer(input, recurrent)
    x = generator.normal(size=(20, 2, 9)).astype(np.float32)
    h, c = np.zeros((2, 2, 13), np.float32)
    whole = layer.run(x, h, c)
    h2, c2 = np.zeros((2, 2, 13), np.float32)
    pieces = [layer.run(np.ascontiguousarray(piece), h2, c2) for piece in np.split(x, [1, 2, 11])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal((h2, c2), (h, c))


@given(units=st.integers(1, 20), columns=st.integers(1, 40), batch=st.sampled_from([1, 8]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_tiles_are_the_matrix_they_were_packed_from_for_every_kernel(units, columns, batch, seed):
    generator = np.random.default_rng(seed)
    matrix = random_tiles(generator, 4 * units, columns, 0.2)
    weight = matrix.dense()
    again = Tiles.pack(weight)
    np.testing.assert_array_equal(again.dense(), weight)
    np.testing.assert_array_equal(matrix.as_gates().dense(), weight)
    x = generator.normal(size=(batch, columns)).astype(np.float32)
    for engine in ("c", "torch"):
        for stored in (matrix, narrowed(matrix)):
            np.testing.assert_allclose(multiply(stored, x, engine), x @ stored.dense().T, rtol=1e-4, atol=1e-3)


def test_tiles_with_an_index_of_16_bits_weigh_66_bytes_each_and_counts_2_per_16_rows():
    matrix = random_tiles(np.random.default_rng(0), 2600, 650, 0.05)
    eight, four = (narrowed(matrix, bits, short_scales=True) for bits in (8, 4))
    by_rows = 163 * (2 + 16 * (2 + 4))  # counts; scales and sums
    assert stored_bytes(eight, 8) == 66 * len(matrix.columns) + by_rows
    assert stored_bytes(four, 4) == 34 * len(matrix.columns) + by_rows


@pytest.mark.parametrize("kind", ["dense", "tiles", "low_rank", "kronecker"])
def test_rounding_to_4_bits_is_no_worse_than_to_sevenths_of_the_largest_magnitude(kind):
    generator = np.random.default_rng(3)
    matrix = random_tiles(generator, 64, 40, 0.3) if kind == "tiles" else None
    matrix = matrix or random_narrow(generator, kind, 64, 40, short_scales=False)
    wide = dict(vars(narrowed(matrix)).items())
    narrow = narrowed(matrix, 4)
    for name, scale in vars(narrow).items():
        if not name.endswith("_scale"):
            continue
        numbers = getattr(narrow, name.removesuffix("_scale"))
        most = 127 if name == "b_scale" else 7  # left Kronecker factors keep 8 bits
        assert -most <= numbers.min() <= numbers.max() <= most
        assert (scale <= wide[name] * 127 / 7 * 1.0001).all()
    short = narrowed(matrix, 4, short_scales=True)
    for name, scale in vars(short).items():
        if name.endswith("_scale"):
            assert not (scale.view(np.uint32) & 0xFFFF).any()


def test_what_has_no_product_in_int8_is_refused():
    generator = np.random.default_rng(5)
    weight = generator.normal(size=(8, 9)).astype(np.float32)
    for matrix, message in (
        (Dense(weight), "float32 values has no product in int8; round it first"),
        (narrowed(Sparse.pack(weight, "gates")), "pattern 'gates', which has no product in int8; expected tiles"),
        (Dense(np.zeros((4, 65537), np.int8), np.ones(4, np.float32)), "65,537 columns; products in int8 have up to 65,536"),
    ):
        with pytest.raises(ValueError, match=message):
            fields(matrix)
    with pytest.raises(ValueError, match="values from -127 to 127; expected 4 bits, from -8 to 7"):
        fields(narrowed(Dense(np.array([[1, -1]], np.float32))), 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": np.array([0, 2], np.uint16)}, "a tile lies in columns 2 of four, but there are 2"),
        ({"columns": np.array([1, 0], np.uint16)}, "do not rise within a group"),
        ({"columns": np.array([1, 1], np.uint16)}, "do not rise within a group"),
        ({"offsets": np.array([0, 1, 3], np.uint32)}, "offsets must rise from 0 to 2"),
        ({"offsets": np.array([0, 3, 2], np.uint32)}, "offsets must rise from 0 to 2"),
        ({"offsets": np.array([0, 2], np.uint32)}, "expected 3 whole numbers"),
        ({"values": np.ones((2, 64), np.float32)}, "expected float32 (2, 16, 4)"),
        ({"values": np.ones((2, 16, 4), np.float32)}, "values beyond the last of 6 columns"),
        (
            {"offsets": np.array([0, 0, 2], np.uint32), "values": np.ones((2, 16, 4), np.float32), "shape": (20, 8)},
            "of 5 units",
        ),
        ({"shape": (21, 6)}, "expected rows by fours"),
    ],
)
def test_tiles_that_would_lead_out_of_bounds_are_refused(change, message):
    right = {
        "shape": (20, 6), "values": np.zeros((2, 16, 4), np.float32), "columns": np.array([0, 1], np.uint16),
        "offsets": np.array([0, 2, 2], np.uint32),
    }  # fmt: skip
    Tiles(**right)
    with pytest.raises(ValueError, match=r".") as error:
        Tiles(**right | change)
    assert message in str(error.value)


def test_an_instruction_set_that_is_not_there_is_refused_in_one_line():
    with pytest.raises(KernelError, match=r"instruction set 'sse9': there is none of that name; expected one of .*plain"):
        instructions("sse9")
    missing = next(name for name in INSTRUCTION_SETS if name not in available())
    with pytest.raises(KernelError, match=f"instruction set '{missing}': this processor does not have it"):
        instructions(missing)


def test_the_environment_names_the_instruction_set_and_plain_c_is_no_fallback_then():
    code = "from doping.inference.kernels.int8 import native; print(native.kernels()[0].string(native.instructions().name))"
    for name, shown in (("plain", "b'plain'\n"), ("", None)):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True,
            env=os.environ | {"LSTM_DOPING_INSTRUCTIONS": name},
        )  # fmt: skip
        assert done.stdout == (shown or f"b'{available()[0]}'\n")
        assert done.stderr == ""


def _sums(matrix, x, bits, instruction_set):
    """Sums of whole numbers, (vectors, m)."""
    ffi, library = kernels()
    product = Int8Matrix(matrix, bits, instruction_set)
    room = workspace(library.int8_multiply_workspace(product.structure))
    tiles = isinstance(matrix, Tiles)
    blocks = product.structure.tiles if tiles else product.structure.first
    groups = -(-matrix.shape[0] // 16)
    sums = np.empty((len(x), groups, 16), np.int32)
    instructions(instruction_set).sums(
        ffi.addressof(blocks), len(x), ffi.from_buffer("int8_t[]", x), ffi.from_buffer("int32_t[]", sums), room
    )
    if tiles:
        units = matrix.shape[0] // 4
        by_gate = sums.reshape(len(x), groups, 4, 4).swapaxes(1, 2).reshape(len(x), 4, -1)
        sums = by_gate[:, :, :units]
    return sums.reshape(len(x), -1)[:, : matrix.shape[0]] // (16 if bits == 4 else 1)


def _rounded(x, instruction_set):
    ffi, _ = kernels()
    numbers = np.empty(-(-len(x) // 16) * 16, np.int8)
    scale = instructions(instruction_set).round(len(x), ffi.from_buffer("float[]", x), ffi.from_buffer("int8_t[]", numbers))
    return numbers[: len(x)], scale
