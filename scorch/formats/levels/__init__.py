"""Level types, one file each. The compiler asks a level for properties and capabilities, never for its name."""

from scorch.formats.levels.bitmap import Bitmap
from scorch.formats.levels.compressed import Compressed
from scorch.formats.levels.dense import Dense
from scorch.formats.levels.grouped import Grouped
from scorch.formats.levels.level import Arrays, Level, Nodes, index_bits
from scorch.formats.levels.singleton import Singleton
from scorch.formats.levels.strided import Adjacent, Strided

__all__ = [
    "LEVELS",
    "Adjacent",
    "Arrays",
    "Bitmap",
    "Compressed",
    "Dense",
    "Grouped",
    "Level",
    "Nodes",
    "Singleton",
    "Strided",
    "index_bits",
]

LEVELS: dict[str, type[Level]] = {level.name: level for level in (Dense, Compressed, Singleton, Bitmap)}
"""Level types by the name that a format string uses."""
