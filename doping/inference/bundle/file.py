"""The file of a compressed model: one safetensors file, its description and checksum in the header.

``docs/inference.md`` has the format byte by byte. Everything is checked before it is used, in this order: length and header,
format and version, checksum over every byte, description, names, types and shapes of the tensors, and the values themselves
(``doping.inference.bundle.weights``). So neither damage nor malice makes the kernels read beyond an array.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from doping.errors import InferenceError
from doping.files import replacing
from doping.inference.bundle.description import Description
from doping.inference.families.narrow import from_pairs, in_pairs
from doping.inference.families.stored import TensorKind, TensorShape

FORMAT = "lstm-doping bundle"
VERSION = 5
"""The newest that this runtime reads. Raised when an older runtime could not read the file, or would compute something else
from it; a file that an older one can read keeps the older version."""

NUMBERS: dict[TensorKind, npt.DTypeLike] = {
    "F32": "<f4", "BF16": "<f4", "I8": "<i1", "I4": "<i1", "U8": "<u1", "U16": "<u2", "U32": "<u4",
}  # fmt: skip
"""In memory: bfloat16 is float32 there, and what has 4 bits has 8."""

Tensors = Mapping[str, npt.NDArray[Any]]

_FIRST_FAMILIES = ("dense", "low_rank", "hybrid", "kronecker")
_BLANK = "0" * 64
_NEWER = "it was written by a newer version of this project; update, or export the model again"
_DAMAGED = "the file is damaged; copy or export it again"


@dataclass(frozen=True)
class Bundle:
    """A model on disk or on its way there.

    Attributes:
        description: what it is.
        tensors: its numbers by name, exactly those that the description demands.

    """

    description: Description
    tensors: Tensors


def to_bytes(bundle: Bundle) -> bytes:
    """The file of a bundle; equal bundles give equal bytes."""
    demanded = bundle.description.model.tensors()
    assert set(demanded) == set(bundle.tensors), set(demanded) ^ set(bundle.tensors)
    arrays = {name: np.ascontiguousarray(bundle.tensors[name], NUMBERS[shape.kind]) for name, shape in demanded.items()}
    assert all(arrays[name].shape == shape.shape for name, shape in demanded.items())
    laid_out = save({name: _packed(array, demanded[name].kind) for name, array in arrays.items()})
    length = int.from_bytes(laid_out[:8], "little")
    metadata = {
        "format": FORMAT,
        "version": str(version_of(bundle.description)),
        "sha256": _BLANK,
        "description": bundle.description.model_dump_json(),
    }
    # The package writes metadata in random order; here they come first and in this order.
    entries = json.loads(laid_out[8 : 8 + length])
    for name, shape in demanded.items():
        if shape.kind == "BF16":  # which NumPy does not know
            entries[name]["dtype"] = "BF16"
    header = json.dumps({"__metadata__": metadata} | entries, separators=(",", ":"))
    padded = header.encode() + b" " * (-len(header.encode()) % 8)
    return sealed(len(padded).to_bytes(8, "little") + padded + laid_out[8 + length :])


def version_of(description: Description) -> int:
    """The first version that can hold such a model: 2 has narrow values, and classifiers; 3 has tiles; 4 has scales of 16
    bits, values of 4, and N:M; 5 has families of matrices beyond the first ones, and embeddings of low rank.
    """
    matrices = description.model.lstm.matrices.values()
    low_rank = description.model.kind != "lstm" and description.model.embedding_rank
    if low_rank or any(parts.structured and parts.structured.kind not in _FIRST_FAMILIES for parts in matrices):
        return 5
    kinds = {tensor.kind for tensor in description.model.tensors().values()}
    if kinds & {"BF16", "I4", "U8"}:
        return 4
    if any(parts.sparse and parts.sparse.pattern == "tiles" for parts in matrices):
        return 3
    return 2 if "I8" in kinds or description.model.kind == "classifier" else 1


def write(bundle: Bundle, path: Path) -> None:
    """Write a bundle whole, or leave what was there.

    Raises:
        InferenceError: if the file cannot be written.

    """
    try:
        with replacing(path) as draft:
            draft.write_bytes(to_bytes(bundle))
    except OSError as error:
        raise InferenceError(f"cannot write {path}: {error.strerror}; give another path") from error


def read(path: Path) -> Bundle:
    """Read a bundle and check all of it but the values.

    Raises:
        InferenceError: the file cannot be read, is no bundle, is too new, or is damaged.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InferenceError(
            f"cannot read {path}: {error.strerror}; expected a bundle, the file that export writes"
        ) from error
    try:
        return from_bytes(data)
    except InferenceError as error:
        raise InferenceError(f"{path}: {error}") from error


