"""BayesianGaussianMixture: variational Bayes on the E-step of `GaussianMixture`."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.mixture import BayesianGaussianMixture as Peer
from sklearn.utils.validation import check_is_fitted

from skem._fitted.posterior import FittedPosterior
from skem._fitting.fitting import PARAMETERS, unchanged_on_error
from skem._fitting.streaming import StreamingMixture
from skem._inputs.options import StrOptions, covariance_types
from skem._inputs.sklearn import Interval
from skem._inputs.typing import (
    Algorithm,
    Auto,
    InitParams,
    RandomState,
    SharedCovarianceType,
    WeightPriorType,
)
from skem._inputs.validation import check_covariance_prior, check_mean_prior, kind_of
from skem._saving.peer import (
    OF_A_POSTERIOR,
    copy_of_a_fit,
    copy_posterior,
    warn_of_hooks,
)
from skem.core.bayes.em import Beliefs, VariationalMap, outward
from skem.core.bayes.revise import BayesianSearch
from skem.core.bayes.stream import VariationalStream
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS, Posterior
from skem.core.gaussian.prior import Prior
from skem.core.mixture.em import EMMap
from skem.core.mixture.stream import Stream

EFFECTIVE = 1.0
"""Rows from which a component counts as effective."""


class BayesianGaussianMixture(FittedPosterior, StreamingMixture):
    """Gaussian mixture with a posterior of its parameters, by variational Bayes.

    A drop-in replacement for :class:`sklearn.mixture.BayesianGaussianMixture`: it has
    the same parameters, methods and attributes, and from the same start the same
    iterates. It shares the E-step of :class:`~skem.GaussianMixture`, runs until the
    bound is at an optimum, takes sample weights and streams, and removes components
    that the data do not need.

    Parameters
    ----------
    n_components : int, default=1
        The largest number of components, K. How many of them own rows is
        `n_effective_components_`.

    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        The structure of the covariances, as in :class:`~skem.GaussianMixture`. With
        'tied' superfluous components are not left empty, and its bound cannot be
        compared with those of the others. From about ten features on 'full' misses
        clear clusters: try 'diag' and 'spherical', or use
        :class:`~skem.GaussianMixtureIC`.

    tol : float, default=1e-2
        The evidence lower bound, in nats, that the fit may still leave to be gained.
        With 0, all `max_iter` steps are done.

    reg_covar : 'auto' or float, default='auto'
        What is done beside the prior to keep covariances positive definite.

        - 'auto': nothing, but for directions in which the data have no variance.
          There all components get the same tiny one, which affects no label.
          Values that many rows share count as spread over a width, as in
          :class:`~skem.GaussianMixture`.
        - float: a variance that is added to the covariance of each component's rows,
          as in scikit-learn. The bound does not know of it, and may fall if it is
          large.

    max_iter : int, default=1000
        The largest number of steps of a run, each of which costs one pass over the
        data.

    n_init : int or 'auto', default='auto'
        How the fit looks for a good optimum.

        - 'auto': starts of different numbers of clusters get a few steps each, and the
          best is finished. Then components are deleted, merged and split, and each such
          move that raises the bound is kept [1]_. Components that have lost their rows
          cost no time. Components come out in the order of their size, unless that
          lowers the bound. On more than 4 000 rows (or 80 per
          component) starts and moves are tried on a random subsample, and on more than
          20 000 (or 400 per component) all of that is done on one, as in
          :class:`~skem.GaussianMixture`.
        - int: so many starts by `init_params`, all of them of K clusters and finished
          on all rows, as in scikit-learn.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How starts are made, as in :class:`~skem.GaussianMixture`. With
        ``n_init='auto'`` their clusters are merged to smaller numbers, and 'kmeans'
        stands for trees of a few rows, by Ward's criterion.

    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'}, \
    default='dirichlet_process'
        The prior of the weights: a Dirichlet process, truncated at K components, or a
        Dirichlet distribution.

    weight_concentration_prior : float, default=None
        The concentration γ of that prior. The smaller, the fewer components. None:
        1/K.

    mean_precision_prior : float, default=None
        β₀, how many rows the prior of a mean counts for. None: 1; with
        ``mean_prior="auto"`` less where the data have outliers, if covariances are
        'tied', since the distance of these would widen that of all components, or if
        they are 'full' and the distance is beyond some 1e6 widths of the other rows.

    mean_prior : 'auto', None or array-like of shape (n_features,), default='auto'
        m₀, where means are expected.

        - 'auto': the (weighted) mean of the data without outliers, if these make a
          variance at least four times as large: values such as −9999 for "no data" say
          nothing of where the other rows are. Outliers are rows with a value beyond
          the 10 % and 90 % quantiles of its feature by ten times their distance.
        - None: as in scikit-learn the mean of all the data.

    degrees_of_freedom_prior : float, default=None
        ν₀, how many rows the prior of a covariance counts for; more than
        n_features − 1. None: n_features, less the number of directions in which the
        data have no variance, such as constant columns.

    covariance_prior : 'auto', None, float or array-like, default='auto'
        The inverse scale matrix W₀⁻¹ of the Wishart prior of a precision; ν₀ times the
        covariance that is expected.

        - 'auto': as wide as one of K clusters that together fill what the data do, K to
          the power −2/n_features times the (weighted) covariance of the data, without
          outliers as for `mean_prior`. Directions without variance do not count.
        - None: as in scikit-learn the covariance of the data, which blurs clusters that
          are much narrower than the distances between them.

        Of a given one the shape depends on `covariance_type`::

            float                    if 'spherical',
            (n_features, n_features) if 'tied',
            (n_features,)            if 'diag',
            (n_features, n_features) if 'full'

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver, as in :class:`~skem.GaussianMixture`. None of them accepts a fall of
        the bound.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts and moves, and of `sample` where that is given none.

    warm_start : bool, default=False
        Whether `fit` continues from the present posterior, if there is one.

    learning_decay : float, default=0.6
        How fast `partial_fit` forgets, as in :class:`~skem.GaussianMixture`. With 1 all
        rows keep the same weight, and the posterior is that of the whole stream.

    learning_window : float, default=None
        The number of rows beyond which the memory of `partial_fit` does not grow.

    verbose : int, default=0
        If positive, lines are printed, as by :class:`~skem.GaussianMixture`; of the
        bound, divided by the number of rows.

    verbose_interval : int, default=10
        Number of steps between two lines.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Expected weights. Of a Dirichlet process, divided by their sum.

    means_ : ndarray of shape (n_components, n_features)
        Expected means m_k.

    covariances_ : ndarray
        Inverses of the expected precisions ν_k W_k, in the shape that `covariance_type`
        has in :class:`~skem.GaussianMixture`.

    precisions_ : ndarray
        Expected precisions, of the same shape.

    precisions_cholesky_ : ndarray
        Upper triangular factors U of the precisions U Uᵀ, of the same shape.

    weight_concentration_ : tuple of two ndarrays, or ndarray, of shape (n_components,)
        Parameters of the posterior of the weights: of the Beta distributions of the
        sticks, or of the Dirichlet distribution.

    mean_precision_ : ndarray of shape (n_components,)
        β_k = β₀ + n_k.

    degrees_of_freedom_ : ndarray of shape (n_components,), or float if 'tied'
        ν_k = ν₀ + n_k.

    weight_concentration_prior_ : float
        γ.

    mean_precision_prior_ : float
        β₀.

    mean_prior_ : ndarray of shape (n_features,)
        m₀.

    degrees_of_freedom_prior_ : float
        ν₀.

    covariance_prior_ : float or ndarray
        W₀⁻¹.

    n_effective_components_ : int
        Number of components that own at least one row, n_k ≥ 1.

    converged_ : bool
        Whether at most `tol` nats were estimated to be left to be gained.

    n_iter_ : int
        Number of steps of the run that led to the result, over all rows.

    lower_bound_ : float
        The evidence lower bound on log p(X), in nats, with all constants: bounds of
        different K, priors and structures can be compared. Not divided by the number
        of rows. After `partial_fit` that of as many rows as the posterior counts, each
        with its responsibilities as of when it came: a little lower than it could be.

    lower_bounds_ : list of float of length `n_iter_`
        The bound after each of these steps. Not there after `partial_fit`.

    labels_ : ndarray of int32 of shape (n_samples,)
        The component that each row of the fit is most probable to be of, as by
        `predict`. Not there for memory-mapped files and Dask collections, whose labels
        `predict` computes, nor after `partial_fit`.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture : Maximum likelihood, for a given number of components.
    GaussianMixtureIC : A number of components by a criterion.
    sklearn.mixture.BayesianGaussianMixture : The same model in scikit-learn.

    Notes
    -----
    As in scikit-learn, `score_samples`, `score`, `predict` and `predict_proba` go by
    Σ_k exp E log w_k N(x | μ_k, Λ_k⁻¹). That is less than the posterior predictive
    density, and integrates to less than one. With ``posterior_predictive=True``
    `score_samples` and `sample` go by the predictive density, a mixture of Student-t's.
    `sample`, `support_probability`, `hdr_level` and pictures take the plug-in mixture
    of `weights_`, `means_` and `covariances_`.

    Components may be dead: without rows they have the prior for a posterior. That is
    what a Bayesian mixture is for, and no warning is given of them.

    With a diagonal or spherical covariance the precisions are still random matrices of
    a Wishart distribution, whose posterior is restricted to a diagonal scale matrix, as
    in scikit-learn; with a tied one components have precisions of their own, of the
    same posterior.

    References
    ----------
    .. [1] M. C. Hughes and E. B. Sudderth (2013). Memoized online variational
       inference for Dirichlet process mixture models. NeurIPS 26.
    .. [2] C. M. Bishop (2006). Pattern Recognition and Machine Learning, section 10.2.
       Springer.
    .. [3] D. M. Blei and M. I. Jordan (2006). Variational inference for Dirichlet
       process mixtures. Bayesian Analysis 1(1), 121-143.

    Examples
    --------
    >>> from skem import BayesianGaussianMixture
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> mixture = BayesianGaussianMixture(10, random_state=0).fit(X)
    >>> mixture.n_effective_components_
    2
    >>> mixture.means_[:2].round(1)
    array([[ 4.3, 79.9],
           [ 2.1, 54.7]])
    """

    mean_prior_: np.ndarray
    degrees_of_freedom_prior_: float
    covariance_prior_: Any
    n_effective_components_: int

    _search_class = BayesianSearch
    _stream_class = VariationalStream
    _parameter_constraints: dict = {  # noqa: RUF012
        **PARAMETERS,
        "covariance_type": [covariance_types(STRUCTURES)],
        "weight_concentration_prior_type": [StrOptions(WEIGHT_PRIORS)],
        "weight_concentration_prior": [
            None,
            Interval(Real, 0.0, None, closed="neither"),
        ],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_prior": [StrOptions(["auto"]), None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [
            StrOptions(["auto"]),
            None,
            "array-like",
            Interval(Real, 0.0, None, closed="neither"),
        ],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: SharedCovarianceType = "full",
        tol: float = 1e-2,
        reg_covar: float | Auto = "auto",
        max_iter: int = 1000,
        n_init: int | Auto = "auto",
        init_params: InitParams = "kmeans",
        weight_concentration_prior_type: WeightPriorType = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = "auto",
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: float | ArrayLike | None = "auto",
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
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.algorithm = algorithm
        self.random_state = random_state
        self.warm_start = warm_start
        self.learning_decay = learning_decay
        self.learning_window = learning_window
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    @classmethod
    def from_sklearn(cls, mixture: Peer, **params: Any) -> Self:
        """Build a fitted mixture from a fitted one of scikit-learn's.

        Parameters
        ----------
        mixture : sklearn.mixture.BayesianGaussianMixture
            A fitted mixture.

        **params : dict
            Further parameters of the estimator; those of the model and, unless it is
            given, `random_state` are those of `mixture`.

        Returns
        -------
        mixture : BayesianGaussianMixture
            Of the same posterior: ready for `predict` and the like, and for a `fit`
            with ``warm_start=True`` to continue from.

        Raises
        ------
        NotFittedError
            If `mixture` is not fitted.

        TypeError
            If it is not a Bayesian mixture of scikit-learn's.

        Examples
        --------
        >>> import sklearn.mixture
        >>> from skem import BayesianGaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> theirs = sklearn.mixture.BayesianGaussianMixture(
        ...     n_components=2, random_state=0
        ... ).fit(X)
        >>> ours = BayesianGaussianMixture.from_sklearn(theirs)
        >>> print(round(ours.score(X), 4), round(theirs.score(X), 4))
        -4.1918 -4.1918
        """
        if not isinstance(mixture, Peer):
            raise TypeError(
                "from_sklearn takes a fitted sklearn.mixture.BayesianGaussianMixture, "
                f"but got an object of type {kind_of(mixture)}."
            )
        check_is_fitted(mixture, "means_")
        for name in OF_A_POSTERIOR:
            params.setdefault(name, getattr(mixture, name))
        ours = cls(len(mixture.weights_), **params)
        ours._validate_params()
        copy_posterior(mixture, ours)
        ours._fitted_type = mixture.covariance_type
        ours.n_effective_components_ = _effective(ours._counts())
        copy_of_a_fit(mixture, ours)
        return ours

    def to_sklearn(self) -> Peer:
        """Return scikit-learn's mixture of the same posterior.

        For code that asks ``isinstance(x, sklearn.mixture.BayesianGaussianMixture)``,
        as skl2onnx does.

        Returns
        -------
        mixture : sklearn.mixture.BayesianGaussianMixture
            Fitted, with copies of the posterior and the prior, and with `converged_`,
            `n_iter_` and `lower_bound_` if they are there. Parameters of the model are
            the same, but that "auto" is what the fit has taken; those of a fit have
            scikit-learn's defaults.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        Notes
        -----
        `lower_bound_` has all constants, and scikit-learn's has not: they differ. So do
        probabilities where the data have no variance in some direction, which
        scikit-learn's counts as a dimension of the posterior.

        See Also
        --------
        from_sklearn : The way back.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import BayesianGaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> ours = BayesianGaussianMixture(3, random_state=0).fit(X)
        >>> theirs = ours.to_sklearn()
        >>> type(theirs).__module__.partition(".")[0]
        'sklearn'
        >>> np.array_equal(theirs.predict(X), ours.predict(X))
        True
        """
        self._check_is_fitted()
        params = {name: getattr(self, name) for name in OF_A_POSTERIOR}
        if _given(self.covariance_prior) is None:
            params["covariance_prior"] = self.covariance_prior_
        if isinstance(self.mean_prior, str):
            params["mean_prior"] = self.mean_prior_
            params["mean_precision_prior"] = self.mean_precision_prior_
        theirs = Peer(n_components=len(self.weights_), **params)
        copy_posterior(self, theirs)
        structure = STRUCTURES[self.covariance_type]
        theirs.precisions_cholesky_ = structure.upper_factor(
            np.array(self.precisions_cholesky_)
        )
        theirs.n_features_in_ = np.shape(self.means_)[1]
        copy_of_a_fit(self, theirs)
        return theirs

    def _beliefs(self, n_features: int) -> Beliefs:
        """Return the prior that the parameters ask for."""
        kind = WEIGHT_PRIORS[self.weight_concentration_prior_type]
        gamma = self.weight_concentration_prior
        precision = self.mean_precision_prior
        degrees = self.degrees_of_freedom_prior
        if degrees is not None and not degrees > n_features - 1.0:
            raise ValueError(
                "The parameter 'degrees_of_freedom_prior' should be greater than "
                f"{n_features - 1}, but got {degrees:.3f}."
            )
        structure = STRUCTURES[self.covariance_type]
        mean, covariance = _given(self.mean_prior), _given(self.covariance_prior)
        return Beliefs(
            kind(
                1.0 / self.n_components if gamma is None else float(gamma),
                self.n_components,
            ),
            None if precision is None else float(precision),
            None if mean is None else check_mean_prior(mean, n_features),
            degrees,
            None
            if covariance is None
            else check_covariance_prior(covariance, structure, n_features),
            1 if self.covariance_prior is None else self.n_components,
            mean_of_bulk=isinstance(self.mean_prior, str),
            covariance_of_bulk=self.covariance_prior is not None,
        )

    def _prepared(self, blocks: Blocks) -> EMMap:
        return VariationalMap.of_data(
            blocks,
            STRUCTURES[self.covariance_type],
            self._beliefs(blocks.n_features),
            self.reg_covar,
        )

    def _bound_of(self, total_weight: float) -> float:
        return 1.0

    def _stream_bound(self, stream: Stream) -> float:
        # Of the posterior that there is: see `VariationalStream`.
        data = stream.averages.loglik + stream.coordinates.log_slope
        penalty = stream.regularization.penalty(stream.structure, stream.parameters)
        return float(stream.size * data - penalty)

    def _shares(self, problem: EMMap | Stream, found: Parameters) -> np.ndarray | None:
        """Return what part of covariances is of rows; the rest is of the prior."""
        prior, structure = problem.regularization, problem.structure
        assert isinstance(prior, Prior) and isinstance(found, Posterior)
        sizes = found.counts
        if structure.shared:
            sizes = np.full(len(sizes), sizes.sum() / prior.size(sizes))
        return np.asarray(sizes / prior.degrees(structure, found.counts))

    def _attributes_of(
        self, problem: EMMap | Stream, found: Parameters, dtype: np.dtype
    ) -> dict[str, Any]:
        prior, structure = problem.regularization, problem.structure
        assert isinstance(prior, Prior) and isinstance(found, Posterior)
        counts = found.counts
        concentration = prior.weights.update(counts)
        if isinstance(concentration, tuple):
            concentration = tuple(each.astype(dtype) for each in concentration)
        else:
            concentration = concentration.astype(dtype)
        degrees = prior.degrees(structure, counts).astype(dtype)
        mean, covariance = outward(structure, problem.coordinates, prior)
        if _given(self.mean_prior) is not None:
            mean = np.asarray(self.mean_prior, dtype=float)
        if _given(self.covariance_prior) is not None:
            covariance = np.asarray(self.covariance_prior, dtype=float)
        return {
            **super()._attributes_of(problem, found, dtype),
            "weight_concentration_": concentration,
            "mean_precision_": prior.precision(counts).astype(dtype),
            "degrees_of_freedom_": degrees[0] if structure.shared else degrees,
            "weight_concentration_prior_": prior.weights.concentration,
            "mean_precision_prior_": prior.mean_precision,
            "mean_prior_": mean,
            "degrees_of_freedom_prior_": prior.degrees_of_freedom,
            "covariance_prior_": covariance if covariance.ndim else float(covariance),
            "n_effective_components_": _effective(counts),
        }

    def _start_parameters(self) -> Parameters:
        return self._posterior()

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Estimate the posterior.

        Parameters
        ----------
        X : array-like, Dask array or Dask DataFrame of shape (n_samples, n_features)
            Data, as in the fit of :class:`~skem.GaussianMixture`. NaN is a missing
            value, missing at random: the bound is on the evidence of what was observed.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like or Dask array of shape (n_samples,), default=None
            Non-negative weights. An integer weight is the same as repeating the row.
            Their sum is how much is known: do not normalise them to one.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            If X has infinite values, a feature without any value, or fewer rows than
            components; if weights are negative or all zero; if a part of the prior has
            the wrong shape or is not positive definite; or, with a numeric `reg_covar`,
            if a covariance is not positive definite. The estimator then stays as it
            was.

        Warns
        -----
        ConvergenceWarning
            If more than `tol` nats are estimated to be left after `max_iter` steps, and
            always with ``tol=0``.

        UserWarning
            Once for a subclass that defines private methods which scikit-learn's
            mixture calls: ours does not call them.

        Examples
        --------
        >>> from skem import BayesianGaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = BayesianGaussianMixture(5, random_state=0).fit(X)
        >>> mixture.weights_.round(2) + 0.0
        array([0.64, 0.36, 0.  , 0.  , 0.  ])
        """
        warn_of_hooks(type(self), BayesianGaussianMixture)
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight)
        return self

    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one step with a batch of a stream: streaming variational Bayes.

        The running statistics move towards those of the batch, as in
        :meth:`GaussianMixture.partial_fit <skem.GaussianMixture.partial_fit>`, and the
        posterior is that of the statistics, of as many rows as they are as precise as.
        The prior is that of the first rows; components that have died do not come back.

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
        >>> from skem import BayesianGaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> mixture = BayesianGaussianMixture(3, random_state=0)
        >>> for _ in range(20):
        ...     centres = rng.choice([-3.0, 3.0], size=(500, 1))
        ...     mixture = mixture.partial_fit(centres + rng.normal(size=(500, 1)))
        >>> mixture.n_effective_components_
        2
        """
        warn_of_hooks(type(self), BayesianGaussianMixture)
        with unchanged_on_error(self):
            self._validated_partial_fit(X, sample_weight)
        return self

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> np.ndarray:
        """Estimate the posterior, and label the data by it.

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
        >>> from skem import BayesianGaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> BayesianGaussianMixture(2, random_state=0).fit_predict(X)[:4]
        array([0, 1, 0, 1])
        """
        return self.fit(X, y, sample_weight=sample_weight)._labels_or_predict(X)


def _given(prior: Any) -> Any:
    """Return a part of the prior if it is not made from the data."""
    return None if isinstance(prior, str) else prior


def _effective(counts: np.ndarray) -> int:
    """Return how many components own a row, of whatever weight; one at least."""
    return max(1, int(np.count_nonzero(counts >= EFFECTIVE)))
