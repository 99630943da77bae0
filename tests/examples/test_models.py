"""The examples of models print what they promise, on generated data and on real data where it is."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
Figure = Callable[[str, str], float]
ACCURACY = r"test accuracy ([\d.]+) %"

# What torch_geometric's layer offers to `use_scorch`, where that package is not installed: messages from sources to
# targets, weighed by the degrees of both, self loops included.
GCN_CONV = """
import torch

class GCNConv(torch.nn.Module):
    aggr, flow = "add", "source_to_target"

    def __init__(self, inputs, outputs):
        super().__init__()
        self.lin = torch.nn.Linear(inputs, outputs)

    def propagate(self, edge_index, size=None, *, x, edge_weight):
        source, target = edge_index
        return torch.zeros_like(x).index_add(0, target, x[source] * edge_weight[:, None])

    def forward(self, x, edge_index):
        edges = torch.cat([edge_index, torch.arange(len(x)).expand(2, -1)], 1)
        scale = edges[1].bincount(minlength=len(x)).float().rsqrt()
        return self.propagate(edges, x=self.lin(x), edge_weight=scale[edges].prod(0))
"""


def test_gcn(typed: Run, figure: Figure) -> None:
    text = typed("gcn", "--epochs", 50, "--seed", 3)
    assert text.startswith("generated: 1000 nodes, ")
    assert "features; gcn, seed 3" in text
    assert "epoch 50: loss " in text
    assert figure(ACCURACY, text) > 55  # a quarter by chance


@pytest.mark.parametrize("model", ["sage", "gat"])
def test_other_graph_networks_and_several_seeds(model: str, printed: Run, figure: Figure) -> None:
    text = printed("gcn", "--model", model, "--epochs", 15, "--seeds", 2)
    assert "2 seeds: " in text
    assert figure(r"2 seeds: test accuracy ([\d.]+) \+- [\d.]+ %", text) > 35


def test_gcn_on_cora(printed: Run, figure: Figure, data_dir: Path) -> None:
    text = printed("gcn", "--data", _there(data_dir / "graphs" / "cora.npz"), "--epochs", 100)
    assert text.startswith("cora: 2708 nodes, 10556 edges, 1433 features; gcn, seed 0")
    assert 80 <= figure(ACCURACY, text) <= 83  # 81.5 in Kipf and Welling (2017)


def test_autoencoder_of_sparse_images(typed: Run, figure: Figure) -> None:
    text = typed("autoencoder", "--hidden", 64, "--epochs", 5)
    assert figure(r"mean squared error ([\d.]+)", text) < 0.8 * figure(r"mean image ([\d.]+)", text)


def test_autoencoder_of_pruned_weights(printed: Run, figure: Figure) -> None:
    text = printed("autoencoder", "--hidden", 16, "--epochs", 2, "--sparsity", 0.9)
    assert "epoch 2: 90.0 % zeros" in text
    assert figure(r"images differ by ([\d.e+-]+)", text) < 1e-5


def test_autoencoder_of_mnist(printed: Run, figure: Figure, data_dir: Path) -> None:
    text = printed(
        "autoencoder",
        "--data",
        _there(data_dir / "images" / "mnist"),
        "--epochs",
        3,
        "--samples",
        12000,
    )
    assert text.startswith("12000 images of 784 pixels, 19 % of them not zero")
    assert figure(r"mean squared error ([\d.]+)", text) < figure(r"mean image ([\d.]+)", text)


def test_pruned_classifier(typed: Run, figure: Figure) -> None:
    text = typed("pruned", "--epochs", 2, "--sparsity", 0.95, "--samples", 2000)
    assert "epoch 2: 95.0 % zeros" in text
    assert figure(r"sparse: test accuracy ([\d.]+) %", text) > 90
    assert figure(r"logits differ by ([\d.e+-]+)", text) < 1e-4


def test_pruned_decoder(printed: Run) -> None:
    text = printed("pruned", "--model", "decoder", "--sparsity", 0.7)
    assert "2:4: 50.0 % zeros" in text
    found = {line.split(":")[0]: line for line in text.splitlines() if "results differ by" in line}
    assert {"wanda", "blocks of 8 x 8"} <= set(found)
    assert all(float(line.split()[-1]) < 1e-4 for line in found.values())
    assert text.count("predicted ms") == 3


def test_longformer(typed: Run, figure: Figure) -> None:
    text = typed("transformer", "--model", "longformer", "--length", 16, "--samples", 32, "--epochs", 1)
    assert text.startswith("32 texts of up to 16 tokens; longformer, Union(parts=(Window(")
    assert 0 <= figure(ACCURACY, text) <= 100


def test_bigbird_reads_texts(printed: Run, figure: Figure, tmp_path: Path) -> None:
    reviews = [{"text": "I liked it!" if n % 2 else "Dull, dull, dull.", "label": n % 2} for n in range(64)]
    for part in ("train", "test"):
        lines = "\n".join(map(json.dumps, reviews))
        (tmp_path / f"imdb_{part}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    text = printed("transformer", "--data", tmp_path, "--length", 8, "--epochs", 1)
    assert text.startswith("64 texts of up to 8 tokens; bigbird, Union(parts=(Block(")
    assert figure(ACCURACY, text) == 100


def test_pyg_swap(typed: Run, figure: Figure, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch_geometric") is None:
        (tmp_path / "torch_geometric").mkdir()
        (tmp_path / "torch_geometric" / "__init__.py").touch()
        (tmp_path / "torch_geometric" / "nn.py").write_text(GCN_CONV)
    text = typed("pyg_swap")
    assert "propagate through Scorch: first, second" in text
    assert figure(r"logits differ by ([\d.e+-]+)", text) < 1e-4


@pytest.mark.skipif(importlib.util.find_spec("torch_geometric") is not None, reason="torch_geometric is installed")
def test_pyg_swap_without_pyg_says_what_to_install(ended: Run) -> None:
    assert ended("pyg_swap").endswith("pip install torch_geometric")


def _there(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the data folder has no {path.name}")
    return path
