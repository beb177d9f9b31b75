"""StudentMixture: clusters with heavy tails, and robust against outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skem._blocks import evaluate_array
from skem._conditional import Conditioner, Split
from skem._confidence import StandardErrors
from skem._fitted import SAMPLED_VALUES, draw, write_log_density
from skem._fitting import FittingMixture, unchanged_on_error
from skem._joint import Given, check_numbers, check_probabilities
from skem._standard_errors import METHODS
from skem._summary import MixtureSummary
from skem._support import Sampled, Support
from skem._typing import (
    Algorithm,
    Auto,
    CovarianceType,
    ErrorMethod,
    InitParams,
    RandomState,
)
from skem._validation import Data, check_matrices, check_means, check_weights
from skem.core.accelerate import ACCELERATORS
from skem.core.blocks import Block, Blocks
from skem.core.coordinates import scoring_coordinates
from skem.core.covariance import SHAPES, Structure
from skem.core.degeneracy import degenerate_components
from skem.core.em import EMMap, Evaluation
from skem.core.far import LOG_2PI
from skem.core.parameters import Parameters
from skem.core.seeds import INITIALIZERS
from skem.core.solve import Solution
from skem.core.stream import Stream
from skem.core.student import (
    GAUSSIAN,
    LEAST,
    MOST,
    Freedom,
    StudentParameters,
    correction,
)
from skem.core.student_map import StudentMap, StudentStream
from skem.core.tails import StudentExpectation
from skem.core.threads import Workspace
from skem.gaussian_mixture import GaussianMixture

START = 5.0
"""Degrees of freedom that estimates start from."""
OVERLAP_DRAWS = 10_000
"""Draws of each component that overlaps are found from."""
BISECTIONS = 200
NO_CONDITIONAL = (
    "A t mixture given values has scale matrices that depend on them, and is not a "
    "StudentMixture of the same structure. `marginal` and `impute` by means are there."
)


def density_of(
    structure: Structure, parameters: StudentParameters
) -> StudentExpectation:
    """Return the kernels that evaluate blocks at parameters in units of the data."""
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    inward = coordinates.inward(structure, parameters)
    return StudentExpectation(structure, inward, coordinates)


def stretched(
    X: np.ndarray,
    labels: np.ndarray,
    means: np.ndarray,
    df: np.ndarray,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Turn Gaussian rows into those of a t: μ + (x − μ)/√τ, τ ~ χ²(ν)/ν."""
    own = np.minimum(df, GAUSSIAN)[labels]
    tau = np.maximum(rng.chisquare(own) / own, np.finfo(float).tiny)
    return means[labels] + (X - means[labels]) / np.sqrt(tau)[:, None]


