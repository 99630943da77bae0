"""Constants and number types of the standard, under its names."""

from __future__ import annotations

import math

import torch

__all__ = [
    "bool", "complex64", "complex128", "e", "float32", "float64", "inf", "int8", "int16", "int32", "int64", "nan",
    "newaxis", "pi", "uint8",
]  # fmt: skip

e, inf, nan, pi = math.e, math.inf, math.nan, math.pi
newaxis = None

bool = torch.bool
uint8, int8, int16, int32, int64 = torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64
float32, float64 = torch.float32, torch.float64
complex64, complex128 = torch.complex64, torch.complex128
