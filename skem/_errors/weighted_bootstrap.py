"""Standard errors from refits to randomly weighted samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_random_state

from skem._inputs.array_api import numpy_of
from skem.core.gaussian.covariance import SHAPES

REFIT_TOL = 1e-3
"""Nats that a refit may leave: a few hundredths of a standard error."""
BOOTSTRAP_NEEDS_ROWS = (
    "The bootstrap needs the rows in an array, and X is a Dask collection. Take "
    "another method."
)

Refit = Callable[[np.ndarray, int], tuple[np.ndarray, ...]]
"""Makes parameters of weights of the rows, and a seed."""


def weighted_bootstrap(
    refit: Refit,
    weight: np.ndarray,
    groups: np.ndarray | None,
    n_boot: int,
    random_state: int | np.random.RandomState | None,
    n_jobs: int | None,
) -> tuple[np.ndarray, ...]:
    """Return standard deviations of parameters over refits.

    Each gives a row a random weight of mean and variance v: an exponential variable for
    a row of weight one, and for v rows in one their sum, a gamma variable. Rows of one
    of the `groups` have an exponential variable in common, times v.
    """
    seeds = check_random_state(random_state).randint(
        np.iinfo(np.int32).max, size=n_boot
    )
    found = Parallel(n_jobs=n_jobs)(
        delayed(_replicate)(refit, weight, groups, int(seed)) for seed in seeds
    )
    return tuple(np.std(values, axis=0, ddof=1) for values in zip(*found, strict=True))


def _replicate(
    refit: Refit, weight: np.ndarray, groups: np.ndarray | None, seed: int
) -> tuple[np.ndarray, ...]:
    """Return the parameters of one refit."""
    rng = np.random.RandomState(seed)
    if groups is None:
        drawn = rng.standard_gamma(weight)
    else:
        drawn = weight * rng.standard_exponential(groups.max() + 1)[groups]
    with warnings.catch_warnings():
        # Of the fit itself they have told already.
        warnings.simplefilter("ignore")
        return refit(drawn, seed)


@dataclass(frozen=True)
class MixtureRefit:
    """Fits of a mixture to other weights, from where it is.

    So that components keep their numbers.
    """

    mixture: Any
    X: np.ndarray
    labels: Any

    def __call__(self, weight: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
        """Return weights, means, covariances, and degrees of freedom if there are."""
        mixture = self.mixture
        again = clone(mixture).set_params(
            n_components=np.shape(mixture.means_)[0],
            tol=min(mixture.tol, REFIT_TOL),
            warm_start=True,
            verbose=0,
            random_state=seed,
        )
        again._set_parameters(mixture._parameters(), numpy_of(mixture.covariances_))
        known = {} if self.labels is None else {"labels": self.labels}
        again.fit(self.X, sample_weight=weight, **known)
        names = ("weights_", "means_", "covariances_", "df_")
        found = [getattr(again, name) for name in names if hasattr(again, name)]
        return tuple(np.asarray(values, dtype=float) for values in found)

    def known(self, errors: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Make those infinite of components without data, which stay where they are."""
        weights, means, covariances, *others = errors
        empty = numpy_of(self.mixture.weights_) == 0
        means[empty] = np.inf
        if not SHAPES[self.mixture.covariance_type].shared:
            covariances[empty] = np.inf
        return weights, means, covariances, *others
