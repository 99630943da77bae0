"""The list of matrices by name. Nothing is read or generated before `load`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from . import files, generate

__all__ = ["Matrix", "data_folder", "load", "matrices", "tensors"]

# The parts of one model's layer, and the pruning methods: a few patterns a sparsity, small and large.
_WEIGHT_PARTS = ("encoder_layer_0_ffn_conv1", "self_attention", "group3_5_1", "group4_1_1")
_WEIGHT_METHODS = ("magnitude_pruning", "variational_dropout")
_QUICK_FILES = ("bcsstk16", "lp_dfl001", "cora")


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix or tensor to measure. `kind`: generated, mask, pruned; from a file (`real`): matrix, graph, weight,
    tensor."""

    name: str
    kind: str
    make: Callable[[], Any]

    @property
    def real(self) -> bool:
        return self.kind in {"matrix", "graph", "weight", "tensor"}


@lru_cache(maxsize=2)
def load(matrix: Matrix) -> Any:
    """The matrix as a scipy CSR array (a tensor as COO), float32. The last two are kept."""
    return matrix.make()


def data_folder(given: str | Path | None = None) -> Path | None:
    """The folder of real data: the one given, else the environment variable SCORCH_DATA, else None.

    Raises FileNotFoundError when it is named but is not there.
    """
    name = given or os.environ.get("SCORCH_DATA")
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"the data folder {folder} is not there")
    return folder


def matrices(data: Path | None, quick: bool = False) -> tuple[Matrix, ...]:
    """Every matrix: the generated ones and, when `data` is a folder, the real ones.

    >>> [m.name for m in matrices(None, quick=True)][:2]
    ['uniform-1000-1e-2', 'powerlaw-2k']
    """
    generated = _quick_generated() if quick else _generated()
    return (*generated, *(_files(data, quick) if data is not None else ()))


def tensors(data: Path | None, quick: bool = False) -> tuple[Matrix, ...]:
    """Tensors of order three and more: a generated one and, when `data` is a folder, the real ones.

    >>> [t.name for t in tensors(None, quick=True)]
    ['uniform-60x50x40']
    """
    if quick:
        return (Matrix("uniform-60x50x40", "generated", partial(generate.tensor, (60, 50, 40), 4_000)),)
    paths = sorted(data.glob("tensors/*.tns*")) if data is not None else ()
    return (
        Matrix("uniform-2000x1000x500", "generated", partial(generate.tensor, (2_000, 1_000, 500), 1_000_000)),
        *(Matrix(files.stem(path), "tensor", partial(files.tensor, path)) for path in paths),
    )


def _quick_generated() -> tuple[Matrix, ...]:
    return (
        Matrix("uniform-1000-1e-2", "generated", partial(generate.uniform, 1000, 1000, 1e-2)),
        Matrix("powerlaw-2k", "generated", partial(generate.power_law, 2000, 20_000)),
        Matrix("pruned-256x128-90", "pruned", partial(generate.pruned, 256, 128, 0.9)),
        Matrix("window-256-w16", "mask", partial(generate.window, 256, 16)),
    )


def _generated() -> tuple[Matrix, ...]:
    # The sizes of the published comparisons, so that rows can be laid beside one another.
    sparsities = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
    return (
        Matrix("uniform-20000-1e-3", "generated", partial(generate.uniform, 20_000, 20_000, 1e-3)),
        Matrix("uniform-10000-1e-3", "generated", partial(generate.uniform, 10_000, 10_000, 1e-3)),
        Matrix("powerlaw-50k", "generated", partial(generate.power_law, 50_000, 1_000_000)),
        # Flatter, so that even its square is of a sensible size.
        Matrix("powerlaw-20k", "generated", partial(generate.power_law, 20_000, 200_000, 0.7)),
        *(
            Matrix(f"pruned-2048x1024-{round(100 * s)}", "pruned", partial(generate.pruned, 2048, 1024, s))
            for s in sparsities
        ),
        *(Matrix(f"window-{n}-w64", "mask", partial(generate.window, n, 64)) for n in (1024, 4096)),
    )


def _files(data: Path, quick: bool) -> Iterator[Matrix]:
    paths = (*sorted(data.glob("matrices/*.mtx*")), *sorted(data.glob("matrices/*.npz")))
    graphs = sorted(data.glob("graphs/*.npz"))
    found = [Matrix(files.stem(path), "matrix", partial(files.matrix, path)) for path in paths]
    found += [Matrix(files.stem(path), "graph", partial(files.graph, path)) for path in graphs]
    if quick:
        yield from (matrix for matrix in found if matrix.name in _QUICK_FILES)
        return
    yield from found
    yield from _weights(data)


def _weights(data: Path) -> Iterator[Matrix]:
    for path in sorted(data.glob("weights/dlmc_*.npz")):
        for name in files.weight_names(path):
            model, method, sparsity, layer = name.split("/")
            if method in _WEIGHT_METHODS and any(part in layer for part in _WEIGHT_PARTS):
                short = _layer(layer)
                kind = method.split("_")[0]
                yield Matrix(f"{model}-{kind}-{sparsity}-{short}", "weight", partial(files.weight, path, name))


def _layer(layer: str) -> str:
    """A layer's name without the words that every layer has."""
    for word in ("body_", "bottleneck_", "_fully_connected", "_multihead_attention", "block_"):
        layer = layer.replace(word, "")
    return layer.replace("encoder_layer_0_", "")
