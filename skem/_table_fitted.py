"""What a mixture of a table does once it has been fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skem._families import Columns
from skem._features import check_features
from skem._table import TakesTables, read_table, rebuilt
from skem._table_errors import METHODS, TableStandardErrors, errors_of, unflattened
from skem._table_parts import check_left, parts_of, row_given
from skem._table_summary import TableSummary
from skem._table_support import support_probability
from skem._validation import check_sample_weight
from skem.core.threads import Workers
from skem.families.gaussian import Gaussian
from skem.families.point import Point
from skem.families.table_map import TableMap


class FittedTable(
    TakesTables,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
):
    """Prediction, scores, samples, completion and tables of a `MixtureModel`."""

    weights_: np.ndarray
    parameters_: dict[str, dict[str, np.ndarray]]
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
    _point: Point
    _container: str
    _dtypes: Any

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture: a stream may not have enough rows yet."""
        return hasattr(self, "weights_")

    def _map(self, X: Any) -> TableMap:
        """Return the fitted mixture's map of validated data."""
        check_is_fitted(self)
        table = read_table(self, X, reset=False)
        values, few = self._columns.read(table, self.handle_unknown)
        weight = np.ones(table.n_rows)
        return TableMap(self._product.of(few), values, weight, Workers())

    def _posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities (n,) and probabilities (K, n)."""
        em = self._map(X)
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
        return self.predict(X) if found is None else found.astype(np.intp)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Components.
        """
        return self._posterior(X)[1].argmax(axis=0)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the posterior probabilities of the components.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Probabilities; of a row without a value, the weights.
        """
        return np.ascontiguousarray(self._posterior(X)[1].T)

    def transform(self, X: Any) -> np.ndarray:
        """Turn rows into features: their posterior probabilities.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        resp : ndarray or DataFrame of shape (n_samples, n_components)
            Those of `predict_proba`. A DataFrame after
            ``set_output(transform="pandas")``, with columns `mixturemodel0` and so on.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [0], [30], [31], [28]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.transform(X).shape
        (6, 2)
        >>> model.get_feature_names_out()
        array(['mixturemodel0', 'mixturemodel1'], dtype=object)
        """
        return self.predict_proba(X)

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
        log_prob : ndarray of shape (n_samples,)
            In nats: densities of numbers, probabilities of counts and categories.
        """
        return self._posterior(X)[0]

    def score(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the mean log-likelihood of the rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        score : float
            In nats per row.
        """
        log_density = self.score_samples(X)
        return float(
            np.average(
                log_density, weights=self._given(sample_weight, len(log_density))
            )
        )

    @staticmethod
    def _given(sample_weight: ArrayLike | None, n: int) -> np.ndarray:
        weight = check_sample_weight(sample_weight, np.empty((n, 0)))
        return np.ones(n) if weight is None else np.asarray(weight, dtype=float)

    def _criterion(self, X: Any, sample_weight: ArrayLike | None, price: Any) -> float:
        log_density = self.score_samples(X)
        weight = self._given(sample_weight, len(log_density))
        total = float(weight.sum())
        return float(-2 * log_density @ weight + price(total) * self.n_parameters_)

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion, −2ℓ + p log N.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        bic : float
            The lower the better.
        """
        return self._criterion(X, sample_weight, math.log)

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion, −2ℓ + 2p.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        aic : float
            The lower the better.
        """
        return self._criterion(X, sample_weight, lambda total: 2.0)

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood: BIC with a price on overlap.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        icl : float
            The lower the better.
        """
        log_density, resp = self._posterior(X)
        weight = self._given(sample_weight, len(log_density))
        certainty = float(np.log(resp.max(axis=0)) @ weight)
        bic = -2 * float(log_density @ weight)
        bic += math.log(float(weight.sum())) * self.n_parameters_
        return bic - 2 * certainty

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[Any, np.ndarray]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        random_state : int, RandomState instance or None, default=None
            Seed; None takes that of the estimator.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_samples, n_features)
            A table of the kind that was fitted: with its categories and names.

        y : ndarray of shape (n_samples,)
            Components, in order.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': {n_samples} . The sampling requires "
                "at least one sample."
            )
        seed = self.random_state if random_state is None else random_state
        rng = check_random_state(seed)
        labels, values = self._labelled_draws(n_samples, rng)
        return self._rebuilt(values), labels

    def _labelled_draws(
        self, n: int, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Components, and values (d, n)."""
        counts = rng.multinomial(n, self.weights_ / self.weights_.sum())
        values = np.empty((self.n_features_in_, n))
        product, laws = self._product, self._point.laws
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
        product = self._product.of(values)
        even = Point(np.ones(len(self.weights_)), self._point.laws)
        found = product.coefficients(even)
        rows = product.rows(values, None, np.ones(len(x)))
        return product.logits(even, found, rows) + product.base(values)

    def _rebuilt(self, values: np.ndarray) -> Any:
        return rebuilt(
            self._columns.names,
            values,
            self.categories_,
            self._container,
            self._dtypes,
        )

    def impute(self, X: Any) -> Any:
        """Complete missing cells by what the rest of the row says of them.

        Numbers by their conditional means, in the mixture given the row (Gaussian
        columns given the others of their group too; log-normal ones by those of the
        logarithms); categories by the likeliest one.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_samples, n_features)
            A table of the kind that was fitted, without gaps.
        """
        em = self._map(X)
        _, resp = self._posterior(X)
        values = em.numbers().copy()
        for model, place, laws in zip(
            em.product.models, em.product.places, self._point.laws, strict=True
        ):
            values[place] = model.filled(laws, values[place], resp)
        return self._rebuilt(values)

    def support_probability(
        self,
        X: Any,
        n_samples: int = 100_000,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Return the mass of the mixture where it is at most as dense as at each row.

        A score for outliers, as in :class:`GaussianMixture`: draws of the mixture are
        below p with a probability of p, or less where rows of counts and categories
        share a probability.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        n_samples : int, default=100_000
            Number of draws to compare with. The standard error is at most
            0.5/√n_samples, and a probability at least 1/(n_samples + 1).

        random_state : int, RandomState instance or None, default=None
            Seed of the draws; None takes that of the estimator.

        Returns
        -------
        prob : ndarray of shape (n_samples,)
            Probabilities; of rows with missing cells, those of the density of what they
            have, and one for a row without any value.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> model = MixtureModel(families="bernoulli").fit([[0], [1], [1], [1]])
        >>> model.support_probability([[0], [1]], random_state=0).round(2)
        array([0.25, 1.  ])
        """
        em = self._map(X)
        if n_samples < 1:
            raise ValueError(f"n_samples should be at least one, got {n_samples}.")
        seed = self.random_state if random_state is None else random_state
        return support_probability(self, em, n_samples, check_random_state(seed))

    def marginal(self, columns: Sequence[int | str] | int | str) -> Any:
        """Return the mixture of some of the columns.

        Parameters
        ----------
        columns : int, str or sequence of them
            The columns, by place or by name, in the order wanted.

        Returns
        -------
        mixture : MixtureModel
            Fitted, of the same weights and components. A part of a Gaussian group has
            its covariance structure, or where that does not pass on to parts, matrices
            or variances without constraints.

        Raises
        ------
        ValueError
            If there are no columns, or they are unknown or not distinct.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> list(model.marginal("x1").parameters_)
        ['x1']
        """
        check_is_fitted(self)
        chosen = check_features(columns, self._columns.names, "columns")
        nothing = np.full(len(self._columns.names), np.nan)
        return parts_of(self, chosen, nothing, self.weights_)

    def conditional(self, values: Any) -> Any:
        """Return the mixture of the other columns, given the values of some.

        Its weights are the posterior probabilities of the components given the values.
        Columns are independent given the component, so that their parameters stay; the
        others of a Gaussian group are those of the regression on what is given of it.

        Parameters
        ----------
        values : mapping, or sequence of shape (n_features,)
            A value for each given column, by place or by name, as a category or a
            number; or a row, with None or NaN for the columns that are not given.

        Returns
        -------
        mixture : MixtureModel
            Fitted, of the columns without a value, in their order. Components keep
            their numbers.

        Raises
        ------
        ValueError
            If a column or a category is unknown, a value is infinite or does not suit
            the column's family, or all columns are given.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> given = model.conditional({"x0": 25})
        >>> given.weights_.max().round(3)
        np.float64(1.0)
        """
        check_is_fitted(self)
        row = row_given(self._columns, values)
        wanted = check_left(row)
        X = row[:, None]
        em = TableMap(self._product.of(X), X, np.ones(1), Workers())
        _, _, resp = next(em.posterior(self._point))
        return parts_of(self, wanted, row, resp[:, 0])

    def standard_errors(
        self,
        X: Any,
        sample_weight: ArrayLike | None = None,
        *,
        method: str = "sandwich",
    ) -> TableStandardErrors:
        """Estimate standard errors of the parameters.

        By default from the sandwich A⁻¹ B A⁻¹, with A minus the Hessian of the
        log-likelihood [1]_, and B the sum of outer products of the scores of the rows
        [2]_, as in :class:`GaussianMixture`. It is right for large samples whether the
        model is right or not. The penalty is left out. Parameters that the data do not
        identify have NaN.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table that was fitted.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as repeated rows.

        method : {'sandwich', 'hessian', 'opg'}, default='sandwich'
            'hessian' is A⁻¹ and 'opg', the outer product of gradients, B⁻¹: both
            suppose that the model is right.

        Returns
        -------
        errors : TableStandardErrors
            With `weights` and `parameters`, in the shapes of `weights_` and
            `parameters_`.

        References
        ----------
        .. [1] T. A. Louis (1982). Finding the observed information matrix when using
           the EM algorithm. JRSS B 44(2), 226-233.

        .. [2] H. White (1982). Maximum likelihood estimation of misspecified models.
           Econometrica 50(1), 1-25.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [1], [0], [1], [1], [1], [1]]
        >>> model = MixtureModel(families="bernoulli").fit(X)
        >>> errors = model.standard_errors(X)
        >>> errors.parameters["x0"]["probability"].round(2)
        array([0.15])
        """
        em = self._map(X)
        weight = self._given(sample_weight, em.n_samples)
        if method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}; got {method!r}.")
        errors = errors_of(em, self._point, weight, self._outward, method)
        return TableStandardErrors(errors["weights"], unflattened(errors))

    def _outward(self, point: Point) -> dict[Any, np.ndarray]:
        """Return the weights, and the parameters by column and name."""
        found = outward_parameters(self._columns, self._product, point)[0]
        flat: dict[Any, np.ndarray] = {"weights": point.weights}
        for name, laws in found.items():
            flat |= {(name, key): values for key, values in laws.items()}
        return flat

    def summary(self) -> TableSummary:
        """Return per-component tables of what the columns are like, to be printed.

        Returns
        -------
        summary : TableSummary
            Prints as text, and as HTML in notebooks.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [1], [0], [1], [1]]
        >>> MixtureModel(families="bernoulli").fit(X).summary()
        Mixture of 1 component: 1 free parameter, mean log-likelihood -0.636514
        <BLANKLINE>
                     0
          weight  1.00
        <BLANKLINE>
        Proportions of categories
        <BLANKLINE>
                      0
          x0 = 1  0.667
        """
        check_is_fitted(self)
        return TableSummary(
            self.weights_,
            self.families_,
            self.parameters_,
            self.categories_,
            self.n_parameters_,
            getattr(self, "lower_bound_", None),
        )


def outward_parameters(
    columns: Columns, product: Any, point: Point
) -> tuple[dict[str, dict[str, np.ndarray]], dict[tuple[str, ...], np.ndarray]]:
    """Return the parameters of each column, and the covariances of groups."""
    found: dict[str, dict[str, np.ndarray]] = {}
    covariances: dict[tuple[str, ...], np.ndarray] = {}
    for (kind, places), model, laws in zip(
        columns.groups, product.models, point.laws, strict=True
    ):
        names = [columns.names[j] for j in places]
        outward = model.outward(laws)
        if isinstance(kind, Gaussian):
            covariances[tuple(names)] = outward["covariances"]
            for i, name in enumerate(names):
                found[name] = {
                    "mean": outward["means"][:, i],
                    "standard_deviation": outward["standard_deviations"][:, i],
                }
        else:
            found[names[0]] = outward
    return {name: found[name] for name in columns.names}, covariances
