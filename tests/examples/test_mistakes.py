"""Every example explains itself, and answers a mistake by one line that names what is wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Ended = Callable[..., str]
EXAMPLES = ("autoencoder", "gcn", "pruned", "pyg_swap", "transformer")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_shows_commands_to_type(name: str, ended: Ended) -> None:
    text = ended(name, "--help")
    assert f"python examples/{name}.py --" in text
    assert "--data DATA" in text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("gcn --epochs 0", "argument --epochs: a whole number above 0 is needed, not '0'"),
        ("gcn --epochs -3", "argument --epochs: a whole number above 0 is needed, not '-3'"),
        ("gcn --epochs many", "argument --epochs: a whole number above 0 is needed, not 'many'"),
        ("gcn --seeds 0", "argument --seeds: a whole number above 0"),
        ("gcn --seed -1", "argument --seed: a whole number from 0 to 2**32 - 1 is needed, not '-1'"),
        ("gcn --seed 99999999999", "argument --seed: a whole number from 0"),
        ("gcn --model gin", "argument --model: invalid choice: 'gin'"),
        ("gcn --sparsity 0.5", "unrecognized arguments: --sparsity 0.5"),
        ("autoencoder --hidden 0", "argument --hidden: a whole number above 0"),
        ("autoencoder --epochs 0", "argument --epochs: a whole number above 0"),
        ("autoencoder --sparsity 1", "argument --sparsity: a share from 0 to below 1 is needed, not '1'"),
        ("autoencoder --sparsity nan", "argument --sparsity: a share from 0 to below 1 is needed, not 'nan'"),
        ("pruned --sparsity -0.5", "argument --sparsity: a share from 0 to below 1 is needed, not '-0.5'"),
        ("pruned --sparsity much", "argument --sparsity: a share from 0 to below 1 is needed, not 'much'"),
        ("pruned --epochs 0", "argument --epochs: a whole number above 0"),
        ("pruned --model decoder --data mnist", "--data is for --model mlp"),
        ("transformer --length 0", "argument --length: a whole number above 0"),
        ("transformer --samples 0", "argument --samples: a whole number above 0"),
        ("transformer --rate nan", "argument --rate: a number above 0 is needed, not 'nan'"),
        ("pyg_swap --seed x", "argument --seed: a whole number from 0"),
    ],
)
def test_wrong_values(command: str, message: str, ended: Ended) -> None:
    assert f"error: {message}" in ended(*command.split())


@pytest.mark.parametrize("name", ["autoencoder", "gcn", "pruned", "transformer"])
def test_data_that_is_not_there(name: str, ended: Ended, tmp_path: Path) -> None:
    line = ended(name, "--data", tmp_path / "nowhere")
    assert line.startswith(f"cannot read {tmp_path}")
    assert line.endswith(": No such file or directory")


@pytest.mark.parametrize("name", ["autoencoder", "pruned", "transformer"])
def test_a_file_in_place_of_a_folder(name: str, ended: Ended, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    assert ended(name, "--data", tmp_path / "notes.txt").endswith(": Not a directory")


def test_files_that_are_no_graphs(ended: Ended, tmp_path: Path) -> None:
    assert ended("gcn", "--data", tmp_path).endswith(": Is a directory")
    (tmp_path / "notes.txt").write_text("notes")
    assert ended("gcn", "--data", tmp_path / "notes.txt").endswith("notes.txt: it is no npz file")
    csr = {"indptr": np.array([0, 1, 1]), "indices": np.array([1]), "shape": np.array([2, 2])}
    graph = {f"adj_{name}": array for name, array in csr.items()}
    np.savez(tmp_path / "bare.npz", y=np.zeros(2), **graph)
    assert "it has no x_indptr, x_indices, x_shape" in ended("gcn", "--data", tmp_path / "bare.npz")
    np.savez(tmp_path / "odd.npz", y=np.zeros(3), **graph, **{f"x_{name}": array for name, array in csr.items()})
    assert ended("gcn", "--data", tmp_path / "odd.npz").endswith(
        "adj (2, 2), x (2, 2) and y (3,) are not of the same nodes"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no IDX file of bytes"),
        (b"images", "Not a gzipped file"),
        (gzip.compress(b"images", mtime=0), "it is no IDX file of bytes"),
        (gzip.compress(b"\0\0\x08", mtime=0), "index out of range"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x09two", mtime=0), "cannot reshape array"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x09two", mtime=0)[:-9], "ended before"),
    ],
)
def test_files_that_are_no_images(content: bytes, reason: str, ended: Ended, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    line = ended("pruned", "--data", tmp_path)
    assert line.startswith(f"cannot read {tmp_path / 'train-images-idx3-ubyte.gz'}: ")
    assert reason in line


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("imdb_train.jsonl.gz", b"no json", "Expecting value"),
        ("imdb_train.jsonl.gz", b'{"text": "fine"}', "label"),
        ("imdb_train.jsonl.gz", b"\xff", "can't decode"),
        ("imdb_train.jsonl.gz", b"", "it has no text with a label"),
        ("sst2_train.tsv.gz", b"sentence\tlabel\n", "it has no text with a label"),
    ],
)
def test_files_that_are_no_texts(file: str, content: bytes, reason: str, ended: Ended, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(gzip.compress(content))
    line = ended("transformer", "--data", tmp_path / "sst2" if file.startswith("sst2") else tmp_path)
    assert line.startswith(f"cannot read {tmp_path / file}: ")
    assert reason in line