def from_bytes(data: bytes) -> Bundle:
    """The bundle of a file's content.

    Raises:
        InferenceError: as :func:`read`.

    """
    metadata = _metadata(data)
    if metadata.get("format") != FORMAT:
        raise InferenceError("a safetensors file, but no bundle of this project; expected the file that export writes")
    version = metadata.get("version", "")
    if version not in map(str, range(1, VERSION + 1)):
        newer = version.isdecimal() and len(version) < 10 and int(version) > VERSION
        raise InferenceError(
            f"format version {_shown(version)!r}, but this runtime reads 1 to {VERSION}; {_NEWER if newer else _DAMAGED}"
        )
    if metadata.get("sha256") != checksum(data):
        raise InferenceError(f"the checksum does not match what is in the file; {_DAMAGED}")
    description = _description(metadata)
    if version != str(version_of(description)):
        raise InferenceError(f"format version {version} does not fit the model that is described; {_DAMAGED}")
    return Bundle(description, _tensors(data, description))


def checksum(data: bytes) -> str:
    """SHA-256 in hex of a file's content, the 64 digits of the checksum itself taken as zeros."""
    start = _digits(data)
    return hashlib.sha256(data[:start] + _BLANK.encode() + data[start + 64 :]).hexdigest()


def sealed(data: bytes) -> bytes:
    """The same content with the right checksum in it."""
    start = _digits(data)
    return data[:start] + checksum(data).encode() + data[start + 64 :]


def _digits(data: bytes) -> int:
    """Where the digits of the checksum start: behind the first ``"sha256":"``, which no text within JSON can contain."""
    mark = b'"sha256":"'
    at = data.find(mark, 8, 8 + int.from_bytes(data[:8], "little"))
    if at < 0:
        raise InferenceError(f"the header has no checksum; {_DAMAGED}")
    return at + len(mark)


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or data[8:9] != b"{":
        raise InferenceError("no safetensors file; expected a bundle, the file that export writes")
    if 8 + length > len(data):
        raise InferenceError(f"the header has {length:,} bytes, but only {len(data) - 8:,} are there; {_DAMAGED}")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = header["__metadata__"]
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("metadata that are no strings")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InferenceError("the header is no safetensors header with metadata; expected a bundle") from None
    return dict(metadata)


def _description(metadata: dict[str, str]) -> Description:
    try:
        description = Description.model_validate_json(metadata.get("description", ""))
        description.model.tensors()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InferenceError(f"the description is not valid, {_shown(place)}: {_shown(first['msg'])}; {_DAMAGED}") from None
    except ValueError as error:
        raise InferenceError(f"the description is not valid: {_shown(str(error))}; {_DAMAGED}") from None
    return description


def _tensors(data: bytes, description: Description) -> Tensors:
    try:
        found = dict(deserialize(data))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise InferenceError(f"the tensors are not laid out as the header says ({_shown(str(error))}); {_DAMAGED}") from None
    demanded = description.model.tensors()
    for name in [name for name in found if name.endswith(".gates")]:  # once said twice, here and in the description
        del found[name]
    if found.keys() != demanded.keys():
        name = min(found.keys() ^ demanded.keys())
        problem = "is there, but not described" if name in found else "is missing"
        raise InferenceError(f"the tensor {_shown(name)!r} {problem}; {_DAMAGED}")
    return {name: _array(name, found[name], shape) for name, shape in demanded.items()}


def _shown(text: str) -> str:
    """Text of a file as messages show it: plain characters in one line, and not too many."""
    return ascii(text)[1:-1][:120]


def _array(name: str, found: Mapping[str, Any], demanded: TensorShape) -> npt.NDArray[Any]:
    kind, shape = found["dtype"], tuple(found["shape"])
    expected = ("U8", (demanded.bytes,)) if demanded.kind == "I4" else (demanded.kind, demanded.shape)
    if (kind, shape) != expected:
        raise InferenceError(
            f"the tensor {name!r} has type {kind} and shape {shape}, described as {expected[0]} {expected[1]}; {_DAMAGED}"
        )
    if demanded.kind == "BF16":
        short = np.frombuffer(found["data"], "<u2")
        return (short.astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if demanded.kind == "I4":
        return _unpacked(name, np.frombuffer(found["data"], np.uint8), demanded.shape)
    return np.frombuffer(found["data"], NUMBERS[demanded.kind]).reshape(shape)


def _packed(array: npt.NDArray[Any], kind: TensorKind) -> npt.NDArray[Any]:
    """As it lies in a file: of a bfloat16 the upper half of the float32, of 4 bits two numbers in a byte, the first one in
    its lower half.
    """
    if kind == "BF16":
        pieces = array.view("<u4")
        assert not (pieces & 0xFFFF).any(), "a scale is no bfloat16"
        return (pieces >> 16).astype("<u2")
    if kind != "I4":
        return array
    return in_pairs(array)


def _unpacked(name: str, packed: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    try:
        return from_pairs(packed, shape)
    except ValueError as error:
        raise InferenceError(f"the tensor {name!r} {error}; {_DAMAGED}") from error
