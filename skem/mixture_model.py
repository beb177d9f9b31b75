"""MixtureModel: mixtures over tables, with a family for each column."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skem._families import Columns, distinct, resolve
from skem._fitting import unchanged_on_error
from skem._table import Table, read_table, rebuilt
from skem._table_errors import TableStandardErrors, errors_of, unflattened
from skem._table_summary import TableSummary
from skem._text import UNDETERMINED
from skem._validation import check_n_samples, check_sample_weight
from skem.core.accelerate import ACCELERATORS
from skem.core.covariance import SHAPES
from skem.core.solve import Solution, solve
from skem.core.threads import Workers
from skem.exceptions import DegenerateComponentsWarning
from skem.families.degeneracy import degenerate_components
from skem.families.gaussian import Gaussian
from skem.families.product import Point, TableMap, by_weight
from skem.families.search import TableSearch

UNKNOWN = -1
"""Label of rows of which the component is not known."""


class MixtureModel(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator
):
    """Mixture model of a table: each column has a family of distributions.

    Clusters rows of numbers, counts, categories and gaps by likelihood. Columns, or
    groups of columns, are independent given the component; a group of Gaussian columns
    may be correlated. With categories alone that is latent class analysis.

    Parameters
    ----------
    n_components : int, default=1
        The number of mixture components, K.

    families : 'auto', str, Family, mapping or list of pairs, default='auto'
        The family of each column:

        - 'auto': categorical for columns of categories, text and bools, and Gaussian
          for those of numbers; `families_` says which it was. A column of Python
          objects is one of numbers if all of its values are.
        - str or Family: one family for all columns.
        - mapping from columns (names or places) to families. Columns that are not
          named are as with 'auto'.
        - list of pairs (family, columns), as in
          :class:`~sklearn.compose.ColumnTransformer`: a Gaussian pair is a group of
          its own, independent of others given the component.

        A family is an instance of :class:`skem.Family`, or one of the names:

        - 'gaussian': normal, with `covariance_type` for all columns of that name.
        - 'student': Student's t with location, scale and degrees of freedom.
        - 'lognormal': positive, the logarithms are Gaussian with `covariance_type`.
        - 'exponential': from 0, by the mean.
        - 'gamma': positive, by shape and mean.
        - 'poisson': counts, by the rate.
        - 'negative_binomial': counts, by mean and size; variance μ + μ²/size.
        - 'bernoulli': 0 and 1, or two categories.
        - 'categorical': categories, or any column by its different values.
        - 'ordinal': as 'categorical'; the order is not used.

    covariance_type : str, default='full'
        The structure of the covariances of Gaussian columns, as in
        :class:`GaussianMixture`. With 'full' a table of numbers alone is a
        `GaussianMixture`. 'diag' makes all columns independent given the component, as
        StepMix has it.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that the fit may still leave to be gained,
        as in :class:`GaussianMixture`.

    pseudo_observations : 'auto' or float, default='auto'
        How many rows of prior knowledge each component gets: ε = 2/√N with 'auto', N
        the sum of weights. They are rows of the pooled data: a Dirichlet at the overall
        proportions for categories, a Gamma at the overall mean for counts. That keeps
        proportions off 0 and 1. For Gaussian and Student columns they have the scale of
        clusters, as with ``reg_covar="auto"`` of :class:`GaussianMixture`. With 0 the
        fit is by maximum likelihood, and proportions may be 0.

    max_iter : int, default=1000
        The largest number of steps of a run, each of which is one pass over the data.

    n_init : int or 'auto', default='auto'
        'auto': ten starts (four for each component, at most) get a few steps, and the
        best one is finished; then components are moved as long as that helps. On
        many rows this is done on 10 000 of them first. An int: the best of so many
        such searches.

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver, as in :class:`GaussianMixture`.

    handle_unknown : {'error', 'missing'}, default='error'
        What a category is that `fit` has not seen: an error, or a missing value.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts, and of `sample` where that is given none.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components, the largest first, unless labels were given.

    parameters_ : dict of str to dict of str to ndarray
        For each column its parameters by name, each with the components along the first
        axis: 'mean' and 'standard_deviation' (Gaussian; of logarithms if 'lognormal'),
        'location', 'scale' and 'df' (Student), 'mean' (exponential), 'shape' and 'mean'
        (gamma), 'rate' (Poisson), 'mean' and 'size' (negative binomial), 'probability'
        (Bernoulli; of the second of `categories_`), 'proportions' (categorical).

    covariances_ : dict of tuple of str to ndarray
        For each group of Gaussian columns its covariances, in the shape of
        `covariance_type`.

    categories_ : dict of str to ndarray
        The categories of each column that has them, in the order of its proportions.

    families_ : dict of str to str
        The name of the family of each column.

    converged_ : bool
        Whether at most `tol` nats were estimated to be left to be gained.

    n_iter_ : int
        Number of steps of the run that led to the result.

    lower_bound_ : float
        Mean log-likelihood of the training data, in nats per sample (weighted);
        equals ``score(X, sample_weight=sample_weight)``.

    degenerate_components_ : ndarray of int
        Indices of components that the data do not support: they rest on fewer
        effective rows, N·w_k, than it takes to determine what each has of its own, or
        coincide with another one. See
        :class:`~skem.exceptions.DegenerateComponentsWarning`.

    labels_ : ndarray of int32 of shape (n_samples,)
        The component that each row of the fit is most probable to be of, by its
        values alone.

    n_parameters_ : int
        Number of free parameters.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns seen during `fit`, if all of them are strings. Columns of
        arrays are called x0, x1, ... in the attributes.

    See Also
    --------
    GaussianMixture : Numbers alone: faster, with more of everything.
    MixtureIC : Choose the number of components.
    Family : Write your own family.

    Notes
    -----
    A missing cell (NaN, None, NA) is missing at random, and the likelihood is that of
    what was observed. A row without any value has density one.

    A column of categories has a probability for each, and a column of numbers a density
    in its units: log-likelihoods of models with other families for a column compare
    only if both are of one kind.

    The table is held in memory as float64 columns, and equal rows of a table of
    categories and counts as one row with a weight. Computation is in float64.

    References
    ----------
    .. [1] G. J. McLachlan and D. Peel (2000). Finite Mixture Models. Wiley.
    .. [2] J. K. Vermunt and J. Magidson (2002). Latent class cluster analysis. In
       Applied Latent Class Analysis, Cambridge University Press, 89-106.

    Examples
    --------
    >>> import pandas as pd
    >>> from skem import MixtureModel
    >>> table = pd.DataFrame({
    ...     "plan": ["free", "free", "paid", "paid", "free", "paid"],
    ...     "visits": [1, 2, 30, 25, None, 28],
    ... })
    >>> model = MixtureModel(2, families={"visits": "poisson"}, random_state=0)
    >>> labels = model.fit_predict(table)
    >>> model.families_
    {'plan': 'categorical', 'visits': 'poisson'}
    >>> bool(labels[0] == labels[4] != labels[2])
    True
    """

    weights_: np.ndarray
    parameters_: dict[str, dict[str, np.ndarray]]
    covariances_: dict[tuple[str, ...], np.ndarray]
    categories_: dict[str, np.ndarray]
    families_: dict[str, str]
    converged_: bool
    n_iter_: int
    lower_bound_: float
    degenerate_components_: np.ndarray
    labels_: np.ndarray
    n_parameters_: int
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "families": "no_validation",
        "covariance_type": [StrOptions(set(SHAPES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "pseudo_observations": [
            StrOptions({"auto"}),
            Interval(Real, 0.0, None, closed="left"),
        ],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "algorithm": [StrOptions(set(ACCELERATORS))],
        "handle_unknown": [StrOptions({"error", "missing"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        families: Any = "auto",
        covariance_type: str = "full",
        tol: float = 1e-2,
        pseudo_observations: float | str = "auto",
        max_iter: int = 1000,
        n_init: int | str = "auto",
        algorithm: str = "auto",
        handle_unknown: str = "error",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.families = families
        self.covariance_type = covariance_type
        self.tol = tol
        self.pseudo_observations = pseudo_observations
        self.max_iter = max_iter
        self.n_init = n_init
        self.algorithm = algorithm
        self.handle_unknown = handle_unknown
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        """Say that NaN is a missing value, and that there may be categories."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        labels: ArrayLike | None = None,
    ) -> Self:
        """Fit the mixture to a table.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            A table of pandas or polars, or an array. NaN, None and NA are missing.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight is a repeated row.

        labels : array-like of int of shape (n_samples,), default=None
            Components of rows where they are known, from 0 to `n_components` − 1, and
            −1 where they are not. Components then keep these numbers.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            If a column does not suit its family (which is named), has no value, or a
            dtype that is neither of numbers nor of categories; if weights are negative
            or all zero. The estimator then stays as it was.

        Warns
        -----
        ConvergenceWarning
            If the run that led to the result has not converged.

        DegenerateComponentsWarning
            If there are `degenerate_components_`.
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight, labels)
        return self

    def fit_predict(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        labels: ArrayLike | None = None,
    ) -> np.ndarray:
        """Fit the mixture, and return the most probable component of each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of int of shape (n_samples,), default=None
            Known components, as in `fit`. What is returned is by values alone.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Components.
        """
        self.fit(X, sample_weight=sample_weight, labels=labels)
        return self.labels_.astype(np.intp)

    @_fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(
        self, X: Any, sample_weight: ArrayLike | None, labels: ArrayLike | None
    ) -> None:
        table = read_table(self, X, reset=True, min_samples=2)
        weight = self._weight(sample_weight, table)
        check_n_samples(int(np.count_nonzero(weight)), self.n_components)
        known = _check_labels(labels, table.n_rows, self.n_components)
        groups = resolve(self.families, self.covariance_type, table)
        columns = Columns.of(table, groups, weight)
        with Workers() as workers:
            em, product = self._prepared(columns, table, weight, known, workers)
            best = self._searched(em)
            point = best.evaluation.parameters
            if known is None:
                point = by_weight(em, point)
            self._set_fit(columns, table, product.as_points(), point, best)
            scored = TableMap(em.product.as_points(), em.values, em.weight, em.workers)
            total = float(weight.sum())
            self.lower_bound_ = scored.evaluate(point).loglik / total
            self._label(columns.values(table, "error"), workers)
            self.degenerate_components_ = degenerate_components(product, point, total)
        if not best.converged:
            warnings.warn(
                "Best performing initialization did not converge: an estimated "
                f"{best.accelerator.remaining:.3g} nats of log-likelihood are left to "
                "be gained. Increase max_iter or tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=4,
            )
        if len(self.degenerate_components_):
            warnings.warn(
                f"Components {self.degenerate_components_.tolist()} {UNDETERMINED} Try "
                "to decrease the number of components.",
                DegenerateComponentsWarning,
                stacklevel=4,
            )

    def _label(self, values: np.ndarray, workers: Workers) -> None:
        """Set `labels_`, of the rows by their values alone."""
        n = values.shape[1]
        em = TableMap(self._product.of(values), values, np.ones(n), workers)
        self.labels_ = np.empty(n, np.int32)
        for rows, _, resp in em.posterior(self._point):
            self.labels_[rows] = resp.argmax(axis=0)

    @staticmethod
    def _weight(sample_weight: ArrayLike | None, table: Table) -> np.ndarray:
        weight = check_sample_weight(sample_weight, np.empty((table.n_rows, 0)))
        if weight is None:
            return np.ones(table.n_rows)
        return np.array(weight, dtype=float)

    def _prepared(
        self,
        columns: Columns,
        table: Table,
        weight: np.ndarray,
        known: np.ndarray | None,
        workers: Workers,
    ) -> tuple[TableMap, Any]:
        """Return the map of the data, and the models whatever is missing."""
        values = columns.values(table, "error")
        auto = isinstance(self.pseudo_observations, str)
        epsilon = None if auto else float(self.pseudo_observations)
        product = columns.product(values, weight, self.n_components, epsilon)
        kept = np.flatnonzero(weight > 0)
        values, weight = values[:, kept], weight[kept]
        known = None if known is None else known[kept]
        merged = distinct(values, weight, known) if columns.discrete else None
        if merged is not None:
            first, weight = merged
            values, known = values[:, first], None if known is None else known[first]
        values = np.ascontiguousarray(values)
        return TableMap(product.of(values), values, weight, workers, known), product

    def _searched(self, em: TableMap) -> Solution:
        """Return the best of the searches that are asked for."""
        rng = check_random_state(self.random_state)
        search = TableSearch(self.n_components, rng, self._finished)
        n_init = 1 if isinstance(self.n_init, str) else self.n_init
        return max(
            (search.optimum(em) for _ in range(n_init)),
            key=lambda found: found.evaluation.objective,
        )

    def _finished(
        self, em: TableMap, start: Point, earlier: Solution | None
    ) -> Solution:
        accelerator = ACCELERATORS[self.algorithm](em.chart)
        if earlier is not None:
            accelerator.follow(earlier.accelerator)
        return solve(
            em.evaluate, start, accelerator, tol=self.tol, max_iter=self.max_iter
        )

    def _set_fit(
        self,
        columns: Columns,
        table: Table,
        product: Any,
        point: Point,
        best: Solution,
    ) -> None:
        self._columns, self._product, self._point = columns, product, point
        self._container, self._dtypes = table.container, table.dtypes
        self.weights_ = point.weights
        self.families_ = {
            columns.names[j]: kind.name
            for kind, places in columns.groups
            for j in places
        }
        self.families_ = {name: self.families_[name] for name in columns.names}
        self.categories_ = {
            columns.names[j]: _label_array(labels)
            for j, labels in sorted(columns.labels.items())
        }
        self.parameters_, self.covariances_ = _parameters(columns, product, point)
        self.converged_ = bool(best.converged)
        self.n_iter_ = best.n_iter
        self.n_parameters_ = product.n_free(self.n_components)

    def _map(self, X: Any) -> TableMap:
        """Return the fitted mixture's map of validated data."""
        check_is_fitted(self)
        table = read_table(self, X, reset=False)
        values = self._columns.values(table, self.handle_unknown)
        weight = np.ones(table.n_rows)
        return TableMap(self._product.of(values), values, weight, Workers())

    def _posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities (n,) and probabilities (K, n)."""
        em = self._map(X)
        log_density = np.empty(em.n_samples)
        resp = np.empty((len(self.weights_), em.n_samples))
        for rows, found, own in em.posterior(self._point):
            log_density[rows], resp[:, rows] = found, own
        return log_density, resp

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
        values = em.values.copy()
        for model, place, laws in zip(
            em.product.models, em.product.places, self._point.laws, strict=True
        ):
            values[place] = model.filled(laws, values[place], resp)
        return self._rebuilt(values)

    def standard_errors(
        self, X: Any, sample_weight: ArrayLike | None = None
    ) -> TableStandardErrors:
        """Return standard errors of the parameters, from the scores of the rows.

        The information is the sum of outer products of the scores, which is right where
        the model is [1]_. Parameters that the data do not identify have NaN.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table that was fitted.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as repeated rows.

        Returns
        -------
        errors : TableStandardErrors
            With `weights` and `parameters`, in the shapes of `weights_` and
            `parameters_`.

        References
        ----------
        .. [1] I. Meilijson (1989). A fast improvement to the EM algorithm on its own
           terms. JRSS B 51(1), 127-138.

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
        errors = errors_of(em, self._point, weight, self._outward)
        return TableStandardErrors(errors["weights"], unflattened(errors))

    def _outward(self, point: Point) -> dict[Any, np.ndarray]:
        """Return the weights, and the parameters by column and name."""
        found = _parameters(self._columns, self._product, point)[0]
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
            self.lower_bound_,
        )


def _parameters(
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


def _label_array(labels: Sequence[Any]) -> np.ndarray:
    """Return labels as an array, of objects if they are of more than one type."""
    if len({type(label) for label in labels}) == 1 and not isinstance(labels[0], str):
        return np.array(labels)
    found = np.empty(len(labels), dtype=object)
    found[:] = labels
    return found


def _check_labels(
    labels: ArrayLike | None, n_rows: int, n_components: int
) -> np.ndarray | None:
    """Validate labels of components, −1 where they are not known."""
    if labels is None:
        return None
    known = np.asarray(labels)
    if known.shape != (n_rows,):
        raise ValueError(f"labels.shape == {known.shape}, expected {(n_rows,)}!")
    if (
        known.dtype.kind not in "iu"
        or not ((known >= UNKNOWN) & (known < n_components)).all()
    ):
        raise ValueError(
            "labels must be integers: components from 0 to n_components - 1, and -1 "
            "where they are not known."
        )
    return known
