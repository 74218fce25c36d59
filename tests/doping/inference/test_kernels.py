import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references.kernels import FAMILIES, lstm, random_matrix, random_sparse, random_structured, written_out

from doping.inference.families.layout import fields, stored_bytes
from doping.inference.kernels import COLUMN_PATTERNS, Dense, Kronecker, Layer, Sparse, Sum, multiply, narrowed
from doping.inference.kernels.native import kernels

KINDS = [
    *FAMILIES,
    *COLUMN_PATTERNS,
    *(f"kronecker+{pattern}" for pattern in COLUMN_PATTERNS),
    "low_rank+gates",
    "hybrid+unstructured",
]
NARROW = [f"int8 {kind}" for kind in (*FAMILIES, *COLUMN_PATTERNS, "kronecker+gates")]
ENGINES = ["c", "torch"]

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS + NARROW)
@given(units=st.integers(1, 40), columns=st.integers(1, 70), batch=st.integers(0, 33), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_product_is_that_of_the_matrix_written_out(kind, engine, units, columns, batch, seed):
    generator = np.random.default_rng(seed)
    matrix = random_matrix(generator, kind, 4 * units, columns)
    x = generator.normal(size=(batch, columns)).astype(np.float32)
    weight = written_out(matrix)
    # Sums in float32: the error grows with the sum of the magnitudes, through both factors.
    np.testing.assert_allclose(multiply(matrix, x, engine), x @ weight.T, rtol=1e-4, atol=2e-3)
    np.testing.assert_allclose(matrix.dense(), weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@given(
    left=st.tuples(st.integers(1, 11), st.integers(1, 11)), right=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    terms=st.integers(1, 4), batch=st.sampled_from([1, 2, 3, 8, 9]), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_kronecker_products_of_rectangular_factors_and_several_terms(engine, left, right, terms, batch, seed):
    generator = np.random.default_rng(seed)
    matrix = Kronecker(*(generator.normal(size=(terms, *shape)).astype(np.float32) for shape in (left, right)))
    x = generator.normal(size=(batch, matrix.shape[1])).astype(np.float32)
    np.testing.assert_allclose(multiply(matrix, x, engine), x @ written_out(matrix).T, rtol=1e-4, atol=1e-3)


@pytest.mark.exhaustive(keep_every=5)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "kind",
    [
        "dense",
        "kronecker+gates",
        "low_rank+rows",
        "hybrid+unstructured",
        "int8 kronecker+unstructured",
        "int8 low_rank+rows",
    ],
)
@pytest.mark.parametrize("steps", [0, 1, 7, 8, 9, 35])
def test_a_layer_is_a_plain_loop_over_its_steps(kind, steps, threads):
    generator = np.random.default_rng(steps)
    for batch in (1, 2, 3, 8, 17, 33):
        for reverse in (False, True):
            input, recurrent, bias, x, h, c = _layer(generator, kind, steps, batch)
            layer = Layer(input, recurrent, bias, reverse=reverse, threads=threads, engine="c")
            _assert_close(layer.forward(x, h, c), lstm(input, recurrent, bias, x, h, c, reverse))


@pytest.mark.parametrize("batch", range(1, 34))
def test_every_size_of_batch(batch):
    generator = np.random.default_rng(batch)
    input, recurrent, bias, x, h, c = _layer(generator, "kronecker+unstructured", 3, batch)
    for threads in (1, 2):
        layer = Layer(input, recurrent, bias, threads=threads, engine="c")
        _assert_close(layer.forward(x, h, c), lstm(input, recurrent, bias, x, h, c))


@pytest.mark.parametrize("steps", [0, 1, 9])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_layer_without_a_compiler(steps, reverse):
    generator = np.random.default_rng(7)
    input, recurrent, bias, x, h, c = _layer(generator, "kronecker+gates", steps, 3)
    layer = Layer(input, recurrent, bias, reverse=reverse, engine="torch")
    _assert_close(layer.forward(x, h, c), lstm(input, recurrent, bias, x, h, c, reverse))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sequence_in_pieces_with_the_state_handed_on_is_the_sequence_as_a_whole(engine):
    generator = np.random.default_rng(1)
    input, recurrent, bias, x, h, c = _layer(generator, "low_rank+gates", 20, 2)
    layer = Layer(input, recurrent, bias, engine=engine)
    whole = layer.forward(x, h, c)
    outputs, state = [], (h, c)
    for piece in np.split(x, [1, 2, 11]):
        output, *state = layer.forward(piece, *state)
        outputs.append(output)
    _assert_close((np.concatenate(outputs), *state), whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_state_given_is_left_alone_and_none_is_zeros(engine):
    generator = np.random.default_rng(2)
    input, recurrent, _, x, h, c = _layer(generator, "dense", 4, 2)
    layer = Layer(input, recurrent, engine=engine)
    before = h.copy(), c.copy()
    layer.forward(x, h, c)
    np.testing.assert_array_equal((h, c), before)
    _assert_close(layer.forward(x), lstm(input, recurrent, None, x, np.zeros_like(h), np.zeros_like(c)))


def test_tanh_and_sigmoid_are_off_by_at_most_what_the_source_says():
    x = np.concatenate([np.linspace(-12, 12, 2_000_001), np.geomspace(1e-38, 1e4, 100_001), [0.0]]).astype(np.float32)
    ffi, library = kernels()
    for function, exact in ((library.doped_tanh, np.tanh), (library.doped_sigmoid, lambda v: 1 / (1 + np.exp(-v)))):
        y = np.empty_like(x)
        function(len(x), ffi.from_buffer("float[]", x), ffi.from_buffer("float[]", y))
        with np.errstate(over="ignore"):
            assert np.abs(y - exact(x.astype(np.float64))).max() < 5e-7
        assert np.abs(y).max() <= 1


def test_activations_of_what_is_not_finite():
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    ffi, library = kernels()
    y = np.empty_like(x)
    library.doped_tanh(3, ffi.from_buffer("float[]", x), ffi.from_buffer("float[]", y))
    assert np.isnan(y[0])
    np.testing.assert_allclose(y[1:], [1, -1], atol=5e-7)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("pattern", COLUMN_PATTERNS)
def test_nan_reaches_exactly_the_rows_that_depend_on_it(pattern, narrow, batch):
    generator = np.random.default_rng(3)
    matrix = random_sparse(generator, pattern, 52, 30, 0.1)
    matrix = narrowed(matrix) if narrow else matrix
    for column in (5, 13):  # in column 0 also empty rows, which share a slice with longer ones
        x = np.ones((batch, 30), np.float32)
        x[-1, column] = np.nan
        y = multiply(matrix, x, "c")
        blocks = matrix.groups()[matrix.columns == column]
        places = {
            "unstructured": [blocks],
            "rows": [8 * blocks + k for k in range(8)],
            "gates": [blocks + 13 * k for k in range(4)],
        }
        expected = np.isin(np.arange(52), np.concatenate(places.get(pattern, [blocks])))
        np.testing.assert_array_equal(np.isnan(y[-1]), expected)
        assert np.isfinite(y[:-1]).all()


@pytest.mark.parametrize("batch", [1, 8])
def test_a_sequence_with_nan_harms_no_other_of_its_batch(batch):
    generator = np.random.default_rng(4)
    input, recurrent, bias, x, h, c = _layer(generator, "kronecker+gates", 9, batch)
    x[2, 0] = np.nan
    y, *_ = Layer(input, recurrent, bias, engine="c").forward(x, h, c)
    assert np.isfinite(y[:2]).all()
    assert np.isfinite(y[:, 1:]).all()
    assert np.isnan(y[2:, 0]).all()


def test_columns_beyond_65536_take_32_bits():
    generator = np.random.default_rng(5)
    for pattern in COLUMN_PATTERNS:
        for columns, kind in ((1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)):
            weight = np.zeros((12, columns), np.float32)
            weight[generator.integers(0, 12, 60), generator.integers(0, columns, 60)] = 1
            weight[3, columns - 1] = 2
            matrix = Sparse.pack(weight, pattern)
            assert matrix.columns.dtype == kind
            for batch in (1, 8):
                x = generator.normal(size=(batch, columns)).astype(np.float32)
                for stored in (matrix, narrowed(matrix)):  # 1 and 2 are whole numbers of 127ths of 2, or nearly
                    np.testing.assert_allclose(multiply(stored, x, "c"), x @ stored.dense().T, rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(multiply(matrix, x, "c"), x @ weight.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("left", "right"), [((70, 33), (40, 75)), ((33, 70), (75, 40)), ((9, 4500), (8, 1))])
def test_narrow_factors_larger_than_what_is_widened_at_a_time(left, right, batch):
    generator = np.random.default_rng(9)
    matrix = narrowed(Kronecker(*(generator.normal(size=(2, *shape)).astype(np.float32) for shape in (left, right))))
    x = generator.normal(size=(batch, matrix.shape[1])).astype(np.float32)
    np.testing.assert_allclose(multiply(matrix, x, "c"), x @ written_out(matrix).T, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("kind", [*FAMILIES, *COLUMN_PATTERNS])
def test_narrow_values_are_the_nearest_127ths_of_the_largest_of_their_row(kind):
    generator = np.random.default_rng(10)
    matrix = random_matrix(generator, kind, 36, 21)
    narrow = narrowed(matrix)
    scales = {name: scale for name, scale in vars(narrow).items() if name.endswith("_scale")}
    assert scales
    for name, scale in scales.items():
        values, numbers = (getattr(of, name.removesuffix("_scale")) for of in (matrix, narrow))
        assert numbers.dtype == np.int8
        assert np.abs(numbers).max() == 127
        if kind not in COLUMN_PATTERNS:
            np.testing.assert_allclose(numbers * scale[:, None], values, atol=0.5001 * scale.max())
            np.testing.assert_allclose(scale, np.abs(values).max(axis=(0, 2) if values.ndim == 3 else 1) / 127, rtol=1e-6)
    if kind in (*COLUMN_PATTERNS, "dense"):
        off_M = np.abs(narrow.dense() - matrix.dense()).max(axis=1)
        assert (off_M <= 0.5001 * np.abs(matrix.dense()).max(axis=1) / 127).all()
    assert stored_bytes(narrow) < stored_bytes(matrix)
    again = narrowed(narrow)
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(narrow).items() if "_scale" not in name)


def test_a_row_of_zeros_stays_one():
    matrix = np.ones((8, 40), np.float32)
    matrix[2] = 0
    for narrow in (narrowed(Dense(matrix)), narrowed(Sparse.pack(matrix, "gates"))):
        np.testing.assert_allclose(narrow.dense(), matrix, rtol=1e-6)


def test_narrow_values_without_their_scales_are_refused():
    with pytest.raises(ValueError, match=r"weight is int8 \(2, 3\); expected float32"):
        Dense(np.ones((2, 3), np.int8))
    with pytest.raises(ValueError, match=r"the scales of weight are float32 \(3,\); expected float32 \(2,\)"):
        Dense(np.ones((2, 3), np.int8), np.ones(3, np.float32))


def test_slices_weigh_no_more_than_compressed_rows():
    generator = np.random.default_rng(6)
    weight = generator.normal(size=(2600, 650)) * (generator.random((2600, 650)) < 0.05)
    matrix = Sparse.pack(weight)
    compressed_rows = 6 * len(matrix.columns) + 4 * 2601
    assert stored_bytes(matrix) < 1.01 * compressed_rows
    np.testing.assert_array_equal(np.sort(fields(matrix)["order"]), np.arange(2600))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pattern": "columns"}, "pattern 'columns'; expected one of unstructured, gates, rows"),
        ({"columns": np.array([0, 5], np.uint16)}, "a block lies in column 5, but there are 5"),
        ({"columns": np.array([0, -1])}, "column"),
        ({"offsets": np.array([0, 2, 1, 2, 2], np.uint32)}, "offsets must rise from 0 to 2"),
        ({"offsets": np.array([0, 1, 1, 1, 3], np.uint32)}, "offsets must rise from 0 to 2"),
        ({"values": np.ones((3, 1), np.float32)}, "values are float32 (3, 1); expected float32 (2, 1)"),
        ({"shape": (3, 5)}, "expected 4 whole numbers"),
        ({"values": np.ones((2, 1), np.int8)}, "values are int8 (2, 1); expected float32 (2, 1)"),
        (
            {"values": np.ones((2, 1), np.int8), "values_scale": np.ones(2, np.float32)},
            "the scales are float32 (2,); expected float32 (4,)",
        ),
    ],
)
def test_a_sparse_matrix_that_would_lead_out_of_bounds_is_refused(change, message):
    right = {
        "pattern": "unstructured", "shape": (4, 5), "values": np.ones((2, 1), np.float32),
        "columns": np.array([0, 4], np.uint16), "offsets": np.array([0, 1, 1, 1, 2], np.uint32),
    }  # fmt: skip
    Sparse(**right)
    with pytest.raises(ValueError, match=r".") as error:
        Sparse(**right | change)
    assert message in str(error.value)


def test_wrong_shapes_get_a_clear_line():
    generator = np.random.default_rng(8)
    input, recurrent, bias, x, h, c = _layer(generator, "dense", 2, 3)
    layer = Layer(input, recurrent, bias)
    with pytest.raises(ValueError, match=r"the input has shape .*; expected \(steps, batch, 9\)"):
        layer.forward(x[:, :, :8], h, c)
    with pytest.raises(ValueError, match=r"the state has shape .*; expected \(3, 13\)"):
        layer.forward(x, h[:2], c)
    with pytest.raises(ValueError, match="expected 52 rows, four per hidden unit"):
        Layer(random_structured(generator, "dense", 48, 9), recurrent)
    for threads in (0, 65, 2000):
        with pytest.raises(ValueError, match=f"threads is {threads}; expected 1 to 64"):
            Layer(input, recurrent, threads=threads)
    with pytest.raises(ValueError, match="expected the same shape"):
        Sum(random_structured(generator, "dense", 8, 9), random_sparse(generator, "rows", 8, 8, 0.5))


def _layer(generator, kind, steps, batch):
    """Weights, bias, inputs and state of a layer of 9 inputs and 13 units: neither is a multiple of 8."""
    inputs, hidden = 9, 13
    input, recurrent = (random_matrix(generator, kind, 4 * hidden, columns, scale=0.3) for columns in (inputs, hidden))
    shapes = ((4 * hidden,), (steps, batch, inputs), (batch, hidden), (batch, hidden))
    return input, recurrent, *(generator.normal(size=shape).astype(np.float32) for shape in shapes)


def _assert_close(found, expected):
    for part, right in zip(found, expected, strict=True):
        assert part.shape == right.shape
        np.testing.assert_allclose(part, right, atol=1e-4)
