"""A PyTorch Geometric GCN whose propagation becomes Scorch's by one line.

pip install torch_geometric
python examples/pyg_swap.py --data cora.npz
python examples/pyg_swap.py                      a generated graph
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import options
import torch
from datasets import graph
from torch import nn

from scorch.nn.interop import use_scorch


def main() -> None:
    """Compute the same logits with both, and say how long each took."""
    parser = options.parser(__doc__)
    parser.add_argument("--data", type=Path, help="npz file of a graph; a generated one without it")
    parser.add_argument("--seed", type=options.seed, default=0, help="default: %(default)s")
    given = parser.parse_args()
    try:
        from torch_geometric.nn import GCNConv
    except ImportError:
        raise SystemExit(
            "there is no PyG model to change without torch_geometric: pip install torch_geometric"
        ) from None
    torch.manual_seed(given.seed)
    data = graph(given.data, given.seed)
    print(f"{data.name}: {len(data.y)} nodes, {data.adjacency.nnz} edges, {data.x.shape[1]} features")
    target, source = data.adjacency.coords()
    x, edge_index = data.x.to_dense(), torch.stack([source, target])

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = GCNConv(x.shape[1], 16), GCNConv(16, data.classes)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.second(self.first(x, edge_index).relu(), edge_index)
            return result

    model = Net().eval()
    theirs, seconds = timed(model, x, edge_index)
    changed = use_scorch(model)  # the one line
    ours, fewer = timed(model, x, edge_index)
    print(f"propagate through Scorch: {', '.join(changed)}")
    print(f"PyG {1e3 * seconds:.2f} ms, with Scorch {1e3 * fewer:.2f} ms")
    print(f"logits differ by {(ours - theirs).abs().max():.1e}")


@torch.no_grad()
def timed(model: nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The result and the shortest of ten calls in seconds, after one that compiles."""
    result = model(*inputs)
    seconds = []
    for _ in range(10):
        start = perf_counter()
        model(*inputs)
        seconds.append(perf_counter() - start)
    return result, min(seconds)


if __name__ == "__main__":
    main()