def drawn(
    structure: Structure,
    parameters: StudentParameters,
    n_samples: int,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and their components."""
    color = partial(structure.color, parameters.precisions_cholesky)
    means = parameters.means
    X, labels = draw(parameters.weights, means, color, n_samples, rng)
    return stretched(X, labels, means, parameters.df, rng), labels


def sampled_overlap(structure: Structure, parameters: StudentParameters) -> np.ndarray:
    """∫ √(p_j p_k) of all pairs of components, (K, K), from draws of both.

    The mean of √(p_j p_k) / m under m = (p_j + p_k)/2, which is at most one.
    """
    K, _ = parameters.shape
    rng = np.random.RandomState(0)
    expectation = density_of(structure, parameters)
    logs = np.empty((K, K, OVERLAP_DRAWS))
    for k in range(K):
        alone = replace(parameters, weights=(np.arange(K) == k).astype(float))
        X, _ = drawn(structure, alone, OVERLAP_DRAWS, rng)
        block = Block(0, len(X), X.T, None)
        logs[k] = expectation.component_log_density(block, Workspace())
    overlap = np.eye(K)
    for j in range(K):
        for k in range(j):
            a, b = (np.concatenate([logs[j, i], logs[k, i]]) for i in (j, k))
            fall = np.exp(-np.abs(a - b))
            # 1/cosh((a − b)/2), which does not overflow.
            overlap[j, k] = overlap[k, j] = np.mean(2 * np.sqrt(fall) / (1 + fall))
    return overlap


class StudentConditioner(Conditioner):
    """A t mixture, ready to be cut in two: only weights differ from a Gaussian's."""

    def _weights(
        self, split: Split, x: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        assert isinstance(self.parameters, StudentParameters)
        df, d = np.minimum(self.parameters.df, GAUSSIAN), x.shape[1]
        # |z| ≤ 10¹⁵⁰ in each feature.
        distances = np.einsum("kno,kno->nk", z, z)
        peaks = self.parameters.log_weights - split.log_det - 0.5 * d * LOG_2PI
        joint = peaks + correction(df, d) - 0.5 * (df + d) * np.log1p(distances / df)
        log_density = logsumexp(joint, axis=1)
        return log_density, joint - log_density[:, None]


def check_df(df: Any, n_components: int, name: str) -> np.ndarray:
    """Validate degrees of freedom, one or one for each component: (K,)."""
    values = np.asarray(df, dtype=float)
    if values.shape not in ((), (n_components,)):
        raise ValueError(
            f"The parameter {name!r} should be a number or have the shape of "
            f"({n_components},), but got {values.shape}"
        )
    if not (values > 0).all():
        raise ValueError(f"The parameter {name!r} should be positive, got {df!r}")
    return np.broadcast_to(values, n_components).copy()


class StudentMixture(FittingMixture):
    """Mixture of multivariate Student's t distributions: clusters with heavy tails.

    For data with outliers, or with clusters whose tails are heavier than a Gaussian's
    [1]_. Rows far from a component count for little in its location and scale, so that
    no component has to be spent on outliers. It runs on the search, the accelerators
    and the penalty of :class:`~skem.GaussianMixture`, and has its methods.

    Parameters
    ----------
    n_components : int, default=1
        The number of mixture components, K.

    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        The structure of the scale matrices: any that the covariances of
        :class:`~skem.GaussianMixture` may have.

    df : {'estimate', 'common'}, float or array-like of shape (n_components,), \
    default='estimate'
        The degrees of freedom ν. The fewer, the heavier the tails: 1 is a Cauchy
        distribution, and from about 30 on a t is hard to tell from a Gaussian.

        - 'estimate': each component has its own, estimated between 0.1 and a million.
        - 'common': all components share one, estimated.
        - float or array: given. Infinity stands for a Gaussian.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that the fit may still leave to be gained.

    reg_covar : 'auto' or float, default='auto'
        How scale matrices are kept away from singularity, as in
        :class:`~skem.GaussianMixture`. The scale of the clusters comes from rows that
        are not outliers.

    max_iter : int, default=1000
        The largest number of steps of a run, each of which costs one pass over the
        data.

    n_init : int or 'auto', default='auto'
        How the fit looks for a good optimum, as in :class:`~skem.GaussianMixture`.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How starts are made, as in :class:`~skem.GaussianMixture`. Clusterings see
        outliers moved to where outliers begin, ten times the width of the middle 90 %
        of a feature away from these.

    weights_init : array-like of shape (n_components,), default=None
        Weights to start from. None: made by `init_params`.

    means_init : array-like of shape (n_components, n_features), default=None
        Locations to start from. None: made by `init_params`.

    precisions_init : array-like, default=None
        Inverses of scale matrices to start from, in the shape of `precisions_`. None:
        made by `init_params`.

    df_init : float or array-like of shape (n_components,), default=None
        Degrees of freedom that estimates start from. None: 5.

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver, as in :class:`~skem.GaussianMixture`. Plain EM takes many steps to
        find degrees of freedom; 'auto', which is 'lbfgs', few.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts, and of `sample` where that is given none.

    warm_start : bool, default=False
        Whether `fit` continues from the present parameters, if there are any.

    learning_decay : float, default=0.6
        How fast `partial_fit` forgets, as in :class:`~skem.GaussianMixture`.

    learning_window : float, default=None
        The number of rows beyond which the memory of `partial_fit` does not grow.

    verbose : int, default=0
        If positive, lines are printed, as by :class:`~skem.GaussianMixture`.

    verbose_interval : int, default=10
        Number of steps between two lines.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components: the largest first, whatever the seed, unless a start
        is given or continued, or `df` gives components different degrees of freedom.

    means_ : ndarray of shape (n_components, n_features)
        Locations, in units of the data: the means where ν > 1.

    covariances_ : ndarray
        Scale matrices, in the shape that `covariance_type` has in
        :class:`~skem.GaussianMixture`. The covariance of a component is its scale
        matrix times ν/(ν − 2), and infinite if ν ≤ 2.

    precisions_ : ndarray
        Inverses of the scale matrices, of the same shape.

    precisions_cholesky_ : ndarray
        Upper triangular factors U of these inverses U Uᵀ, of the same shape.

    df_ : ndarray of shape (n_components,)
        Degrees of freedom.

    converged_ : bool
        Whether at most `tol` nats were estimated to be left to be gained.

    n_iter_ : int
        Number of steps of the run that led to the result, over all rows.

    lower_bound_ : float
        Mean log-likelihood of the training data at the returned parameters, in nats
        per sample (weighted). After `partial_fit` the running mean of each batch's at
        the parameters before it.

    lower_bounds_ : list of float of length `n_iter_`
        Mean log-likelihood after each of these steps. Not there after `partial_fit`.

    degenerate_components_ : ndarray of int
        Indices of components that the data do not support, as in
        :class:`~skem.GaussianMixture`.

    labels_ : ndarray of int32 of shape (n_samples,)
        The component that each row of the fit is most probable to be of. Not there for
        memory-mapped files and Dask collections, nor after `partial_fit`.

    n_parameters_ : int
        Number of free parameters, estimated degrees of freedom among them.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture : With Gaussian components: the limit of many degrees of freedom.
    MixtureOutlierDetector : Labels outliers.

    Notes
    -----
    In a fit, a component's density is level beyond 10⁶ units of its scale: a value that
    is wrong by a factor of 10¹⁵⁰ has no more say than one that is wrong by 10⁶. The
    scores of rows have no such limit, nor has `lower_bound_`.

    An estimate of ν is precise only if it is small: with a thousand rows, 20 and 50 fit
    about equally well. Of a cluster without heavy tails it may be anything large.

    All is computed in float64; float32 data give float32 attributes.

    Known labels of rows, fixed parts and a noise component are for Gaussian mixtures
    only. `conditional`, and `sample` and `impute` with draws given values, are not
    there: t components given values have scale matrices that depend on them.
    `standard_errors` are those of the bootstrap.

    References
    ----------
    .. [1] D. Peel and G. J. McLachlan (2000). Robust mixture modelling using the t
       distribution. Statistics and Computing 10(4), 339-348.
    .. [2] C. Liu and D. B. Rubin (1995). ML estimation of the t distribution using EM
       and its extensions, ECM and ECME. Statistica Sinica 5(1), 19-39.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import StudentMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (100, 1)), rng.normal(8, 1, (100, 1))])
    >>> X[:3] = 1e6
    >>> mixture = StudentMixture(2, random_state=0).fit(X)
    >>> np.sort(mixture.means_.ravel()).round(1)
    array([0.1, 8.1])
    """

    df_: np.ndarray
    degenerate_components_: np.ndarray

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(SHAPES))],
        "df": [
            StrOptions({"estimate", "common"}),
            Interval(Real, 0.0, None, closed="right"),
            "array-like",
        ],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(INITIALIZERS))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "df_init": [None, Interval(Real, 0.0, None, closed="neither"), "array-like"],
        "algorithm": [StrOptions(set(ACCELERATORS))],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "learning_decay": [Interval(Real, 0.5, 1, closed="right")],
        "learning_window": [Interval(Real, 0, None, closed="neither"), None],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: CovarianceType = "full",
        df: Literal["estimate", "common"] | float | ArrayLike = "estimate",
        tol: float = 1e-2,
        reg_covar: float | Auto = "auto",
        max_iter: int = 1000,
        n_init: int | Auto = "auto",
        init_params: InitParams = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        df_init: float | ArrayLike | None = None,
        algorithm: Algorithm = "auto",
        random_state: RandomState = None,
        warm_start: bool = False,
        learning_decay: float = 0.6,
        learning_window: float | None = None,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.df = df
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.df_init = df_init
        self.algorithm = algorithm
        self.random_state = random_state
        self.warm_start = warm_start
        self.learning_decay = learning_decay
        self.learning_window = learning_window
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        df: float | ArrayLike,
        covariance_type: CovarianceType = "full",
        **params: Any,
    ) -> Self:
        """Build a fitted mixture from its parameters, without data.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Weights, non-negative, summing to one.

        means : array-like of shape (n_components, n_features)
            Locations.

        covariances : array-like
            Scale matrices, positive definite, in the shape of `covariances_`.

        df : float or array-like of shape (n_components,)
            Degrees of freedom. They become `df_`; the parameter `df` is among `params`.

        covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
            The structure of the scale matrices.

        **params : dict
            Further parameters of the estimator.

        Returns
        -------
        mixture : StudentMixture
            Ready for `predict`, `score_samples`, `sample` and the like, and for a
            `fit` with ``warm_start=True`` to continue from.

        Raises
        ------
        ValueError
            If an array has the wrong shape, the weights are not probabilities, a scale
            matrix is not positive definite, or degrees of freedom are not positive.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], df=1)
        >>> mixture.score_samples([[0.0], [1e10]]).round(2)
        array([ -1.14, -47.2 ])
        """
        means = np.array(means, dtype=float, ndmin=1)
        if means.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {means.ndim}D array instead for 'means'."
            )
        K, d = means.shape
        mixture = cls(K, covariance_type=covariance_type, **params)
        mixture._validate_params()
        structure = SHAPES[covariance_type]
        covariances = check_matrices(covariances, structure, K, d, "covariance")
        cholesky, failed = structure.factor(covariances)
        if failed.any():
            raise ValueError(
                f"'{covariance_type} covariance' should be symmetric, positive-definite"
            )
        parameters = StudentParameters(
            check_weights(weights, K),
            check_means(means, K, d),
            cholesky,
            check_df(df, K, "df_"),
        )
        mixture._set_parameters(parameters, covariances)
        mixture.n_features_in_ = d
        return mixture

    def _freedom(self) -> Freedom:
        """Return what the degrees of freedom may be."""
        K, start = self.n_components, START if self.df_init is None else self.df_init
        if isinstance(self.df, str):
            own = np.clip(check_df(start, K, "df_init"), LEAST, MOST)
            common = self.df == "common"
            if common:
                own = np.full(K, own.mean())
            return Freedom(own, fixed=False, common=common)
        return Freedom(check_df(self.df, K, "df"), fixed=True)

    def _parameter_attributes(
        self, parameters: Parameters, covariances: np.ndarray
    ) -> dict[str, Any]:
        assert isinstance(parameters, StudentParameters)
        found = super()._parameter_attributes(parameters, covariances)
        return {**found, "df_": parameters.df.astype(parameters.weights.dtype)}

    def _parameters(self) -> StudentParameters:
        found = super()._parameters()
        df = check_df(self.df_, len(found.weights), "df_")
        return StudentParameters.of(found, df)

    def _n_parameters(self) -> int:
        return super()._n_parameters() + self._freedom_of_fit().size

    def _freedom_of_fit(self) -> Freedom:
        """Return that of as many components as there are."""
        K = len(self.means_)
        fixed = not isinstance(self.df, str)
        return Freedom(np.ones(K), fixed, self.df == "common" if not fixed else False)

    def _density(self, dtype: np.dtype) -> Any:
        return density_of(SHAPES[self.covariance_type], self._parameters())

    def _prepared(self, blocks: Blocks) -> EMMap:
        return StudentMap.of_data(
            blocks,
            SHAPES[self.covariance_type],
            self.n_components,
            self.reg_covar,
            self._freedom(),
        )

    def _ordered(self, best: Solution) -> Solution:
        if self._freedom().tells_apart:
            return best
        return replace(best, evaluation=best.evaluation.by_weight())

    def _check_starts(self, n_features: int) -> dict[str, np.ndarray]:
        self._freedom()
        K, d = self.n_components, n_features
        given = {}
        if self.weights_init is not None:
            given["weights"] = check_weights(self.weights_init, K)
        if self.means_init is not None:
            given["means"] = check_means(self.means_init, K, d)
        if self.precisions_init is not None:
            structure = SHAPES[self.covariance_type]
            precisions = check_matrices(self.precisions_init, structure, K, d)
            given["precisions_cholesky"] = structure.factor_precisions(precisions)
        return given

    def _start_of(self, given: dict[str, np.ndarray]) -> Parameters:
        return StudentParameters(**given, df=self._freedom().start)

    def _start_parameters(self) -> Parameters:
        present, freedom = self._parameters(), self._freedom()
        df = np.clip(present.df, LEAST, MOST)
        if freedom.fixed and len(df) == len(freedom.start):
            df = freedom.start
        elif freedom.common:
            df = np.full(len(df), df.mean())
        return replace(present, df=df)

    def _begun(self, evaluation: Evaluation) -> Stream:
        return StudentStream.begin(evaluation)

    def _set_stream(self, stream: Stream) -> None:
        super()._set_stream(stream)
        self.n_parameters_ = self._n_parameters()
        self.degenerate_components_ = degenerate_components(
            stream.structure, stream.parameters, stream.size
        )

    def _warn_of_components(self, best: Solution) -> None:
        GaussianMixture._warn_of_components(self, best)

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like, Dask array or Dask DataFrame of shape (n_samples, n_features)
            Data, as in the fit of :class:`~skem.GaussianMixture`. NaN is a missing
            value, missing at random: the likelihood is that of what was observed.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like or Dask array of shape (n_samples,), default=None
            Non-negative weights. An integer weight is the same as repeating the row.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            As in the fit of :class:`~skem.GaussianMixture`; and if degrees of freedom
            have the wrong shape or are not positive. The estimator then stays as it
            was.

        Warns
        -----
        ConvergenceWarning
            If more than `tol` nats are estimated to be left after `max_iter` steps, and
            always with ``tol=0``.

        DegenerateComponentsWarning
            If there are `degenerate_components_`.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> StudentMixture(2, df=4, random_state=0).fit(X).means_.round(1)
        array([[ 4.3, 80. ],
               [ 2. , 54. ]])
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight)
        return self

    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one step with a batch of a stream: stepwise EM.

        As :meth:`GaussianMixture.partial_fit <skem.GaussianMixture.partial_fit>`: the
        running statistics, those of the degrees of freedom among them, move towards
        those of the batch. Values beyond 10⁴ standard deviations of the first rows,
        outliers apart, count as being there.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A batch, of one row or more. NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `fit`. A batch counts by its total weight.

        Returns
        -------
        self : object
            The mixture. It is fitted once there are as many rows as components.

        Raises
        ------
        ValueError
            As in `fit`; if the number or the names of the features differ from those of
            the first batch; or if `n_components` or `covariance_type` has been changed
            since. The estimator then stays as it was.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import StudentMixture
        >>> rng = np.random.default_rng(0)
        >>> mixture = StudentMixture(2, random_state=0)
        >>> for _ in range(20):
        ...     centres = rng.choice([-9.0, 9.0], size=(500, 1))
        ...     mixture = mixture.partial_fit(centres + rng.standard_t(3, (500, 1)))
        >>> np.sort(mixture.means_.ravel()).round(0)
        array([-9.,  9.])
        """
        with unchanged_on_error(self):
            self._validated_partial_fit(X, sample_weight)
        return self

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> np.ndarray:
        """Estimate the parameters, and label the data by them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Index of the most probable component of each row.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> StudentMixture(2, random_state=0).fit_predict(X)[:4]
        array([0, 1, 0, 1])
        """
        return self.fit(X, y, sample_weight=sample_weight)._labels_or_predict(X)

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        given: Given | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the mixture, in random order.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; a float must be a whole number.

        random_state : int, RandomState instance or None, default=None
            Seed. None: the estimator's `random_state`.

        given : None
            Only there for consistency: rows given values are not drawn.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows.

        y : ndarray of shape (n_samples,)
            The component that each row was drawn from.

        Raises
        ------
        ValueError
            If `n_samples` is less than one, or not a whole number.

        NotImplementedError
            If values are given.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], df=3)
        >>> X, y = mixture.sample(3, random_state=0)
        >>> X.shape, y
        ((3, 1), array([0, 0, 0]))
        """
        if given is not None:
            raise NotImplementedError(NO_CONDITIONAL)
        seed = self.random_state if random_state is None else random_state
        rng = check_random_state(seed)
        X, labels = super().sample(n_samples, rng)
        means = np.asarray(self.means_, dtype=float)
        return stretched(X, labels, means, self._parameters().df, rng), labels

    def conditional(self, values: Given) -> Any:
        """Raise: a t mixture given values has scale matrices that depend on them.

        Parameters
        ----------
        values : mapping, or array-like of shape (n_features,)
            Not used.

        Raises
        ------
        NotImplementedError
            Always. `marginal` and `impute` are there.
        """
        raise NotImplementedError(NO_CONDITIONAL)

    def impute(
        self,
        X: ArrayLike,
        sample: bool = False,
        random_state: RandomState = None,
    ) -> Any:
        """Fill in missing values, NaN, by their conditional means.

        A component's conditional mean is that of a Gaussian; the weights of the
        components are their probabilities given what is observed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, with NaN for what is missing. A row may have no value at all.

        sample : False
            Only there for consistency: values are not drawn.

        random_state : None
            Not used.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            A copy with nothing missing. What was observed is as it was.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit.

        NotImplementedError
            If `sample` is true.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters(
        ...     [1.0], [[0.0, 3.0]], [[[1.0, 0.5], [0.5, 4.0]]], df=3
        ... )
        >>> mixture.impute([[2.0, np.nan], [np.nan, 5.0]])
        array([[2.  , 4.  ],
               [0.25, 5.  ]])
        """
        if sample:
            raise NotImplementedError(NO_CONDITIONAL)
        return super().impute(X)

    def _conditioner(self) -> Conditioner:
        parameters = self._parameters()
        return StudentConditioner(SHAPES[self.covariance_type], parameters)

    def marginal(self, features: Sequence[int | str] | int | str) -> Any:
        """Return the mixture of some of the features.

        Of the same weights and degrees of freedom, with the sub-vectors of the
        locations and the sub-matrices of the scale matrices.

        Parameters
        ----------
        features : int, str or sequence of them
            The features, by index or by name, in the order wanted.

        Returns
        -------
        mixture : StudentMixture
            Fitted.

        Raises
        ------
        ValueError
            If there are no features, or they are unknown or not distinct.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters(
        ...     [1.0], [[0.0, 3.0]], [[[1.0, 0.5], [0.5, 4.0]]], df=3
        ... )
        >>> marginal = mixture.marginal(1)
        >>> marginal.means_[0], marginal.covariances_[0, 0], marginal.df_
        (array([3.]), array([4.]), array([3.]))
        """
        gaussian = super().marginal(features)
        mixture = clone(self).set_params(
            n_components=len(self.weights_), covariance_type=gaussian.covariance_type
        )
        mixture.df_ = np.array(self.df_)
        found = gaussian._parameters()
        df = self._parameters().df
        parameters = StudentParameters.of(found, df)
        dtype = gaussian.means_.dtype
        for name, value in mixture._parameter_attributes(
            parameters, gaussian.covariances_
        ).items():
            keep = isinstance(value, np.ndarray)
            setattr(mixture, name, value.astype(dtype) if keep else value)
        mixture._as_fitted = gaussian._as_fitted
        mixture.n_parameters_ = mixture._n_parameters()
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(gaussian, name):
                setattr(mixture, name, getattr(gaussian, name))
        return mixture

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Probability of at most x, under a mixture of one feature.

        Parameters
        ----------
        x : array-like
            Numbers, in an array of any shape; infinite ones too.

        Returns
        -------
        prob : ndarray of the shape of x
            Probabilities.

        Raises
        ------
        ValueError
            If the mixture has more than one feature, or x has NaN.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], df=1)
        >>> mixture.cdf([0.0, 1.0])
        array([0.5 , 0.75])
        """
        x = check_numbers(x, "x")
        weights, means, scales = self._on_a_line("cdf")
        with np.errstate(over="ignore"):
            z = (x[..., None] - means) / scales
        return stats.t.cdf(z, self._parameters().df) @ weights

    def quantile(self, q: ArrayLike) -> np.ndarray:
        """Quantile of a mixture of one feature: where `cdf` is q.

        Parameters
        ----------
        q : array-like
            Probabilities from 0 to 1, in an array of any shape.

        Returns
        -------
        x : ndarray of the shape of q
            Quantiles; infinite for 0 and 1.

        Raises
        ------
        ValueError
            If the mixture has more than one feature, or q is not from 0 to 1.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], df=1)
        >>> mixture.quantile([0.25, 0.5]).round(6)
        array([-1.,  0.])
        """
        q = check_probabilities(q)
        weights, means, scales = self._on_a_line("quantile")
        own = means + scales * stats.t.ppf(q[..., None], self._parameters().df)
        own = own[..., weights > 0]
        low, high = own.min(axis=-1), own.max(axis=-1)
        for _ in range(BISECTIONS):
            middle = low / 2 + high / 2
            below = self.cdf(np.where(np.isfinite(middle), middle, low)) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return high

    def _support_of(
        self, structure: Structure, parameters: Parameters, n_samples: int, seed: Any
    ) -> Support:
        assert isinstance(parameters, StudentParameters)
        rng = check_random_state(seed)
        rows = max(1, SAMPLED_VALUES // parameters.shape[1])
        expectation: Any = density_of(structure, parameters)
        found = []
        for start in range(0, n_samples, rows):
            X, _ = drawn(structure, parameters, min(rows, n_samples - start), rng)
            data = Data(X, False)
            found.append(
                evaluate_array(data, lambda dtype: expectation, write_log_density, ())
            )
        return Sampled(np.sort(np.concatenate(found)))

    def _bells(self, squares: np.ndarray) -> np.ndarray:
        df = np.minimum(self._parameters().df, GAUSSIAN)[:, None]
        return np.exp(-0.5 * (df + 1) * np.log1p(squares / df))

    def _peak_ratios(self) -> np.ndarray:
        return np.exp(correction(self._parameters().df, 1))

    def summary(
        self, X: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> MixtureSummary:
        """Say what there is to be said about the mixture, and how it fits data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Data, usually those of the fit. None: what is known without data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        summary : MixtureSummary
            As that of :class:`~skem.GaussianMixture`, with the degrees of freedom in
            `df`. `standard_deviations` are those of the scale matrices. `overlap` is
            found from 10 000 draws of each component, with a standard error of at most
            0.005.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if weights are
            negative, all zero, or given without X.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> StudentMixture(2, df=4, random_state=0).fit(X).summary(X).sizes
        array([176.,  96.])
        """
        found = super().summary(X, sample_weight)
        parameters = self._parameters()
        overlap = sampled_overlap(SHAPES[self.covariance_type], parameters)
        return replace(found, overlap=overlap, df=parameters.df)

    def standard_errors(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: ErrorMethod = "bootstrap",
        n_boot: int = 200,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        labels: ArrayLike | None = None,
    ) -> StandardErrors:
        """Estimate standard errors of the weights, locations and scale matrices.

        By refits to random weights of the rows, as
        :meth:`GaussianMixture.standard_errors <skem.GaussianMixture.standard_errors>`
        does with ``method="bootstrap"``. Each of the `n_boot` refits goes on from the
        fit until 0.001 nats are left, mostly in ten to twenty passes over the rows, and
        finds the scale of the clusters anew. Fewer refits are faster: 50 give errors
        with a relative error of about a tenth. So is `n_jobs`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data of the fit; no Dask collection.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        method : {'bootstrap'}, default='bootstrap'
            The other methods of a Gaussian mixture are not there.

        n_boot : int, default=200
            Number of refits, at least two.

        random_state : int, RandomState instance or None, default=None
            Seed of the bootstrap. None: the estimator's `random_state`.

        n_jobs : int or None, default=None
            The number of refits at a time, in processes of joblib.

        labels : None
            Only there for consistency: fits know no labels.

        Returns
        -------
        errors : StandardErrors
            Named tuple of `weights`, `means` and `covariances`, in the shapes of
            `weights_`, `means_` and `covariances_`.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if weights are
            negative or all zero; if X is a Dask collection.

        NotImplementedError
            If `method` is another one of a Gaussian mixture's, or labels are given.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = StudentMixture(2, df=4, random_state=0).fit(X)
        >>> errors = mixture.standard_errors(X, n_boot=20, random_state=0)
        >>> errors.means.shape
        (2, 2)
        """
        if labels is not None:
            raise NotImplementedError("A StudentMixture knows no labels of rows.")
        if method in METHODS:
            raise NotImplementedError(
                f"method={method!r} is of Gaussian mixtures. Take method='bootstrap'."
            )
        return super().standard_errors(
            X,
            sample_weight,
            method=method,
            n_boot=n_boot,
            random_state=random_state,
            n_jobs=n_jobs,
        )
