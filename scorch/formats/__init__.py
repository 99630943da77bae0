"""Formats: level types, the named formats, and the validated arrays of a tensor."""

from scorch.formats.format import Format
from scorch.formats.levels import Bitmap, Compressed, Dense, Level, Singleton
from scorch.formats.named import bitmap, bsc, bsr, coo, csc, csf, csr, dcsc, dcsr, dense, resolve
from scorch.formats.storage import Pattern, Storage

__all__ = [
    "Bitmap",
    "Compressed",
    "Dense",
    "Format",
    "Level",
    "Pattern",
    "Singleton",
    "Storage",
    "bitmap",
    "bsc",
    "bsr",
    "coo",
    "csc",
    "csf",
    "csr",
    "dcsc",
    "dcsr",
    "dense",
    "resolve",
]
