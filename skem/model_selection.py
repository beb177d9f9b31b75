"""Choose the number of components and the covariance structure of a mixture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.utils import Tags, check_random_state

from skem._fitting.fitting import unchanged_on_error
from skem._fitting.likelihood import SIMPLIFY, of_small_weights
from skem._inputs.blocks import open_blocks, reopening
from skem._inputs.sklearn import Interval, StrOptions, fit_context
from skem._inputs.typing import (
    Algorithm,
    Auto,
    CovarianceType,
    Criterion,
    InitParams,
    RandomState,
    available_if,
)
from skem._inputs.validation import N_JOBS, check_n_samples
from skem._selection.candidates import Problem, candidates
from skem._selection.delegate import AttributeOfBest, Chooser, is_kept, of_best
from skem._selection.grid import (
    CRITERIA,
    Candidate,
    check_covariance_types,
    check_numbers_of_components,
    table,
)
from skem.core.gaussian.covariance import SHAPES, STRUCTURES
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.solve.accelerate import ACCELERATORS
from skem.exceptions import DegenerateComponentsWarning
from skem.gaussian_mixture import GaussianMixture

COVARIANCE_TYPES: Any = tuple(STRUCTURES)
"""What is tried by default."""
NEAR = 10.0
"""Nats that a candidate may be behind the best one, and be followed to the end."""
TOO_FEW = "Expected n_samples >= n_components but got n_components = {}, n_samples = {}"


class GaussianMixtureIC(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, Chooser
):
    """Gaussian mixture chosen by an information criterion.

    Mixtures with each number of components and each covariance structure are fitted,
    and the one with the lowest BIC, AIC or ICL is kept. The fits share their work:
    starts are handed from one number of components to the next, by splitting and
    merging components, and from one structure to another. That costs less than
    fitting each with ``GaussianMixture(n_init=5)``. Those that may be chosen are
    searched once more, as a single fit is. It is a search all the same: some
    candidates, above all those with nearly as many parameters as rows, may be at a
    lesser optimum than another seed or a larger `n_init` would find.

    Parameters
    ----------
    n_components : int or sequence of int, default=(1, 2, 3, 4, 5, 6, 7, 8, 9)
        The numbers of components to try. Gaps are allowed.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ..., 'all'} or \
    sequence of them, default=('full', 'tied', 'diag', 'spherical')
        The covariance structures to try, as in `GaussianMixture`. 'all' are these four
        and the ten others that R's mclust has.

    criterion : {'bic', 'aic', 'icl'}, default='bic'
        What is minimised:

        - 'bic': −2ℓ + p log N, the Bayesian information criterion [1]_, with ℓ the
          total log-likelihood, p the number of free parameters and N the sum of the
          weights.
        - 'aic': −2ℓ + 2p, Akaike's; for densities rather than clusters.
        - 'icl': BIC with a price on overlap [2]_; for clusters rather than components.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that a candidate may still leave to be
        gained, as in `GaussianMixture`. Candidates that are more than ten nats behind
        the best one by the criterion may leave one nat.

    reg_covar : 'auto' or float, default='auto'
        How covariances are kept away from singularity, as in `GaussianMixture`. With
        a float, candidates for which that fails are marked in `results_`.

    max_iter : int, default=1000
        The largest number of steps with which a candidate is followed to its optimum.

    n_init : int, default=8
        The number of fresh starts of each candidate that is within ten nats of the
        best one, and 0.3 nats more for each of its parameters, beside those handed
        along the path. Such a candidate is searched as a fit of its own is; on few
        samples from three times as many, and again where that has found more. The
        others have two fresh starts at most, which all structures share.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How fresh starts are made, as in `GaussianMixture`.

    noise : bool or float, default=None
        Whether all candidates have a component of noise, as in `GaussianMixture`.

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver, as in `GaussianMixture`.

    random_state : int, RandomState instance or None, default=None
        Seed of the fresh starts and of subsamples, and of `sample`. Pass an int for
        reproducible results; these depend neither on `n_jobs` nor on the number of
        threads.

    n_jobs : int or None, default=None
        The number of structures that are worked on at a time, in processes of
        joblib. None is 1 unless in a :obj:`joblib.parallel_config` context, and -1
        means all processors. A fit to many rows is multi-threaded already.

    refit : bool, default=True
        Whether to keep the chosen mixture as `best_estimator_`, for `predict` and the
        like. It needs no further fit.

    verbose : int, default=0
        If positive, one line is printed for each candidate.

    Attributes
    ----------
    best_estimator_ : GaussianMixture
        The chosen mixture, fitted. Only with ``refit=True``. `weights_`, `means_`,
        `covariances_` and its other fitted attributes, and its methods, are those of
        the search, too.

    n_components_ : int
        Its number of components.

    covariance_type_ : str
        Its covariance structure.

    criterion_ : float
        Its value of the criterion: the lowest of the eligible candidates, unless many
        rows share values, such as zero or whole numbers. Candidates are compared by
        the likelihood in which these have a width, as `GaussianMixture` has it in its
        Notes; see 'excess' below.

    best_index_ : int
        Its place in `results_`.

    results_ : dict of 1-D ndarrays
        One entry for each candidate, by number of components and then by structure,
        for ``pandas.DataFrame(selection.results_)``:

        - 'param_n_components', 'param_covariance_type';
        - 'criterion', 'bic', 'aic', 'icl', 'log_likelihood' (total, in nats): NaN for
          a candidate that could not be fitted;
        - 'excess': nats of 'log_likelihood' that come from taking shared values for
          points. The choice is made by the criterion without them;
        - 'n_parameters', 'n_iter' (steps of the last run);
        - 'converged': whether no more than `tol` is estimated to be left, or than one
          nat if the candidate is more than ten nats behind the best one;
        - 'eligible': whether the candidate may be chosen;
        - 'warning': why not, or empty. Not eligible is a candidate that could not be
          fitted, and one that is spurious: it has `degenerate_components_`, as
          :class:`GaussianMixture` calls them;
        - 'fit_time': seconds;
        - 'rank': 1 for the best; those that are not eligible come last.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    GaussianMixture : One mixture of a given size and structure.
    bootstrap_lrt : Test whether one more component is real.

    Notes
    -----
    The candidates share the search for where to start. On at most 4 000 rows (or 200
    per component), chosen at random, they are improved by splits of the clusters of the
    next smaller mixture, mergers of the closest ones of the next larger, the other
    structures' clusters, and fresh starts. Splitting and merging components is how Ueda
    et al. [3]_ escape from poor optima. All candidates are then followed on all rows,
    and those near the best one get more starts and are followed to the end.

    References
    ----------
    .. [1] G. Schwarz (1978). Estimating the dimension of a model. Annals of Statistics
       6(2), 461-464.
    .. [2] C. Biernacki, G. Celeux and G. Govaert (2000). Assessing a mixture model for
       clustering with the integrated completed likelihood. IEEE TPAMI 22(7), 719-725.
    .. [3] N. Ueda, R. Nakano, Z. Ghahramani and G. E. Hinton (2000). SMEM algorithm
       for mixture models. Neural Computation 12(9), 2109-2128.

    Examples
    --------
    >>> from skem import GaussianMixtureIC
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> selection = GaussianMixtureIC(range(1, 5), random_state=0).fit(X)
    >>> selection.covariance_type_, selection.n_components_
    ('tied', 3)
    >>> round(selection.criterion_, 1)
    2314.3
    >>> selection.predict(X).shape
    (272,)
    """

    best_estimator_: GaussianMixture
    weights_ = AttributeOfBest[np.ndarray]()
    means_ = AttributeOfBest[np.ndarray]()
    covariances_ = AttributeOfBest[np.ndarray]()
    precisions_ = AttributeOfBest[np.ndarray]()
    precisions_cholesky_ = AttributeOfBest[np.ndarray]()
    degenerate_components_ = AttributeOfBest[np.ndarray]()
    n_parameters_ = AttributeOfBest[int]()
    converged_ = AttributeOfBest[bool]()
    n_iter_ = AttributeOfBest[int]()
    lower_bound_ = AttributeOfBest[float]()
    lower_bounds_ = AttributeOfBest[list[float]]()
    labels_ = AttributeOfBest[np.ndarray]()
    n_components_: int
    covariance_type_: CovarianceType
    criterion_: float
    best_index_: int
    results_: dict[str, np.ndarray]
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "covariance_type": [StrOptions({*SHAPES, "all"}), "array-like"],
        "criterion": [StrOptions(set(CRITERIA))],
        "tol": [Interval(Real, 0.0, None, closed="neither")],
        "reg_covar": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(INITIALIZERS))],
        "noise": ["boolean", Interval(Real, 0.0, None, closed="neither"), None],
        "algorithm": [StrOptions(set(ACCELERATORS))],
        "random_state": ["random_state"],
        "n_jobs": N_JOBS,
        "refit": ["boolean"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int | Sequence[int] = tuple(range(1, 10)),
        *,
        covariance_type: CovarianceType
        | Literal["all"]
        | Sequence[CovarianceType] = COVARIANCE_TYPES,
        criterion: Criterion = "bic",
        tol: float = 1e-2,
        reg_covar: float | Auto = "auto",
        max_iter: int = 1000,
        n_init: int = 8,
        init_params: InitParams = "kmeans",
        noise: bool | float | None = None,
        algorithm: Algorithm = "auto",
        random_state: RandomState = None,
        n_jobs: int | None = None,
        refit: bool = True,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.noise = noise
        self.algorithm = algorithm
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.refit = refit
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """Say that NaN is a missing value."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> Self:
        """Fit every candidate, and choose one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, as for `GaussianMixture`: NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Their sum N plays the role of the number of samples,
            in the criterion too: so do not normalise them to one.

        labels : array-like of shape (n_samples,), default=None
            Known components, −1 where they are not known, as for `GaussianMixture`.
            Numbers of components that are fewer than those of the labels are no
            candidates. The criterion is of what is known, too.

        Returns
        -------
        self : object
            With the chosen mixture.

        Raises
        ------
        ValueError
            If X has infinite values or a feature without any value, weights are
            negative or all zero, a parameter is out of range, or no candidate at all
            could be fitted. The estimator then stays as it was.

        Warns
        -----
        FitFailedWarning
            If there are fewer samples than components of some candidates, which are
            then marked in `results_`.
        UserWarning
            If no candidate is eligible; the best of the others is chosen.
        DegenerateComponentsWarning
            If a candidate of a lower criterion is passed over, since some of its
            components rest on too few rows, which are named, or coincide.
        ConvergenceWarning
            If the chosen mixture has not converged.

        Examples
        --------
        >>> from skem import GaussianMixtureIC
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> selection = GaussianMixtureIC((1, 2), n_init=1, random_state=0).fit(X)
        >>> selection.n_components_, selection.covariance_type_
        (2, 'full')
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight, labels)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None,
        labels: ArrayLike | None,
    ) -> None:
        components = check_numbers_of_components(self.n_components)
        structures = check_covariance_types(self.covariance_type)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        with open_blocks(
            self,
            X,
            sample_weight,
            reset=True,
            labels=labels,
            n_components=components[-1],
        ) as blocks:
            rows = blocks.n_observed
            # Fewer components than labels name are no candidates.
            named = 1 if blocks.known is None else int(blocks.known.max()) + 1
            components = [K for K in components if K >= named]
            check_n_samples(rows, components[0])
            # More components than rows cannot be started: those candidates fail.
            possible = [K for K in components if K <= rows]
            opened, elsewhere = reopening(blocks)
            problem = Problem(
                opened,
                possible,
                self.n_init,
                self.criterion,
                NEAR,
                seed,
                self._options(),
            )
            found = candidates(problem, structures, self.n_jobs if elsewhere else 1)
            least = min(
                (SHAPES[name] for name in structures),
                key=lambda structure: structure.least_points(blocks.n_features),
            )
            remedy = of_small_weights(blocks, least, components[0]) or SIMPLIFY
        beyond = components[len(possible) :]
        if beyond:
            warnings.warn(
                f"No candidates with n_components {', '.join(map(str, beyond))} can be "
                f"fitted, as there are only {rows} samples.",
                FitFailedWarning,
                stacklevel=4,
            )
        found += [
            Candidate(K, name, warning=TOO_FEW.format(K, rows))
            for K in beyond
            for name in structures
        ]
        self._choose(found, remedy)
        if self.refit:
            with opened() as again:
                self.best_estimator_._label(again)

    def _options(self) -> dict[str, Any]:
        names = ("tol", "reg_covar", "max_iter", "init_params", "noise", "algorithm")
        options = {name: getattr(self, name) for name in names}
        return options | {"random_state": self.random_state}

    def _choose(self, found: list[Candidate], remedy: str) -> None:
        self.results_ = table(found, self.criterion)
        if self.verbose:
            for i in range(len(found)):
                row = {name: column[i] for name, column in self.results_.items()}
                print(
                    "{param_n_components} {param_covariance_type}: {criterion:.2f}, "
                    "{fit_time:.3f} s {warning}".format(**row)
                )
        self.best_index_ = int(self.results_["rank"].argmin())
        best = found[self.best_index_]
        if best.mixture is None:
            raise ValueError(best.warning)
        self.n_components_ = best.n_components
        self.covariance_type_ = best.mixture.covariance_type
        self.criterion_ = float(self.results_["criterion"][self.best_index_])
        if best.warning:
            warnings.warn(
                "No candidate is eligible; the best of the others is chosen. "
                f"{best.warning} {remedy}",
                UserWarning,
                stacklevel=5,
            )
        self._warn_of_better(found, best)
        if not best.mixture.converged_:
            warnings.warn(
                "The chosen mixture did not converge. Try to increase max_iter or tol, "
                "or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=5,
            )
        self.__dict__.pop("best_estimator_", None)
        if self.refit:
            if hasattr(self, "feature_names_in_"):
                best.mixture.feature_names_in_ = self.feature_names_in_
            self.best_estimator_ = best.mixture

    def _warn_of_better(self, found: list[Candidate], best: Candidate) -> None:
        """Say so if a candidate of a lower criterion is passed over."""
        if best.warning:
            return
        fitted = [candidate for candidate in found if candidate.mixture is not None]
        lowest = min(fitted, key=lambda c: c.judged_by(self.criterion))
        less = best.judged_by(self.criterion) - lowest.judged_by(self.criterion)
        if less > 0:
            warnings.warn(
                f"The candidate with n_components={lowest.n_components} and "
                f"covariance_type={lowest.covariance_type!r} has a {self.criterion} "
                f"that is lower by {less:.1f}, but it is not eligible: "
                f"{lowest.why_not()}",
                DegenerateComponentsWarning,
                stacklevel=6,
            )

    @available_if(is_kept)
    def fit_predict(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> np.ndarray:
        """Choose a mixture, and label the data by it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `fit`.

        labels : array-like of shape (n_samples,), default=None
            Known components, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Index of the most probable component of each row.

        Examples
        --------
        >>> from skem import GaussianMixtureIC
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> selection = GaussianMixtureIC((1, 2), n_init=1, random_state=0)
        >>> selection.fit_predict(X)[:4]
        array([0, 1, 0, 1])
        """
        self.fit(X, y, sample_weight, labels)
        return self.best_estimator_._labels_or_predict(X)

    @available_if(is_kept)
    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-likelihood of the data under the chosen mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        log_likelihood : float
            (Weighted) mean of `score_samples`, in nats per sample.

        Examples
        --------
        >>> from skem import GaussianMixtureIC
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> selection = GaussianMixtureIC((1, 2), n_init=1, random_state=0).fit(X)
        >>> round(selection.score(X), 3)
        -4.155
        """
        return self._best().score(X, sample_weight=sample_weight)

    predict = of_best(GaussianMixture.predict)
    predict_proba = of_best(GaussianMixture.predict_proba)
    transform = of_best(GaussianMixture.transform)
    score_samples = of_best(GaussianMixture.score_samples)
    component_log_density = of_best(GaussianMixture.component_log_density)
    bic = of_best(GaussianMixture.bic)
    aic = of_best(GaussianMixture.aic)
    icl = of_best(GaussianMixture.icl)
    sample = of_best(GaussianMixture.sample)
    summary = of_best(GaussianMixture.summary)
    save = of_best(GaussianMixture.save)
    standard_errors = of_best(GaussianMixture.standard_errors)
    support_probability = of_best(GaussianMixture.support_probability)
    hdr_level = of_best(GaussianMixture.hdr_level)
    marginal = of_best(GaussianMixture.marginal)
    conditional = of_best(GaussianMixture.conditional)
    impute = of_best(GaussianMixture.impute)
    cdf = of_best(GaussianMixture.cdf)
    quantile = of_best(GaussianMixture.quantile)
    to_sklearn = of_best(GaussianMixture.to_sklearn)
