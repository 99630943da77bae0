"""The example of learned weights runs as its first lines say."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: fairness)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: fairness)")

EXAMPLE = Path(__file__).parents[2] / "examples" / "fair.py"


def test_learned_weights_find_wrong_labels(tmp_path: Path) -> None:
    picture = tmp_path / "weights.png"
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), "--out", str(picture)], capture_output=True, text=True, check=True
    )
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("mean weight"))
    right, wrong = (float(part.split()[-1]) for part in line.split(","))
    assert right > 3 * wrong
    assert picture.read_bytes().startswith(b"\x89PNG")
