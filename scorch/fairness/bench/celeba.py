"""CelebA face attributes, for those who have the files: list_attr_celeba.txt and img_align_celeba/."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scorch.fairness.bench.split import MissingDataError, Part, Split, partition, per_group
from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError

__all__ = ["load", "split"]


def load(
    folder: Path, *, target: str = "Blond_Hair", sensitive: str = "Male", size: int = 32, limit: int = 20_000
) -> Part:
    """The first `limit` images as (n, 3, size, size) in [0, 1], the target and the sensitive attribute as 0 and 1.

    Needs Pillow. Raises MissingDataError if the files are not there, FairnessError for an unknown attribute.
    """
    listing = folder / "list_attr_celeba.txt"
    images = folder / "img_align_celeba"
    if not listing.is_file() or not images.is_dir():
        raise MissingDataError(f"CelebA needs {listing} and {images}")
    lines = listing.read_text().splitlines()
    names = lines[1].split()
    for wanted in (target, sensitive):
        if wanted not in names:
            raise FairnessError(f"CelebA has no attribute {wanted!r}; it has {', '.join(names)}")
    rows = [line.split() for line in lines[2 : 2 + limit]]
    columns = [1 + names.index(target), 1 + names.index(sensitive)]
    flags = np.array([[int(row[column]) > 0 for column in columns] for row in rows], dtype=np.int64)
    pixels = np.stack([_image(images / row[0], size) for row in rows])
    return Part(pixels, flags[:, 0], flags[:, 1])


def split(folder: Path, seed: int, *, exemplars: int = 50, limit: int = 20_000) -> Split:
    """`exemplars` a group, a tenth for validation, three tenths for the test, which is the same for all seeds."""
    whole = load(folder, limit=limit)
    test, pool_rows = partition(whole.groups(), [0.3], np.random.default_rng(0))
    pool = whole[pool_rows]
    rng = np.random.default_rng(seed)
    shown, rest = per_group(pool.groups(), exemplars, rng)
    remaining = pool[rest]
    checked, rest = partition(remaining.groups(), [0.15], rng)
    return Split(remaining[rest], pool[shown], remaining[checked], whole[test])


def _image(path: Path, size: int) -> Table:
    from PIL import Image

    with Image.open(path) as opened:
        small = opened.convert("RGB").resize((size, size))
    return np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 255
