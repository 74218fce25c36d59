"""Bundles to alter, and the ways to alter them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from doping.errors import InferenceError
from doping.inference.bundle import file as bundle
from doping.inference.bundle.description import (
    ClassifierDescription,
    Description,
    LanguageModelDescription,
    LstmDescription,
    LstmModel,
    Model,
    Sizes,
)
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import narrow
from doping.inference.bundle.sparse_arrays import stored_sparse
from doping.inference.families.dense import DenseParts
from doping.inference.families.hybrid import HybridParts
from doping.inference.families.kronecker import KroneckerParts
from doping.inference.families.low_rank import LowRankParts
from doping.inference.families.monarch import MonarchParts
from doping.inference.families.sparse import Sparse
from doping.inference.families.stored import MatrixParts, SparseParts, StructuredParts
from doping.inference.families.tiles import Tiles
from doping.patterns import PATTERNS

Random = np.random.Generator
Alteration = Callable[[bytes, list[bytes], Random], bytes]


def samples(*, in_int8: bool = False) -> list[Bundle]:
    """Small valid bundles: every family and pattern, one and several layers and directions; LSTMs, and language models and
    classifiers with embeddings of full and of low rank; all of them with values in float32, int8 and int4; or only those
    that have products in int8 arithmetic.
    """
    random = np.random.default_rng(1)
    families: list[StructuredParts | None] = [
        None, DenseParts(), LowRankParts(rank=2), HybridParts(free_rows=3), KroneckerParts(left=(4, 2)),
        KroneckerParts(left=(12, 2), terms=2), MonarchParts(blocks=(3, 2), rank=2),
    ]  # fmt: skip
    patterns: list[str | None] = [None, "tiles"] if in_int8 else [None, *PATTERNS]
    made: list[Bundle] = []
    for family in families:
        for pattern in patterns:
            if family or pattern:
                made.append(
                    _lstm_bundle(random, family, pattern, layers=1 + len(made) % 2, bidirectional=len(made) % 3 == 0)
                )
    for family, pattern in ((KroneckerParts(left=(4, 2)), None if in_int8 else "gates"), (LowRankParts(rank=2), "tiles")):
        made += [_language_model_bundle(random, family, pattern), _classifier_bundle(random, family, pattern)]
        made += [made_of(random, family, pattern, rank=2) for made_of in (_language_model_bundle, _classifier_bundle)]
    return made + [narrow(bundle, "int8") for bundle in made] + [narrow(bundle, "int4", "int4") for bundle in made]


def altered(files: list[bytes], random: Random) -> tuple[bytes, bool]:
    """One of the files with one alteration or more, and whether the right checksum was put on it."""
    data = files[random.integers(len(files))]
    for _ in range(min(random.geometric(0.6), 4)):
        data = ALTERATIONS[random.integers(len(ALTERATIONS))](data, files, random)
    if random.random() < 0.75:
        try:
            return bundle.sealed(data), True
        except InferenceError:  # the place for it is gone
            pass
    return data, False


def _flip_bits(data: bytes, _: list[bytes], random: Random) -> bytes:
    changed = bytearray(data)
    for place in random.integers(0, len(data), random.integers(1, 9)) if data else ():
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _flip_bits_of_tensors(data: bytes, _: list[bytes], random: Random) -> bytes:
    start = min(_data_start(data), len(data))
    return data[:start] + _flip_bits(data[start:], _, random)


def _truncate(data: bytes, _: list[bytes], random: Random) -> bytes:
    return data[: random.integers(0, len(data) + 1)]


def _append(data: bytes, _: list[bytes], random: Random) -> bytes:
    return data + random.bytes(int(random.integers(1, 64)))


def _overwrite(data: bytes, _: list[bytes], random: Random) -> bytes:
    start = int(random.integers(0, len(data) + 1))
    return data[:start] + random.bytes(int(random.integers(1, 16))) + data[start + 8 :]


def _splice_header(data: bytes, files: list[bytes], random: Random) -> bytes:
    """The header of another bundle before these tensors."""
    other = files[random.integers(len(files))]
    return other[: _data_start(other)] + data[_data_start(data) :]


def _splice_tensors(data: bytes, files: list[bytes], random: Random) -> bytes:
    """A piece of the tensors of another bundle within these."""
    other = files[random.integers(len(files))]
    piece = other[_data_start(other) :]
    start = int(random.integers(_data_start(data), len(data) + 1)) if _data_start(data) <= len(data) else len(data)
    return data[:start] + piece[: len(data) - start] + data[start + len(piece) :]


def _edit_header(data: bytes, _: list[bytes], random: Random) -> bytes:
    """Some number or text in the header or in the description is another one."""
    try:
        header = json.loads(data[8 : _data_start(data)])
        description = json.loads(header["__metadata__"]["description"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return data
    target = description if random.random() < 0.7 else header
    _edit_somewhere(target, random)
    if isinstance(header.get("__metadata__"), dict):
        header["__metadata__"]["description"] = json.dumps(description)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[_data_start(data) :]


def _edit_indices(data: bytes, _: list[bytes], random: Random) -> bytes:
    """An index of a sparse matrix, or some float, is an extreme one."""
    try:
        header = json.loads(data[8 : _data_start(data)])
        spans = [
            value["data_offsets"]
            for key, value in header.items()
            if key.endswith((".columns", ".offsets", ".counts", ".places", ".values", "_scale", ".u", ".v"))
        ]
        start, end = spans[random.integers(len(spans))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return data
    extremes = (
        b"\xff\xff",
        b"\x00\x80",
        b"\xff\xff\xff\xff",
        b"\x00\x00\xc0\x7f",
        b"\x00\x00\x80\x7f",
        b"\x01\x00",
        b"\x00\x00",
    )
    extreme = extremes[random.integers(len(extremes))]
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(data):
        return data
    at = _data_start(data) + start + 2 * int(random.integers(0, (end - start + 1) // 2))
    return data[:at] + extreme + data[at + len(extreme) :]


ALTERATIONS: tuple[Alteration, ...] = (
    _flip_bits, _truncate, _append, _overwrite, _splice_header, _splice_tensors,
    *(_edit_header,) * 4, *(_edit_indices,) * 3, *(_flip_bits_of_tensors,) * 4,
)  # fmt: skip
"""Those that get past the first checks are tried more often."""


def _data_start(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def _edit_somewhere(node: Any, random: Random) -> None:
    """Walk down to a random leaf and put something else there."""
    values: tuple[Any, ...] = (
        0, 1, -1, 2, 8, 65_536, 65_537, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 63, 10**40, 0.5, 1e308, "", "gates", "rows",
        "dense", "unstructured", "tiles", "n_of_16", "int8", "int4", "bfloat16",
        None, True, [], {}, [1] * 50, "\ud800", "x" * 5000,
    )  # fmt: skip
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[random.integers(len(keys))]
        if isinstance(node[key], dict | list) and node[key] and random.random() < 0.9:
            node = node[key]
            continue
        if isinstance(node[key], int) and random.random() < 0.5:
            node[key] += int(random.integers(-3, 4))
        elif isinstance(node, dict) and random.random() < 0.2:
            node[f"{key}2"] = node.pop(key)
        else:
            node[key] = values[random.integers(len(values))]
        return


def _lstm_bundle(
    random: Random, family: StructuredParts | None, pattern: str | None, layers: int, bidirectional: bool
) -> Bundle:
    return _bundle(random, LstmModel(lstm=_lstm(family, pattern, layers, bidirectional, inputs=4)), pattern)


def _language_model_bundle(random: Random, family: StructuredParts, pattern: str | None, rank: int | None = None) -> Bundle:
    lstm = _lstm(family, pattern, layers=2, bidirectional=False, inputs=6)
    tokens = ("\n", " ", "a", '"sha256":"', "é", "<unk>")
    model = LanguageModelDescription(lstm=lstm, level="character", tokens=tokens, embedding_rank=rank)
    return _bundle(random, model, pattern)


def _classifier_bundle(random: Random, family: StructuredParts, pattern: str | None, rank: int | None = None) -> Bundle:
    lstm = _lstm(family, pattern, layers=1, bidirectional=True, inputs=6)
    tokens = ("to", "from", "fly", "é", "<unk>")
    labels = ("flight", "fare", "meal")
    return _bundle(random, ClassifierDescription(lstm=lstm, tokens=tokens, labels=labels, embedding_rank=rank), pattern)


def _lstm(
    family: StructuredParts | None, pattern: str | None, layers: int, bidirectional: bool, inputs: int
) -> LstmDescription:
    shape: dict[str, Any] = {
        "input_size": inputs, "hidden_size": 6, "layers": layers, "bidirectional": bidirectional, "bias": bool(layers % 2),
    }  # fmt: skip
    matrices = {}
    for name, (_, columns) in LstmDescription.model_construct(**shape).shapes().items():
        sparse = SparseParts(pattern=pattern, blocks=_blocks(pattern, columns)) if pattern else None
        matrices[name] = MatrixParts(structured=family, sparse=sparse)
    return LstmDescription(**shape, matrices=matrices)


def _bundle(random: Random, model: Model, pattern: str | None) -> Bundle:
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for name, demanded in model.tensors().items():
        if demanded.kind == "F32":
            tensors[name] = random.standard_normal(demanded.shape).astype(np.float32) * np.float32(0.5)
    for name, (rows, columns) in model.lstm.shapes().items():
        if pattern:
            parts = model.lstm.matrices[name].sparse
            assert parts
            packed = _random_sparse(random, pattern, (rows, columns), parts.blocks)
            tensors |= {f"lstm.{name}.sparse.{part}": array for part, array in stored_sparse(packed, parts).items()}
    sizes = Sizes(values=1, bytes=1, multiply_adds=1, dense_values=1)
    return Bundle(Description(model=model, sizes=sizes, method="sample", origin={}), tensors)


def _blocks(pattern: str, columns: int) -> int:
    """How many a matrix of 24 rows gets: of N:M two of each group, of which there is one."""
    return 48 if PATTERNS[pattern].group else 2 if pattern == "tiles" else 3 * columns // 2


def _random_sparse(random: Random, pattern: str, shape: tuple[int, int], blocks: int) -> Sparse | Tiles:
    """A matrix with so many blocks in random places; of N:M with equally many in every row."""
    if pattern == "tiles":
        all_tiles = Tiles.pack(np.ones(shape, np.float32))
        chosen = np.sort(random.choice(len(all_tiles.columns), blocks, replace=False))
        tile_values = all_tiles.values[chosen] * random.standard_normal((blocks, 16, 4)).astype(np.float32)
        tile_offsets = np.searchsorted(all_tiles.groups()[chosen], np.arange(len(all_tiles.offsets))).astype(np.uint32)
        return Tiles(shape, tile_values, all_tiles.columns[chosen], tile_offsets)
    whole = Sparse.pack(np.ones(shape, np.float32), pattern)
    kept = np.sort(random.choice(len(whole.columns), blocks, replace=False))
    if PATTERNS[pattern].group:
        rows, columns = shape
        of_rows = [random.choice(columns, blocks // rows, replace=False) + row * columns for row in range(rows)]
        kept = np.sort(np.concatenate(of_rows))
    groups = np.bincount(whole.groups()[kept], minlength=len(whole.offsets) - 1)
    offsets = np.concatenate([[0], np.cumsum(groups)]).astype(np.uint32)
    values = whole.values[kept] * random.standard_normal((blocks, 1)).astype(np.float32)
    return Sparse(pattern, shape, values, whole.columns[kept], offsets)
