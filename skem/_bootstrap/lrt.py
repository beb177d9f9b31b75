"""Test by simulation whether more components are real."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skem._bootstrap.arrays import checked_rows, ratios, without_start
from skem._bootstrap.tables import check_rows, simulated_ratios, with_families
from skem._inputs.sklearn import Interval
from skem._inputs.typing import RandomState, validate_params
from skem._inputs.validation import N_JOBS
from skem._report.text import count
from skem.gaussian_mixture import GaussianMixture
from skem.mixture_model import MixtureModel
from skem.student_mixture import StudentMixture

COMMON: dict = {
    "estimator": [GaussianMixture, StudentMixture, MixtureModel],
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
        "k1": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def bootstrap_lrt(
    estimator: GaussianMixture | StudentMixture | MixtureModel,
    X: ArrayLike,
    k0: int,
    k1: int | None = None,
    n_boot: int = 99,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
) -> BootstrapLRT:
    """Test k0 against k1 components by a parametric bootstrap.

    The likelihood ratio statistic of nested mixtures has no χ² distribution, as the
    parameters of a component that is not there cannot be identified. So its
    distribution is simulated from the mixture of k0 components that fits the data
    (McLachlan 1987 [1]_).

    Parameters
    ----------
    estimator : GaussianMixture, StudentMixture or MixtureModel
        Whose parameters every fit has, but for the number of components and the start.
        It is not changed. `noise` and `fixed` must be None.

    X : array-like of shape (n_samples, n_features)
        Data. NaN is a missing value. A table, for a `MixtureModel`.

    k0 : int
        Number of components under the null hypothesis.

    k1 : int or None, default=None
        Number of components under the alternative, larger than `k0`. None: one more.

    n_boot : int, default=99
        Number of data sets that are simulated and fitted; the smallest p-value that
        can result is 1 / (n_boot + 1).

    n_jobs : int or None, default=None
        The number of simulations at a time, in processes of joblib.

    random_state : int, RandomState instance or None, default=None
        Seed. Pass an int for reproducible results, which do not depend on `n_jobs`.

    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. Whole numbers count rows: simulated data have as many as
        they add up to. Other weights are those of a survey, which simulated rows keep.

    Returns
    -------
    result : BootstrapLRT
        A named tuple of `statistic`, `p_value` and `bootstrap_statistics`, which prints
        as one line.

    Raises
    ------
    ValueError
        If `noise` or `fixed` is given, `k1` is not larger than `k0`, X has fewer rows
        than `k1`, the weights sum up to more than 1e8, or a mixture cannot be fitted
        under the estimator's `reg_covar`.

    See Also
    --------
    sequential_bootstrap_lrt : The test of one more component, from few to many.

    Notes
    -----
    The mixture of k0 components is fitted to the data as the estimator fits it. Fits to
    simulated data start from the parameters that these were drawn from. The larger
    mixture is searched for with the same care in the data and in the simulations, which
    a valid p-value needs: a component of the smaller one is cut in two in up to 24
    random ways, up to 24 fresh starts stand beside these, the most hopeful of all are
    followed, and components are moved as long as that helps. Mixtures of tables are
    fitted by full searches, all of them.

    The log-likelihoods are those of the fitted mixtures, regularized as the estimator
    says; simulated data have the penalty of the data. A ratio that this makes negative
    counts as 0, in the data as in the simulations. Where values are missing, the
    simulated data lack those that the rows of the data lack.

    Values that many rows share have a width, as `GaussianMixture` has it in its Notes.
    Simulated data share values alike: a column in even steps has the same steps, draws
    within the width of another shared value have it as often as rows there do, and one
    beyond an end at which rows are heaped, as the lowest answer of a scale, is moved to
    it.

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
        if isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be a number of components; got {value}.")
    k1 = k0 + 1 if k1 is None else k1
    if k1 <= k0:
        raise ValueError(f"k1 must be larger than k0; got k0 = {k0}, k1 = {k1}.")
    test = _tests(estimator, X, sample_weight, k1, n_boot, n_jobs, random_state)
    return test(k0, k1)


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
    ...     sequential_bootstrap_lrt(GaussianMixture(), X, 2, n_boot=19, random_state=0)
    ... )
    1 against 2 components: likelihood ratio statistic 82.3, p = 0.05 (19 simulations)
    At least 2 components at level 0.05: the last test is significant, too
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
    estimator: GaussianMixture | StudentMixture | MixtureModel,
    X: ArrayLike,
    max_components: int = 9,
    *,
    min_components: int = 1,
    alpha: float = 0.05,
    n_boot: int = 99,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
) -> SequentialBootstrapLRT:
    """Test one more component at a time, and stop at the first that is not significant.

    As `mclustBootstrapLRT` of R's mclust does. If the mixture has K components,
    more are found with a probability of about `alpha`.

    Parameters
    ----------
    estimator : GaussianMixture, StudentMixture or MixtureModel
        Whose parameters every fit has, but for the number of components and the start.
        It is not changed. `noise` and `fixed` must be None.

    X : array-like of shape (n_samples, n_features)
        Data. NaN is a missing value. A table, for a `MixtureModel`.

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
        If `noise` or `fixed` is given, `max_components` is not larger than
        `min_components`, no p-value of `n_boot` simulations is as low as `alpha`, X has
        fewer rows than `max_components`, the weights sum up to more than 1e8, or a
        mixture cannot be fitted under the estimator's `reg_covar`.

    See Also
    --------
    bootstrap_lrt : One of these tests.

    Examples
    --------
    >>> from skem import GaussianMixture, sequential_bootstrap_lrt
    >>> from skem.datasets import load_acidity
    >>> X = load_acidity().data
    >>> result = sequential_bootstrap_lrt(
    ...     GaussianMixture(covariance_type="tied"), X, n_boot=19, random_state=0
    ... )
    >>> result.n_components, len(result.tests)
    (2, 2)
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
    test = _tests(
        estimator, X, sample_weight, max_components, n_boot, n_jobs, random_state
    )
    tests: list[BootstrapLRT] = []
    for k in range(min_components, max_components):
        tests.append(test(k, k + 1))
        if tests[-1].p_value > alpha:
            return SequentialBootstrapLRT(k, tests, min_components, alpha)
    return SequentialBootstrapLRT(max_components, tests, min_components, alpha)


def _tests(
    estimator: GaussianMixture | StudentMixture | MixtureModel,
    X: Any,
    sample_weight: Any,
    most: int,
    n_boot: int,
    n_jobs: int | None,
    random_state: RandomState,
) -> Callable[[int, int], BootstrapLRT]:
    """Return the test of k0 against k1 components, of which there are `most`."""
    rng = check_random_state(random_state)
    found: Callable[[tuple[int, int]], tuple[float, np.ndarray]]
    if isinstance(estimator, MixtureModel):
        check_rows(X, sample_weight, most)
        found = partial(
            simulated_ratios,
            with_families(estimator, X, sample_weight),
            X,
            n_boot=n_boot,
            n_jobs=n_jobs,
            rng=rng,
            sample_weight=sample_weight,
        )
    else:
        template = without_start(estimator)
        rows = checked_rows(template, X, sample_weight, most)
        found = partial(ratios, template, rows, n_boot=n_boot, n_jobs=n_jobs, rng=rng)

    def test(k0: int, k1: int) -> BootstrapLRT:
        statistic, simulated = found((k0, k1))
        reached = int(np.count_nonzero(simulated >= statistic))
        return BootstrapLRT(statistic, (1 + reached) / (n_boot + 1), simulated)

    return test
