"""How much each training sample would help: minus the derivative of a fairness objective in its weight.

One SGD look-ahead with the weights w gives theta' = theta - lr * sum_i w_i grad l_i(theta). It is linear in w, so

    m_i = -dF/dw_i = lr * < grad l_i(theta), grad F(theta') >

is exact without a second-order graph: a directional derivative of the per-sample losses. Three ways to get it:
`jvp` (products with what the look-ahead's backward left in the layers where the caller has that, see
`scorch.fairness.products`, else forward mode), `fd` (central difference: first-order gradients only, so it goes
through any kernel that has a backward), `unroll` (differentiating through the look-ahead, the oracle of the tests).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.autograd import forward_ad

from scorch.errors import UnsupportedError
from scorch.fairness.errors import DivergenceError, FairnessError
from scorch.fairness.functional import Params

__all__ = ["BACKENDS", "Influence", "Lookahead", "influence"]


@dataclass(frozen=True)
class Influence:
    """`m` (n,): what a unit of each sample's weight takes off the objective; `objective`: F at theta'."""

    m: torch.Tensor
    objective: float


@dataclass(frozen=True)
class Lookahead:
    """The functions and numbers of one look-ahead.

    `losses(params)` gives (n,) per-sample training losses, `objective(params)` the scalar F on the exemplars,
    both for parameters by name; `weights` (n,) sum to one, or are zero for a look-ahead that stays in place.
    `masks` holds 0/1 tensors for pruned parameters, which no step moves. `gradient` is the weighted gradient
    at `params` if the caller has it already, `along` the derivative (n,) of the losses there along a direction if
    the caller has something cheaper than forward mode.
    """

    params: Params
    losses: Callable[[Params], torch.Tensor]
    objective: Callable[[Params], torch.Tensor]
    weights: torch.Tensor
    lr: float
    masks: Params = field(default_factory=dict)
    gradient: Params | None = None
    along: Callable[[Params], torch.Tensor] | None = None

    def masked(self, direction: Params) -> Params:
        """A direction in parameter space without its pruned coordinates."""
        if not self.masks:
            return direction
        return {n: d * self.masks[n] if n in self.masks else d for n, d in direction.items()}


def influence(problem: Lookahead, backend: str = "jvp") -> Influence:
    """m and F by the named back end.

    Raises FairnessError for an unknown back end, UnsupportedError if the model has no forward-mode derivative,
    DivergenceError if m is not finite.

    >>> p = {"t": torch.tensor([1.0, 2.0])}
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> work = Lookahead(p, lambda q: x @ q["t"], lambda q: q["t"].sum(), torch.zeros(2), 0.5)
    >>> influence(work, "unroll").m
    tensor([0.5000, 0.5000])
    """
    if backend not in BACKENDS:
        raise FairnessError(f"there is no back end {backend!r}; there are {', '.join(BACKENDS)}")
    found = BACKENDS[backend](problem)
    if not math.isfinite(float(found.m.sum())):
        raise DivergenceError(
            "the sample weights became NaN or infinite; lower the learning rate, clip gradients, or look for "
            "NaN and very large numbers in the data"
        )
    return found


def _jvp(problem: Lookahead) -> Influence:
    value, direction = _descent(problem)
    if problem.along is not None:
        return Influence(problem.lr * problem.along(direction), value)
    try:
        along = _directional(problem.losses, problem.params, direction)
    except (NotImplementedError, RuntimeError) as error:
        if "forward" not in str(error) and "jvp" not in str(error):
            raise
        raise UnsupportedError(
            f'a layer of the model has no forward-mode derivative ({error}); use backend="fd", which needs none'
        ) from error
    return Influence(problem.lr * along.detach(), value)


def _fd(problem: Lookahead) -> Influence:
    value, direction = _descent(problem)
    size = _norm(direction)
    if size == 0:
        return Influence(torch.zeros_like(problem.weights), value)
    # The cube root of the machine epsilon balances truncation (h^2) against rounding (eps / h).
    epsilon = torch.finfo(problem.weights.dtype).eps ** (1 / 3)
    h = epsilon * max(1.0, _norm(problem.params) / max(1, len(problem.params)) ** 0.5) / size
    with torch.no_grad():
        ahead = problem.losses({n: p + h * direction[n] for n, p in problem.params.items()})
        behind = problem.losses({n: p - h * direction[n] for n, p in problem.params.items()})
    return Influence(problem.lr * (ahead - behind) / (2 * h), value)


def _unroll(problem: Lookahead) -> Influence:
    params = {n: p.detach().requires_grad_() for n, p in problem.params.items()}
    weights = problem.weights.detach().clone().requires_grad_()
    total = (weights * problem.losses(params)).sum()
    slopes = torch.autograd.grad(total, list(params.values()), create_graph=True, materialize_grads=True)
    step = problem.masked(dict(zip(params, slopes, strict=True)))
    value = problem.objective({n: p - problem.lr * step[n] for n, p in params.items()})
    (slope,) = torch.autograd.grad(value, weights, materialize_grads=True)
    return Influence(-slope, float(value.detach()))


def _directional(losses: Callable[[Params], torch.Tensor], at: Params, direction: Params) -> torch.Tensor:
    """The derivative of the losses along a direction; torch.func.jvp does the same at twice the overhead."""
    with forward_ad.dual_level():
        dual = {n: forward_ad.make_dual(p, direction[n]) for n, p in at.items()}  # type: ignore[no-untyped-call]
        values = losses(dual)
        tangent: torch.Tensor | None = forward_ad.unpack_dual(values).tangent  # type: ignore[no-untyped-call]
    return torch.zeros_like(values) if tangent is None else tangent


BACKENDS: dict[str, Callable[[Lookahead], Influence]] = {"jvp": _jvp, "fd": _fd, "unroll": _unroll}


def _descent(problem: Lookahead) -> tuple[float, Params]:
    """F at the look-ahead and its gradient there."""
    ahead = problem.params
    if bool(problem.weights.any()):
        step = problem.gradient or _gradient(lambda q: (problem.weights * problem.losses(q)).sum(), ahead)[1]
        step = problem.masked(step)
        ahead = {n: torch.add(p, step[n], alpha=-problem.lr) for n, p in ahead.items()}
    value, slope = _gradient(problem.objective, ahead)
    return value, problem.masked(slope)


def _gradient(function: Callable[[Params], torch.Tensor], at: Params) -> tuple[float, Params]:
    live = {n: p.detach().requires_grad_() for n, p in at.items()}
    value = function(live)
    slopes = torch.autograd.grad(value, list(live.values()), materialize_grads=True)
    return float(value.detach()), dict(zip(live, slopes, strict=True))


def _norm(params: Params) -> float:
    return float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p) for p in params.values()])))
