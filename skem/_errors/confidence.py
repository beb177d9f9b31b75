"""Standard errors of a mixture's parameters, and intervals from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri


class Interval(NamedTuple):
    """Lower and upper ends, in the shape of the parameters."""

    lower: np.ndarray
    upper: np.ndarray


class _Intervals(NamedTuple):
    weights: Interval
    means: Interval
    covariances: Interval


class ConfidenceIntervals(_Intervals):
    """Intervals for the weights, means and covariances.

    `df`, which is not one of the three of the tuple, has those of degrees of freedom,
    of t components, or is None.
    """

    df: Interval | None

    def __new__(
        cls,
        weights: Interval,
        means: Interval,
        covariances: Interval,
        df: Interval | None = None,
    ) -> ConfidenceIntervals:
        """Make the tuple of the first three."""
        intervals = super().__new__(cls, weights, means, covariances)
        intervals.df = df
        return intervals

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self, self.df)


class Estimates(NamedTuple):
    """The parameters that errors are of, and which covariances are variances."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    variances: np.ndarray
    df: np.ndarray | None

    @classmethod
    def of(
        cls,
        weights: np.ndarray,
        means: np.ndarray,
        covariances: np.ndarray,
        matrices: bool,
        df: np.ndarray | None = None,
    ) -> Estimates:
        """Copy parameters; covariances are matrices, or else variances alone."""
        d = means.shape[1]
        positive = np.eye(d, dtype=bool) if matrices else np.array(True)
        return cls(
            np.array(weights, float),
            np.array(means, float),
            np.array(covariances, float),
            np.broadcast_to(positive, covariances.shape),
            None if df is None else np.array(df, float),
        )


class _Errors(NamedTuple):
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class StandardErrors(_Errors):  # numpydoc ignore=PR01
    """Result of `standard_errors`, a named tuple of three arrays.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Standard errors of `weights_`.

    means : ndarray of shape (n_components, n_features)
        Standard errors of `means_`.

    covariances : ndarray
        Standard errors of `covariances_`, in its shape.

    df : ndarray of shape (n_components,) or None
        Standard errors of `df_`, of t components; not one of the three of the tuple.

    See Also
    --------
    GaussianMixture.standard_errors : Method that returns it.

    Examples
    --------
    >>> from skem import GaussianMixture
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> mixture = GaussianMixture(2, n_init=5, random_state=0).fit(X)
    >>> weights, means, covariances = mixture.standard_errors(X)
    >>> weights.round(3)
    array([0.029, 0.029])
    """

    estimates: Estimates | None
    df: np.ndarray | None

    def __new__(
        cls,
        weights: np.ndarray,
        means: np.ndarray,
        covariances: np.ndarray,
        estimates: Estimates | None = None,
        df: np.ndarray | None = None,
    ) -> StandardErrors:
        """Make the tuple of the first three."""
        errors = super().__new__(cls, weights, means, covariances)
        errors.estimates, errors.df = estimates, df
        return errors

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self, self.estimates, self.df)

    def confidence_interval(self, level: float = 0.95) -> ConfidenceIntervals:
        """Intervals that cover each parameter, one by one, with a probability.

        From the normal approximation, for weights on the scale of log w/(1 − w) and
        for variances and degrees of freedom on that of logarithms, so that no interval
        leaves the range of its parameter; for means and the covariances of two
        features, estimate ± z errors.

        Parameters
        ----------
        level : float, default=0.95
            Probability that an interval covers its parameter, between 0 and 1.

        Returns
        -------
        intervals : ConfidenceIntervals
            Named tuple of `weights`, `means` and `covariances`, each of them a named
            tuple of `lower` and `upper`, in the shapes of the parameters. Where an
            error is infinite, the interval is the whole range of the parameter; where
            it is zero, the estimate alone. Of t components, the attribute `df` has
            those of `df_`.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1, or the errors were made by hand and have
            no estimates with them.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(2, n_init=5, random_state=0).fit(X)
        >>> intervals = mixture.standard_errors(X).confidence_interval(0.95)
        >>> intervals.weights.lower.round(2), intervals.weights.upper.round(2)
        (array([0.59, 0.3 ]), array([0.7 , 0.41]))
        >>> intervals.means.lower.round(2)
        array([[ 4.23, 79.06],
               [ 1.98, 53.31]])
        """
        z = quantile_of(level)
        if self.estimates is None:
            raise ValueError(
                "These standard errors have no estimates to put intervals about. Take "
                "those that the method standard_errors returns."
            )
        weights, means, covariances, variances, df = self.estimates
        plain = about(covariances, self.covariances, z)
        positive = of_positive(
            np.where(variances, covariances, 1.0), self.covariances, z
        )
        of_df = None
        if df is not None and self.df is not None:
            of_df = of_positive(df, self.df, z)
        return ConfidenceIntervals(
            of_shares(weights, self.weights, z),
            about(means, self.means, z),
            Interval(*map(np.where, (variances, variances), positive, plain)),
            of_df,
        )


def quantile_of(level: float) -> float:
    """Return how many errors the ends of intervals are from an estimate."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level!r}.")
    return float(ndtri(0.5 + level / 2))


def about(estimates: np.ndarray, errors: np.ndarray, z: float) -> Interval:
    """Symmetric about estimates."""
    # Widths and sums may leave the range of numbers where a parameter is at its end.
    with np.errstate(over="ignore"):
        return Interval(estimates - z * errors, estimates + z * errors)


def of_positive(estimates: np.ndarray, errors: np.ndarray, z: float) -> Interval:
    """Symmetric for logarithms; the error of log t is that of t, divided by t."""
    inside = (estimates > 0) & np.isfinite(estimates)
    t = np.where(inside, estimates, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        factors = np.exp(z * (errors / t))
        ends = (t / factors, t * factors)
    return _within(estimates, errors, inside, ends, np.inf)


def of_shares(estimates: np.ndarray, errors: np.ndarray, z: float) -> Interval:
    """Symmetric for logits; the error of logit t is that of t, divided by t(1 − t)."""
    inside = (estimates > 0) & (estimates < 1)
    t = np.where(inside, estimates, 0.5)
    with np.errstate(over="ignore"):
        reach = z * errors / (t * (1 - t))
    ends = (expit(logit(t) - reach), expit(logit(t) + reach))
    return _within(estimates, errors, inside, ends, 1.0)


def _within(
    estimates: np.ndarray,
    errors: np.ndarray,
    inside: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    most: float,
) -> Interval:
    """Return ends where estimates are inside of their range, from zero to `most`."""
    # What is on its bound is not estimated, unless nothing is known of it.
    unknown = np.isinf(errors)
    bounds = (np.where(unknown, 0.0, estimates), np.where(unknown, most, estimates))
    return Interval(*map(np.where, (inside, inside), ends, bounds))
