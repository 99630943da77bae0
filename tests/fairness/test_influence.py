"""The three back ends give the same influences, in float64 to rounding."""

from typing import Any

import pytest
import torch
from torch import nn

from scorch.errors import UnsupportedError
from scorch.fairness import FORML
from scorch.fairness.objectives import OBJECTIVES, SURROGATES


def problem(*extra: nn.Module, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Any, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 12), nn.Tanh(), *extra, nn.Linear(12, 3)).to(dtype)
    batch = torch.randn(20, 5, dtype=dtype), torch.randint(0, 3, (20,))
    exemplars = torch.randn(18, 5, dtype=dtype), torch.arange(18) % 3, torch.arange(18) % 2
    return model, batch, exemplars


def influence(model: nn.Module, batch: Any, exemplars: Any, backend: str, **options: Any) -> torch.Tensor:
    torch.manual_seed(7)
    return FORML(model, backend=backend, **options).weigh(batch, exemplars, live=False).influence


def assert_equal_back_ends(model: nn.Module, batch: Any, exemplars: Any, **options: Any) -> None:
    oracle = influence(model, batch, exemplars, "unroll", **options)
    size = float(oracle.abs().max())
    assert size > 0
    for backend, tolerance in (("jvp", 1e-13), ("fd", 1e-8)):
        found = influence(model, batch, exemplars, backend, **options)
        assert float((found - oracle).abs().max()) < tolerance * size, backend


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_and_surrogates(objective: str, surrogate: str) -> None:
    assert_equal_back_ends(*problem(), objective=objective, surrogate=surrogate)


@pytest.mark.parametrize("start", ["uniform", "zero"])
def test_where_the_look_ahead_starts(start: str) -> None:
    assert_equal_back_ends(*problem(), start=start)


def test_dropout_and_batch_normalisation_in_training() -> None:
    assert_equal_back_ends(*problem(nn.BatchNorm1d(12), nn.Dropout(0.4)))


def test_pruned_coordinates_do_not_count() -> None:
    model, batch, exemplars = problem()
    mask = (torch.rand(12, 5) < 0.3).double()
    assert_equal_back_ends(model, batch, exemplars, masks={"0.weight": mask})
    dense = influence(model, batch, exemplars, "jvp")
    assert not torch.allclose(dense, influence(model, batch, exemplars, "jvp", masks={"0.weight": mask}))


def test_frozen_parameters_stay_out_of_it() -> None:
    model, batch, exemplars = problem()
    model[0].weight.requires_grad_(False)
    assert_equal_back_ends(model, batch, exemplars)


def test_weights_of_the_look_ahead_matter() -> None:
    model, batch, exemplars = problem()
    start = torch.zeros(20, dtype=torch.float64)
    start[:5] = 0.2
    for backend, tolerance in (("jvp", 1e-12), ("fd", 1e-7)):
        found = FORML(model, backend=backend).influence(batch, exemplars, start).m
        oracle = FORML(model, backend="unroll").influence(batch, exemplars, start).m
        assert torch.allclose(found, oracle, rtol=tolerance, atol=tolerance * float(oracle.abs().max()))


def test_the_influence_is_the_derivative_of_the_objective() -> None:
    model, batch, exemplars = problem()
    forml = FORML(model, objective="mean", lr=0.3)
    start = torch.full((20,), 0.05, dtype=torch.float64)
    found = forml.influence(batch, exemplars, start)
    step = torch.zeros_like(start)
    step[3] = 1e-5
    ahead = forml.influence(batch, exemplars, start + step).objective
    behind = forml.influence(batch, exemplars, start - step).objective
    assert float(found.m[3]) == pytest.approx(-(ahead - behind) / 2e-5, rel=1e-6)


def test_single_precision_agrees_to_its_own_rounding() -> None:
    model, batch, exemplars = problem(dtype=torch.float32)
    oracle = influence(model, batch, exemplars, "unroll")
    for backend in ("jvp", "fd"):
        found = influence(model, batch, exemplars, backend)
        assert float((found - oracle).abs().max() / oracle.abs().max()) < 1e-3


class Scale(torch.autograd.Function):
    """A kernel with a backward and nothing else, as a compiled one may be."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> torch.Tensor:
        return 2 * slope


class Kernel(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Scale.apply(x)


def test_fd_goes_through_a_kernel_without_forward_mode_and_jvp_says_so() -> None:
    model, batch, exemplars = problem(Kernel())
    with pytest.raises(UnsupportedError, match='use backend="fd"'):
        influence(model, batch, exemplars, "jvp")
    found = influence(model, batch, exemplars, "fd")

    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    oracle = influence(*problem(Twice()), "unroll")
    assert torch.allclose(found, oracle, atol=1e-8 * float(oracle.abs().max()), rtol=0)
