"""Whole models: graph networks, pruned layers and autoencoders, transformers with sparse attention, a decoder block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from asv_benchmarks.compare import timing
from asv_benchmarks.compare.model import Case, CaseResult, Family, Options
from asv_benchmarks.compare.ratios import beside, geometric_mean, reach
from asv_benchmarks.compare.tasks import attention, connected, graphs
from asv_benchmarks.inputs import files, generate

from .operands import dense

__all__ = ["FAMILY"]

_HIDDEN, _CLASSES = 16, 16
_FEATURES = 128  # of graphs that come without


def _cases(options: Options) -> Iterator[Case]:
    yield from _graph_cases(options)
    yield from _connected_cases(options)
    yield from _attention_cases(options)


def _case(matrix: str, variant: str, operation: str, load: Any, reference: Any, real: bool = False) -> Case:
    return Case("end-to-end", matrix, variant, operation, load, reference, real, by_largest=True)


# --- graphs -----------------------------------------------------------------------------------------------


def _graph_cases(options: Options) -> Iterator[Case]:
    for name, make, real in _graphs(options):
        yield _case(name, "GCN", "gcn", partial(_gcn, make), graphs.gcn_reference, real)
        yield _case(name, "GraphSAGE", "sage", partial(_sage, make), graphs.sage_reference, real)
        yield _case(name, "GAT", "gat", partial(_gat, make), graphs.gat_reference, real)
        yield _case(name, "GCN training step", "gcn_step", partial(_gcn, make), graphs.gcn_step_reference, real)


def _graphs(options: Options) -> Iterator[tuple[str, Callable[[], tuple[Any, Any]], bool]]:
    size = (2_000, 20_000) if options.quick else (50_000, 1_000_000)
    yield f"powerlaw-{size[0] // 1000}k", partial(_generated, *size), False
    for path in sorted(options.data.glob("graphs/*.npz")) if options.data else ():
        if not options.quick or path.stem == "cora":
            yield files.stem(path), partial(_archive, path), True


def _generated(nodes: int, edges: int) -> tuple[Any, Any]:
    return generate.power_law(nodes, edges), dense(nodes, _FEATURES)


def _archive(path: Path) -> tuple[Any, Any]:
    a = files.graph(path)
    with np.load(path, allow_pickle=False) as archive:
        if "x_data" not in archive:
            return a, dense(a.shape[0], _FEATURES)
        arrays = (archive["x_data"].astype(np.float32), archive["x_indices"].astype(np.int32))
        pos, shape = archive["x_indptr"].astype(np.int32), tuple(map(int, archive["x_shape"]))
    x = sparse.csr_array((*arrays, pos), shape=shape)
    x.sort_indices()
    return a, x


def _looped(a: Any) -> Any:
    """The pattern with self-loops, of ones."""
    looped = sparse.csr_array(a + sparse.eye_array(a.shape[0], dtype=np.float32, format="csr"))
    looped.sort_indices()
    looped.data[:] = 1
    return looped


def _scaled(a: Any, left: float, right: float) -> Any:
    """D^left A D^right, where D has the sums of the rows."""
    degrees = np.maximum(a.sum(axis=1), 1).astype(np.float32)
    scaled = sparse.csr_array(sparse.diags_array(degrees**left) @ a @ sparse.diags_array(degrees**right))
    scaled.sort_indices()
    return scaled.astype(np.float32)


def _gcn(make: Callable[[], tuple[Any, Any]]) -> tuple[Any, ...]:
    a, x = make()
    return _scaled(_looped(a), -0.5, -0.5), x, dense(x.shape[1], _HIDDEN), dense(_HIDDEN, _CLASSES, seed=2)


def _sage(make: Callable[[], tuple[Any, Any]]) -> tuple[Any, ...]:
    a, x = make()
    first = [dense(x.shape[1], _HIDDEN, seed=seed) for seed in (1, 2)]
    return _scaled(a, -1.0, 0.0), x, *first, *(dense(_HIDDEN, _CLASSES, seed=seed) for seed in (3, 4))


def _gat(make: Callable[[], tuple[Any, Any]]) -> tuple[Any, ...]:
    a, x = make()
    width = graphs.HEADS * 8
    first = (_initial(x.shape[1], width), _initial(graphs.HEADS, 8, seed=2), _initial(graphs.HEADS, 8, seed=3))
    return (
        _looped(a),
        x,
        *first,
        _initial(width, _CLASSES),
        _initial(1, _CLASSES, seed=2),
        _initial(1, _CLASSES, seed=3),
    )


def _initial(rows: int, cols: int, seed: int = 1) -> Any:
    """A weight of the size that layers begin with: scores far apart would let rounding decide what is attended to."""
    return dense(rows, cols, seed=seed) / np.sqrt(np.float32(rows))


# --- fully connected --------------------------------------------------------------------------------------


def _connected_cases(options: Options) -> Iterator[Case]:
    yield from _pruned_cases("linear", (64, 96) if options.quick else (1024, 2048), (50, 90, 95, 99), options)
    shapes = ((64, 48, 32),) if options.quick else ((784, 2048, 1024), (784, 1024, 512), (784, 4096, 2048))
    for widths in shapes:
        yield from _pruned_cases("autoencoder", widths, (90, 95, 99), options)
    yield from _pruned_cases("autoencoder", shapes[0], (90, 95, 99), options, batch=1)
    load = partial(_sparse_input, 100 if options.quick else 1000)
    yield _case("sparse-input-autoencoder", "784-256-784", "sparse_input", load, connected.input_reference)
    for sparsity in (50, 70, 90):
        load = partial(_decoder, sparsity / 100, 8 if options.quick else 128)
        yield _case("576-1536", f"decoder {sparsity} %", "decoder", load, connected.decoder_reference)


def _pruned_cases(
    kind: str, widths: tuple[int, ...], sparsities: tuple[int, ...], options: Options, batch: int | None = None
) -> Iterator[Case]:
    """One layer (`linear`), or an autoencoder of the widths there and back."""
    name = "-".join(map(str, widths))
    path = widths if kind == "linear" else (*widths, *reversed(widths[:-1]))
    for sparsity in sparsities:
        load = partial(_pruned, path, sparsity / 100, batch or (32 if options.quick else 256))
        variant = f"{kind} {sparsity} %{f', batch {batch}' if batch else ''}"
        yield _case(name, variant, "autoencoder", load, connected.autoencoder_reference)


def _pruned(path: tuple[int, ...], sparsity: float, batch: int) -> tuple[Any, ...]:
    weights = [generate.pruned(outputs, inputs, sparsity, seed=n) for n, (inputs, outputs) in enumerate(pairwise(path))]
    for weight in weights:  # half of the terms negative, and of a size that keeps activations in range
        weight.data = (weight.data - 1) / np.sqrt(np.float32(max(1, weight.nnz / weight.shape[0])))
    return dense(batch, path[0]), *weights


def _sparse_input(samples: int) -> tuple[Any, ...]:
    return generate.uniform(samples, 784, 0.21), dense(256, 784), dense(784, 256, seed=2)


def _decoder(sparsity: float, tokens: int) -> tuple[Any, ...]:
    return dense(tokens, 576), np.float64(sparsity)


# --- attention --------------------------------------------------------------------------------------------


def _attention_cases(options: Options) -> Iterator[Case]:
    for name, heads, depth in (("longformer", 8, 32), ("bigbird", 4, 32)):
        for length in (256,) if options.quick else (512, 1024, 4096):
            alone = partial(_attention, name, length, heads, depth)
            yield _case(f"{name}-{length}", "attention", "attention", alone, attention.attention_reference)
            whole = partial(_transformer, name, length)
            yield _case(f"{name}-{length}", "model", "transformer", whole, attention.model_reference)


def _mask(name: str, length: int) -> Any:
    return attention.network(name, length).layers[0].attention.mask(length).to_scipy()  # type: ignore[index,union-attr,operator]


def _attention(name: str, length: int, heads: int, depth: int) -> tuple[Any, ...]:
    q, k, v = (dense(heads, length, depth, seed=seed) for seed in (1, 2, 3))
    return q, k, v, _mask(name, length)


def _transformer(name: str, length: int) -> tuple[Any, ...]:
    tokens = np.random.default_rng(0).integers(1, attention.VOCABULARY, (1, length))
    return tokens, _mask(name, length), np.str_(name)


def _measure(case: Case, options: Options) -> CaseResult:
    """As any other case, with the ratios to those that make none (dense torch, DeepSparse) as notes, and how far ahead
    the products alone would be."""
    result = timing.measure(case, options)
    result.notes.extend(f"{value:.2f} x {label}" for label, value in beside(result).items())
    if (most := reach(result)) is not None:
        result.notes.append(f"products alone {most:.2f}")
    return result


def _closing(results: Sequence[CaseResult]) -> str:
    """The means of the ratios that stand in the notes."""
    found: dict[str, list[float]] = {}
    for result in results:
        for label, value in beside(result).items():
            found.setdefault(label, []).append(value)
    means = [
        f"{geometric_mean(v):.2f} x {label} in {len(v)} cases, {min(v):.2f} at worst" for label, v in found.items()
    ]
    words = [f"Beside, geometric means: {'; '.join(means)}."] if means else []
    alone: dict[str, list[float]] = {}
    for result in results:
        if (most := reach(result)) is not None:
            alone.setdefault(result.variant, []).append(most)
    if alone:
        bounds = [f"{variant} {geometric_mean(values):.2f}" for variant, values in alone.items()]
        words.append(f"If all took no longer than their products alone: {', '.join(bounds)}.")
    return " ".join(words)


FAMILY = Family(
    "end-to-end",
    "Whole models, float32: inference, and a training step of GCN",
    "ms",
    _cases,
    _measure,
    about="torch.sparse takes part in every formulation: layouts, features sparse or dense, activations by sample or "
    "by feature, attention by head or gathered. The results agree to 1e-4 of the largest logit. Notes: how many "
    "times as long dense torch takes, and DeepSparse where it takes part; below 1, it is ahead. *Products alone*: "
    "the ratio that there would be if all that stands between a model's products took no time.",
    closing=_closing,
)
