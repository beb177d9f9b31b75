"""Regression by the conditional law of the targets in a joint mixture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_array, check_consistent_length

from skem._estimators.component_choice import (
    INNER_CONSTRAINTS,
    WithMixture,
    check_inner,
    fit_mixture,
    only_one,
    require_y,
)
from skem._fitted.conditional import Conditioner
from skem._fitted.joint import check_probabilities, row_of
from skem._fitted.laws import LIMIT, SQRT12, Laws
from skem._fitted.sampling import check_n_draws
from skem._fitted.univariate import quantile
from skem._fitting.fitting import unchanged_on_error
from skem._inputs.array_api import as_numpy
from skem._inputs.columns import check_targets
from skem._inputs.features import check_features, names_of
from skem._inputs.frames import arrow_array, is_arrow_table
from skem._inputs.gaps import whole, with_gaps
from skem._inputs.sklearn import fit_context
from skem._inputs.typing import Auto, AutoOrAll, CovarianceType, RandomState
from skem._inputs.validation import FLOATS, check_sample_weight, kind_of, rng_of
from skem.bayesian_mixture import BayesianGaussianMixture
from skem.gaussian_mixture import GaussianMixture
from skem.model_selection import GaussianMixtureIC
from skem.student_mixture import StudentMixture
from skem.student_mixture_ic import StudentMixtureIC


class _Targets(NamedTuple):
    """Validated targets, (n, t), what they are called, and whether y is 1-D."""

    values: np.ndarray
    names: list[str]
    flat: bool

    def check_values(self, used: slice | np.ndarray) -> None:
        """Require that every target has a value in the rows that are used."""
        for name, values in zip(self.names, self.values[used].T, strict=True):
            if np.isnan(values).all():
                target = "y" if self.flat else f"Target {name!r}"
                raise ValueError(
                    f"{target} has no value at all: it is NaN in every row."
                )


class GaussianMixtureRegressor(WithMixture, RegressorMixin, BaseEstimator):
    """Regression by a Gaussian mixture of features and targets together.

    The joint law of (X, y) is fitted, and y is predicted by its conditional law given
    a row of X: a mixture, whose means are linear in the row and whose weights are the
    posterior probabilities of the components [1]_ [2]_. So the prediction is a smooth
    curve, and the law around it may be wide, skewed, or have several branches.

    Parameters
    ----------
    n_components : int or 'auto', default='auto'
        The number of components of the joint mixture. 'auto' is that with the lowest
        BIC of 1 to 9.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ..., 'auto', \
    'all'}, default='full'
        The structure of the joint covariances. With 'diag' and 'spherical' the means
        are constant in each component. 'auto' is that of the first four with the lowest
        BIC, and 'all' that of all fourteen shapes; `GaussianMixture` describes them.

    random_state : int, RandomState instance or None, default=None
        Seed of the fit, and of `sample_y` where that is given none.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The joint mixture: first the features of X, then the targets.

    n_components_ : int
        The number of its components.

    n_targets_ : int
        The number of targets.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture.conditional : The law of any features given any others.
    sklearn.gaussian_process.GaussianProcessRegressor : Another regression with a law.

    Notes
    -----
    NaN is a missing value. A fit uses rows without all features or targets, too, by
    the likelihood of what was observed; in a prediction, what is not there is
    integrated out.

    The law is that of the fitted mixture: variances are of maximum likelihood, and
    parameters are taken for known. With few rows for each feature, spreads and
    quantiles are too narrow: of 90 % they cover about 70 % with 3 rows for each, 86 %
    with 10, and 89 % with 50. The guide tells how to widen them by rows held out.

    References
    ----------
    .. [1] Z. Ghahramani and M. I. Jordan (1994). Supervised learning from incomplete
       data via an EM approach. NIPS 6, 120-127.
    .. [2] H. G. Sung (2004). Gaussian Mixture Regression and Classification. PhD
       thesis, Rice University.

    Examples
    --------
    >>> from skem import GaussianMixtureRegressor
    >>> from skem.datasets import load_faithful
    >>> eruptions, waiting = load_faithful().data.T
    >>> regressor = GaussianMixtureRegressor(2, random_state=0)
    >>> regressor.fit(eruptions[:, None], waiting).predict([[2.0], [3.0]]).round(1)
    array([54.2, 71.3])
    >>> regressor.predict_quantiles([[3.0]], [0.05, 0.5, 0.95]).round(1)
    array([[58.6, 71.9, 81.6]])
    """

    mixture_: GaussianMixture | StudentMixture
    n_components_: int
    n_targets_: int

    _in_file: ClassVar[dict[str, str]] = {"_flat": "flag"}

    _parameter_constraints: dict = INNER_CONSTRAINTS

    def __init__(
        self,
        n_components: int | Auto = "auto",
        *,
        covariance_type: CovarianceType | AutoOrAll = "full",
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        """Return the tags of scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @classmethod
    def from_mixture(
        cls,
        mixture: GaussianMixture
        | BayesianGaussianMixture
        | StudentMixture
        | GaussianMixtureIC
        | StudentMixtureIC,
        targets: Sequence[int | str] | int | str,
    ) -> Self:
        """Predict some features of a fitted mixture from the others.

        Parameters
        ----------
        mixture : GaussianMixture, BayesianGaussianMixture, StudentMixture or a search
            A fitted mixture of features and targets. Of t components, outliers hardly
            change the curve; the mean is that of their locations, and spreads are
            infinite where degrees of freedom and features given are 2 or less in all.

        targets : int, str or sequence of them
            Which features are targets, by index or by name, or a boolean mask of all
            features. One that is not in a sequence is a target whose predictions are
            1-D.

        Returns
        -------
        regressor : GaussianMixtureRegressor
            Ready to predict.

        Raises
        ------
        TypeError
            If the mixture is of another kind, such as that of a table.
        ValueError
            If a target is unknown, or no feature is left.

        Examples
        --------
        >>> from skem import GaussianMixture, GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> mixture = GaussianMixture(2, random_state=0).fit(load_faithful().data)
        >>> regressor = GaussianMixtureRegressor.from_mixture(mixture, targets=1)
        >>> regressor.predict([[3.0]]).round(1)
        array([71.3])
        """
        if isinstance(mixture, GaussianMixtureIC | StudentMixtureIC):
            if not mixture.refit:
                raise ValueError(
                    "mixture has kept no mixture: it was fitted with refit=False"
                )
            mixture = mixture._best()
        kinds = GaussianMixture | BayesianGaussianMixture | StudentMixture
        if not isinstance(mixture, kinds):
            raise TypeError(
                "mixture should be a GaussianMixture, a BayesianGaussianMixture, a "
                f"StudentMixture or a search of skem, got {kind_of(mixture)}. Of a "
                "mixture of scikit-learn, from_sklearn makes one"
            )
        mixture._check_is_fitted()
        names = mixture._feature_names()
        chosen = check_features(targets, names, "targets")
        others = [j for j in range(len(names)) if j not in chosen]
        if not others:
            raise ValueError(
                "targets should leave at least one feature to predict from, and all "
                f"{len(names)} are targets"
            )
        regressor = cls(
            mixture.n_components,
            covariance_type=mixture.covariance_type,
            random_state=mixture.random_state,
        )
        regressor.n_features_in_ = len(others)
        if hasattr(mixture, "feature_names_in_"):
            regressor.feature_names_in_ = mixture.feature_names_in_[others]
        flat = len(chosen) == 1 and np.ndim(targets) == 0
        regressor._set_mixture(mixture.marginal([*others, *chosen]), flat)
        return regressor

    def _become(self, inner: list[Any]) -> None:
        mixture = only_one(inner)
        d = max(self.n_features_in_ + 1, mixture.n_features_in_)
        check_inner(mixture, d, GaussianMixture | StudentMixture, noise=True)
        self._set_mixture(mixture, self._flat)

    def _set_mixture(
        self, mixture: GaussianMixture | StudentMixture, flat: bool
    ) -> None:
        self.mixture_ = mixture
        self.n_components_ = len(mixture.weights_)
        self.n_targets_ = mixture.n_features_in_ - self.n_features_in_
        self._flat = flat

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the joint law of features and targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `GaussianMixture.fit`.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            As in `GaussianMixture.fit`; if X and y have different numbers of rows; or
            if a target is a column of X. The estimator then stays as it was.

        Warns
        -----
        UserWarning
            As in `GaussianMixture.fit`, and in `GaussianMixtureIC.fit` where something
            is chosen.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor("auto", random_state=0)
        >>> regressor.fit(eruptions[:, None], waiting).n_components_
        2
        """
        with unchanged_on_error(self):
            self._validated_fit(X, y, sample_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        frame = X
        X = self._check_rows(X, reset=True)
        targets = _check_targets(self, y)
        check_consistent_length(X, targets.values)
        if hasattr(frame, "columns"):
            self._check_no_target(X, targets)
        weight = check_sample_weight(sample_weight, X)
        targets.check_values(slice(None) if weight is None else weight > 0)
        names = getattr(self, "feature_names_in_", None)
        mixture = fit_mixture(
            np.hstack([X, targets.values]),
            self.n_components,
            self.covariance_type,
            self.random_state,
            weight,
            None if names is None else [*names, *targets.names],
        )
        self._set_mixture(mixture, targets.flat)

    def _check_no_target(self, X: np.ndarray, targets: _Targets) -> None:
        """Require that no named column of X is a target, in name and in values."""
        names = names_of(self, X.shape[1])
        for name, values in zip(targets.names, targets.values.T, strict=True):
            if name in names and np.array_equal(
                X[:, names.index(name)], values, equal_nan=True
            ):
                raise ValueError(
                    f"The target {name!r} is a column of X: leave it out of X."
                )

    def _laws(self, X: Any) -> tuple[int, Iterator[Laws]]:
        """Return the number of rows, and the laws of the targets given each of them."""
        self._check_is_fitted()
        X = self._check_rows(X)
        rows = np.hstack([X, np.full((len(X), self.n_targets_), np.nan, X.dtype)])
        return len(X), self.mixture_._conditioner().laws(rows, self._is_target)

    @property
    def _is_target(self) -> np.ndarray:
        d = self.n_features_in_ + self.n_targets_
        return np.arange(d) >= self.n_features_in_

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        """Leave out the axis of targets, the second, if y was 1-D."""
        return values[:, 0] if self._flat else values

    @overload
    def predict(
        self,
        X: ArrayLike,
        return_std: Literal[False] = False,
        return_cov: Literal[False] = False,
    ) -> np.ndarray: ...
    @overload
    def predict(
        self, X: ArrayLike, return_std: bool = False, return_cov: bool = False
    ) -> Any: ...
    def predict(
        self, X: ArrayLike, return_std: bool = False, return_cov: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the mean of the targets given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; a missing value, NaN, is integrated out.

        return_std : bool, default=False
            Whether to return the standard deviation of the targets too.

        return_cov : bool, default=False
            Whether to return their covariance too. At most one of the two.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Means.

        y_std : ndarray of shape (n_samples,) or (n_samples, n_targets), optional
            Standard deviations of new targets: within components and between them. Of
            the fitted law, and too small with few rows for each feature.

        y_cov : ndarray of shape (n_samples, n_targets, n_targets), optional
            Covariances of the targets of each row, as the deviations are. Rows are
            independent, so that there are none between them.

        Raises
        ------
        RuntimeError
            If both are asked for.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor(2, random_state=0)
        >>> regressor = regressor.fit(eruptions[:, None], waiting)
        >>> mean, std = regressor.predict([[2.0], [3.0]], return_std=True)
        >>> print(mean.round(1), std.round(1))
        [54.2 71.3] [5.6 6.9]
        """
        if return_std and return_cov:
            raise RuntimeError(
                "At most one of return_std or return_cov can be requested."
            )
        n, laws = self._laws(X)
        mean = np.empty((n, self.n_targets_))
        shape = (n, self.n_targets_, self.n_targets_)
        spread = np.empty(shape if return_cov else mean.shape)
        for law in laws:
            mean[law.rows] = law.mean
            if return_std:
                spread[law.rows] = law.standard_deviation
            elif return_cov:
                spread[law.rows] = law.covariance
        if return_cov:
            return self._shaped(mean), spread
        if return_std:
            return self._shaped(mean), self._shaped(spread)
        return self._shaped(mean)

    def predict_quantiles(self, X: ArrayLike, q: ArrayLike) -> np.ndarray:
        """Predict quantiles of each target given each row.

        They are those of the fitted law, and too near to each other with few rows for
        each feature.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; a missing value, NaN, is integrated out.

        q : float or array-like of shape (n_quantiles,)
            Probabilities from 0 to 1.

        Returns
        -------
        y : ndarray of shape (n_samples, n_quantiles) or \
        (n_samples, n_targets, n_quantiles)
            Quantiles; the last axis is left out if q is one number.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.

        ValueError
            If a probability is not in [0, 1], or X has infinite values or not the
            features of the fit.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor(2, random_state=0)
        >>> regressor = regressor.fit(eruptions[:, None], waiting)
        >>> regressor.predict_quantiles([[2.0], [3.0]], 0.9).round(1)
        array([61.4, 79.5])
        """
        q = check_probabilities(q)
        n, laws = self._laws(X)
        out = np.empty((n, self.n_targets_, q.size))
        for law in laws:
            rows, t = len(law.rows), self.n_targets_
            spread = np.broadcast_to(law.deviations, (rows, *law.deviations.shape))
            if law.stretch is not None:
                spread = spread * law.stretch[:, :, None]
            if law.even:
                spread = np.concatenate([spread[:, :-1], SQRT12 * spread[:, -1:]], 1)
            K = spread.shape[1]
            # (n, t, q) problems of K components each.
            shape = (rows, t, q.size, K)
            weights = np.broadcast_to(law.weights[:, None, None], shape)
            means, deviations = (
                np.broadcast_to(np.swapaxes(each, 1, 2)[:, :, None], shape)
                for each in (law.means, spread)
            )
            found = quantile(
                np.broadcast_to(q.ravel(), shape[:-1]).ravel(),
                weights.reshape(-1, K),
                means.reshape(-1, K),
                deviations.reshape(-1, K),
                law.df,
                law.even,
            )
            out[law.rows] = found.reshape(shape[:-1])
        return self._shaped(out.reshape(n, self.n_targets_, *q.shape))

    def sample_y(
        self,
        X: ArrayLike,
        n_samples: int = 1,
        random_state: RandomState = None,
    ) -> np.ndarray:
        """Draw targets from their law given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
            Rows; a missing value, NaN, is integrated out.

        n_samples : int, default=1
            Number of draws for each row; a float must be a whole number.

        random_state : int, RandomState instance or None, default=None
            Seed. None: the estimator's `random_state`.

        Returns
        -------
        y : ndarray of shape (n_samples_X, n_samples) or \
        (n_samples_X, n_targets, n_samples)
            Draws.

        Raises
        ------
        ValueError
            If `n_samples` is less than one, or not a whole number.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor(2, random_state=0)
        >>> regressor = regressor.fit(eruptions[:, None], waiting)
        >>> regressor.sample_y([[2.0], [3.0]], 5, random_state=0).shape
        (2, 5)
        """
        n, laws = self._laws(X)
        n_samples = check_n_draws(n_samples)
        rng = rng_of(self, random_state)
        t = self.n_targets_
        uniform = rng.random_sample((n, n_samples))
        noise = rng.normal(size=(n, n_samples, t))
        far = self.mixture_._conditioner().tails(rng, n * n_samples)
        tails = None if far is None else far.reshape(n, n_samples)
        out = np.empty((n, t, n_samples))
        for law in laws:
            for i in range(n_samples):
                own = None if tails is None else tails[law.rows, i]
                drawn, _ = law.draw(uniform[law.rows, i], noise[law.rows, i], own)
                out[law.rows, :, i] = drawn
        return self._shaped(out)

    def conditional(self, x: ArrayLike) -> GaussianMixture | StudentMixture:
        """Return the law of the targets given one row, as a mixture.

        Parameters
        ----------
        x : array-like of shape (n_features,) or mapping
            The row; a missing value, NaN, is integrated out. A Series, or a mapping of
            features to values, may leave features out, and have them in any order.

        Returns
        -------
        mixture : GaussianMixture or StudentMixture
            Of the targets, with the structure of the joint mixture; but "diag" if that
            is EVI, and "full" if it is EVE, VVE, EEV, VEV or EVV.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.

        ValueError
            If the row has infinite values, or not the features of the fit.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor(2, random_state=0)
        >>> law = regressor.fit(eruptions[:, None], waiting).conditional([3.0])
        >>> print(law.weights_.round(2), law.means_.ravel().round(1))
        [0.88 0.12] [72.8 60.5]
        """
        self._check_is_fitted()
        if hasattr(x, "keys") and not hasattr(x, "columns"):
            x = row_of(x, names_of(self, self.n_features_in_))
        row = np.ravel(np.asarray(x, dtype=float))
        if len(row) != self.n_features_in_:
            raise ValueError(
                f"x has {len(row)} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        observed = np.flatnonzero(~np.isnan(row))
        targets = self.n_features_in_ + np.arange(self.n_targets_)
        kept = self.mixture_.marginal([*observed.tolist(), *targets.tolist()])
        return kept.conditional(np.r_[row[observed], np.full(self.n_targets_, np.nan)])

    def log_density(self, X: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Log-density of targets given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; a missing value, NaN, is integrated out.

        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets; those that are missing, NaN, are integrated out.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Log-densities, in nats. Their mean on rows held out is a score for the law,
            as R² is for the mean.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.

        ValueError
            If X or y has infinite values, X has not the features of the fit, or y not
            its targets or another number of rows than X.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor(2, random_state=0)
        >>> regressor = regressor.fit(eruptions[:, None], waiting)
        >>> regressor.log_density([[2.0], [3.0]], [54.0, 54.0]).round(2)
        array([-2.64, -5.37])
        """
        n, laws = self._laws(X)
        values = self._known_targets(y, n).values
        out = np.empty(n)
        if isinstance(self.mixture_, StudentMixture):
            X = self._check_rows(X)
            whole, given = (
                self.mixture_._log_density(np.hstack([X, part]), incomplete=True)
                for part in (values, np.full(values.shape, np.nan))
            )
            return whole - given
        for law in laws:
            out[law.rows] = _log_density(law, values[law.rows])
        return out

    def _known_targets(self, y: Any, n: int) -> _Targets:
        """Validate the targets of n rows."""
        targets = _check_targets(self, y)
        if targets.values.shape != (n, self.n_targets_):
            raise ValueError(
                f"y should have {n} rows and {self.n_targets_} targets, got shape "
                f"{np.shape(y)}"
            )
        return targets

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Coefficient of determination R² of the predicted means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; a missing value, NaN, is integrated out.

        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets; those that are missing, NaN, are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        score : float
            R²; of several targets, the mean over them.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.

        ValueError
            If X or y has infinite values, X has not the features of the fit, y not its
            targets or another number of rows than X, or a target no value at all.

        See Also
        --------
        log_density : Its mean is a score for the whole law.

        Examples
        --------
        >>> from skem import GaussianMixtureRegressor
        >>> from skem.datasets import load_faithful
        >>> eruptions, waiting = load_faithful().data.T
        >>> regressor = GaussianMixtureRegressor(2, random_state=0)
        >>> regressor = regressor.fit(eruptions[:, None], waiting)
        >>> round(regressor.score(eruptions[:, None], waiting), 2)
        0.83
        """
        mean = self.predict(X)
        targets = self._known_targets(y, len(mean))
        weight = check_sample_weight(sample_weight, targets.values)
        weight = np.ones(len(mean)) if weight is None else weight
        targets.check_values(weight > 0)
        scores = []
        for known, own in zip(
            targets.values.T, mean.reshape(len(mean), -1).T, strict=True
        ):
            there = ~np.isnan(known)
            scores.append(
                r2_score(known[there], own[there], sample_weight=weight[there])
            )
        return float(np.mean(scores))


def _check_targets(estimator: Any, y: Any) -> _Targets:
    """Validate y, in which NaN is a missing value."""
    require_y(estimator, y)
    check_targets(y)
    names = getattr(y, "columns", [getattr(y, "name", None)])
    if is_arrow_table(y):
        names, y = y.column_names, arrow_array(y)
    values = with_gaps(
        check_array,
        as_numpy(whole(y, "y")),
        dtype=FLOATS,
        ensure_2d=False,
        ensure_all_finite="allow-nan",
        input_name="y",
        estimator=estimator,
    )
    flat = values.ndim == 1
    values = values[:, None] if flat else values
    if len(names) != values.shape[1] or any(name is None for name in names):
        names = [f"y{j}" for j in range(values.shape[1])]
    return _Targets(values, [str(name) for name in names], flat)


def _log_density(law: Laws, y: np.ndarray) -> np.ndarray:
    """Log-density of targets (n, t) given what the law is given, without division."""
    roots = law.roots
    joint = law.log_weights.copy()
    for k, root in enumerate(roots):
        centred = y - law.means[:, k]
        if law.even and k == len(roots) - 1:
            # The same density everywhere, as in the fit.
            seen = ~np.isnan(centred)
            joint[:, k] -= seen @ np.log(SQRT12 * np.diag(root))
            continue
        # The component's law of the targets, as a mixture of one.
        cholesky = np.linalg.inv(root).T
        single = Conditioner.of_one(np.zeros(len(root)), cholesky)
        for each in single.laws(centred, np.zeros(len(root), dtype=bool)):
            with np.errstate(over="ignore"):
                joint[each.rows, k] += each.log_density
    return np.clip(logsumexp(joint, axis=1), -LIMIT, LIMIT)
