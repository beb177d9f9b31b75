"""Densities, probabilities and labels of rows under a mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._fitted.density import (
    write_component_log_density,
    write_labels,
    write_log_density,
    write_responsibilities,
)
from skem._fitted.parametric import Parametric
from skem._inputs.blocks import evaluate_array, evaluate_rows, open_blocks
from skem._inputs.validation import Data
from skem.core.blocks.arrays import ArrayBlocks, Block, Blocks, is_mapped
from skem.core.blocks.threads import Workspace
from skem.core.mixture.kernel import Kernel
from skem.core.mixture.totals import Totals, scored


class Predicting(Parametric):
    """Scores and labels rows, of arrays, files and Dask collections."""

    def _evaluate(
        self,
        X: ArrayLike,
        shape: tuple[int, ...],
        write: Callable[[Kernel, np.ndarray, Block, Workspace], None],
        dtype: Any = None,
    ) -> np.ndarray:
        """Return an array (n_samples, *shape) that `write` has filled by blocks."""
        self._check_is_fitted()
        return evaluate_rows(self, X, self._expectation, write, shape, dtype)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples,)
            Log-density at each row, in nats; always finite. Lazy, as all predictions,
            if X is a Dask array or DataFrame.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.score_samples([[-2.0], [1.0]]).round(3)
        array([-1.38 , -1.401])
        """
        return self._evaluate(X, (), write_log_density)

    def component_log_density(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each component at each row, without its weight.

        log N(x | μ_k, Σ_k). With the logarithms of the weights added, the logarithm of
        the sum of exponentials over components is `score_samples`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples, n_components)
            Log-densities, in nats; always finite. Lazy, as all predictions, if X is a
            Dask array or DataFrame.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.component_log_density([[-2.0], [1.0]]).round(3)
        array([[ -0.226,  -4.044],
               [-18.226,  -1.044]])
        """
        self._check_is_fitted()
        K = np.shape(self.means_)[0]
        write = write_component_log_density
        return evaluate_rows(self, X, self._components, write, (K,))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Posterior probability of each component, given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        resp : ndarray or Dask array of shape (n_samples, n_components)
            Probabilities; each row sums to one, however far it is from the data. With
            `noise` there is one more column, the last, for it.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.predict_proba([[-2.0], [-1.0]]).round(3)
        array([[0.951, 0.049],
               [0.263, 0.737]])
        """
        self._check_is_fitted()
        return self._evaluate(X, (self._n_features_out,), write_responsibilities)

    @property
    def _n_features_out(self) -> int:
        """Number of columns of `transform`."""
        return np.shape(self.means_)[0] + (self._background is not None)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Label each row with its most probable component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        Returns
        -------
        labels : ndarray or Dask array of shape (n_samples,)
            Indices of components; −1 for `noise`.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> mixture.predict([[-2.0], [1.0]])
        array([0, 1])
        """
        return self._evaluate(X, (), write_labels, dtype=np.intp)

    def _label(self, blocks: Blocks) -> None:
        """Set `labels_`, if the rows of a fit are in memory."""
        self.__dict__.pop("labels_", None)
        if isinstance(blocks, ArrayBlocks) and not is_mapped(blocks.X):
            labels = np.empty(blocks.n_samples, np.int32)
            at = self._expectation(blocks.dtype)
            write = partial(write_labels, at)
            # By their features alone, as `predict`.
            unknown = replace(blocks, known=None)
            self.labels_ = unknown.fill(labels, write, at.values_per_sample)

    def _totals(
        self,
        X: ArrayLike,
        sample_weight: Any,
        fold: Callable[[Kernel, Blocks], Totals] = scored,
        labels: Any = None,
    ) -> Totals:
        """Fold the data into totals."""
        self._check_is_fitted()
        K = np.shape(self.means_)[0]
        with open_blocks(
            self, X, sample_weight, reset=False, labels=labels, n_components=K
        ) as blocks:
            return fold(self._expectation(blocks.dtype), blocks)

    def _log_density(self, X: np.ndarray, *, incomplete: bool = False) -> np.ndarray:
        """Log-density of rows, without a check of their features' names."""
        data = Data(X, incomplete)
        return evaluate_array(data, self._density, write_log_density, ())
