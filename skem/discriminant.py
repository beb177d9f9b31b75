"""Classification by a mixture for each class."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skem._estimators.component_choice import (
    INNER_CONSTRAINTS,
    WithMixture,
    check_inner,
    fit_mixture,
    is_chosen,
    require_y,
)
from skem._estimators.unvarying import varied
from skem._fitted.conditional import Conditioner, log_weights
from skem._fitted.laws import LIMIT
from skem._fitting.fitting import unchanged_on_error
from skem._inputs.array_api import as_numpy
from skem._inputs.blocks import NO_COUNTS, warn_unless_counts
from skem._inputs.callers import users_level
from skem._inputs.gaps import check_each, whole
from skem._inputs.sklearn import fit_context, validate_parameter_constraints
from skem._inputs.typing import Auto, AutoOrAll, CovarianceType, RandomState
from skem._inputs.validation import check_sample_weight
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters
from skem.gaussian_mixture import GaussianMixture


class MixtureDiscriminantAnalysis(WithMixture, ClassifierMixin, BaseEstimator):
    """Classification by a Gaussian mixture for each class.

    The density of each class is a mixture of its own [1]_, as in mclust's ``MclustDA``
    [2]_, and a row belongs to the class with the highest density times prior
    probability. With one component of full covariance it is quadratic discriminant
    analysis; more components follow classes of any shape.

    Parameters
    ----------
    n_components : int, 'auto' or mapping, default='auto'
        The number of components of each class. 'auto' is that with the lowest BIC of
        1 to 9, chosen for each class by itself. A mapping has one of these for each
        class.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ..., 'auto', \
    'all'} or mapping, default='full'
        The structure of the covariances within each class, as in `GaussianMixture`.
        'auto' is that of the first four with the lowest BIC, and 'all' that of all
        fourteen shapes, for each class by itself. A mapping has one of these for each
        class.

    priors : array-like of shape (n_classes,) or mapping, default=None
        Probabilities of the classes, in the order of `classes_`, or of each class by
        its label. None: the shares of the (weighted) training rows.

    random_state : int, RandomState instance or None, default=None
        Seed of the fits.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, those with rows of positive weight.

    priors_ : ndarray of shape (n_classes,)
        Their probabilities.

    mixtures_ : list of GaussianMixture
        The mixture of each class.

    mixture_ : GaussianMixture
        The density of all classes: their components in the order of `classes_`, with
        weights times priors. Its structure is that of the classes without what their
        components have in common, such as 'full' for 'tied' or 'VVE', or 'full' if
        classes differ in theirs.

    n_components_ : ndarray of shape (n_classes,)
        The number of components of each class.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis : One Gaussian for each
        class.

    Notes
    -----
    NaN is a missing value. Fits and predictions go by the marginal densities of what is
    observed.

    Where the rows of a class do not vary, as in a column that is constant there, its
    components have in `mixture_` the variance of one fit to all rows with known labels:
    ε = 2/√N rows of what all components have in common, and the width of the steps that
    the column is in. So a column that is constant in all classes says nothing.

    References
    ----------
    .. [1] T. Hastie and R. Tibshirani (1996). Discriminant analysis by Gaussian
       mixtures. JRSS B 58(1), 155-176.
    .. [2] C. Fraley and A. E. Raftery (2002). Model-based clustering, discriminant
       analysis, and density estimation. JASA 97(458), 611-631.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import MixtureDiscriminantAnalysis
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MixtureDiscriminantAnalysis(1).fit(X, y)
    >>> round(classifier.score(X, y), 2)
    0.98
    >>> classifier.predict([[5.0, 3.4, 1.5, 0.2], [np.nan, np.nan, 6.0, np.nan]])
    array([0, 2])
    """

    classes_: np.ndarray
    priors_: np.ndarray
    mixtures_: list[GaussianMixture]
    mixture_: GaussianMixture
    n_components_: np.ndarray

    _in_file: ClassVar[dict[str, str]] = {"classes_": "labels", "priors_": "shares"}

    _parameter_constraints: dict = INNER_CONSTRAINTS | {
        "n_components": [*INNER_CONSTRAINTS["n_components"], Mapping],
        "covariance_type": [*INNER_CONSTRAINTS["covariance_type"], Mapping],
        "priors": ["array-like", Mapping, None],
    }

    def __init__(
        self,
        n_components: int | Auto | Mapping[Any, int | Auto] = "auto",
        *,
        covariance_type: CovarianceType
        | AutoOrAll
        | Mapping[Any, CovarianceType | AutoOrAll] = "full",
        priors: ArrayLike | Mapping[Any, float] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.priors = priors
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit a mixture to the rows of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        y : array-like of shape (n_samples,)
            Class of each row.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `GaussianMixture.fit`.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            As in `GaussianMixture.fit`; if a class has fewer rows than components, or
            than two; if there is only one class; if priors are not probabilities. The
            estimator then stays as it was.

        Warns
        -----
        UserWarning
            As in `GaussianMixture.fit` and `GaussianMixtureIC.fit`, with the class and
            its number of rows. Rows that are named are counted within the class.
            If weights are not whole numbers, and add up to more than twice the number
            of rows, while something is chosen.

        Examples
        --------
        >>> from skem import MixtureDiscriminantAnalysis
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> MixtureDiscriminantAnalysis({0: 1, 1: 2, 2: 2}).fit(X, y).n_components_
        array([1, 2, 2])
        """
        with unchanged_on_error(self):
            self._validated_fit(X, y, sample_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        X = self._check_rows(X, reset=True)
        require_y(self, y)
        y = as_numpy(whole(y, "y"))
        check_each(y, "y")
        y = column_or_1d(y, warn=True)
        check_array(y[:, None], dtype=None, input_name="y", estimator=self)
        check_consistent_length(X, y)
        check_classification_targets(y)
        weight = check_sample_weight(sample_weight, X)
        weight = np.ones(len(X)) if weight is None else weight.astype(float)
        rows = weight > 0
        X, y, weight = X[rows], y[rows], weight[rows]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got "
                f"{len(self.classes_)} class"
            )
        totals = np.bincount(labels, weights=weight)
        self.priors_ = self._checked_priors(totals / totals.sum())
        asked = [self._asked(k, n) for k, n in enumerate(np.bincount(labels))]
        if any(is_chosen(*how) for _, *how in asked):
            warn_unless_counts(weight, "criteria")
        self.mixtures_ = []
        for k, how in enumerate(asked):
            own = labels == k
            self.mixtures_.append(self._of_class(X[own], weight[own], *how))
        self.n_components_ = np.array([len(each.weights_) for each in self.mixtures_])
        self.mixture_ = self._joined(X, weight, totals)

    @property
    def _inner(self) -> list[GaussianMixture]:
        return [*self.mixtures_, self.mixture_]

    def _become(self, inner: list[Any]) -> None:
        for mixture in inner:
            check_inner(mixture, self.n_features_in_)
        *self.mixtures_, self.mixture_ = inner
        if not 1 < len(self.mixtures_) == len(self.classes_) == len(self.priors_):
            raise ValueError("there should be a class, a prior and a mixture for each")
        if self.classes_.dtype == object:
            self.classes_ = np.array(self.classes_.tolist())
        self.n_components_ = np.array([len(each.weights_) for each in self.mixtures_])
        if len(self.mixture_.weights_) != self.n_components_.sum():
            raise ValueError("the last mixture should have the components of all")

    def _checked_priors(self, shares: np.ndarray) -> np.ndarray:
        if self.priors is None:
            return shares
        given: Any = self.priors
        if isinstance(given, Mapping):
            labels = self.classes_.tolist()
            given = [_entry(given, label, "priors") for label in labels]
        priors = check_array(as_numpy(given), ensure_2d=False, dtype=float)
        if priors.shape != shares.shape:
            raise ValueError(
                f"priors should have one entry for each of {len(shares)} classes, got "
                f"shape {priors.shape}"
            )
        if (priors < 0).any():
            raise ValueError("priors must be non-negative")
        if abs(priors.sum() - 1) > 1e-5:
            raise ValueError(f"priors should sum to one, got {priors.sum():.5f}")
        return priors / priors.sum()

    def _asked(self, k: int, n_samples: int) -> tuple[Any, Any, Any]:
        """Return the label of a class, and the number and structure of components."""
        label = self.classes_[k : k + 1].tolist()[0]
        n_components = _for_class(self.n_components, label, "n_components")
        structure = _for_class(self.covariance_type, label, "covariance_type")
        auto = n_components == "auto"
        if n_samples < (2 if auto else max(2, n_components)):
            sizes = "" if auto else f"n_components = {n_components}, "
            raise ValueError(
                f"Expected n_samples >= n_components, and at least 2, in each class, "
                f"but got {sizes}n_samples = {n_samples} in class {label!r}"
            )
        return label, n_components, structure

    def _of_class(
        self,
        X: np.ndarray,
        weight: np.ndarray,
        label: Any,
        n_components: Any,
        structure: Any,
    ) -> GaussianMixture:
        """Fit the mixture of a class; warnings name it."""
        names = getattr(self, "feature_names_in_", None)
        how = n_components, structure, self.random_state
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # The fit has said it once, of all classes.
            warnings.filterwarnings("ignore", message=NO_COUNTS)
            found = fit_mixture(X, *how, weight, names, f"X in class {label!r}")
        for each in caught:
            told = (
                f"In class {label!r}, of {len(X)} rows counted from 0: {each.message}"
            )
            warnings.warn(told, each.category, stacklevel=users_level())
        return found

    def _joined(
        self, X: np.ndarray, weight: np.ndarray, totals: np.ndarray
    ) -> GaussianMixture:
        """Return the mixture of all components, of classes of such weight."""
        types = {each.covariance_type for each in self.mixtures_}
        # What is asked of the components of a class need not hold for those of all.
        name: Any = SHAPES[next(iter(types))].free.name if len(types) == 1 else "full"
        factors, covariances = [], []
        for each in self.mixtures_:
            K, d = each.means_.shape
            root, covariance = each.precisions_cholesky_, each.covariances_
            structure = SHAPES[each.covariance_type]
            if structure.quadratic != SHAPES[name].quadratic or structure.shared:
                shape, eye = (K, d, d), np.eye(d)
                if not structure.matrices:
                    root = np.reshape(root, (K, -1, 1)) * eye
                    covariance = np.reshape(covariance, (K, -1, 1)) * eye
                root = np.broadcast_to(root, shape)
                covariance = np.broadcast_to(covariance, shape)
            factors.append(root)
            covariances.append(covariance)
        nulls = [each._null for each in self.mixtures_]
        if any(null is not None for null in nulls):
            pairs = zip(totals, self.mixtures_, strict=True)
            sizes = [total * each.weights_ for total, each in pairs]
            factors, covariances = varied(X, weight, sizes, factors, nulls)
        weights = [
            prior * each.weights_
            for prior, each in zip(self.priors_, self.mixtures_, strict=True)
        ]
        joined = GaussianMixture(
            int(self.n_components_.sum()),
            covariance_type=cast(CovarianceType, name),
            random_state=self.random_state,
        )
        joined._set_parameters(
            Parameters(
                np.concatenate(weights),
                np.concatenate([each.means_ for each in self.mixtures_]),
                np.concatenate(factors),
            ),
            np.concatenate(covariances),
        )
        joined.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            joined.feature_names_in_ = self.feature_names_in_
        return joined

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of the posterior probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, which may have missing values.

        Returns
        -------
        log_prob : ndarray of shape (n_samples, n_classes)
            Logarithms, finite also where probabilities are too small to be numbers.

        Examples
        --------
        >>> from skem import MixtureDiscriminantAnalysis
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = MixtureDiscriminantAnalysis(1).fit(X, y)
        >>> classifier.predict_log_proba(X[:1]).round(1) + 0.0
        array([[  0. , -58.1, -93.8]])
        """
        self._check_is_fitted()
        X = self._check_rows(X)
        of_components = log_weights(Conditioner.of(self.mixture_), X)
        ends = np.cumsum(self.n_components_)[:-1]
        parts = np.split(of_components, ends, axis=1)
        found = np.stack([logsumexp(part, axis=1) for part in parts], axis=1)
        found = np.where(self.priors_ > 0, found, -LIMIT)
        return found - logsumexp(found, axis=1, keepdims=True)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Log posterior of each class; of two, the log odds of the second.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, which may have missing values.

        Returns
        -------
        decision : ndarray of shape (n_samples,) or (n_samples, n_classes)
            In nats.

        Examples
        --------
        >>> from skem import MixtureDiscriminantAnalysis
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = MixtureDiscriminantAnalysis(1).fit(X, y)
        >>> classifier.decision_function(X[:1]).round(1) + 0.0
        array([[  0. , -58.1, -93.8]])
        """
        found = self.predict_log_proba(X)
        return found[:, 1] - found[:, 0] if found.shape[1] == 2 else found

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, which may have missing values.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Classes.

        Examples
        --------
        >>> from skem import MixtureDiscriminantAnalysis
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> MixtureDiscriminantAnalysis(1).fit(X, y).predict(X[::50])
        array([0, 1, 2])
        """
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Posterior probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, which may have missing values.

        Returns
        -------
        prob : ndarray of shape (n_samples, n_classes)
            Probabilities; each row sums to one.

        Examples
        --------
        >>> from skem import MixtureDiscriminantAnalysis
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> MixtureDiscriminantAnalysis(1).fit(X, y).predict_proba(X[70:71]).round(2)
        array([[0.  , 0.34, 0.66]])
        """
        return np.exp(self.predict_log_proba(X))


def _for_class(values: Any, label: Any, name: str) -> Any:
    """Return the value that a class has, of a mapping or of all classes."""
    if not isinstance(values, Mapping):
        return values
    value = _entry(values, label, name)
    validate_parameter_constraints(
        {name: INNER_CONSTRAINTS[name]},
        {name: value},
        MixtureDiscriminantAnalysis.__name__,
    )
    return value


def _entry(values: Mapping[Any, Any], label: Any, name: str) -> Any:
    """Return what a mapping has for a class."""
    if label not in values:
        raise ValueError(f"The parameter {name!r} has no entry for class {label!r}")
    return values[label]
