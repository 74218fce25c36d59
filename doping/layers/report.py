"""What the layers of a model weigh, what was asked, and what is reached by now."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from doping.layers.compressed import CompressedLayer, compressed_layers, none_compressed
from doping.layers.kinds import check_module
from doping.matrices import Size
from doping.matrices.budget import compression_factor, dense_size


@dataclass(frozen=True)
class LayerReport:
    """A layer; its sizes are those of all its weight matrices together, without biases."""

    layer: str
    """Its name in the model."""
    kind: str
    """Its class before it was compressed."""
    method: str
    """How it is compressed; several methods with / between them."""
    size: Size
    """At this moment: values; bytes as deployed in float32, with the indices of sparse parts; multiply–adds per product of
    each matrix with a vector."""
    planned: Size
    """Once all pruning is over."""
    dense: Size
    """If it were not compressed."""
    asked: tuple[float, ...]
    """Factors that were asked for."""
    unit: str
    """What they count: values or bytes."""
    kept_dense: tuple[str, ...]
    """Its weights that were left dense."""

    @property
    def reached(self) -> float:
        """How many times smaller than dense the layer is now, in the unit of what was asked; weights left dense count."""
        return compression_factor(self.dense, self.size, "bytes" if self.unit == "bytes" else "values")

    @property
    def finished(self) -> bool:
        """Whether all is pruned that is to be."""
        return self.size.values <= self.planned.values


@dataclass(frozen=True)
class Report:
    """A row per compressed layer; ``str()`` is a table."""

    rows: tuple[LayerReport, ...]
    other_parameters: int
    """Parameters of the model that are no weights of these layers: biases, embeddings, layers that are not compressed."""

    @property
    def finished(self) -> bool:
        """Whether every layer is as small as planned."""
        return all(row.finished for row in self.rows)

    def unfinished(self) -> str:
        """The layers that are larger than planned, in one line; empty if there are none."""
        return "; ".join(
            f"{row.layer or row.kind} has {row.size.values:,} values, {row.planned.values:,} are planned"
            for row in self.rows
            if not row.finished
        )

    def __str__(self) -> str:
        head = ("layer", "kind", "method", "values", "bytes", "multiply–adds", "asked", "reached")
        lines = [
            (
                row.layer or "(the model)", row.kind, row.method, f"{row.size.values:,}", f"{row.size.bytes:,}",
                f"{row.size.multiply_adds:,}", " + ".join(f"{factor:g}x" for factor in row.asked),
                f"{row.reached:.1f}x" + ("" if row.finished else " so far"),
            )
            for row in self.rows
        ]  # fmt: skip
        widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
        aligned = ["<", "<", "<", ">", ">", ">", ">", "<"]
        table = [
            "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, aligned, widths, strict=True)).rstrip()
            for line in [head, *lines]
        ]
        table += [
            f"left dense in {row.layer or 'the model'}: {', '.join(row.kept_dense)}" for row in self.rows if row.kept_dense
        ]
        table.append(f"other parameters of the model: {self.other_parameters:,}")
        if not self.finished:
            table.append(f"not finished: {self.unfinished()}; anneal to the end of the schedule (doping.Annealer)")
        return "\n".join(table)


def report(model: nn.Module) -> Report:
    """The sizes of all compressed layers of a model at this moment; print it for a table.

    Raises:
        CompressionError: no layer of the model is compressed.

    """
    check_module(model)
    rows = tuple(_row(name, layer) for name, layer in compressed_layers(model))
    if not rows:
        raise none_compressed(model)
    counted = {
        id(parameter)
        for _, layer in compressed_layers(model)
        for parameter in [*layer.matrices.parameters(), *(layer.get_parameter(name) for name in layer.kept_dense)]
    }
    others = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in counted)
    return Report(rows, others)


def _row(name: str, layer: CompressedLayer) -> LayerReport:
    methods = layer.methods.values()
    return LayerReport(
        name,
        layer.plain_class().__name__,
        layer.method_label,
        layer.size(),
        layer.planned_size(),
        sum((dense_size(matrix.shape) for _, matrix in layer.all_matrices()), Size(0, 0, 0)),
        tuple(dict.fromkeys(method.factor for method in methods)),
        "bytes" if any(method.unit == "bytes" for method in methods) else "values",
        tuple(layer.kept_dense),
    )
