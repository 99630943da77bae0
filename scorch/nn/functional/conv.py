"""Convolution with a sparse weight, as a sparse product with the patches of the input."""

from __future__ import annotations

import torch
from torch.nn import functional as F

import scorch
from scorch.errors import ShapeError
from scorch.nn.device import check_cpu
from scorch.nn.functional.epilogue import Activation, epilogue

__all__ = ["Pair", "conv2d", "output_size", "patches"]

Pair = tuple[int, int]


def conv2d(
    input: torch.Tensor,
    weight: scorch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    kernel_size: Pair = (1, 1),
    activation: Activation = None,
) -> torch.Tensor:
    """activation(conv2d(input, weight) + bias): (batch, channels, height, width) as torch.nn.functional.conv2d.

    The sparse `weight` is the matrix (out_channels, in_channels * kernel height * kernel width); groups are the
    entries that it does not store. A kernel of one place reads the input where it is; larger ones copy each place as
    often as the kernel covers it. Integers become numbers of the weight's type. Raises ShapeError if the channels do
    not fit, or an image is smaller than the kernel.

    >>> weight = scorch.tensor(torch.ones(1, 4), "csr")
    >>> conv2d(torch.ones(1, 1, 2, 3), weight, kernel_size=(2, 2))
    tensor([[[[4., 4.]]]])
    """
    places, shape = kernel_size[0] * kernel_size[1], tuple(getattr(input, "shape", ()))
    if len(shape) != 4 or shape[1] * places != weight.shape[1]:
        given = shape if hasattr(input, "shape") else f"a {type(input).__name__}"
        raise ShapeError(
            f"the weight takes {weight.shape[1] // places} channels of (batch, channels, height, width), the input is "
            f"{given}"
        )
    check_cpu(input, bias)
    input = input if isinstance(input, torch.Tensor) else scorch.tensor(input).to_dense()
    if not (input.is_floating_point() or input.is_complex()):
        input = input.to(weight.dtype)
    size = output_size(input, stride, padding, dilation, kernel_size)
    if min(size) < 1:
        raise ShapeError(
            f"a kernel of {kernel_size} with dilation {dilation} is larger than images {shape[2:]} padded by {padding}"
        )
    product = scorch.einsum("ok,nkl->nol", weight, patches(input, stride, padding, dilation, kernel_size))
    assert isinstance(product, torch.Tensor)  # n, o and l are dense
    images = product.reshape(*product.shape[:2], *size)
    return epilogue(images, None if bias is None else bias[:, None, None], activation)


def patches(input: torch.Tensor, stride: Pair, padding: Pair, dilation: Pair, kernel_size: Pair) -> torch.Tensor:
    """What the kernel covers at each place: (batch, channels * kernel places, output places).

    >>> patches(torch.ones(1, 2, 4, 4), (1, 1), (0, 0), (1, 1), (3, 3)).shape
    torch.Size([1, 18, 4])
    """
    if kernel_size == (1, 1) and padding == (0, 0):
        return input[:, :, :: stride[0], :: stride[1]].flatten(2)
    return F.unfold(input, kernel_size, dilation, padding, stride)


def output_size(input: torch.Tensor, stride: Pair, padding: Pair, dilation: Pair, kernel_size: Pair) -> Pair:
    """Height and width of the result.

    >>> output_size(torch.ones(1, 1, 5, 5), (2, 2), (1, 1), (1, 1), (3, 3))
    (3, 3)
    """
    height, width = (
        (input.shape[d + 2] + 2 * padding[d] - dilation[d] * (kernel_size[d] - 1) - 1) // stride[d] + 1 for d in (0, 1)
    )
    return height, width
