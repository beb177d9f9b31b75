"""Test by simulation whether more components are real."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from skem._blocks import array_blocks, to_be_fitted
from skem._selection import Problem, candidates
from skem._table_lrt import simulated_ratios
from skem._text import count
from skem._validation import (
    N_JOBS,
    Data,
    check_data,
    check_n_samples,
    check_sample_weight,
)
from skem.gaussian_mixture import GaussianMixture
from skem.mixture_model import MixtureModel

FRESH = 4
"""Fresh starts of each fit if the estimator leaves their number open."""


MOST_ROWS = 10**8
"""Rows of a simulated data set: more weight than that is not on the scale of rows."""


class BootstrapLRT(NamedTuple):  # numpydoc ignore=PR01
    """Result of `bootstrap_lrt`, a named tuple.

    Attributes
    ----------
    statistic : float
        2(ℓ₁ − ℓ₀) of the data, in nats, at least 0.

    p_value : float
        (1 + number of simulated statistics that reach it) / (n_boot + 1).

    bootstrap_statistics : ndarray of shape (n_boot,)
        The statistics of data simulated from k0 components.

    See Also
    --------
    bootstrap_lrt : Function that returns it.

    Examples
    --------
    >>> from skem import GaussianMixture, bootstrap_lrt
    >>> from skem.datasets import load_acidity
    >>> X = load_acidity().data
    >>> test = bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=9, random_state=0)
    >>> print(test)
    Likelihood ratio statistic 82.3, p = 0.1 (9 simulations)
    >>> bool(test.statistic > test.bootstrap_statistics.max())
    True
    """

    statistic: float
    p_value: float
    bootstrap_statistics: np.ndarray

    def __str__(self) -> str:
        n_boot = len(self.bootstrap_statistics)
        return (
            f"Likelihood ratio statistic {self.statistic:.1f}, "
            f"p = {self.p_value:.3g} ({count(n_boot, 'simulation')})"
        )


@validate_params(
    {
        "estimator": [GaussianMixture, MixtureModel],
        "X": ["array-like"],
        "k0": [Interval(Integral, 1, None, closed="left")],
        "k1": [Interval(Integral, 1, None, closed="left")],
        "n_boot": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def bootstrap_lrt(
    estimator: GaussianMixture | MixtureModel,
    X: ArrayLike,
    k0: int,
    k1: int,
    n_boot: int = 99,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    sample_weight: ArrayLike | None = None,
) -> BootstrapLRT:
    """Test k0 against k1 components by a parametric bootstrap.

    The likelihood ratio statistic of nested mixtures has no χ² distribution, as the
    parameters of a component that is not there cannot be identified. So its
    distribution is simulated from the mixture of k0 components that fits the data
    (McLachlan 1987 [1]_).

    Parameters
    ----------
    estimator : GaussianMixture or MixtureModel
        Whose parameters every fit has, but for the number of components, the start,
        and `n_init`, which counts fresh starts beside the splits and mergers of the
        other mixture's components; 4 if it is 'auto'. It is not changed.

    X : array-like of shape (n_samples, n_features)
        Data. NaN is a missing value. A table, for a `MixtureModel`.

    k0 : int
        Number of components under the null hypothesis.

    k1 : int
        Number of components under the alternative, larger than `k0`.

    n_boot : int, default=99
        Number of data sets that are simulated and fitted; the smallest p-value that
        can result is 1 / (n_boot + 1).

    n_jobs : int or None, default=None
        The number of simulations at a time, in processes of joblib.

    random_state : int, RandomState instance or None, default=None
        Seed. Pass an int for reproducible results, which do not depend on `n_jobs`.

    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. The simulated data sets have as many rows as these
        weights sum up to, rounded.

    Returns
    -------
    result : BootstrapLRT
        A named tuple of `statistic`, `p_value` and `bootstrap_statistics`, which prints
        as one line.

    Raises
    ------
    ValueError
        If `k1` is not larger than `k0`, X has fewer rows than `k1`, the weights sum up
        to more than 1e8, or a mixture cannot be fitted under the estimator's
        `reg_covar`.

    Notes
    -----
    The log-likelihoods are those of the fitted mixtures, whose covariances are
    regularized as the estimator says; a ratio that this makes negative counts as 0,
    in the data as in the simulations. Where values are missing, the simulated data
    lack those that the rows of the data lack.

    References
    ----------
    .. [1] G. J. McLachlan (1987). On bootstrapping the likelihood ratio test statistic
       for the number of components in a normal mixture. Applied Statistics 36(3),
       318-324.

    Examples
    --------
    >>> from skem import GaussianMixture, bootstrap_lrt
    >>> from skem.datasets import load_acidity
    >>> X = load_acidity().data
    >>> test = bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=19, random_state=0)
    >>> round(test.p_value, 2)
    0.05
    """
    for name, value in (("k0", k0), ("k1", k1)):
        if isinstance(value, bool):
            raise ValueError(f"{name} must be a number of components; got {value}.")
    if k1 <= k0:
        raise ValueError(f"k1 must be larger than k0; got k0 = {k0}, k1 = {k1}.")
    template = clone(estimator)
    template._validate_params()
    if isinstance(template, MixtureModel):
        statistic, statistics = simulated_ratios(
            template, X, (k0, k1), n_boot, n_jobs, random_state, sample_weight
        )
        return _result(statistic, statistics)
    data = check_data(template, X, reset=True)
    weight = check_sample_weight(sample_weight, data.X)
    with array_blocks(data, weight) as blocks:
        blocks = to_be_fitted(template, blocks)
        check_n_samples(blocks.n_observed, k1)
        weight = blocks.weight
    n_rows = len(data.X)
    if weight is not None:
        total = float(weight.sum(dtype=float))
        if total > MOST_ROWS:
            raise ValueError(
                f"Sample weights add up to {total:.3g}, and so many rows would have to "
                f"be simulated. Scale them to add up to {MOST_ROWS:.0e} at most, such "
                f"as the {count(n_rows, 'row')} that there are."
            )
        n_rows = max(k1, 2, round(total))
    seeds = check_random_state(random_state).randint(
        np.iinfo(np.int32).max, size=n_boot + 1
    )
    gaps = _gaps(data.X, weight, n_rows) if data.incomplete else None
    null, statistic = _fit(template, data, weight, (k0, k1), int(seeds[0]))
    with Parallel(n_jobs=n_jobs) as parallel:
        simulated = parallel(
            delayed(_simulate)(template, null, n_rows, (k0, k1), int(seed), gaps)
            for seed in seeds[1:]
        )
    return _result(statistic, np.array(simulated))


def _result(statistic: float, statistics: np.ndarray) -> BootstrapLRT:
    reached = int(np.count_nonzero(statistics >= statistic))
    p_value = (1 + reached) / (len(statistics) + 1)
    return BootstrapLRT(statistic, p_value, statistics)


def _gaps(X: np.ndarray, weight: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Return what so many rows lack: those of the data, as often as they weigh."""
    missing = np.isnan(X)
    if weight is None:
        return missing
    cumulated = np.cumsum(weight, dtype=float)
    places = (np.arange(n_rows) + 0.5) / n_rows * cumulated[-1]
    gaps = missing[np.searchsorted(cumulated, places)]
    # A feature that has a value in a row of little weight keeps one.
    gaps[0] &= ~gaps.all(axis=0)
    return gaps


