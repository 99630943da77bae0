"""Fully connected networks: pruned autoencoders, one with sparse input, a pruned decoder block.

Operands of the autoencoders: the input, then weights (outputs, inputs), scipy CSR where they are pruned. Operands of
the decoder: the input (tokens, width) and the share of zeros of its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from asv_benchmarks.compare.model import Contender

from .common import LAYOUTS, Operations, coo, dense, inference

__all__ = ["DENSE", "SCORCH", "SPARSE", "autoencoder_reference", "decoder_reference", "input_reference"]


# --- pruned autoencoder -----------------------------------------------------------------------------------


def autoencoder_reference(x: Any, *weights: Any) -> Any:
    for n, w in enumerate(weights):
        x = (w @ x.T).T
        x = np.maximum(x, 0) if n + 1 < len(weights) else x
    return x


def _chain(layer: Callable[[Any, Any], torch.Tensor], x: Any, weights: list[Any]) -> torch.Tensor:
    for w in weights[:-1]:
        x = torch.relu_(layer(x, w))
    return layer(x, weights[-1])


def _by_feature(x: Any, weights: list[Any]) -> torch.Tensor:
    """The whole chain on transposed activations: W @ x^T has the order that a CSR weight is fast in."""
    return _chain(lambda columns, w: w @ columns, x.t().contiguous(), weights).t()


def _sparse_autoencoder(x: Any, *weights: Any) -> Iterator[Contender]:
    for label, layout in LAYOUTS.items():

        def columns(layout: Any = layout) -> Callable[[], Any]:
            return partial(_by_feature, torch.from_numpy(x), [layout(w) for w in weights])

        def rows(layout: Any = layout) -> Callable[[], Any]:
            return partial(_chain, F.linear, torch.from_numpy(x), [layout(w) for w in weights])

        yield inference(label, columns)
        yield inference(f"{label} F.linear", rows)


def _dense_autoencoder(x: Any, *weights: Any) -> Iterator[Contender]:
    yield inference("dense", lambda: partial(_chain, F.linear, torch.from_numpy(x), [dense(w) for w in weights]))


def _scorch_autoencoder(x: Any, *weights: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        from scorch.nn import Linear, Sequential, freeze

        last = len(weights) - 1
        model = Sequential(
            *(Linear.from_weight(w, activation=None if n == last else "relu") for n, w in enumerate(weights))
        )
        return partial(freeze(model), torch.from_numpy(x))

    yield inference("scorch", build)


# --- sparse input -----------------------------------------------------------------------------------------


def input_reference(x: Any, encoder: Any, decoder: Any) -> Any:
    return 1 / (1 + np.exp(-(np.maximum(x @ encoder.T, 0) @ decoder.T)))


def _through(encode: Callable[[], torch.Tensor], decoder: torch.Tensor) -> torch.Tensor:
    return F.linear(encode().relu_(), decoder).sigmoid_()


def _sparse_input(x: Any, encoder: Any, decoder: Any) -> Iterator[Contender]:
    table = torch.from_numpy(np.ascontiguousarray(encoder.T))
    for label, layout in LAYOUTS.items():

        def build(layout: Any = layout) -> Callable[[], Any]:
            return partial(_through, partial(torch.matmul, layout(x), table), torch.from_numpy(decoder))

        yield inference(label, build)

    def as_it_is() -> Callable[[], Any]:
        return partial(
            _through, partial(torch.sparse.mm, coo(x), torch.from_numpy(encoder).T), torch.from_numpy(decoder)
        )

    yield inference("torch coo W^T", as_it_is)


def _dense_input(x: Any, encoder: Any, decoder: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        return partial(_through, partial(F.linear, dense(x), torch.from_numpy(encoder)), torch.from_numpy(decoder))

    yield inference("dense", build)


def _scorch_input(x: Any, encoder: Any, decoder: Any) -> Iterator[Contender]:
    def build() -> Callable[[], Any]:
        import scorch
        from scorch.nn.functional import embedding_bag, linear

        bag, table = scorch.tensor(x), torch.from_numpy(np.ascontiguousarray(encoder.T))
        weight = torch.from_numpy(decoder)
        return lambda: linear(embedding_bag(bag, table, activation="relu"), weight, activation="sigmoid")

    yield inference("scorch", build)


# --- decoder block ----------------------------------------------------------------------------------------


def _block(sparsity: float, of_torch: bool = True) -> nn.Module:
    """A pruned block; `of_torch` attends by torch alone, whatever Scorch's own block does."""
    from scorch.nn import prune
    from scorch.nn.models import DecoderBlock

    class OfTorch(DecoderBlock):
        def _attended(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

        def _added(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

        def _normed(self, norm: nn.RMSNorm, x: torch.Tensor) -> torch.Tensor:
            return norm(x)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    block = (OfTorch if of_torch else DecoderBlock)().eval()
    prune.magnitude(block, float(sparsity))
    prune.remove(block)
    return block


@torch.no_grad()
def decoder_reference(x: Any, sparsity: Any) -> Any:
    return _block(sparsity)(torch.from_numpy(x)[None])[0].numpy()


class _CsrLinear(nn.Module):
    """A layer that multiplies by a torch.sparse weight."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        return (self.weight @ flat.t()).t().reshape(*x.shape[:-1], -1)


def _with_layers(block: nn.Module, make: Callable[[nn.Linear], nn.Module]) -> nn.Module:
    for name, child in list(block.named_children()):
        if isinstance(child, nn.Linear):
            setattr(block, name, make(child))
    return block


def _decoder(
    label: str, x: Any, sparsity: Any, make: Callable[[nn.Linear], nn.Module], of_torch: bool = True
) -> Contender:
    def build() -> Callable[[], Any]:
        model = _with_layers(_block(sparsity, of_torch), make)
        return lambda: model(torch.from_numpy(x)[None])[0]

    return inference(label, build)


def _sparse_decoder(x: Any, sparsity: Any) -> Iterator[Contender]:
    for label, layout in LAYOUTS.items():

        def make(linear: nn.Linear, layout: Any = layout) -> nn.Module:
            from scipy import sparse

            return _CsrLinear(layout(sparse.csr_array(linear.weight.detach().numpy())))

        yield _decoder(label, x, sparsity, make)


def _dense_decoder(x: Any, sparsity: Any) -> Iterator[Contender]:
    yield _decoder("dense", x, sparsity, lambda linear: linear)


def _scorch_decoder(x: Any, sparsity: Any) -> Iterator[Contender]:
    def make(linear: nn.Linear) -> nn.Module:
        from scorch.nn import Linear, freeze

        return freeze(Linear.from_dense(linear))

    yield _decoder("scorch", x, sparsity, make, of_torch=False)


SCORCH: Operations = {"autoencoder": _scorch_autoencoder, "sparse_input": _scorch_input, "decoder": _scorch_decoder}
SPARSE: Operations = {"autoencoder": _sparse_autoencoder, "sparse_input": _sparse_input, "decoder": _sparse_decoder}
DENSE: Operations = {"autoencoder": _dense_autoencoder, "sparse_input": _dense_input, "decoder": _dense_decoder}
