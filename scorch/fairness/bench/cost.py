"""What a step of FORML costs beside a plain one."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median

import torch

from scorch.fairness.exemplars import Exemplars, Sampler
from scorch.fairness.method import Batch, Method, Run, TrainingData
from scorch.fairness.methods import create
from scorch.fairness.networks import mlp, small_cnn

__all__ = ["Cost", "step_costs"]


@dataclass(frozen=True)
class Cost:
    """Median seconds of a whole step (forward, backward, optimizer); `ratio` is over the plain one."""

    network: str
    method: str
    seconds: float
    ratio: float


def step_costs(rounds: int = 30, seed: int = 0) -> list[Cost]:
    """Time plain steps and FORML's, interleaved, on an MLP and a CNN with 256 samples and 128 exemplars.

    FORML is by jvp, by jvp with the same network in a module of one's own, which takes forward mode, and by fd.
    """
    torch.manual_seed(seed)
    cases = {
        "mlp 64-256-10": (mlp(64, (256,), 10), torch.randn(256, 64)),
        "cnn 28 x 28": (small_cnn(1, 28, 28, 10), torch.randn(256, 1, 28, 28)),
    }
    found = []
    for name, (network, inputs) in cases.items():
        found += _case(name, network, inputs, torch.randint(0, 10, (256,)), rounds)
    return found


def _case(name: str, network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, rounds: int) -> list[Cost]:
    shown = Exemplars(x.flip(0), torch.arange(len(y)) % 10).grouped("label")
    sampler = Sampler(shown, 128, torch.Generator().manual_seed(0))
    run = Run(network, TrainingData(x, y, 10), shown, sampler)
    methods: dict[str, Method] = {
        "erm": create("erm"),
        "forml, jvp": create("forml"),
        "forml, jvp, any module": create("forml"),
        "forml, fd": create("forml", backend="fd"),
    }
    for label, method in methods.items():
        method.begin(replace(run, model=_Unknown(network)) if "any" in label else run)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    batch = Batch(x, y, torch.arange(len(y)), 0)
    times: dict[str, list[float]] = {label: [] for label in methods}
    for _ in range(rounds):
        for label, method in methods.items():
            times[label].append(_timed(method, batch, optimizer))
    plain = median(times["erm"])
    return [Cost(name, label, median(taken), median(taken) / plain) for label, taken in times.items()]


class _Unknown(torch.nn.Module):
    """A module whose `forward` nothing is known of."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the network gives."""
        output: torch.Tensor = self.network(x)
        return output


def _timed(method: Method, batch: Batch, optimizer: torch.optim.Optimizer) -> float:
    started = time.perf_counter()
    step = method.step(batch)
    optimizer.zero_grad()
    if step.loss is not None:
        step.loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return time.perf_counter() - started
