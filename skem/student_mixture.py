"""StudentMixture: clusters with heavy tails, and robust against outliers."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from skem._errors.scores import Scores
from skem._errors.student_scores import StudentScores
from skem._fitted.conditional import Conditioner
from skem._fitted.student import (
    StudentConditioner,
    density_of,
    sampled_overlap,
    stretched,
)
from skem._fitting.likelihood import LikelihoodMixture
from skem._inputs.options import StrOptions
from skem._inputs.sklearn import Interval
from skem._inputs.typing import Algorithm, Auto, CovarianceType, InitParams, RandomState
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.kernel import Kernel
from skem.core.mixture.scale import Clusterings
from skem.core.student.em import StudentMap, StudentStream
from skem.core.student.parameters import (
    GAUSSIAN,
    LEAST,
    MOST,
    Freedom,
    StudentParameters,
    correction,
)

START = 5.0
"""Degrees of freedom that estimates start from."""


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


class StudentMixture(LikelihoodMixture):
    """Mixture of multivariate Student's t distributions: clusters with heavy tails.

    For data with outliers, or with clusters whose tails are heavier than a Gaussian's
    [1]_. Rows far from a component count for little in its location and scale, so that
    no component has to be spent on outliers. It runs on the search, the accelerators
    and the penalty of :class:`~skem.GaussianMixture`, and has its methods.

    Parameters
    ----------
    n_components : int, default=1
        The number of mixture components, K.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ...}, default='full'
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
        outliers moved to where outliers begin, ten times the width of the middle 80 %
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

    noise : bool or float, default=None
        Whether one more component is noise, of constant density over the region of the
        data, as in :class:`~skem.GaussianMixture`. The region has all rows in it, far
        outliers too: pass the density where there are any.

    fixed : {'weights', 'means', 'covariances'}, sequence or dict of them, default=None
        What stays as it is given, as in :class:`~skem.GaussianMixture`; means are
        locations, and covariances scale matrices. Degrees of freedom are fixed by `df`.

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
        or labels are given or a start is continued, or `df` gives components different
        degrees of freedom. With noise they add up to ``1 - noise_weight_``.

    noise_weight_ : float
        Weight of the noise. Only with `noise`.

    noise_volume_ : float
        Volume of the region of the noise, in units of the data. Only with `noise`.

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
        per sample (weighted). With labels it is the likelihood of rows and labels.
        After `partial_fit` the running mean of each batch's at the parameters before
        it.

    lower_bounds_ : list of float of length `n_iter_`
        Mean log-likelihood after each of these steps. Not there after `partial_fit`.

    degenerate_components_ : ndarray of int
        Indices of components that the data do not support, as in
        :class:`~skem.GaussianMixture`.

    labels_ : ndarray of int32 of shape (n_samples,)
        The component that each row of the fit is most probable to be of. Not there for
        memory-mapped files and Dask collections, nor after `partial_fit`.

    n_parameters_ : int
        Number of free parameters, estimated degrees of freedom among them. Directions
        in which the data of the fit have no variance have none.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture : With Gaussian components: the limit of many degrees of freedom.
    StudentMixtureIC : Chooses the number of components and their structure.
    MixtureOutlierDetector : Labels outliers.

    Notes
    -----
    In a fit, a component's density is level beyond 10⁶ units of its scale: a value that
    is wrong by a factor of 10¹⁵⁰ has no more say than one that is wrong by 10⁶. The
    scores of rows have no such limit, nor has `lower_bound_`.

    An estimate of ν is precise only if it is small: with a thousand rows, 20 and 50 fit
    about equally well. Of a cluster without heavy tails it may be anything large.

    All is computed in float64; float32 data give float32 attributes.

    Unlike a :class:`~skem.GaussianMixture` it has no `to_sklearn` and `from_sklearn`,
    as scikit-learn has no t mixtures.

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

    _stream_class = StudentStream
    _parameter_constraints: dict = {  # noqa: RUF012
        **LikelihoodMixture._parameter_constraints,
        "df": [
            StrOptions(["estimate", "common"]),
            Interval(Real, 0.0, None, closed="right"),
            "array-like",
        ],
        "df_init": [None, Interval(Real, 0.0, None, closed="neither"), "array-like"],
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
        noise: bool | float | None = None,
        fixed: Any = None,
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
        self.noise = noise
        self.fixed = fixed
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

        covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ...}, \
    default='full'
            The structure of the scale matrices, as for the estimator.

        **params : dict
            Further parameters of the estimator. With `noise` the next fit has noise;
            this mixture has none.

        Returns
        -------
        mixture : StudentMixture
            Ready for `predict`, `score_samples`, `sample` and the like, and for a
            `fit` with ``warm_start=True`` to continue from.

        Raises
        ------
        ValueError
            If an array has the wrong shape, as scale matrices that are not of the shape
            of `covariance_type`, or not of its structure; the weights are not
            probabilities; a scale matrix is not positive definite; or degrees of
            freedom are not positive.

        Examples
        --------
        >>> from skem import StudentMixture
        >>> mixture = StudentMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], df=1)
        >>> mixture.score_samples([[0.0], [1e10]]).round(2)
        array([ -1.14, -47.2 ])
        """
        return cls._of_parameters(
            weights, means, covariances, covariance_type, params, df=df
        )

    @classmethod
    def _made_of(cls, parameters: Parameters, **more: ArrayLike) -> Parameters:
        df = check_df(more["df"], len(parameters.weights), "df_")
        return StudentParameters.of(parameters, df)

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
        return Freedom(np.ones(K), fixed, not fixed and self.df == "common")

    def _degrees(self) -> np.ndarray:
        return self._parameters().df

    def _density_at(
        self,
        structure: Structure,
        parameters: Parameters,
        log_widths: np.ndarray | None,
        null: NullSpace | None,
        dtype: np.dtype,
    ) -> Kernel:
        assert isinstance(parameters, StudentParameters)
        return density_of(structure, parameters, log_widths, null)

    def _prepared(
        self, blocks: Blocks, clusterings: Clusterings | None = None
    ) -> EMMap:
        em = StudentMap.of_data(
            blocks,
            SHAPES[self.covariance_type],
            self.n_components,
            self.reg_covar,
            self._freedom(),
            self.noise,
            clusterings,
        )
        return self._with_fixed(em)

    def _check_starts(self, n_features: int) -> dict[str, np.ndarray]:
        self._freedom()
        return super()._check_starts(n_features)

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

    def _stretched(
        self,
        X: np.ndarray,
        labels: np.ndarray,
        rng: np.random.RandomState,
        parameters: Parameters | None = None,
    ) -> np.ndarray:
        parameters = self._parameters() if parameters is None else parameters
        assert isinstance(parameters, StudentParameters)
        return stretched(X, labels, parameters.means, parameters.df, rng)

    def _conditioner(self) -> Conditioner:
        return StudentConditioner.of(self)

    def _to_become(self, parameters: Parameters, covariance_type: Any) -> Any:
        assert isinstance(parameters, StudentParameters)
        return StudentMixture(
            len(parameters.weights),
            covariance_type=covariance_type,
            df=self.df if isinstance(self.df, str) else parameters.df,
            random_state=self.random_state,
        )

    def _bells(self, squares: np.ndarray) -> np.ndarray:
        df = np.minimum(self._degrees(), GAUSSIAN)[:, None]
        return np.exp(-0.5 * (df + 1) * np.log1p(squares / df))

    def _peak_ratios(self) -> np.ndarray:
        return np.exp(correction(self._degrees(), 1))

    def _scores(self) -> Scores:
        found = super()._scores()
        return StudentScores(**vars(found), n_degrees=self._freedom_of_fit().size)

    def _overlap(self) -> np.ndarray:
        structure = SHAPES[self.covariance_type]
        return sampled_overlap(structure, self._parameters(), self._null)
