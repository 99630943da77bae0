"""Conv2d: a convolution with a sparse weight."""

from __future__ import annotations

import torch
from torch import nn

import scorch
from scorch.errors import ShapeError, UnsupportedError
from scorch.nn import functional
from scorch.nn.functional.conv import Pair
from scorch.nn.functional.epilogue import Activation, check_activation
from scorch.nn.weight import SparseWeight, random_weight

__all__ = ["Conv2d", "padding_of"]


class Conv2d(nn.Module):
    """A convolution whose weight, (out_channels, in_channels * kernel places), is sparse; groups are absent entries.

    A new layer begins with a random pattern; `from_dense` keeps what is not zero in a torch.nn.Conv2d.

    >>> layer = Conv2d(3, 8, 3, padding=1, sparsity=0.8, activation="relu")
    >>> layer(torch.ones(2, 3, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        bias: bool = True,
        *,
        sparsity: float = 0.9,
        activation: Activation = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        if min(*self.kernel_size, *self.stride, *self.dilation) < 1:
            raise ShapeError("kernel_size, stride and dilation are 1 at least")
        check_activation(activation)
        self.activation = activation
        inputs = in_channels * self.kernel_size[0] * self.kernel_size[1]
        matrix = random_weight((out_channels, inputs), sparsity, generator=generator)
        self.weight = SparseWeight(matrix, (out_channels, in_channels, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    @classmethod
    def from_dense(cls, layer: nn.Conv2d, activation: Activation = None) -> Conv2d:
        """A torch.nn.Conv2d with its zeros left out. UnsupportedError for a padding that is not by zeros.

        >>> Conv2d.from_dense(nn.Conv2d(4, 4, 1, groups=2)).weight().nnz
        8
        """
        if not isinstance(layer, nn.Conv2d):
            raise UnsupportedError(f"Conv2d.from_dense takes a torch.nn.Conv2d, not a {type(layer).__name__}")
        check_activation(activation)
        if layer.padding_mode != "zeros":
            raise UnsupportedError(f"a sparse convolution pads with zeros, not by {layer.padding_mode!r}")
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.kernel_size, made.stride = _pair(layer.kernel_size), _pair(layer.stride)
        made.dilation = _pair(layer.dilation)
        made.padding = padding_of(layer)
        made.activation = activation
        shape = (layer.out_channels, layer.in_channels, *made.kernel_size)
        made.weight = SparseWeight(scorch.tensor(_ungrouped(layer), "csr"), shape)
        made.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        return made

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width), or without a batch, to the same with out_channels."""
        is_single = len(getattr(input, "shape", ())) == 3
        result = functional.conv2d(
            input[None] if is_single else input,
            self.weight(),
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.kernel_size,
            self.activation,
        )
        return result[0] if is_single else result

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def padding_of(layer: nn.Conv2d) -> Pair:
    """The padding of torch's layer in numbers; UnsupportedError for a "same" that would be uneven.

    >>> padding_of(nn.Conv2d(1, 1, 3, padding="same"))
    (1, 1)
    """
    if not isinstance(layer.padding, str):
        return _pair(layer.padding)
    if layer.padding == "valid":
        return 0, 0
    spread = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    if any(each % 2 for each in spread):
        raise UnsupportedError(f"padding='same' is uneven for a kernel of {layer.kernel_size}; pad the input before it")
    return spread[0] // 2, spread[1] // 2


def _ungrouped(layer: nn.Conv2d) -> torch.Tensor:
    """The weight as a matrix over all input channels, zero between groups."""
    weight = layer.weight.detach().flatten(1)
    blocks = weight.reshape(layer.groups, layer.out_channels // layer.groups, -1)
    return torch.block_diag(*blocks)  # type: ignore[no-untyped-call,no-any-return]
