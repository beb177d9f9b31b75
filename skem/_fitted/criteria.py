"""Criteria that fitted mixtures are chosen by."""

from __future__ import annotations

from numpy.typing import ArrayLike

from skem._fitted.parametric import of_likelihood
from skem._fitted.predicting import Predicting
from skem._inputs.typing import available_if
from skem.core.mixture.totals import classified


class Criteria(Predicting):
    """Weighs a mixture's likelihood against its number of parameters."""

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
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`: then that is of what is known, too.

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
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`: then that is of what is known, too.

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
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`: then that is of what is known, too.

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
