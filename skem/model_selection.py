"""Choose the number of components and the covariance structure of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from skem._inputs.options import StrOptions
from skem._inputs.typing import (
    Algorithm,
    Auto,
    CovarianceType,
    Criterion,
    InitParams,
    RandomState,
)
from skem._selection.chosen import ChosenMixture
from skem._selection.delegate import of_best
from skem.core.gaussian.covariance import STRUCTURES
from skem.gaussian_mixture import GaussianMixture

COVARIANCE_TYPES: Any = tuple(STRUCTURES)
"""What is tried by default."""


class GaussianMixtureIC(ChosenMixture):
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

        Where many rows share values, such as zero or whole numbers, it is corrected for
        them: see the Notes.

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
        others start from the clusters that the scale of the penalty is taken from, one
        start for each structure. Where these are fewer than three, or there is no such
        scale, they have at most two fresh starts as well, which structures share.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How fresh starts are made, as in `GaussianMixture`.

    noise : bool or float, default=None
        Whether all candidates have a component of noise, as in `GaussianMixture`.

    fixed : {'weights'}, default=None
        Whether all candidates have equal weights, 1/K, which then are no parameters.
        Means and covariances that are given are those of one number of components: for
        them take `GaussianMixture`.

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
        If positive, how far each structure is gets printed, and a line for each
        candidate in the end.

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
        Its value of the criterion, which ``bic`` (or ``aic``, ``icl``) of the chosen
        mixture returns. In `results_` it is the lowest of the eligible candidates; if
        rows share values, those of the others are corrected there, as the Notes say.

    best_index_ : int
        Its place in `results_`.

    results_ : dict of 1-D ndarrays
        One entry for each candidate, by number of components and then by structure,
        for ``pandas.DataFrame(selection.results_)``:

        - 'param_n_components', 'param_covariance_type';
        - 'criterion': the number that the choice is made by: the raw criterion,
          corrected for shared values relative to the chosen candidate; NaN, as what
          follows, for a candidate that could not be fitted, or was not for lack of
          rows;
        - 'bic', 'aic', 'icl', 'log_likelihood' (total, in nats): the raw values, which
          the methods of the mixture return;
        - 'excess': nats of 'log_likelihood' that come from taking shared values for
          points: 'criterion' is the raw one, and twice what these are above those of
          the chosen candidate. 0 without such values;
        - 'n_parameters', 'n_iter' (steps of the last run);
        - 'converged': whether no more than `tol` is estimated to be left, or than one
          nat if the candidate is more than ten nats behind the best one;
        - 'eligible': whether the candidate may be chosen;
        - 'warning': why not, or empty. A candidate is not eligible if it could not be
          fitted, or if it has `degenerate_components_`. A structure is left out if even
          its smallest candidate needs more rows than there are, unless there is no
          other structure;
        - 'fit_time': seconds, 0 where nothing was fitted;
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

    Where many rows share values, such as zeros, 0/1 columns or whole numbers, a
    component on one of these values has a density without bound. So has the likelihood
    ℓ, and with it the raw criterion: it would choose one component for each value.
    Candidates are therefore fitted and compared by the likelihood ℓ_w in which shared
    values have a width, as `GaussianMixture` has it in its Notes. For BIC that is

        −2 ℓ_w + p log N = BIC + 2 excess, with excess = ℓ − ℓ_w,

    and AIC and ICL are raised by as much. The width is arbitrary, and so is the level:
    in `results_` the excess of the chosen candidate is taken from all, so that this one
    has its raw value. Where a correction is seen, pictures and the command ``skem`` say
    so. Without shared values there is none.

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
    _kind = GaussianMixture
    _passed = (*ChosenMixture._passed, "fixed")
    _parameter_constraints: dict = {  # noqa: RUF012
        **ChosenMixture._parameter_constraints,
        "fixed": [StrOptions(["weights"]), None],
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
        fixed: Literal["weights"] | None = None,
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
        self.fixed = fixed
        self.algorithm = algorithm
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.refit = refit
        self.verbose = verbose

    to_sklearn = of_best(GaussianMixture.to_sklearn)
