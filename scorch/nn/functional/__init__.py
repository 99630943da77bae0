"""The layers' computations as functions of tensors."""

from scorch.nn.functional.epilogue import epilogue
from scorch.nn.functional.linear import linear, matmul

__all__ = ["epilogue", "linear", "matmul"]
