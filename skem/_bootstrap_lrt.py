"""Test by simulation whether more components are real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple, cast

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from skem._blocks import array_blocks, to_be_fitted
from skem._fitting import explained_failure
from skem._text import count
from skem._validation import (
    N_JOBS,
    Data,
    check_data,
    check_n_samples,
    check_sample_weight,
)
from skem.core.accelerate import ACCELERATORS
from skem.core.blocks import Blocks
from skem.core.climb import Trial, climb
from skem.core.divide import divided
from skem.core.em import EMMap
from skem.core.expectation import total_statistics
from skem.core.parameters import Parameters
from skem.core.path import follow
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.search import TRIAL, affordable, height
from skem.core.solve import Solution
from skem.gaussian_mixture import GaussianMixture

DIVISIONS = 15
"""Ways to cut a component in two that are tried, at most."""
MOST_ROWS = 10**8
"""Rows of a simulated data set: more weight than that is not on the scale of rows."""
COMMON: dict = {
    "estimator": [GaussianMixture],
    "X": ["array-like"],
    "n_boot": [Interval(Integral, 1, None, closed="left")],
    "n_jobs": N_JOBS,
    "random_state": ["random_state"],
    "sample_weight": ["array-like", None],
}


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
        **COMMON,
        "k0": [Interval(Integral, 1, None, closed="left")],
        "k1": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def bootstrap_lrt(
    estimator: GaussianMixture,
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
    estimator : GaussianMixture
        Whose parameters every fit has, but for the number of components and the start.
        It is not changed.

    X : array-like of shape (n_samples, n_features)
        Data. NaN is a missing value.

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

    See Also
    --------
    sequential_bootstrap_lrt : The test of one more component, from few to many.

    Notes
    -----
    The mixture of k0 components is fitted to the data as the estimator fits it. Fits to
    simulated data start from the parameters that these were drawn from. The larger
    mixture is reached from the smaller one, for the data and for the simulations alike:
    a component is cut in two in up to 15 random ways, and the most hopeful result is
    followed to its optimum. Both are needed for a valid p-value, and cost a small part
    of two full searches. So `statistic` may differ from that of two mixtures that were
    fitted apart.

    The log-likelihoods are those of the fitted mixtures, regularized as the estimator
    says; simulated data have the penalty of the data. A ratio that this makes negative
    counts as 0, in the data as in the simulations. Where values are missing, the
    simulated data lack those that the rows of the data lack.

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
    template = _template(estimator)
    sample = _checked(template, X, sample_weight, k1)
    rng = check_random_state(random_state)
    return _test(template, sample, (k0, k1), n_boot, n_jobs, rng)


class SequentialBootstrapLRT(NamedTuple):  # numpydoc ignore=PR01
    """Result of `sequential_bootstrap_lrt`, a named tuple.

    Attributes
    ----------
    n_components : int
        The number of components that the tests end with.

    tests : list of BootstrapLRT
        Those of `min_components` against one more, and so on, that were made.

    min_components : int
        Components under the null hypothesis of the first of them.

    alpha : float
        The level.

    See Also
    --------
    sequential_bootstrap_lrt : Function that returns it.

    Examples
    --------
    >>> from skem import GaussianMixture, sequential_bootstrap_lrt
    >>> from skem.datasets import load_acidity
    >>> X = load_acidity().data
    >>> print(
    ...     sequential_bootstrap_lrt(GaussianMixture(), X, n_boot=39, random_state=0)
    ... )
    1 against 2 components: likelihood ratio statistic 82.3, p = 0.025 (39 simulations)
    2 against 3 components: likelihood ratio statistic 7.2, p = 0.225 (39 simulations)
    2 components at level 0.05
    """

    n_components: int
    tests: list[BootstrapLRT]
    min_components: int
    alpha: float

    def __str__(self) -> str:
        lines = [
            f"{k} against {k + 1} components: {str(test)[0].lower()}{str(test)[1:]}"
            for k, test in enumerate(self.tests, self.min_components)
        ]
        end = f"{count(self.n_components, 'component')} at level {self.alpha:g}"
        if self.tests[-1].p_value <= self.alpha:
            end = f"At least {end}: the last test is significant, too"
        return "\n".join([*lines, end])


@validate_params(
    {
        **COMMON,
        "max_components": [Interval(Integral, 2, None, closed="left")],
        "min_components": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def sequential_bootstrap_lrt(
    estimator: GaussianMixture,
    X: ArrayLike,
    max_components: int = 9,
    *,
    min_components: int = 1,
    alpha: float = 0.05,
    n_boot: int = 99,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    sample_weight: ArrayLike | None = None,
) -> SequentialBootstrapLRT:
    """Test one more component at a time, and stop at the first that is not significant.

    As `mclustBootstrapLRT` of R's mclust does. If the mixture has K components,
    more are found with a probability of about `alpha`.

    Parameters
    ----------
    estimator : GaussianMixture
        Whose parameters every fit has, but for the number of components and the start.
        It is not changed.

    X : array-like of shape (n_samples, n_features)
        Data. NaN is a missing value.

    max_components : int, default=9
        The largest number of components; the last test is that against it.

    min_components : int, default=1
        Components under the null hypothesis of the first test.

    alpha : float, default=0.05
        Level: a test with a larger p-value is the last one. `n_boot` must be large
        enough for a smaller one: 1 / (n_boot + 1) is the least.

    n_boot : int, default=99
        Number of data sets that are simulated and fitted, for each test.

    n_jobs : int or None, default=None
        The number of simulations at a time, in processes of joblib.

    random_state : int, RandomState instance or None, default=None
        Seed. Pass an int for reproducible results, which do not depend on `n_jobs`.

    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, as in `bootstrap_lrt`.

    Returns
    -------
    result : SequentialBootstrapLRT
        A named tuple of `n_components`, `tests`, `min_components` and `alpha`, which
        prints as a line for each test.

    Raises
    ------
    ValueError
        If `max_components` is not larger than `min_components`, no p-value of `n_boot`
        simulations is as low as `alpha`, X has fewer rows than `max_components`, the
        weights sum up to more than 1e8, or a mixture cannot be fitted under the
        estimator's `reg_covar`.

    See Also
    --------
    bootstrap_lrt : One of these tests.

    Examples
    --------
    >>> from skem import GaussianMixture, sequential_bootstrap_lrt
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> result = sequential_bootstrap_lrt(
    ...     GaussianMixture(covariance_type="tied"), X, n_boot=19, random_state=0
    ... )
    >>> result.n_components, len(result.tests)
    (3, 3)
    """
    if max_components <= min_components:
        raise ValueError(
            "max_components must be larger than min_components; got "
            f"max_components = {max_components}, min_components = {min_components}."
        )
    if (n_boot + 1) * alpha < 1:
        raise ValueError(
            f"With n_boot = {n_boot} no p-value is below {1 / (n_boot + 1):.3g}, so "
            f"that none is as low as alpha = {alpha:g}. Increase n_boot."
        )
    template = _template(estimator)
    sample = _checked(template, X, sample_weight, max_components)
    rng = check_random_state(random_state)
    tests: list[BootstrapLRT] = []
    for k in range(min_components, max_components):
        tests.append(_test(template, sample, (k, k + 1), n_boot, n_jobs, rng))
        if tests[-1].p_value > alpha:
            return SequentialBootstrapLRT(k, tests, min_components, alpha)
    return SequentialBootstrapLRT(max_components, tests, min_components, alpha)


class Rows(NamedTuple):
    """Validated data and weights, as many rows as they stand for, and their gaps."""

    data: Data
    weight: np.ndarray | None
    n_rows: int
    gaps: np.ndarray | None


def _template(estimator: GaussianMixture) -> GaussianMixture:
    """Return a mixture of the same parameters without a start."""
    template = clone(estimator)
    starts = {"weights_init": None, "means_init": None, "precisions_init": None}
    template.set_params(**starts, warm_start=False, verbose=0)
    template._validate_params()
    return template


def _checked(
    template: GaussianMixture, X: Any, sample_weight: Any, n_components: int
) -> Rows:
    data = check_data(template, X, reset=True)
    weight = check_sample_weight(sample_weight, data.X)
    with array_blocks(data, weight) as blocks:
        blocks = to_be_fitted(template, blocks)
        check_n_samples(blocks.n_observed, n_components)
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
        n_rows = max(n_components, 2, round(total))
    gaps = _gaps(data.X, weight, n_rows) if data.incomplete else None
    return Rows(data, weight, n_rows, gaps)


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


def _test(
    template: GaussianMixture,
    rows: Rows,
    components: tuple[int, int],
    n_boot: int,
    n_jobs: int | None,
    rng: np.random.RandomState,
) -> BootstrapLRT:
    """Make one test."""
    own, *seeds = map(int, rng.randint(np.iinfo(np.int32).max, size=n_boot + 1))
    k0, k1 = components
    null = clone(template).set_params(n_components=k0, random_state=own)
    finish = partial(
        follow, ACCELERATORS[template.algorithm], template.tol, template.max_iter
    )
    with (
        array_blocks(rows.data, rows.weight) as blocks,
        explained_failure(blocks.dtype),
    ):
        em = null._prepared(blocks)
        small = max(null._solutions(em, {}, None, finish), key=height)
        maps = [em.for_components(k) for k in range(k0, k1 + 1)]
        statistic = _ratio(maps, small, np.random.RandomState(own), finish)
        null._set_solution(small)
        null.n_features_in_ = blocks.n_features
        simulation = Simulation(
            null,
            [_without_data(each) for each in maps],
            small.evaluation.parameters,
            rows.n_rows,
            rows.gaps,
            blocks.dtype,
            finish,
        )
        with Parallel(n_jobs=n_jobs) as parallel:
            simulated = parallel(delayed(simulation.statistic)(seed) for seed in seeds)
    statistics = np.array(simulated)
    reached = int(np.count_nonzero(statistics >= statistic))
    return BootstrapLRT(statistic, (1 + reached) / (n_boot + 1), statistics)


def _without_data(em: EMMap) -> EMMap:
    """Return what simulated data have in common with the data.

    Coordinates and penalties are the same; no values are shared.
    """
    coordinates = replace(em.coordinates, ties=None)
    return replace(em, blocks=cast(Any, None), coordinates=coordinates, sample=None)


@dataclass(frozen=True)
class Simulation:
    """How data are drawn from the smaller mixture, and the statistic of such data.

    `maps` are the problems of the smaller mixture up to the larger one; `start` are its
    parameters, in their coordinates.
    """

    null: GaussianMixture
    maps: list[EMMap]
    start: Parameters
    n_rows: int
    gaps: np.ndarray | None
    dtype: np.dtype
    finish: Any

    def statistic(self, seed: int) -> float:
        """Draw data, and return their likelihood ratio statistic."""
        X, _ = self.null.sample(self.n_rows, random_state=seed)
        X = X.astype(self.dtype, copy=False)
        if self.gaps is not None:
            X[self.gaps] = np.nan
        with array_blocks(Data(X, self.gaps is not None), None) as blocks:
            filled = to_be_fitted(self.null, blocks)
            maps = list(self._of(filled))
            small = self.finish(maps[0], self.start)
            return _ratio(maps, small, np.random.RandomState(seed), self.finish)

    def _of(self, blocks: Blocks) -> Iterator[EMMap]:
        em = self.maps[0]
        total = total_statistics(blocks, em.coordinates, em.structure, em.whole)
        for each in self.maps:
            yield replace(each, blocks=blocks, total=total)


def _ratio(
    maps: list[EMMap], small: Solution, rng: np.random.RandomState, finish: Any
) -> float:
    """Return 2(ℓ₁ − ℓ₀), where the larger mixture is reached from the smaller one."""
    parameters, trials = small.evaluation.parameters, []
    for K, em in enumerate(maps[1:], len(parameters.weights) + 1):
        starts = divided(em, parameters, affordable(em, K, DIVISIONS), rng)
        trials = sorted(climb(em, starts, TRIAL), key=Trial.hope, reverse=True)
        if not trials:
            raise IllDefinedCovarianceError
        parameters = trials[0].parameters
    large = None
    for trial in trials:
        # Others, if they are already beyond the end of those before.
        if large is None or trial.objective > height(large):
            end = finish(maps[-1], trial.parameters)
            large = end if large is None or height(end) > height(large) else large
    assert large is not None
    return max(0.0, 2 * (large.evaluation.score - small.evaluation.score))
