"""What every fitted mixture does, whether its rows are arrays or tables."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import Tags

from skem._errors.standard_errors import METHODS
from skem._inputs.options import StrOptions
from skem._inputs.sklearn import Interval, validate_parameter_constraints
from skem._inputs.typing import available_if
from skem._inputs.validation import N_JOBS
from skem._saving.files import save_mixture
from skem.core.mixture.totals import Totals, classified, scored

ARGUMENTS: dict = {
    "prob": [Interval(Real, 0, 1, closed="neither")],
    "method": [StrOptions([*METHODS, "bootstrap"])],
    "n_boot": [Interval(Integral, 2, None, closed="left")],
    "n_jobs": N_JOBS,
    "random_state": ["random_state"],
}


def of_likelihood(mixture: SharedMethods) -> bool:
    """Whether the parameters are estimates, by maximum likelihood."""
    return mixture._by_likelihood


class AllowsGaps(BaseEstimator):
    """What estimators say of themselves that take arrays with missing values."""

    def __sklearn_tags__(self) -> Tags:
        """Say that NaN is a missing value."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class LabelsItsData:
    """What is fitted to rows, and labels them."""

    @abstractmethod
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        labels: Any = None,
    ) -> Any:
        """Fit the mixture to rows, of which some labels may be known."""

    @abstractmethod
    def _labels_or_predict(self, X: Any) -> np.ndarray:
        """Return the labels of the rows of a fit."""

    def fit_predict(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> np.ndarray:
        """Fit the mixture, and label the data by it.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data, as in `fit`.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `fit`.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Index of the most probable component of each row, by its features alone; −1
            for noise.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> GaussianMixture(2, random_state=0).fit_predict(X)[:4]
        array([0, 1, 0, 1])
        """
        self.fit(X, y, sample_weight, labels=labels)
        return self._labels_or_predict(X)


class SharedMethods(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator
):
    """The methods that need no more than log-likelihoods and probabilities of rows."""

    _by_likelihood = True

    @abstractmethod
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the posterior probabilities of the components."""

    @abstractmethod
    def _totals(
        self,
        X: Any,
        sample_weight: Any,
        fold: Callable[..., Totals] = scored,
        labels: Any = None,
    ) -> Totals:
        """Add up the log-likelihoods of rows; `classified` adds up certainties, too."""

    @abstractmethod
    def _n_parameters(self) -> int:
        """Return the number of free parameters."""

    def _check_arguments(self, of: str, **arguments: Any) -> None:
        """Check those of a method, called by the name of the class that users know."""
        validate_parameter_constraints(
            ARGUMENTS, arguments, f"{type(self).__name__}.{of}"
        )

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Turn rows into features: their posterior probabilities.

        So that a mixture may be a step of a pipeline, as a k-means clustering.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data, as in `predict_proba`.

        Returns
        -------
        resp : ndarray, DataFrame or Dask array of shape (n_samples, n_components)
            Those of `predict_proba`. A DataFrame after
            ``set_output(transform="pandas")``, with columns `gaussianmixture0` and so
            on, after the name of the class. With `noise` there is one more, the last,
            of the next number.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.transform([[-2.0], [-1.0]]).round(3)
        array([[0.951, 0.049],
               [0.263, 0.737]])
        >>> mixture.get_feature_names_out()
        array(['gaussianmixture0', 'gaussianmixture1'], dtype=object)
        """
        return self.predict_proba(X)

    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-likelihood of the data.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data, as in `score_samples`.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        log_likelihood : float
            (Weighted) mean of `score_samples`, in nats per sample.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.score([[-2.0], [1.0]]), 2)
        -1.39
        >>> round(mixture.score([[-2.0], [1.0]], sample_weight=[1, 0]), 2)
        -1.38
        """
        totals = self._totals(X, sample_weight)
        return totals.loglik / totals.weight

    @available_if(of_likelihood)
    def bic(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> float:
        """Bayesian information criterion: the lower the better.

        −2ℓ + p log N, with ℓ the total log-likelihood, p the number of free
        parameters and N the sum of the weights.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data, as in `score_samples`.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            The labels that were passed to `fit`. The criterion then counts them.

        Returns
        -------
        bic : float
            The criterion; ``inf`` if it is beyond the range of floats, as for rows
            1e154 standard deviations away from all components.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.bic([[-2.0], [0.0], [1.0]]), 2)
        13.85
        """
        totals = self._totals(X, sample_weight, labels=labels)
        return totals.bic(self._n_parameters())

    @available_if(of_likelihood)
    def aic(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> float:
        """Akaike information criterion, −2ℓ + 2p: the lower the better.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data, as in `score_samples`.

        sample_weight, labels : array-like of shape (n_samples,), default=None
            As in `bic`.

        Returns
        -------
        aic : float
            The criterion.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.aic([[-2.0], [0.0], [1.0]]), 2)
        18.36
        """
        totals = self._totals(X, sample_weight, labels=labels)
        return totals.aic(self._n_parameters())

    @available_if(of_likelihood)
    def icl(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> float:
        """Integrated completed likelihood: the lower the better.

        The BIC plus −2 Σ_i v_i max_k log r_ik, a price on components that overlap
        (Biernacki, Celeux & Govaert 2000), for choosing a number of clusters rather
        than of components.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Data, as in `score_samples`.

        sample_weight, labels : array-like of shape (n_samples,), default=None
            As in `bic`.

        Returns
        -------
        icl : float
            The criterion.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
        clustering with the integrated completed likelihood. IEEE TPAMI 22(7), 719-725.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> round(mixture.icl([[-2.0], [0.0], [1.0]]), 2)
        13.96
        """
        totals = self._totals(X, sample_weight, classified, labels)
        return totals.icl(self._n_parameters())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted mixture to a file, for :func:`skem.load`.

        The file is JSON: the class, the parameters of the estimator and the fitted
        attributes, in full precision; of a mixture of a table its families and
        categories, too. It holds no code, and neither rows nor the statistics of a
        stream. It is written as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if it is there.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        NotImplementedError
            If the class or a family is none of those that :func:`skem.load` knows, or
            if a parameter cannot be written, such as a `RandomState`, or a category
            that is no text, bool or number.

        ValueError
            If :func:`skem.load` would refuse the file, as weights that were edited do
            not sum to one. A file that is there stays as it is.

        OSError
            If the file cannot be written.

        See Also
        --------
        skem.load : Read the file.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import skem
        >>> mixture = skem.GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = pathlib.Path(directory) / "mixture.json"
        ...     mixture.save(path)
        ...     skem.load(path).weights_
        array([0.3, 0.7])
        """
        save_mixture(self, path)
