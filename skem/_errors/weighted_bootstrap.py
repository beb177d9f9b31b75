"""Standard errors from refits to randomly weighted samples."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_random_state

from skem._inputs.array_api import numpy_of
from skem.core.gaussian.covariance import SHAPES

REFIT_TOL = 1e-3
"""Nats that a refit may leave: a few hundredths of a standard error."""


def weighted_bootstrap(
    mixture: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    labels: Any,
    groups: np.ndarray | None,
    n_boot: int,
    random_state: int | np.random.RandomState | None,
    n_jobs: int | None,
) -> tuple[np.ndarray, ...]:
    """Return standard deviations of weights, means and covariances over refits.

    And after these those of degrees of freedom, of t components.

    Each goes on from the mixture's parameters, so that components keep their numbers,
    and gives each row a random weight of mean and variance v: an exponential variable
    for a row of weight one, and for v rows in one their sum, a gamma variable. Rows of
    one of the `groups` have an exponential variable in common, times v.
    """
    template = clone(mixture).set_params(
        n_components=np.shape(mixture.means_)[0],
        tol=min(mixture.tol, REFIT_TOL),
        warm_start=True,
        verbose=0,
    )
    seeds = check_random_state(random_state).randint(
        np.iinfo(np.int32).max, size=n_boot
    )
    found = Parallel(n_jobs=n_jobs)(
        delayed(_replicate)(template, mixture, X, weight, labels, groups, int(seed))
        for seed in seeds
    )
    weights, means, covariances, *others = (
        np.std(values, axis=0, ddof=1) for values in zip(*found, strict=True)
    )
    # Without data a component stays where it is, and that tells nothing.
    empty = numpy_of(mixture.weights_) == 0
    means[empty] = np.inf
    if not SHAPES[mixture.covariance_type].shared:
        covariances[empty] = np.inf
    return weights, means, covariances, *others


def _replicate(
    template: Any,
    mixture: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    labels: Any,
    groups: np.ndarray | None,
    seed: int,
) -> tuple[np.ndarray, ...]:
    """Return the parameters of one refit."""
    shape, rng = (
        np.ones(len(X)) if weight is None else weight,
        np.random.RandomState(seed),
    )
    if groups is None:
        drawn = rng.standard_gamma(shape)
    else:
        drawn = shape * rng.standard_exponential(groups.max() + 1)[groups]
    replicate = clone(template).set_params(random_state=seed)
    replicate._set_parameters(mixture._parameters(), numpy_of(mixture.covariances_))
    with warnings.catch_warnings():
        # Of the fit itself they have told already.
        warnings.simplefilter("ignore")
        known = {} if labels is None else {"labels": labels}
        replicate.fit(X, sample_weight=drawn, **known)
    names = ("weights_", "means_", "covariances_", "df_")
    found = [getattr(replicate, name) for name in names if hasattr(replicate, name)]
    return tuple(np.asarray(values, dtype=float) for values in found)
