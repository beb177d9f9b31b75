"""What a mixture of a table does once it has been fitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skem._fitted.sampling import check_n_draws
from skem._fitted.shared import SharedMethods
from skem._inputs.families import Columns
from skem._inputs.frames import is_dask
from skem._inputs.tables import TakesTables, read_weighed, rebuilt
from skem._inputs.validation import (
    check_labels,
    check_weights,
    rng_of,
    weight_of_each,
)
from skem._report.measures import Agreement
from skem._tables.lazy import agreement_of, lazily
from skem._tables.parts import row_given
from skem.core.blocks.threads import Workers
from skem.core.mixture.totals import Totals, classified
from skem.families.model import Laws
from skem.families.point import Point
from skem.families.table_map import TableMap


class FittedTable(TakesTables, SharedMethods):
    """Prediction, scores and samples of a `MixtureModel`."""

    weights_: np.ndarray
    categories_: dict[str, np.ndarray]
    families_: dict[str, str]
    lower_bound_: float
    labels_: np.ndarray
    n_parameters_: int
    n_features_in_: int
    handle_unknown: str
    random_state: int | np.random.RandomState | None
    _columns: Columns
    _product: Any
    _laws: tuple[Laws, ...]
    _container: str
    _dtypes: Any

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture: a stream may not have enough rows yet."""
        return hasattr(self, "weights_")

    def _check_is_fitted(self) -> None:
        check_is_fitted(self, msg=self._why_unfitted())

    def _why_unfitted(self) -> str | None:
        """Return why there is no mixture yet, or None for scikit-learn's words."""
        return None

    @property
    def _point(self) -> Point:
        """The mixture: its weights, which may be edited, and the laws of columns."""
        law = self._laws[0]
        K = len(law.get("means", next(iter(law.values()))))
        return Point(check_weights(self.weights_, K), self._laws)

    def _map(
        self,
        X: Any,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> TableMap:
        """Return the fitted mixture's map of validated data, whose rows weigh one.

        `sample_weight` tells which rows may have categories that are not known.
        """
        self._check_is_fitted()
        table, weight = read_weighed(self, X, sample_weight, reset=False)
        values, few = self._columns.read(table, self.handle_unknown, weight)
        known = check_labels(labels, table.n_rows, len(self.weights_), weight)
        even = np.ones(table.n_rows)
        return TableMap(self._product.of(few), values, even, Workers(), known)

    def _posterior(
        self,
        X: Any,
        labels: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities (n,) and probabilities (K, n), with labels if there are any."""
        em = self._map(X, sample_weight, labels)
        log_density = np.empty(em.n_samples)
        resp = np.empty((len(self.weights_), em.n_samples))
        for rows, found, own in em.posterior(self._point):
            log_density[rows], resp[:, rows] = found, own
        return log_density, resp

    def _label(self, em: TableMap) -> None:
        """Set `labels_`, of all rows by their values alone."""
        self.labels_ = np.empty(em.n_samples, np.int32)
        for rows, _, resp in em.posterior(self._point):
            self.labels_[rows] = resp.argmax(axis=0)

    def _labels_or_predict(self, X: Any) -> np.ndarray:
        """Return the labels of the rows of a fit."""
        found = vars(self).get("labels_")
        if found is None or is_dask(X):
            return self.predict(X)
        return found.astype(np.intp)

    def _labels_of(self, X: Any, sample_weight: ArrayLike | None) -> np.ndarray:
        """Return the most probable component of each row that has weight."""
        if is_dask(X):
            return np.asarray(self.predict(X))
        return self._posterior(X, None, sample_weight)[1].argmax(axis=0)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        labels : ndarray or Dask array of shape (n_samples,)
            Components. Lazy, as all predictions, if X is a Dask array or data frame.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            If X has other columns than the fit, or a cell that the family of its column
            cannot take, as an infinite number or, unless `handle_unknown` is 'missing',
            a category that is not known.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.predict([[1, 2], [29, None]])
        array([1, 0])
        """
        if is_dask(X):
            return lazily(self, X, "predict", dtype=np.intp)
        return self._labels_of(X, None)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the posterior probabilities of the components.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        resp : ndarray or Dask array of shape (n_samples, n_components)
            Probabilities; of a row without a value, the weights.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            As `predict`.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.predict_proba([[9, None], [None, 5]]).round(2)
        array([[0.01, 0.99],
               [0.83, 0.17]])
        """
        if is_dask(X):
            return lazily(self, X, "predict_proba", (self._n_features_out,))
        return np.ascontiguousarray(self._posterior(X)[1].T)

    @property
    def _n_features_out(self) -> int:
        """Number of columns of `transform`."""
        return len(self.weights_)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-likelihood of what was observed of each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples,)
            In nats: densities of numbers, probabilities of counts and categories.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            As `predict`.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.score_samples([[1, 2], [29, None]]).round(2)
        array([-4.24, -3.41])
        """
        if is_dask(X):
            return lazily(self, X, "score_samples")
        return self._posterior(X)[0]

    def component_log_density(self, X: Any) -> np.ndarray:
        """Return the log-likelihood of each row in each component, without its weight.

        With the logarithms of the weights added, the logarithm of the sum of
        exponentials over components is `score_samples`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        log_prob : ndarray or Dask array of shape (n_samples, n_components)
            In nats, of what was observed of each row; always finite.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            As `predict`.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.component_log_density([[1, 2], [29, None]]).round(1)
        array([[-27.2,  -3.6],
               [ -2.7, -38.6]])
        """
        if is_dask(X):
            return lazily(self, X, "component_log_density", (self._n_features_out,))
        em = self._map(X)
        log_density = np.empty((em.n_samples, len(self.weights_)))
        for rows, found in em.component_log_density(self._point):
            log_density[rows] = found.T
        limit = np.finfo(float).max
        return np.nan_to_num(log_density, nan=-limit, posinf=limit, neginf=-limit)

    def _agreement(
        self, X: Any, sample_weight: ArrayLike | None, labels: ArrayLike | None
    ) -> Agreement:
        """Add up what is said of rows."""
        if is_dask(X):
            return agreement_of(self, X, sample_weight, labels)
        log_density, resp = self._posterior(X, labels, sample_weight)
        weight = weight_of_each(sample_weight, len(log_density))
        return Agreement.of(log_density, resp, weight)

    def _totals(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        fold: Callable[..., Totals] = classified,
        labels: ArrayLike | None = None,
    ) -> Totals:
        """Add up what is said of rows, certainties always among it."""
        return self._agreement(X, sample_weight, labels).totals

    def _n_parameters(self) -> int:
        return self.n_parameters_

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        given: Any = None,
    ) -> tuple[Any, np.ndarray]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; a float must be a whole number.

        random_state : int, RandomState instance or None, default=None
            Seed; None takes that of the estimator.

        given : mapping, or sequence of shape (n_features,), default=None
            Values that some columns have in all rows, as in `conditional`; the others
            are drawn from their law given these.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_samples, n_features)
            A table of the kind that was fitted: with its categories and names.

        y : ndarray of shape (n_samples,)
            Components, in order.

        Raises
        ------
        ValueError
            If `n_samples` is less than one, or not a whole number; if `given` is not
            valid in `conditional`.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.sample(3, given={"x0": 29})[0][:, 0]
        array([29., 29., 29.])
        """
        self._check_is_fitted()
        n_samples = check_n_draws(n_samples)
        rng = rng_of(self, random_state)
        if given is None:
            labels, values = self._labelled_draws(n_samples, rng)
            return self._rebuilt(values), labels
        row = row_given(self._columns, given)
        left, part = np.isnan(row), self.conditional(given)
        values = np.repeat(row[:, None], n_samples, axis=1)
        labels, values[left] = part._labelled_draws(n_samples, rng)
        return self._rebuilt(values), labels

    @abstractmethod
    def conditional(self, values: Any) -> Any:
        """Return the mixture of the other columns, given the values of some."""

    def _labelled_draws(
        self, n: int, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Components, and values (d, n)."""
        weights = self._point.weights
        counts = rng.multinomial(n, weights / weights.sum())
        values = np.empty((self.n_features_in_, n))
        product, laws = self._product, self._laws
        for k, stop in enumerate(np.cumsum(counts)):
            here = slice(stop - counts[k], stop)
            for model, place, law in zip(
                product.models, product.places, laws, strict=True
            ):
                values[place, here] = model.draw(law, k, int(counts[k]), rng)
        return np.repeat(np.arange(len(counts)), counts), values

    def _column_log_density(self, j: int, x: np.ndarray) -> np.ndarray:
        """Log-densities of the components at values of one column, (K, n)."""
        values = np.full((self.n_features_in_, len(x)), np.nan)
        values[j] = x
        even = np.ones(len(x))
        em = TableMap(self._product.of(values), values, even, Workers())
        return np.hstack([each for _, each in em.component_log_density(self._point)])

    def _proportions(self, j: int) -> np.ndarray:
        """Probabilities of the categories of a column, (K, B)."""
        groups = zip(self._columns.groups, self._laws, strict=True)
        return next(laws["proportions"] for (_, own), laws in groups if j in own)

    def _rebuilt(
        self, values: np.ndarray, categories: dict[str, np.ndarray] | None = None
    ) -> Any:
        return rebuilt(
            self._columns.names,
            values,
            categories or self.categories_,
            self._container,
            self._dtypes,
        )
