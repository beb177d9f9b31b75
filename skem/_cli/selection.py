"""Fit every candidate, and choose one by BIC."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skem import GaussianMixture
from skem.exceptions import DegenerateComponentsWarning

FIT_OPTIONS: dict[str, Any] = {"n_init": 5}


@dataclass(frozen=True)
class Candidate:
    """A fitted mixture with what it is judged by."""

    mixture: GaussianMixture
    loglik: float
    bic: float


@dataclass(frozen=True)
class Selection:
    """All candidates, the one with the lowest BIC, and how long the fits took."""

    candidates: list[Candidate]
    best: Candidate
    seconds: float


def fit(X: np.ndarray, n_components: int, shape: str, seed: int) -> Candidate:
    """Fit one candidate; what is doubtful of it is left for the report to say."""
    mixture = GaussianMixture(
        n_components, covariance_type=shape, random_state=seed, **FIT_OPTIONS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DegenerateComponentsWarning)
        mixture.fit(X)
    return Candidate(mixture, mixture.score(X) * len(X), mixture.bic(X))


def select(
    X: np.ndarray, components: Iterable[int], shapes: Sequence[str], seed: int
) -> Selection:
    """Fit each number of components with each shape; of equals, the first is best."""
    start = time.perf_counter()
    candidates = [fit(X, K, shape, seed) for K in components for shape in shapes]
    best = min(candidates, key=lambda candidate: candidate.bic)
    return Selection(candidates, best, time.perf_counter() - start)
