"""Uses of a joint density: marginals, conditionals, imputation, quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import assert_all_finite, check_array

from skem._fitted.conditional import Conditioner, impute
from skem._fitted.laws import LIMIT
from skem._fitted.noise import set_marginal_noise
from skem._fitted.parametric import Parametric
from skem._fitted.univariate import cdf, quantile
from skem._inputs.array_api import as_numpy, like_given, numpy_of
from skem._inputs.features import check_features, feature_index, names_of
from skem._inputs.frames import in_memory
from skem._inputs.gaps import is_missing, with_gaps
from skem._inputs.typing import RandomState
from skem._inputs.validation import (
    check_incomplete,
    rng_of,
)
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters

Given = Any
"""A mapping from features to values, or a row with NaN where there is none."""


def fitted_from(
    source: Any,
    parameters: Parameters,
    features: Sequence[int],
    structure: Structure,
    null: NullSpace | None,
    of_steps: np.ndarray | None = None,
) -> Any:
    """Return a fitted mixture of some features of another one.

    Of its structure, or where that does not pass on to parts, of matrices or variances
    without constraints.
    """
    with np.errstate(over="ignore", under="ignore"):
        covariances = structure.covariances(parameters.precisions_cholesky)
        covariances = np.clip(covariances, -LIMIT, LIMIT)
    single = numpy_of(source.means_).dtype == np.float32
    # Given values far away, laws may be beyond the range of single precision.
    values = (covariances, *parameters.arrays)
    most = np.finfo(np.float32).max
    single = single and all((np.abs(each) <= most).all() for each in values)
    dtype = np.dtype(np.float32 if single else np.float64)
    covariances = covariances.astype(dtype)
    mixture = source._to_become(parameters, structure.name)
    # Before the others, as its parameters are counted.
    set_marginal_noise(mixture, source, np.array(features), parameters.noise_weight)
    mixture._null_space, mixture._of_steps = null, of_steps
    mixture._set_parameters(parameters.astype(dtype), covariances)
    mixture.n_features_in_ = len(features)
    names = getattr(source, "feature_names_in_", None)
    if names is not None:
        mixture.feature_names_in_ = np.asarray(names, dtype=object)[list(features)]
    return mixture


class OnALine(NamedTuple):
    """Components (K,) of a mixture of one feature; `sd` are scales, of t components.

    If the last one is `even`, it is noise, and its `sd` the width that it is spread
    over.
    """

    weights: np.ndarray
    means: np.ndarray
    sd: np.ndarray
    df: np.ndarray | None
    even: bool


def row_of(values: Given, names: Sequence[str]) -> np.ndarray:
    """Return the row (d,) of given values, NaN for features that have none."""
    d = len(names)
    if hasattr(values, "keys"):
        row = np.full(d, np.nan)
        chosen = [feature_index(key, names, "values") for key in values.keys()]
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"values should be of distinct features, got {values!r}")
        for j, key in zip(chosen, values.keys(), strict=True):
            if is_missing(values[key]):
                continue
            if not isinstance(values[key], Real):
                raise ValueError(
                    f"The value of feature {key!r} should be a number, got "
                    f"{values[key]!r}"
                )
            row[j] = values[key]
    else:
        row = np.ravel(
            with_gaps(
                check_array,
                as_numpy(values),
                dtype=np.float64,
                ensure_2d=False,
                ensure_all_finite=False,
                input_name="values",
            )
        )
        if len(row) != d:
            raise ValueError(
                f"values has {len(row)} features, but the mixture has {d} features"
            )
    assert_all_finite(row, allow_nan=True, input_name="values")
    return row


def like(X: Any, values: np.ndarray) -> Any:
    """Return values as X is: a data frame, with the index of one of pandas."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return type(X)(values, index=X.index, columns=X.columns)
    if hasattr(X, "get_column") and hasattr(X, "columns"):
        return type(X)(values, schema=X.columns, orient="row")
    return like_given(X, values)


