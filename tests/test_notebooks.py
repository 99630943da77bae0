"""The notebooks run from top to bottom, without a download."""

import os
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra: notebooks)")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra: notebooks)")
pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra: notebooks)")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _read(path):
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_without_outputs(path):
    code = [cell for cell in _read(path).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.compiled
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    # A cache of its own: the notebook traces the files in it. No proxy leads out, so a download would fail.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    root = str(FOLDER.parent)
    environment = {**os.environ, **nowhere, "SCORCH_CACHE_DIR": str(tmp_path), "PYTHONPATH": root}
    client = nbclient.NotebookClient(_read(path), timeout=120, kernel_name="python3")
    client.execute(env=environment, cwd=str(tmp_path))
