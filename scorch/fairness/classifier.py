"""A scikit-learn classifier over the training methods."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from scorch.fairness.checks import check_groups
from scorch.fairness.counts import Table
from scorch.fairness.errors import FairnessError
from scorch.fairness.exemplars import Exemplars, split_off
from scorch.fairness.finetuning import prune_plan
from scorch.fairness.functional import call
from scorch.fairness.groups import Attributes, resolve
from scorch.fairness.method import Method, TrainingData
from scorch.fairness.methods import create
from scorch.fairness.networks import Standardise, mlp
from scorch.fairness.progress import bar
from scorch.fairness.sparsity import Pattern, magnitude
from scorch.fairness.training import History, Settings, train

__all__ = ["FairClassifier"]

_PREDICT_ROWS = 4096  # rows predicted at once


class FairClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A neural network trained by a method of `scorch.fairness.methods`, as a scikit-learn classifier.

    module: hidden widths of a multi-layer perceptron on standardised features; or a torch module from (n, ...)
        to logits (n, classes), which is copied; or a callable (shape of a sample, classes) -> module.
    method: a name (erm, class_balanced, group_balanced, group_dro, exemplars, dfr, l2rw, meta_gdro,
        meta_weight_net, forml, exponentiated_gradient) with `method_options`, or a method object.
    sparsity: share of weights to prune, by magnitude, after training, in `prune_steps`, each followed by training
        with the same method at a third of `lr`; `finetune_epochs` (half of `epochs` by default) after the last,
        a fifth of them after the others. None: dense.
    groups: "auto", "label", "label_attribute" or "attribute_given_positive"; the positive label is the larger
        of two unless `positive_label` names it.
    exemplar_fraction: what is split off as exemplars where `fit` gets none. train_on_exemplars: also train on them.
    epochs, batch_size, lr, optimizer, momentum, weight_decay, warmup, decay, clip, exemplar_batch: see
        `scorch.fairness.training.Settings`. dtype: of the inputs, None keeps what comes.
    checkpoint: file to save to and to go on from. verbose: a progress bar.

    After `fit`: `classes_`, `network_`, `exemplars_`, `history_` (numbers of each epoch), `sample_weights_` (the
    weights of the training rows in the last epoch, the persistent ones if there are any), `train_indices_` (which
    rows of X those are), `collapsed_`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = FairClassifier((16,), method="forml", epochs=30).fit(X, y)
    >>> clf.predict_proba(X[:2]).shape
    (2, 3)
    """

    def __init__(
        self,
        module: Any = (64,),
        method: str | Method = "forml",
        *,
        sparsity: float | None = None,
        seed: int = 0,
        prune_steps: int = 6,
        method_options: dict[str, Any] | None = None,
        groups: str = "auto",
        positive_label: Any = None,
        exemplar_fraction: float = 0.1,
        train_on_exemplars: bool = False,
        epochs: int = 20,
        batch_size: int = 128,
        lr: float = 0.003,
        optimizer: str = "adam",
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup: float = 0.05,
        decay: str = "cosine",
        clip: float | None = 1.0,
        exemplar_batch: int | None = 128,
        finetune_epochs: int | None = None,
        dtype: str | None = "float32",
        checkpoint: str | Path | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.module = module
        self.method = method
        self.sparsity = sparsity
        self.seed = seed
        self.prune_steps = prune_steps
        self.method_options = method_options
        self.groups = groups
        self.positive_label = positive_label
        self.exemplar_fraction = exemplar_fraction
        self.train_on_exemplars = train_on_exemplars
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.decay = decay
        self.clip = clip
        self.exemplar_batch = exemplar_batch
        self.finetune_epochs = finetune_epochs
        self.dtype = dtype
        self.checkpoint = checkpoint
        self.verbose = verbose

    def fit(self, X: Any, y: Any, exemplars: Any = None, sensitive_features: Any = None) -> FairClassifier:
        """Train on inputs (n, ...) and labels (n,).

        `exemplars` is (inputs, labels) or (inputs, labels, sensitive features), from outside of X; None splits
        some off. `sensitive_features` (n,) or (n, k) are those of X, which some methods need.

        Raises FairnessError (a ValueError) for what doesn't fit together, DivergenceError for a loss that is
        not finite; warns with FairnessWarning and CollapseWarning.
        """
        method = self._method()
        data, attributes = self._read(X, y, sensitive_features)
        data, shown = self._exemplars(method, data, attributes, exemplars)
        self._check(method, data, shown)
        settings = self._settings()
        self.network_ = self._build(data)
        pattern = Pattern()
        weights = torch.ones(len(data))
        epochs: list[dict[str, float]] = []
        for phase, (stage, tuned) in enumerate(self._stages(settings)):
            if stage is not None:
                pattern = magnitude(self.network_, stage)
            method = self._method()  # a method keeps state, a phase starts afresh
            self.network_, history = self._train(method, data, shown, pattern, tuned, phase)
            kept: torch.Tensor | None = getattr(method, "sample_weights", None)
            weights = history.weights if kept is None else kept
            epochs += history.epochs
            self.collapsed_ = history.collapsed
        self.network_.eval()
        self.exemplars_ = shown
        self.history_ = epochs
        self.sample_weights_ = weights.numpy()
        return self

    def predict_proba(self, X: Any) -> Table:
        """Probabilities (n, classes), columns in the order of `classes_`."""
        check_is_fitted(self, "network_")
        inputs = self._tensor(validate_data(self, X, reset=False, allow_nd=True, dtype=self._numpy_type()))
        with torch.no_grad():
            parts = [torch.softmax(call(self.network_, rows), dim=1) for rows in torch.split(inputs, _PREDICT_ROWS)]
        probabilities: Table = torch.cat(parts).numpy()[:, : len(self.classes_)]
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Table:
        """The most probable class of each sample, (n,)."""
        check_is_fitted(self, "network_")
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _method(self) -> Method:
        if isinstance(self.method, str):
            return create(self.method, **(self.method_options or {}))
        if self.method_options:
            raise FairnessError("method_options belong to a method given by its name")
        return copy.deepcopy(self.method)

    def _numpy_type(self) -> Any:
        return "numeric" if self.dtype is None else np.dtype(self.dtype)

    def _tensor(self, array: Table) -> torch.Tensor:
        return torch.as_tensor(np.array(array))  # a copy: torch wants writable memory

    def _read(self, X: Any, y: Any, sensitive: Any) -> tuple[TrainingData, Attributes | None]:
        X, y = validate_data(self, X, y, allow_nd=True, dtype=self._numpy_type())
        check_classification_targets(y)
        if isinstance(self.module, tuple | list) and X.ndim != 2:
            raise FairnessError(
                f"hidden widths make a network for tables, but X has shape {X.shape}; give a torch module for images"
            )
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise FairnessError(
                f"the training labels have one class only, {self.classes_.tolist()}; a classifier needs two"
            )
        attributes = None if sensitive is None else Attributes.encode(sensitive)
        if attributes is not None and len(attributes) != len(y):
            raise FairnessError(f"X has {len(y)} rows, sensitive_features {len(attributes)}")
        codes = None if attributes is None else attributes.codes
        data = TrainingData(self._tensor(X), torch.as_tensor(labels).long(), len(self.classes_), codes)
        self.train_indices_ = np.arange(len(data))
        return data, attributes

    def _exemplars(
        self, method: Method, data: TrainingData, attributes: Attributes | None, given: Any
    ) -> tuple[TrainingData, Exemplars | None]:
        """The data to train on and the exemplars, given or split off if the method needs any."""
        if given is not None:
            shown = self._given(given, attributes)
            rows = torch.cat([data.x, shown.x]) if self.train_on_exemplars else data.x
            if not self.train_on_exemplars:
                return data, shown
            codes = None if data.codes is None or shown.codes is None else torch.cat([data.codes, shown.codes])
            self.train_indices_ = np.concatenate([self.train_indices_, np.full(len(shown), -1)])
            return TrainingData(rows, torch.cat([data.y, shown.y]), data.classes, codes), shown
        if not method.needs_exemplars:
            return data, None
        generator = torch.Generator().manual_seed(self.seed)
        kept, held = split_off(data.y, data.codes, self.exemplar_fraction, generator)
        shown = Exemplars(data.x[held], data.y[held], None if data.codes is None else data.codes[held])
        if self.train_on_exemplars:
            return data, shown
        self.train_indices_ = kept.numpy()
        codes = None if data.codes is None else data.codes[kept]
        return TrainingData(data.x[kept], data.y[kept], data.classes, codes), shown

    def _given(self, given: Any, attributes: Attributes | None) -> Exemplars:
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise FairnessError("exemplars are a tuple (X, y) or (X, y, sensitive features)")
        X, y = validate_data(self, given[0], given[1], reset=False, allow_nd=True, dtype=self._numpy_type())
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise FairnessError(
                f"the exemplars have labels {unknown[:5].tolist()} that the training data does not have"
            )
        codes = None
        if len(given) == 3 and given[2] is not None:
            codes = Attributes.encode(given[2], like=attributes).codes
            if len(codes) != len(y):
                raise FairnessError(f"{len(y)} exemplars, but {len(codes)} rows of sensitive features")
        return Exemplars(self._tensor(X), torch.as_tensor(np.searchsorted(self.classes_, y)).long(), codes)

    def _check(self, method: Method, data: TrainingData, shown: Exemplars | None) -> None:
        """The groups must be there before training starts."""
        grouping = resolve(self.groups, self._with_attributes(data, shown))
        if shown is not None:
            if data.x.shape[1:] != shown.x.shape[1:]:
                raise FairnessError(
                    f"training samples have shape {tuple(data.x.shape[1:])}, exemplars {tuple(shown.x.shape[1:])}"
                )
            if method.needs_exemplars:
                check_groups(data, shown, method.exemplar_groups or grouping, self._positive())
        if method.needs_groups and data.codes is None and shown is not None and shown.codes is not None:
            raise FairnessError(
                f"method {method.name!r} needs sensitive_features= of the training data; forml, l2rw, dfr and "
                "exemplars get by with those of the exemplars"
            )

    def _with_attributes(self, data: TrainingData, shown: Exemplars | None) -> bool:
        return data.codes is not None or (shown is not None and shown.codes is not None)

    def _positive(self) -> int:
        if self.positive_label is None:
            return 1
        found = np.flatnonzero(self.classes_ == self.positive_label)
        if not len(found):
            raise FairnessError(f"positive_label {self.positive_label!r} is not among {self.classes_.tolist()}")
        return int(found[0])

    def _settings(self) -> Settings:
        names = ("epochs", "batch_size", "lr", "optimizer", "momentum", "weight_decay", "warmup", "decay")
        return Settings(**{name: getattr(self, name) for name in (*names, "clip", "exemplar_batch", "seed")})

    def _stages(self, settings: Settings) -> list[tuple[float | None, Settings]]:
        """Dense training, then pruning to a sparsity and fine-tuning if one is asked for."""
        if self.sparsity is None:
            return [(None, settings)]
        epochs = self.finetune_epochs if self.finetune_epochs is not None else max(1, self.epochs // 2)
        tuned = replace(settings, epochs=epochs, lr=settings.lr / 3)
        return [(None, settings), *prune_plan(self.sparsity, self.prune_steps, tuned)]

    def _build(self, data: TrainingData) -> torch.nn.Module:
        """The untrained network; the same for the same seed."""
        module = self.module
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if isinstance(module, tuple | list):
                layers = mlp(data.x.shape[1], module, data.classes)
                network: torch.nn.Module = torch.nn.Sequential(Standardise(data.x), *layers).to(data.x.dtype)
            elif isinstance(module, torch.nn.Module):
                network = copy.deepcopy(module)
            elif isinstance(module, Callable):  # type: ignore[arg-type]
                network = module(tuple(data.x.shape[1:]), data.classes)
            else:
                raise FairnessError("module is a tuple of hidden widths, a torch module, or a callable that makes one")
        return self._fitting(network, data)

    def _fitting(self, network: torch.nn.Module, data: TrainingData) -> torch.nn.Module:
        """The network, after a look at what it returns."""
        network.eval()
        with torch.no_grad():
            outputs = call(network, data.x[:2])
        if outputs.shape[0] != min(2, len(data)) or outputs.shape[1] < data.classes:
            raise FairnessError(
                f"the module gives {tuple(outputs.shape)} for 2 samples; expected (2, {data.classes}), a logit a class"
            )
        return network

    def _train(
        self,
        method: Method,
        data: TrainingData,
        shown: Exemplars | None,
        pattern: Pattern,
        settings: Settings,
        phase: int,
    ) -> tuple[torch.nn.Module, History]:
        path = None if self.checkpoint is None else Path(f"{self.checkpoint}.{phase}" if phase else self.checkpoint)
        with bar(self.verbose, f"{method.name}{', sparse' if phase else ''}") as show:
            return train(
                self.network_,
                data,
                method,
                settings,
                exemplars=shown,
                pattern=pattern,
                grouping=self.groups,
                positive=self._positive(),
                report=show,
                checkpoint=path,
            )
