"""Standard errors of a mixture's parameters, and intervals from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from skem._errors.listing import (
    ALL,
    NO_ESTIMATES,
    Key,
    ListedErrors,
    ListedIntervals,
    Listing,
    title_of,
)


class Interval(NamedTuple):
    """Lower and upper ends, in the shape of the parameters."""

    lower: np.ndarray
    upper: np.ndarray


class _Intervals(NamedTuple):
    weights: Interval
    means: Interval
    covariances: Interval


class ConfidenceIntervals(ListedIntervals, _Intervals):
    """Intervals for the weights, means and covariances.

    `df`, which is not one of the three of the tuple, has those of degrees of freedom,
    of t components, or is None. `errors` are what they were made of, and `level` is the
    probability.
    """

    df: Interval | None = None


class Estimates(NamedTuple):
    """The parameters that errors are of, and which covariances are variances.

    `names` are those of the features, and `shared` says that covariances have no axis
    of components.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    variances: np.ndarray
    df: np.ndarray | None
    names: tuple[str, ...] = ()
    shared: bool = False

    @classmethod
    def of(
        cls,
        weights: np.ndarray,
        means: np.ndarray,
        covariances: np.ndarray,
        matrices: bool,
        df: np.ndarray | None = None,
        names: tuple[str, ...] = (),
        shared: bool = False,
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
            names,
            shared,
        )

    def listing(
        self, errors: StandardErrors, intervals: ConfidenceIntervals | None = None
    ) -> Listing | None:
        """Return rows of errors, and of intervals; None without names of features."""
        if len(self.names) != self.means.shape[1]:
            return None
        K, matrices = len(self.weights), not self.variances.all()
        # Of two entries that are the same, one.
        once = np.ones(self.covariances.shape, dtype=bool)
        once = np.triu(once) if matrices else once
        names = self.names
        parts = [
            [Key(k, "weight") for k in range(K)],
            [Key(k, "mean", (name,)) for k in range(K) for name in names],
            [self._key_of(place.tolist()) for place in np.argwhere(once)],
        ]
        with_df = self.df is not None and errors.df is not None
        if with_df:
            parts.append([Key(k, "df") for k in range(K)])

        def listed(values: Any, df: Any) -> np.ndarray:
            weights, means, covariances = values
            found = [weights, np.ravel(means), covariances[once]]
            return np.concatenate([*found, df] if with_df else found)

        values = {
            "estimate": listed(self[:3], self.df),
            "error": listed(errors, errors.df),
        }
        level = None
        if intervals is not None:
            level, of_df = intervals.level, intervals.df or (None, None)
            ends = zip(*intervals, strict=True)
            for name, end, df in zip(("lower", "upper"), ends, of_df, strict=True):
                values[name] = listed(end, df)
        return Listing(title_of(errors, level), parts, values)

    def _key_of(self, place: list[int]) -> Key:
        """Say what an entry of the covariances is."""
        component = ALL if self.shared else place.pop(0)
        features = tuple(self.names[j] for j in sorted({*place})) or (ALL,)
        parameter = "variance" if len(features) == 1 else "covariance"
        if self.df is not None:
            # Of t components it is no moment.
            parameter = "scale matrix"
        return Key(component, parameter, features)


class _Errors(NamedTuple):
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class StandardErrors(ListedErrors, _Errors):  # numpydoc ignore=PR01
    """Result of `standard_errors`, a named tuple of three arrays.

    It prints as a table of all parameters with their estimates.

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

    method : {'sandwich', 'survey', 'hessian', 'opg', 'bootstrap'} or None
        How they were found.

    n_boot : int or None
        Number of refits of the bootstrap.

    n_groups : int or None
        Number of groups of rows that may depend on each other.

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
    >>> print(mixture.standard_errors(X))  # doctest: +ELLIPSIS
    Standard errors by the sandwich
    <BLANKLINE>
      component  parameter   feature  estimate   error
              0  weight                 0.6441  0.0291
              1  weight                 0.3559  0.0291
              0  mean        x0         4.2897  0.0319
    ...
    """

    df: np.ndarray | None = None

    def confidence_interval(self, level: float = 0.95) -> ConfidenceIntervals:
        """Intervals that cover each parameter, one by one, with a probability.

        From the normal approximation: for variances and degrees of freedom on the scale
        of logarithms, and for means and the covariances of two features estimate ± z
        errors. For weights w the score interval of Wilson [1]_, of the number of rows
        of which the share has that error, w(1 − w)/error² [2]_. So no interval leaves
        the range of its parameter.

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
            those of `df_`. Prints as a table, with estimates and errors.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1, or the errors were made by hand and have
            no estimates with them.

        References
        ----------
        .. [1] E. B. Wilson (1927). Probable inference, the law of succession, and
           statistical inference. JASA 22(158), 209-212.
        .. [2] E. L. Korn and B. I. Graubard (1998). Confidence intervals for
           proportions with small expected number of positive counts estimated from
           survey data. Survey Methodology 24(2), 193-201.

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
            raise ValueError(NO_ESTIMATES)
        weights, means, covariances, variances, df, *_ = self.estimates
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
            df=of_df,
            errors=self,
            level=level,
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
    """Wilson's, of as many rows as have that error: t(1 − t)/n is its square.

    That is |t − p| ≤ z √(p(1 − p)/n), for the ends p.
    """
    inside = (estimates > 0) & (estimates < 1)
    t = np.where(inside, estimates, 0.5)
    with np.errstate(over="ignore", divide="ignore"):
        # z²/n, which may be infinite.
        ratio = np.square(z * errors) / (t * (1 - t))
        own, other = 1 / (1 + ratio), 1 / (1 + 1 / ratio)
    reach = np.sqrt(other * (own * t * (1 - t) + other / 4))
    upper = own * t + other / 2 + reach
    # Of both the product is known: a difference would have no digits near zero.
    ends = (own * t * (t / upper), np.minimum(upper, 1.0))
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
    unknown, none = np.isinf(errors), np.where(np.isnan(errors), np.nan, estimates)
    bounds = (np.where(unknown, 0.0, none), np.where(unknown, most, none))
    return Interval(*map(np.where, (inside, inside), ends, bounds))
