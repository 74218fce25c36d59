"""Bundles with tiles: written and read, in float32 and int8, and refused where they would lead out of bounds."""

import numpy as np
import pytest
from models import compressed, lstms
from references.int8 import random_tiles

from doping.errors import InferenceError
from doping.inference.bundle import file
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import narrow
from doping.inference.bundle.weights import cells
from doping.inference.families.stored import MatrixParts, SparseParts
from doping.inference.reference import lstm_outputs
from doping.inference.runtime import runnable
from tasks.bundles import to_bundle


def tiled(method, alone=False):
    """A bundle whose S is tiles, beside M or alone."""
    bundle = to_bundle(compressed(next(lstms()), method))
    model = bundle.description.model
    generator, tensors, matrices = np.random.default_rng(0), dict(bundle.tensors), {}
    for name, shape in model.lstm.shapes().items():
        tiles = random_tiles(generator, *shape, 0.3)
        matrices[name] = MatrixParts(
            structured=None if alone else model.lstm.matrices[name].structured,
            sparse=SparseParts(pattern="tiles", blocks=len(tiles.columns)),
        )
        if alone:
            tensors = {key: array for key, array in tensors.items() if not key.startswith(f"lstm.{name}.")}
        arrays = {"values": tiles.values, "columns": tiles.columns, "offsets": tiles.offsets}
        tensors |= {f"lstm.{name}.sparse.{part}": array for part, array in arrays.items()}
    changed = model.model_copy(update={"lstm": model.lstm.model_copy(update={"matrices": matrices})})
    return Bundle(bundle.description.model_copy(update={"model": changed}), tensors)


@pytest.mark.parametrize("narrowed", [False, True])
@pytest.mark.parametrize(("method", "alone"), [("kp", False), ("lmf", False), ("dense", True)])
def test_what_is_written_is_read_and_computed_in_either_arithmetic(method, alone, narrowed, tmp_path):
    bundle = narrow(tiled(method, alone)) if narrowed else tiled(method, alone)
    file.write(bundle, tmp_path / "model.lstm")
    data = (tmp_path / "model.lstm").read_bytes()
    assert data.count(b'"version":"4"' if narrowed else b'"version":"3"') == 1
    again = file.read(tmp_path / "model.lstm")
    assert again.description == bundle.description
    x = np.random.default_rng(1).normal(size=(9, 2, bundle.description.model.lstm.input_size)).astype(np.float32)
    expected = lstm_outputs(bundle, x.astype(np.float64))
    np.testing.assert_allclose(runnable(again).forward(x)[0], expected, atol=1e-4)
    assert np.abs(runnable(again, arithmetic="int8").forward(x)[0] - expected).mean() < 0.03


def test_a_narrow_tile_weighs_66_bytes_and_a_group_of_units_2():
    bundle = narrow(tiled("dense", alone=True))
    for name, (rows, columns) in bundle.description.model.lstm.shapes().items():
        tensors = bundle.description.model.lstm.matrices[name].tensors(rows, columns)
        sizes = {part: bundle.tensors[f"lstm.{name}.{part}"].nbytes for part in tensors}
        tiles = len(bundle.tensors[f"lstm.{name}.sparse.columns"])
        assert sizes.pop("sparse.values_scale") == 4 * rows  # in a file half of that
        assert sum(sizes.values()) == 66 * tiles + 2 * -(-rows // 16)


def test_tiles_of_a_file_that_would_lead_out_of_bounds_are_refused():
    for bundle in (tiled("kp"), narrow(tiled("kp"))):
        name = next(key for key in bundle.tensors if key.endswith("weight_hh_l0.sparse.columns")).removesuffix("columns")
        counted = "counts" if name + "counts" in bundle.tensors else "offsets"
        changes = {"columns": lambda a: a + 40000, counted: lambda a: a + 1, "values": lambda a: np.full_like(a, 1)}
        for part, change in changes.items():
            tensors = dict(bundle.tensors) | {name + part: change(bundle.tensors[name + part])}
            with pytest.raises(InferenceError, match="the file is damaged"):
                cells(file.from_bytes(file.to_bytes(Bundle(bundle.description, tensors))))


def test_more_tiles_than_there_is_room_for_are_refused():
    with pytest.raises(ValueError, match="cannot have 41 tiles"):
        SparseParts(pattern="tiles", blocks=41).tensors(64, 40)
    with pytest.raises(ValueError, match="expected rows by fours"):
        SparseParts(pattern="tiles", blocks=1).tensors(66, 40)
