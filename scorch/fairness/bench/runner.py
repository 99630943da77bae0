"""The whole benchmark: tune on validation, then test the chosen settings once on every seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from scorch.fairness.bench import experiment, sparsity
from scorch.fairness.bench.datasets import DATASETS, load
from scorch.fairness.bench.journal import Journal
from scorch.fairness.bench.spaces import candidates, score
from scorch.fairness.bench.split import MissingDataError
from scorch.fairness.methods import METHODS

__all__ = ["Plan", "available", "chosen", "execute", "rows", "tuned"]

_TUNING_SEEDS = 1000  # tuning seeds start here, so that none of them is a test seed


@dataclass(frozen=True)
class Plan:
    """What to run: data sets and methods by name, numbers of seeds and settings, where files are."""

    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int = 10
    budget: int = 6
    tuning_seeds: int = 1
    quick: bool = False
    data: Path | None = None
    celeba: Path | None = None
    workers: int = 2
    sparsity: bool = True

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every data set with every method that applies to it."""
        for dataset in self.datasets:
            for method in self.methods:
                if method == "exponentiated_gradient" and DATASETS[dataset].kind == "image":
                    continue  # fairlearn's reduction is for two classes
                yield dataset, method

    def tuning(self, dataset: str, method: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each candidate setting with its jobs."""
        found = []
        for options in candidates(method, self.budget, DATASETS[dataset].kind):
            jobs = [
                self._job(dataset, method, options, _TUNING_SEEDS + number, "validation")
                for number in range(self.tuning_seeds)
            ]
            found.append((options, jobs))
        return found

    def testing(self, dataset: str, method: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        """The jobs that touch the test part."""
        return [self._job(dataset, method, options, seed, "test") for seed in range(self.seeds)]

    def _job(self, dataset: str, method: str, options: dict[str, Any], seed: int, part: str) -> dict[str, Any]:
        return {
            "dataset": dataset,
            "method": method,
            "options": options,
            "seed": seed,
            "part": part,
            "quick": self.quick,
        }


def available(plan: Plan) -> tuple[tuple[str, ...], dict[str, str]]:
    """The data sets whose files are there, and for each other one why it is left out."""
    there, missing = [], {}
    for name in plan.datasets:
        try:
            load(name, 0, True, plan.data, plan.celeba)
        except MissingDataError as error:
            missing[name] = str(error)
        else:
            there.append(name)
    return tuple(there), missing


def execute(plan: Plan, journal: Journal, advance: Callable[[str], None]) -> None:
    """Run what the journal does not have yet; `advance` is called with a line before each run's result is kept."""
    for dataset in plan.datasets:  # one after the other, so that an interrupted run has whole tables
        pairs = [pair for pair in plan.pairs() if pair[0] == dataset]
        _run_all(plan, journal, (job for pair in pairs for _, jobs in plan.tuning(*pair) for job in jobs), advance)
        tests = (job for pair in pairs for job in plan.testing(*pair, chosen(plan, journal, *pair)))
        _run_all(plan, journal, tests, advance)
    if plan.sparsity:
        _run_all(plan, journal, _sparse_jobs(plan, journal), advance)


def tuned(plan: Plan, journal: Journal) -> list[tuple[str, str]]:
    """The pairs (data set, method) whose settings have all been tried."""
    return [pair for pair in plan.pairs() if all(job in journal for _, jobs in plan.tuning(*pair) for job in jobs)]


def chosen(plan: Plan, journal: Journal, dataset: str, method: str) -> dict[str, Any]:
    """The setting with the best mean score on the validation part; the earlier one of two equal ones."""
    means = []
    for options, jobs in plan.tuning(dataset, method):
        means.append((sum(score(journal[job]) for job in jobs) / len(jobs), options))
    return max(means, key=lambda pair: pair[0])[1]


def rows(plan: Plan, journal: Journal) -> list[dict[str, Any]]:
    """Every test result that is there, with its job's fields."""
    found = []
    for dataset, method in tuned(plan, journal):
        for job in plan.testing(dataset, method, chosen(plan, journal, dataset, method)):
            if job in journal:
                found.append({**job, **journal[job]})
    return found


def sparse_rows(plan: Plan, journal: Journal) -> list[dict[str, Any]]:
    """Every result of the sparsity part, one a sparsity."""
    jobs = _sparse_jobs(plan, journal) if plan.sparsity else []
    return [{**job, **row} for job in jobs if job in journal for row in journal[job]["rows"]]


def total(plan: Plan) -> int:
    """How many runs the plan has."""
    pairs = list(plan.pairs())
    tuning = sum(len(jobs) for pair in pairs for _, jobs in plan.tuning(*pair))
    sparse = plan.seeds * len(sparsity.METHODS_COMPARED) if _has_sparse(plan) else 0
    return tuning + plan.seeds * len(pairs) + sparse


def _has_sparse(plan: Plan) -> bool:
    return plan.sparsity and sparsity.DATASET in plan.datasets


def _sparse_jobs(plan: Plan, journal: Journal) -> list[dict[str, Any]]:
    if not _has_sparse(plan):
        return []
    found, known = [], tuned(plan, journal)
    for method in sparsity.METHODS_COMPARED:
        pair = (sparsity.DATASET, method)
        options = chosen(plan, journal, *pair) if pair in known else candidates(method, 1, "image")[0]
        found += [sparsity.job(method, options, seed, plan.quick) for seed in range(plan.seeds)]
    return found


def _run_all(plan: Plan, journal: Journal, jobs: Iterable[dict[str, Any]], advance: Callable[[str], None]) -> None:
    left = [job for job in jobs if job not in journal]
    for job, result in _results(plan, left):
        advance(f"{job['dataset']}, {job['method']}, {job['part']}, seed {job['seed']}")
        journal.add(job, result)


def _results(plan: Plan, jobs: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    if plan.workers <= 1 or len(jobs) < 2:
        for job in jobs:
            yield job, _work(job, plan.data, plan.celeba)
        return
    # Spawned, because a fork of a process in which torch has started its threads may hang.
    pool = ProcessPoolExecutor(plan.workers, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        waiting = {pool.submit(_work, job, plan.data, plan.celeba): job for job in jobs}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _work(job: dict[str, Any], data: Path | None, celeba: Path | None) -> dict[str, Any]:
    if job["part"] == "sparsity":
        return sparsity.run(job, data)
    return experiment.run(job, data, celeba)


def known_methods() -> tuple[str, ...]:
    """All methods, in the order of the tables."""
    return tuple(METHODS)
