"""The estimator: a thin shell around `skem.core`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skem._validation import (
    check_data,
    check_matrices,
    check_means,
    check_n_samples,
    check_sample_weight,
    check_weights,
    computing_dtype,
)
from skem.core.accelerate import ACCELERATORS, Accelerator, Progress
from skem.core.blocks import ArrayBlocks, Block
from skem.core.coordinates import scoring_coordinates
from skem.core.covariance import STRUCTURES
from skem.core.em import EMMap
from skem.core.expectation import Expectation, choose_form
from skem.core.initialize import DIVERSE, INITIALIZERS, initialize
from skem.core.parameters import Parameters
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.search import search
from skem.core.solve import Solution, solve
from skem.core.threads import Workers, Workspace

ILL_DEFINED = (
    "Fitting the mixture model failed because some components have "
    "ill-defined empirical covariance (for instance caused by singleton "
    "or collapsed samples). Try to decrease the number of components, "
    "increase reg_covar, or scale the input data."
)
ILL_DEFINED_FLOAT32 = (
    " The numerical accuracy can also be improved by passing float64"
    " data instead of float32."
)


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture, fitted by maximum penalised likelihood.

    A drop-in replacement for :class:`sklearn.mixture.GaussianMixture`: the same
    parameters, methods, attributes and, from the same start, the same iterates. A
    pass over the data is many times faster, takes sample weights, needs no memory
    beyond a few blocks, and never meets a singular covariance by default.

    Parameters
    ----------
    n_components : int, default=1
        The number of mixture components, K.

    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        The structure of the covariances:

        - 'full': each component has its own general covariance matrix.
        - 'tied': all components share the same general covariance matrix.
        - 'diag': each component has its own diagonal covariance matrix.
        - 'spherical': each component has its own single variance.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that the fit may still leave to be gained.
        It is estimated from how fast the steps shrink. Unlike a bound on one increment
        of the mean it does not depend on the number of samples, and slow progress is
        not taken for convergence. With 0, all `max_iter` steps are done.

    reg_covar : 'auto' or float, default='auto'
        How covariances are kept away from singularity.

        - 'auto': the scale-free penalty of Chen & Tan [1]_. Each covariance gets
          ε = 2/√N pseudo-observations of covariance S·K^(−2/d), with N the sum of the
          sample weights and S the covariance of the data; rows more than 5√d standard
          deviations away are left out of S, so that outliers do not set the scale.
          Affects a sensible estimate by less than its standard error, whatever the
          units of the data, and removes the degenerate ones.
        - float: a constant added to the diagonal of the covariances, in squared units
          of the data, as in scikit-learn; the fit raises if a covariance is still
          not positive definite.

    max_iter : int, default=1000
        The largest number of steps, each of which costs one pass over the data. The
        evaluation of the start is one more.

    n_init : int or 'auto', default=1
        The number of starts. The best result is kept.

        - 'auto': ten diverse starts get a few steps each, and the best three are
          finished. On large data that is done on a random subsample, and the best
          result is carried on through growing subsamples to all rows. Starts are
          made by k-means, and by nearest rows chosen at random and by k-means++; by
          `init_params` alone if that is not 'kmeans'. One start if a part of it is
          given.
        - int: so many starts by `init_params`, all of them finished on all rows.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How starts are made, on standardised features and, for large data, on a
        random subsample of rows:

        - 'kmeans': responsibilities are the labels of a k-means clustering.
        - 'k-means++': means are rows chosen by the k-means++ method.
        - 'random': responsibilities are random.
        - 'random_from_data': means are rows chosen at random.

    weights_init : array-like of shape (n_components,), default=None
        Weights to start from. None: made by `init_params`.

    means_init : array-like of shape (n_components, n_features), default=None
        Means to start from. None: made by `init_params`.

    precisions_init : array-like, default=None
        Precisions (inverse covariances) to start from. None: made by `init_params`.
        The shape depends on `covariance_type`::

            (n_components,)                        if 'spherical',
            (n_features, n_features)               if 'tied',
            (n_components, n_features)             if 'diag',
            (n_components, n_features, n_features) if 'full'

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver. None of them ever accepts a fall of the penalised likelihood, and
        every step of each costs one pass over the data:

        - 'em': plain expectation-maximisation [2]_.
        - 'squarem': squared extrapolation of EM steps [3]_.
        - 'lbfgs': limited-memory BFGS with the EM step for a gradient [4]_.
        - 'auto': the fastest of them in measurements, at present 'lbfgs'.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts, and of `sample` where that is given none. Pass an int for
        reproducible results; these do not depend on the number of threads.

    warm_start : bool, default=False
        Whether `fit` continues from the present parameters, if there are any, in
        place of new starts. Two fits of one step equal one fit of two.

    verbose : int, default=0
        If positive, one line is printed for each start, and one for every
        `verbose_interval` steps: the mean log-likelihood and an estimate of how many
        nats are left to be gained.

    verbose_interval : int, default=10
        Number of steps between two lines.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components.

    means_ : ndarray of shape (n_components, n_features)
        Means, in units of the data.

    covariances_ : ndarray
        Covariances, in squared units of the data. The shape depends on
        `covariance_type`::

            (n_components,)                        if 'spherical',
            (n_features, n_features)               if 'tied',
            (n_components, n_features)             if 'diag',
            (n_components, n_features, n_features) if 'full'

    precisions_ : ndarray
        Inverses of the covariances, of the same shape.

    precisions_cholesky_ : ndarray
        Upper triangular factors U of the precisions, Σ⁻¹ = U Uᵀ, of the same shape.

    converged_ : bool
        Whether at most `tol` nats were estimated to be left to be gained.

    n_iter_ : int
        Number of steps of the best start, after its screening: passes over the data
        after the one that evaluates the start itself.

    lower_bound_ : float
        Mean log-likelihood of the training data at the returned parameters, in nats
        per sample (weighted); equals ``score(X, sample_weight=sample_weight)``.

    lower_bounds_ : list of float of length `n_iter_`
        Mean log-likelihood after each step of the best start.

    n_parameters_ : int
        Number of free parameters of the model.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    sklearn.mixture.GaussianMixture : The same model in scikit-learn.

    Notes
    -----
    float32 data are computed in float32, with sums in float64, and give float32
    attributes. Integer and boolean data give what float64 data give.

    References
    ----------
    .. [1] J. Chen and X. Tan (2009). Inference for multivariate normal mixtures.
       Journal of Multivariate Analysis 100(7), 1367-1383.
    .. [2] A. P. Dempster, N. M. Laird and D. B. Rubin (1977). Maximum likelihood from
       incomplete data via the EM algorithm. JRSS B 39(1), 1-38.
    .. [3] R. Varadhan and C. Roland (2008). Simple and globally convergent methods for
       accelerating the convergence of any EM algorithm. Scandinavian Journal of
       Statistics 35(2), 335-353.
    .. [4] M. Jamshidian and R. I. Jennrich (1997). Acceleration of the EM algorithm by
       using quasi-Newton methods. JRSS B 59(3), 569-587.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> gm = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> gm.means_.round(6) + 0.0
    array([[10.,  2.],
           [ 1.,  2.]])
    >>> gm.predict([[0, 0], [12, 3]])
    array([1, 0])
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(STRUCTURES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(INITIALIZERS))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "algorithm": [StrOptions(set(ACCELERATORS))],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-2,
        reg_covar: float | str = "auto",
        max_iter: int = 1000,
        n_init: int | str = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        algorithm: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
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
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.algorithm = algorithm
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: str = "full",
        **params: Any,
    ) -> Self:
        """Build a fitted mixture from its parameters, without data.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Weights, non-negative, summing to one.

        means : array-like of shape (n_components, n_features)
            Means.

        covariances : array-like
            Covariances, positive definite, in the shape of `covariances_`.

        covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
            The structure of the covariances.

        **params : dict
            Further parameters of the estimator.

        Returns
        -------
        mixture : GaussianMixture
            Ready for `predict`, `score_samples`, `sample` and the like, and for a
            `fit` with ``warm_start=True`` to continue from.

        Raises
        ------
        ValueError
            If an array has the wrong shape, the weights are not probabilities, or a
            covariance is not positive definite.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> gm = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> gm.predict([[-2.0], [1.0]])
        array([0, 1])
        """
        means = np.array(means, dtype=float, ndmin=1)
        if means.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {means.ndim}D array instead for 'means'."
            )
        mixture = cls(len(means), covariance_type=covariance_type, **params)
        mixture._validate_params()
        n_components, n_features = means.shape
        structure = STRUCTURES[covariance_type]
        covariances = check_matrices(
            covariances, structure, n_components, n_features, "covariance"
        )
        cholesky, failed = structure.factor(covariances)
        if failed.any():
            raise ValueError(
                f"'{covariance_type} covariance' should be symmetric, positive-definite"
            )
        mixture._set_parameters(
            Parameters(
                check_weights(weights, n_components),
                check_means(means, n_components, n_features),
                cholesky,
            ),
            covariances,
        )
        mixture.n_features_in_ = n_features
        return mixture

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. Arrays of any floating-point, integer or boolean type and memory
            layout, and memory-mapped ones, are read in place.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight is the same as repeating the row,
            a zero weight as leaving it out. Their sum N plays the role of the number
            of samples, so do not normalise them to one.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            If X has NaN or infinite values, or fewer rows than components; if
            weights are negative or all zero; if a start has the wrong shape; or, with
            a numeric `reg_covar`, if a covariance is not positive definite. The
            estimator then stays as it was.

        Warns
        -----
        ConvergenceWarning
            If more than `tol` nats are estimated to be left after `max_iter` steps.
        """
        with _unchanged_on_error(self):
            self._validated_fit(X, sample_weight)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(self, X: ArrayLike, sample_weight: ArrayLike | None) -> None:
        X = check_data(self, X, reset=True)
        weight = check_sample_weight(sample_weight, X)
        check_n_samples(X, weight, self.n_components)
        given = self._check_starts(X.shape[1])
        dtype = computing_dtype(X)
        structure = STRUCTURES[self.covariance_type]
        with Workers() as workers:
            blocks = ArrayBlocks(X, weight, workers, dtype)
            em = EMMap.prepare(blocks, structure, self.n_components, self.reg_covar)
            try:
                best = max(
                    self._solutions(em, given),
                    key=lambda solution: solution.evaluation.objective,
                )
            except IllDefinedCovarianceError:
                hint = ILL_DEFINED_FLOAT32 if dtype == np.float32 else ""
                raise ValueError(ILL_DEFINED + hint) from None
        self._set_solution(em, best)

    def _check_starts(self, n_features: int) -> dict[str, np.ndarray]:
        """Return the given parts of a start, in the terms of `Parameters`."""
        K, d = self.n_components, n_features
        structure = STRUCTURES[self.covariance_type]
        given = {}
        if self.weights_init is not None:
            given["weights"] = check_weights(self.weights_init, K)
        if self.means_init is not None:
            given["means"] = check_means(self.means_init, K, d)
        if self.precisions_init is not None:
            precisions = check_matrices(self.precisions_init, structure, K, d)
            given["precisions_cholesky"] = structure.factor_precisions(precisions)
        return given

    def _solutions(self, em: EMMap, given: dict[str, np.ndarray]) -> Iterator[Solution]:
        """Yield the solution of each start that is finished."""
        K = self.n_components
        rng = check_random_state(self.random_state)
        if self.warm_start and hasattr(self, "means_"):
            present = em.coordinates.inward(em.structure, self._parameters())
            progress = getattr(self, "_progress", None)
            yield self._solve(em, present, progress=progress)
        elif len(given) == 3:
            start = Parameters(**given)
            yield self._solve(em, em.coordinates.inward(em.structure, start))
        elif self.n_init == "auto" and K > 1 and not given and self.max_iter > 0:
            chosen = INITIALIZERS[self.init_params]
            methods = DIVERSE if self.init_params == "kmeans" else [chosen]
            yield from search(em, methods, K, rng, self._solve)
        else:
            n_init = 1 if isinstance(self.n_init, str) else self.n_init
            for _ in range(n_init):
                start = initialize(em, INITIALIZERS[self.init_params], K, rng)
                start = em.coordinates.outward(em.structure, start, np.dtype(float))
                start = replace(start, **given)
                yield self._solve(em, em.coordinates.inward(em.structure, start))

    def _solve(
        self,
        em: EMMap,
        start: Parameters,
        earlier: Solution | None = None,
        *,
        progress: Progress | None = None,
    ) -> Solution:
        """Finish one start, in the coordinates of the fit."""
        accelerator = ACCELERATORS[self.algorithm](em.chart, progress)
        if earlier is not None:
            accelerator.follow(earlier.accelerator)
        report = None
        if self.verbose:
            print(f"Initialization on {em.blocks.n_samples} samples")
            report = self._reporter(em.blocks.total_weight, em.coordinates.log_slope)
        return solve(
            em.evaluate,
            start,
            accelerator,
            tol=self.tol,
            max_iter=self.max_iter,
            callback=report,
        )

    def _reporter(
        self, total: float, log_slope: float
    ) -> Callable[[int, Any, Accelerator], None]:
        def report(step: int, evaluation: Any, accelerator: Accelerator) -> None:
            if step % self.verbose_interval == 0:
                print(
                    f"  Iteration {step}\t mean log-likelihood "
                    f"{evaluation.loglik / total + log_slope:.6f}\t "
                    f"nats to go {accelerator.remaining:.3g}\t {accelerator.step}"
                )

        return report

    def _set_solution(self, em: EMMap, best: Solution) -> None:
        dtype = em.blocks.dtype
        found = best.evaluation.parameters
        total, log_slope = em.blocks.total_weight, em.coordinates.log_slope
        self._set_parameters(
            em.coordinates.outward(em.structure, found, dtype),
            em.coordinates.covariances(em.structure, found, dtype),
        )
        self.converged_ = best.converged
        self.n_iter_ = best.n_iter
        self.lower_bound_ = best.evaluation.loglik / total + log_slope
        self.lower_bounds_ = [value / total + log_slope for value in best.values]
        self._progress = best.accelerator.progress
        if not best.converged and self.max_iter > 0:
            remaining = best.accelerator.remaining
            left = (
                f"an estimated {remaining:.3g}"
                if math.isfinite(remaining)
                else "an unknown number of"
            )
            warnings.warn(
                f"Best performing initialization did not converge: {left} nats of "
                "log-likelihood are left to be gained. Try different init parameters, "
                "or increase max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _set_parameters(self, parameters: Parameters, covariances: np.ndarray) -> None:
        structure = STRUCTURES[self.covariance_type]
        self.weights_ = parameters.weights
        self.means_ = parameters.means
        self.covariances_ = covariances
        self.precisions_cholesky_ = parameters.precisions_cholesky
        with np.errstate(over="ignore", under="ignore"):
            precisions = structure.precisions(parameters.precisions_cholesky)
        limit = np.finfo(precisions.dtype).max
        self.precisions_ = np.clip(precisions, -limit, limit)
        self.n_parameters_ = self._n_parameters()

    def _parameters(self) -> Parameters:
        return Parameters(
            np.asarray(self.weights_, dtype=float),
            np.asarray(self.means_, dtype=float),
            np.asarray(self.precisions_cholesky_, dtype=float),
        )

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> np.ndarray:
        """Estimate the parameters, and label the data by them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Index of the most probable component of each row.
        """
        return self.fit(X, y, sample_weight=sample_weight).predict(X)

    def _evaluate(
        self,
        X: ArrayLike,
        shape: tuple[int, ...],
        write: Callable[[Expectation, np.ndarray, Block, Workspace], None],
        dtype: Any = None,
    ) -> np.ndarray:
        """Return an array (n_samples, *shape) that `write` has filled by blocks."""
        check_is_fitted(self)
        X = check_data(self, X, reset=False)
        computing = computing_dtype(X)
        structure = STRUCTURES[self.covariance_type]
        parameters = self._parameters()
        coordinates = scoring_coordinates(structure, parameters, computing)
        form = choose_form(
            structure, coordinates.inward(structure, parameters), computing
        )
        expectation = Expectation(form, coordinates)
        out = np.empty((len(X), *shape), dtype or computing)

        def kernel(block: Block, workspace: Workspace) -> int:
            write(expectation, out[block.start : block.stop], block, workspace)
            return len(block.data)

        with Workers() as workers:
            blocks = ArrayBlocks(X, None, workers, computing)
            for _ in blocks.map(kernel, expectation.values_per_sample):
                pass
        return out

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_prob : ndarray of shape (n_samples,)
            Log-density at each row, in nats; always finite.
        """

        def write(
            expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
        ) -> None:
            log_density = expectation.log_density(block, ws)
            info = np.finfo(out.dtype)
            out[:] = np.clip(log_density, info.min, info.max)

        return self._evaluate(X, (), write)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Posterior probability of each component, given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Probabilities; each row sums to one, however far it is from the data.
        """

        def write(
            expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
        ) -> None:
            out[:] = expectation.responsibilities(block, ws).T

        check_is_fitted(self)
        return self._evaluate(X, (len(self.means_),), write)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Label each row with its most probable component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Indices of components.
        """

        def write(
            expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
        ) -> None:
            expectation.responsibilities(block, ws).argmax(axis=0, out=out)

        return self._evaluate(X, (), write, dtype=np.intp)

    def _totals(self, X: ArrayLike, sample_weight: Any) -> tuple[float, float]:
        """Σ v log p(x) and Σ v."""
        log_density = self.score_samples(X)
        weight = check_sample_weight(sample_weight, log_density)
        if weight is None:
            return float(log_density.sum(dtype=float)), float(len(log_density))
        return float(log_density @ weight), float(weight.sum())

    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-likelihood of the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        log_likelihood : float
            (Weighted) mean of `score_samples`, in nats per sample.
        """
        loglik, total = self._totals(X, sample_weight)
        return loglik / total

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion: the lower the better.

        −2ℓ + p log N, with ℓ the total log-likelihood, p the number of free
        parameters and N the sum of the weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        bic : float
            The criterion.
        """
        loglik, total = self._totals(X, sample_weight)
        return -2 * loglik + self._n_parameters() * math.log(total)

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion, −2ℓ + 2p: the lower the better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        aic : float
            The criterion.
        """
        loglik, _ = self._totals(X, sample_weight)
        return -2 * loglik + 2 * self._n_parameters()

    def icl(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Integrated completed likelihood: the lower the better.

        The BIC plus −2 Σ_i v_i max_k log r_ik, a price on components that overlap
        (Biernacki, Celeux & Govaert 2000), for choosing a number of clusters rather
        than of components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        icl : float
            The criterion.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
        clustering with the integrated completed likelihood. IEEE TPAMI 22(7), 719-725.
        """

        def write(
            expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
        ) -> None:
            expectation.responsibilities(block, ws).max(axis=0, out=out)

        bic = self.bic(X, sample_weight)
        surprise = -np.log(self._evaluate(X, (), write))
        weight = check_sample_weight(sample_weight, surprise)
        if weight is None:
            return bic + 2 * float(surprise.sum(dtype=float))
        return bic + 2 * float(surprise @ weight)

    def _n_parameters(self) -> int:
        check_is_fitted(self)
        K, d = np.shape(self.means_)
        return K * d + K - 1 + STRUCTURES[self.covariance_type].n_parameters(K, d)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the mixture, in random order.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        random_state : int, RandomState instance or None, default=None
            Seed. None: the estimator's `random_state`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows.

        y : ndarray of shape (n_samples,)
            The component that each row was drawn from.

        Raises
        ------
        ValueError
            If `n_samples` is less than one.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': {n_samples} . The sampling requires "
                "at least one sample."
            )
        rng = check_random_state(
            self.random_state if random_state is None else random_state
        )
        structure = STRUCTURES[self.covariance_type]
        parameters = self._parameters()
        weights = parameters.weights / parameters.weights.sum()
        labels = rng.choice(len(weights), size=n_samples, p=weights)
        X = rng.standard_normal((n_samples, parameters.means.shape[1]))
        for k in np.unique(labels):
            rows = labels == k
            noise = structure.color(parameters.precisions_cholesky, k, X[rows].T)
            X[rows] = parameters.means[k] + noise.T
        return X, labels


@contextmanager
def _unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give the estimator back all its attributes if anything is raised."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
