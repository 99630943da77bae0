"""The reduction to cost-sensitive training: fairlearn's ExponentiatedGradient around our own training."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from scorch.fairness.errors import FairnessError
from scorch.fairness.functional import call
from scorch.fairness.method import Run, Wholesale
from scorch.fairness.networks import Mixture

__all__ = ["ExponentiatedGradient"]


class _Oracle:
    """What fairlearn trains again and again: fit(X, y, sample_weight) and predict.

    X holds row numbers only, so that images and tables look the same to fairlearn; y is 1 for positives.
    """

    def __init__(self, run: Run, train: Any) -> None:
        self.run, self.train = run, train
        self.network: torch.nn.Module | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, for scikit-learn's clone."""
        return {"run": self.run, "train": self.train}

    def __sklearn_clone__(self) -> _Oracle:
        return _Oracle(self.run, self.train)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Oracle:
        return _Oracle(self.run, self.train)

    def fit(self, rows: Any, y: Any, sample_weight: Any) -> _Oracle:
        """Train on the given rows, labels and weights."""
        weights = torch.as_tensor(np.array(sample_weight, dtype=np.float32))
        index = torch.as_tensor(np.array(rows, dtype=np.int64)).ravel()
        ones = torch.as_tensor(np.array(y, dtype=np.int64)).ravel()
        labels = torch.where(ones == 1, self.run.positive, 1 - self.run.positive)
        # The reduction's costs sum to anything; a mean of one keeps the learning rate's meaning.
        weights = weights * (len(weights) / weights.sum().clamp(min=1e-12))
        self.network = self.train(self.run.data.x[index], labels, weights)
        return self

    def predict(self, rows: Any) -> np.ndarray[Any, Any]:
        """1 for each of the given rows that is predicted positive, 0 for the others."""
        assert self.network is not None
        index = torch.as_tensor(np.array(rows, dtype=np.int64)).ravel()
        with torch.no_grad():
            classes = call(self.network, self.run.data.x[index]).argmax(dim=1)
        found: np.ndarray[Any, Any] = (classes == self.run.positive).long().numpy()
        return found


@dataclass
class ExponentiatedGradient(Wholesale):
    """A randomised classifier under true-positive-rate parity, Agarwal et al. (2018, arXiv 1803.02453).

    Two classes only. `eps` is the difference allowed, `iterations` bounds the number of networks trained.
    """

    name: ClassVar[str] = "exponentiated_gradient"
    needs_groups: ClassVar[bool] = True
    eps: float = 0.02
    iterations: int = 10

    def fit(self, run: Run, train: Any) -> torch.nn.Module:
        """The networks' mixture."""
        from fairlearn.reductions import ExponentiatedGradient as Reduction
        from fairlearn.reductions import TruePositiveRateParity

        if run.data.classes != 2 or run.data.codes is None:
            raise FairnessError(
                "exponentiated_gradient is for two classes and sensitive features of the training data; "
                "use forml, group_dro or group_balanced otherwise"
            )
        positives = (run.data.y == run.positive).long().numpy()
        groups = np.unique(run.data.codes.numpy(), axis=0, return_inverse=True)[1].ravel()
        found = Reduction(
            _Oracle(run, train), TruePositiveRateParity(difference_bound=self.eps), max_iter=self.iterations
        )
        with warnings.catch_warnings():
            # fairlearn 0.15 uses assignments that pandas 3 deprecates, and says so hundreds of times.
            warnings.filterwarnings("ignore", module="fairlearn")
            found.fit(np.arange(len(positives))[:, None], positives, sensitive_features=groups)
        chosen = [(found.predictors_[k].network, float(w)) for k, w in found.weights_.items() if w > 0]
        return Mixture([network for network, _ in chosen], [share for _, share in chosen])
