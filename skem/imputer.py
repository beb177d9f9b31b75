"""Fill in missing values by the joint law of the features."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import assert_all_finite, check_random_state

from skem._estimators.component_choice import (
    INNER_CONSTRAINTS,
    WithMixture,
    check_inner,
    fit_mixture,
    only_one,
)
from skem._fitted.conditional import Conditioner, impute
from skem._fitting.fitting import unchanged_on_error
from skem._inputs.sklearn import (
    MissingValues,
    check_feature_names_in,
    fit_context,
    missing_mask,
)
from skem._inputs.typing import Auto, AutoOrAll, CovarianceType, RandomState
from skem._inputs.validation import check_sample_weight
from skem.gaussian_mixture import GaussianMixture


class GaussianMixtureImputer(WithMixture, TransformerMixin, BaseEstimator):
    """Impute missing values by their law given the values that are there.

    One mixture is fitted to all features, and a row's missing values are filled in by
    their conditional means given its others [1]_: in each cluster by a regression of
    its own, weighted by how likely the row is of the cluster. Or they are drawn from
    that law, for multiple imputation [2]_.

    Parameters
    ----------
    n_components : int or 'auto', default='auto'
        The number of components of the mixture. 'auto' is that with the lowest BIC of
        1 to 9.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ..., 'auto', \
    'all'}, default='full'
        The structure of the covariances, as in `GaussianMixture`. 'auto' is that of the
        first four with the lowest BIC, and 'all' that of all fourteen shapes.

    missing_values : int or np.nan, default=np.nan
        What stands for a missing value. np.nan is pandas' NA, too; neither of them may
        be in X if it is another number.

    sample_posterior : bool, default=False
        Whether to draw missing values from their law given the others, or to put their
        conditional means. The law is that of the fitted mixture: its own uncertainty
        is not drawn, so that intervals by Rubin's rules are too short.

    add_indicator : bool, default=False
        Whether to append a column that tells what was missing, for each feature with
        missing values in the fit.

    keep_empty_features : bool, default=False
        Whether features without any value in the fit are kept, with zeros where they
        have no value, or left out.

    random_state : int, RandomState instance or None, default=None
        Seed of the fit, and of draws. An int gives the same draws in each call.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The mixture of the features that have values.

    n_components_ : int
        The number of its components.

    indicator_ : sklearn.impute.MissingIndicator
        What appends the columns of `add_indicator`; None without.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture.impute : The same of a mixture that is fitted already.
    sklearn.impute.IterativeImputer : A regression of each feature on the others, in
        turns.

    References
    ----------
    .. [1] Z. Ghahramani and M. I. Jordan (1994). Supervised learning from incomplete
       data via an EM approach. NIPS 6, 120-127.
    .. [2] D. B. Rubin (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import GaussianMixtureImputer
    >>> from skem.datasets import load_faithful
    >>> imputer = GaussianMixtureImputer(2, random_state=0).fit(load_faithful().data)
    >>> imputer.transform([[np.nan, 55.0], [4.0, np.nan]]).round(1)
    array([[ 2. , 55. ],
           [ 4. , 78.4]])
    """

    mixture_: GaussianMixture
    n_components_: int
    indicator_: MissingIndicator | None

    _in_file: ClassVar[dict[str, str]] = {"_valued": "mask", "_indicated": "mask"}

    _parameter_constraints: dict = INNER_CONSTRAINTS | {
        "missing_values": [MissingValues(numeric_only=True)],
        "sample_posterior": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
    }

    def __init__(
        self,
        n_components: int | Auto = "auto",
        *,
        covariance_type: CovarianceType | AutoOrAll = "full",
        missing_values: float = np.nan,
        sample_posterior: bool = False,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.missing_values = missing_values
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `GaussianMixture.fit`.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            As in `GaussianMixture.fit`; if no feature has a value; if there is a NaN
            that `missing_values` does not stand for. The estimator then stays as it
            was.

        Warns
        -----
        UserWarning
            As in `GaussianMixture.fit`, and in `GaussianMixtureIC.fit` where something
            is chosen.

        Examples
        --------
        >>> from skem import GaussianMixtureImputer
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> GaussianMixtureImputer(2, random_state=0).fit(X).mixture_.weights_.round(2)
        array([0.64, 0.36])
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(self, X: Any, sample_weight: Any) -> None:
        X = self._with_nan(self._check_rows(X, reset=True))
        weight = check_sample_weight(sample_weight, X)
        if weight is not None:
            X, weight = X[weight > 0], weight[weight > 0]
        self._valued = ~np.isnan(X).all(axis=0)
        if not self._valued.any():
            raise ValueError("X should have at least one feature with a value")
        names = getattr(self, "feature_names_in_", None)
        self.mixture_ = fit_mixture(
            X[:, self._valued],
            self.n_components,
            self.covariance_type,
            self.random_state,
            weight,
            None if names is None else names[self._valued],
        )
        self.n_components_ = len(self.mixture_.weights_)
        self._set_indicator(X, wanted=self.add_indicator)

    def _set_indicator(self, X: np.ndarray, *, wanted: bool) -> None:
        self.indicator_ = None
        if wanted:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(X)

    @property
    def _indicated(self) -> np.ndarray:
        """Mask of the features of which there is an indicator."""
        mask = np.zeros(self.n_features_in_, bool)
        if self.indicator_ is not None:
            mask[self.indicator_.features_] = True
        return mask

    def _become(self, inner: list[Any]) -> None:
        self.mixture_ = only_one(inner)
        check_inner(self.mixture_, int(self._valued.sum()))
        self.n_components_ = len(self.mixture_.weights_)
        indicated = self.__dict__.pop("_indicated")
        # The parameter may be set after a fit, which has its columns nevertheless.
        wanted = self.add_indicator or indicated.any()
        self._set_indicator(np.where(indicated, np.nan, 0.0)[None], wanted=wanted)

    def _with_nan(self, X: np.ndarray) -> np.ndarray:
        """Return X with NaN for what is missing."""
        missing = missing_mask(X, self.missing_values)
        if (np.isnan(X) & ~missing).any():
            name = type(self).__name__
            assert_all_finite(X, estimator_name=name, input_name="X")
        return np.where(missing, X.dtype.type(np.nan), X)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Fill in missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
            With nothing missing; a DataFrame after ``set_output(transform="pandas")``.
            What was there is as it was.

        Raises
        ------
        ValueError
            If X is not valid, as in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import GaussianMixtureImputer
        >>> from skem.datasets import load_faithful
        >>> imputer = GaussianMixtureImputer(2, random_state=0)
        >>> imputer = imputer.fit(load_faithful().data)
        >>> imputer.transform([[np.nan, np.nan]]).round(1)
        array([[ 3.5, 70.9]])
        """
        self._check_is_fitted()
        X = self._with_nan(self._check_rows(X))
        rng = check_random_state(self.random_state) if self.sample_posterior else None
        kept = np.flatnonzero(self._kept)
        out = np.where(np.isnan(X), X.dtype.type(0), X)[:, kept]
        filled = impute(Conditioner.of(self.mixture_), X[:, self._valued], rng)
        out[:, self._valued[kept]] = filled
        if self.indicator_ is None:
            return out
        return np.hstack([out, self.indicator_.transform(X)])

    @property
    def _kept(self) -> np.ndarray:
        """Mask of the features that are in the output."""
        return self._valued | self.keep_empty_features

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features of the output.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of the input, which must be those of the fit. None:
            those of the fit, or x0, x1, x2.

        Returns
        -------
        names : ndarray of str
            Names; of columns that tell what was missing, ``missingindicator_`` and the
            name of the feature.

        Examples
        --------
        >>> from skem import GaussianMixtureImputer
        >>> from skem.datasets import load_faithful
        >>> imputer = GaussianMixtureImputer(2).fit(load_faithful().data)
        >>> imputer.get_feature_names_out()
        array(['x0', 'x1'], dtype=object)
        """
        self._check_is_fitted()
        names = check_feature_names_in(self, input_features)
        kept = names[self._kept]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])