class Joint(Parametric):
    """Methods of a fitted mixture that take features apart."""

    def _conditioner(self) -> Conditioner:
        return Conditioner.of(self)

    def _to_become(self, parameters: Parameters, covariance_type: Any) -> Any:
        """Return an estimator that is to be the mixture of some features."""
        # A mixture has these methods, and they return mixtures.
        from skem.gaussian_mixture import GaussianMixture

        return GaussianMixture(
            len(parameters.weights),
            covariance_type=covariance_type,
            random_state=self.random_state,
        )

    def _degrees(self) -> np.ndarray | None:
        """Degrees of freedom of t components."""
        return None

    def _feature_names(self) -> list[str]:
        return names_of(self, self._parameters().shape[1])

    def marginal(self, features: Sequence[int | str] | int | str) -> Any:
        """Return the mixture of some of the features.

        Of the same weights and number of components, with the sub-vectors of the means
        and the sub-matrices of the covariances; of t components, with the same degrees
        of freedom; of `noise`, with the sides of its box.

        Parameters
        ----------
        features : int, str or sequence of them
            The features, by index or by name, in the order wanted; or a boolean mask of
            all features.

        Returns
        -------
        mixture : GaussianMixture or StudentMixture
            Fitted, with the structure of this one; but "diag" if that is EVI, and
            "full" if it is EVE, VVE, EEV, VEV or EVV, which parts need not have.

        Raises
        ------
        ValueError
            If there are no features, or they are unknown or not distinct.

        NotImplementedError
            If there is `noise` in a box along principal axes.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [1.0], [[0.0, 3.0]], [[[1.0, 0.5], [0.5, 4.0]]]
        ... )
        >>> marginal = mixture.marginal(1)
        >>> print(marginal.means_.ravel(), marginal.covariances_.ravel())
        [3.] [4.]
        """
        self._check_is_fitted()
        chosen = check_features(features, self._feature_names())
        conditioner = self._conditioner()
        parameters, null = conditioner.marginal(np.array(chosen)), self._null
        null = None if null is None else null.marginal(np.array(chosen))
        structure = conditioner.structure.of_parts
        steps = None if self._steps is None else self._steps[:, chosen]
        return fitted_from(self, parameters, chosen, structure, null, steps)

    def conditional(self, values: Given) -> Any:
        """Return the mixture of the other features, given the values of some.

        Its weights are the posterior probabilities of the components given the values;
        its means and covariances are those of the regression of the other features on
        these, component by component [1]_. A t component with ν degrees of freedom has
        ν + p given p values, and a scale matrix times (ν + δ)/(ν + p), with δ their
        squared Mahalanobis distance [2]_. Noise is even over the other features.

        Parameters
        ----------
        values : mapping, or array-like of shape (n_features,)
            A value for each given feature, by index or by name; or a row, with NaN for
            the features that are not given.

        Returns
        -------
        mixture : GaussianMixture or StudentMixture
            Of the features without a value, in their order. Fitted, with the structure
            that `marginal` has; but t components get volumes of their own, and so
            "full", "diag" or "spherical" covariances.

        Raises
        ------
        ValueError
            If a feature is unknown, a value is infinite, or all features are given.

        NotImplementedError
            If there is `noise` in a box along principal axes.

        References
        ----------
        .. [1] Z. Ghahramani and M. I. Jordan (1994). Supervised learning from
           incomplete data via an EM approach. NIPS 6, 120-127.
        .. [2] P. Ding (2016). On the conditional distribution of the multivariate t
           distribution. The American Statistician 70(3), 293-295.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.5, 0.5], [[0.0, 0.0], [4.0, 9.0]], [1.0, 1.0],
        ...     covariance_type="spherical",
        ... )
        >>> conditional = mixture.conditional({0: 3.0})
        >>> print(conditional.weights_.round(3), conditional.means_.ravel())
        [0.018 0.982] [0. 9.]
        """
        self._check_is_fitted()
        row = row_of(values, self._feature_names())
        wanted = np.flatnonzero(np.isnan(row))
        if not len(wanted):
            raise ValueError(
                "values should leave at least one feature without a value, and all "
                f"{len(row)} have one"
            )
        conditioner = self._conditioner()
        parameters, structure = conditioner.given(row), conditioner.structure_given
        null = None if self._null is None else self._null.given(wanted)
        steps = None if self._steps is None else self._steps[:, wanted]
        return fitted_from(self, parameters, wanted.tolist(), structure, null, steps)

    def impute(
        self,
        X: ArrayLike,
        sample: bool = False,
        random_state: RandomState = None,
    ) -> Any:
        """Fill in missing values, NaN, from what is observed in the same row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, with NaN for what is missing. A row may have no value at all.

        sample : bool, default=False
            Whether to draw missing values from their law given the others, as multiple
            imputation does [1]_, or to put their conditional means, which have the
            least mean squared error and no spread.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws. None: the estimator's `random_state`.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            A copy with nothing missing, in memory: a DataFrame if X is one
            of pandas, Dask (then of pandas) or polars. What was observed is as it was.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit.

        NotImplementedError
            If there is `noise` in a box along principal axes.

        References
        ----------
        .. [1] D. B. Rubin (1987). Multiple Imputation for Nonresponse in Surveys.
           Wiley.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [1.0], [[0.0, 3.0]], [[[1.0, 0.5], [0.5, 4.0]]]
        ... )
        >>> mixture.impute([[2.0, np.nan], [1.0, 5.0]])
        array([[2., 4.],
               [1., 5.]])
        """
        self._check_is_fitted()
        X = in_memory(X)
        values = check_incomplete(self, X, reset=False)
        rng = rng_of(self, random_state) if sample else None
        filled = impute(self._conditioner(), values, rng)
        return like(X, filled)

    def _sample_given(
        self, n_samples: int, random_state: Any, values: Given
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows that have given values, and their components."""
        row = row_of(values, self._feature_names())
        wanted = np.isnan(row)
        drawn, labels = self.conditional(row).sample(n_samples, random_state)
        X = np.tile(row, (n_samples, 1))
        X[:, wanted] = drawn
        return X, labels

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Probability of at most x, under a mixture of one feature.

        Parameters
        ----------
        x : array-like
            Numbers, in an array of any shape; infinite ones too.

        Returns
        -------
        prob : ndarray of the shape of x, or float
            Probabilities, of full relative precision in the lower tail.

        Raises
        ------
        ValueError
            If the mixture has more than one feature, or x has NaN.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.cdf([-2.0, 0.5]).round(4)
        array([0.1543, 0.65  ])
        """
        return cdf(check_numbers(x, "x"), *self._on_a_line("cdf"))[()]

    def quantile(self, q: ArrayLike) -> np.ndarray:
        """Quantile of a mixture of one feature: where `cdf` is q.

        Parameters
        ----------
        q : array-like
            Probabilities from 0 to 1, in an array of any shape.

        Returns
        -------
        x : ndarray of the shape of q, or float
            Quantiles; infinite for 0 and 1.

        Raises
        ------
        ValueError
            If the mixture has more than one feature, or q is not from 0 to 1.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.quantile([0.1, 0.5, 0.9]).round(3)
        array([-2.226, -0.066,  1.568])
        """
        on_line = self._on_a_line("quantile")
        q = check_probabilities(q)
        weights, means, sd = (
            np.broadcast_to(each, (q.size, len(each))) for each in on_line[:3]
        )
        found = quantile(q.ravel(), weights, means, sd, *on_line[3:])
        return found.reshape(q.shape)[()]

    def _on_a_line(self, method: str) -> OnALine:
        """Return the components of a mixture of one feature."""
        self._check_is_fitted()
        conditioner = self._conditioner()
        weights, means = conditioner.parameters.weights, conditioner.parameters.means
        if means.shape[1] > 1:
            raise ValueError(
                f"{method} is of a mixture of one feature, and this one has "
                f"{means.shape[1]}. Take its marginal or its conditional first."
            )
        df, noise = self._degrees(), conditioner.background
        means, sd = means[:, 0], conditioner.sd[:, 0]
        if noise is not None:
            weights = np.append(weights, conditioner.parameters.noise_weight)
            means = np.append(means, noise.centre)
            sd = np.append(sd, 2 * np.minimum(np.abs(noise.half_edges), LIMIT / 2))
            df = None if df is None else np.append(df, np.inf)
        return OnALine(weights / weights.sum(), means, sd, df, noise is not None)


def check_probabilities(q: ArrayLike) -> np.ndarray:
    """Validate numbers from 0 to 1, in an array of any shape."""
    q = check_numbers(q, "q")
    if ((q < 0) | (q > 1)).any():
        raise ValueError(f"q should be in the range [0, 1], got {q!r}")
    return q


def check_numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Validate numbers that may be infinite, but not NaN."""
    numbers = np.asarray(values, dtype=float)
    if np.isnan(numbers).any():
        raise ValueError(f"Input {name} contains NaN.")
    return numbers