def _fit(
    template: GaussianMixture,
    data: Data,
    weight: np.ndarray | None,
    components: tuple[int, int],
    seed: int,
) -> tuple[GaussianMixture, float]:
    """Return the smaller mixture, and the likelihood ratio statistic."""
    names = ("tol", "reg_covar", "max_iter", "init_params", "algorithm")
    options: dict[str, Any] = {name: getattr(template, name) for name in names}
    n_init = FRESH if isinstance(template.n_init, str) else template.n_init
    opened = partial(array_blocks, data, weight)
    problem = Problem(opened, components, n_init, "bic", np.inf, seed, options)
    null, alternative = candidates(problem, [template.covariance_type], n_jobs=1)
    for candidate in (null, alternative):
        if candidate.mixture is None:
            raise ValueError(candidate.warning)
    assert null.mixture is not None
    ratio = 2 * (alternative.log_likelihood - null.log_likelihood)
    return null.mixture, max(0.0, ratio)


def _simulate(
    template: GaussianMixture,
    null: GaussianMixture,
    n_rows: int,
    components: tuple[int, int],
    seed: int,
    gaps: np.ndarray | None,
) -> float:
    """Return the statistic of data drawn from the smaller mixture, with such gaps."""
    X, _ = null.sample(n_rows, random_state=seed)
    if gaps is not None:
        X[gaps] = np.nan
    _, statistic = _fit(template, Data(X, gaps is not None), None, components, seed)
    return statistic
