"""What became of each layer of a converted model, and why."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Conversion", "LayerReport"]


@dataclass(frozen=True)
class LayerReport:
    """One layer: its weight, the predicted and measured times of the dense and the sparse one (ms), the decision."""

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    sparsity: float = 0.0
    converted: bool = False
    reason: str = ""
    predicted: tuple[float, float] | None = None
    measured: tuple[float, float] | None = None

    @property
    def row(self) -> tuple[str, ...]:
        """The layer as a line of the table."""
        return (
            self.name or "(model)",
            self.kind,
            " x ".join(map(str, self.shape)),
            f"{100 * self.sparsity:.1f} %",
            _times(self.predicted),
            _times(self.measured),
            "sparse" if self.converted else "dense",
            self.reason,
        )


@dataclass(frozen=True)
class Conversion:
    """The report of `convert`: a line for each layer that has a weight. As text, a table.

    >>> print(Conversion((LayerReport("fc", "Linear", (8, 4), 0.9, True, "predicted gain 2.0", (1.0, 0.5)),)))
    layer  kind    weight  zeros   predicted ms  measured ms  now     because
    fc     Linear  8 x 4   90.0 %  1 -> 0.5      -            sparse  predicted gain 2.0
    """

    layers: tuple[LayerReport, ...]

    @property
    def converted(self) -> tuple[str, ...]:
        """Names of the layers that are sparse now."""
        return tuple(layer.name for layer in self.layers if layer.converted)

    def __getitem__(self, name: str) -> LayerReport:
        """The report of a layer. KeyError if there is none of that name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def __str__(self) -> str:
        header = ("layer", "kind", "weight", "zeros", "predicted ms", "measured ms", "now", "because")
        rows = [header, *(layer.row for layer in self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def _times(pair: tuple[float, float] | None) -> str:
    return "-" if pair is None else f"{pair[0]:.3g} -> {pair[1]:.3g}"
