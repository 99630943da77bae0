"""The example of learned weights runs as its first lines say."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: fairness)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: fairness)")


def test_learned_weights_find_wrong_labels(typed: Callable[..., str], tmp_path: Path) -> None:
    picture = tmp_path / "weights.png"
    printed = typed("fair", "--out", picture)
    (line,) = (line for line in printed.splitlines() if line.startswith("mean weight"))
    right, wrong = (float(part.split()[-1]) for part in line.split(","))
    assert right > 3 * wrong
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("picture", ["nowhere/weights.png", "weights.txt"])
def test_a_picture_that_cannot_be_written_is_told_before_the_training(
    picture: str, ended: Callable[..., str], tmp_path: Path
) -> None:
    assert "error: --out is a .png, .pdf or .svg file in a folder that is there" in ended(
        "fair", "--out", tmp_path / picture
    )
