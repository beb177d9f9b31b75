"""StudentMixtureIC: how many t components, and with which scale matrices."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Literal

import numpy as np

from skem._inputs.options import StrOptions
from skem._inputs.sklearn import Interval
from skem._inputs.typing import (
    Algorithm,
    Auto,
    CovarianceType,
    Criterion,
    InitParams,
    RandomState,
)
from skem._selection.chosen import ChosenMixture
from skem._selection.delegate import AttributeOfBest
from skem.model_selection import COVARIANCE_TYPES
from skem.student_mixture import StudentMixture


class StudentMixtureIC(ChosenMixture):
    """Mixture of t distributions chosen by an information criterion.

    A :class:`~skem.StudentMixture` is fitted for each number of components and each
    structure of the scale matrices, and the one with the lowest BIC, AIC or ICL is
    kept. Outliers cost no component of their own, as they do among Gaussian mixtures.

    Parameters
    ----------
    n_components : int or sequence of int, default=(1, 2, 3, 4, 5, 6, 7, 8, 9)
        The numbers of components to try. Gaps are allowed.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ..., 'all'} or \
    sequence of them, default=('full', 'tied', 'diag', 'spherical')
        The structures of the scale matrices to try, as in `StudentMixture`. 'all' are
        the fourteen that R's mclust has.

    df : {'estimate', 'common'} or float, default='estimate'
        The degrees of freedom of each candidate, as in `StudentMixture`: one number
        for all components if a number is given.

    criterion : {'bic', 'aic', 'icl'}, default='bic'
        What is minimised, as in :class:`~skem.GaussianMixtureIC`. Degrees of freedom
        that are estimated are counted.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that a candidate may still leave to be
        gained, as in `StudentMixture`. Candidates that are more than ten nats behind
        the best one by the criterion may leave one nat.

    reg_covar : 'auto' or float, default='auto'
        How scale matrices are kept away from singularity, as in `StudentMixture`. With
        a float, candidates for which that fails are marked in `results_`.

    max_iter : int, default=1000
        The largest number of steps with which a candidate is followed to its optimum.

    n_init : int, default=8
        The number of fresh starts of each candidate near the best one, beside those
        handed along the path, as in :class:`~skem.GaussianMixtureIC`.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How starts are made, as in `StudentMixture`.

    df_init : float, default=None
        Degrees of freedom that estimates start from. None: 5.

    noise : bool or float, default=None
        Whether all candidates have a component of noise, as in `StudentMixture`.

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver, as in `StudentMixture`.

    random_state : int, RandomState instance or None, default=None
        Seed of the fresh starts and of subsamples, and of `sample`. Pass an int for
        reproducible results; these depend neither on `n_jobs` nor on the number of
        threads.

    n_jobs : int or None, default=None
        The number of structures that are worked on at a time, in processes of
        joblib. None is 1 unless in a :obj:`joblib.parallel_config` context, and -1
        means all processors.

    refit : bool, default=True
        Whether to keep the chosen mixture as `best_estimator_`, for `predict` and the
        like. It needs no further fit.

    verbose : int, default=0
        If positive, how far each structure is gets printed, and a line for each
        candidate in the end.

    Attributes
    ----------
    best_estimator_ : StudentMixture
        The chosen mixture, fitted. Only with ``refit=True``. `weights_`, `means_`,
        `df_` and its other fitted attributes, and its methods, are those of the search,
        too.

    n_components_ : int
        Its number of components.

    covariance_type_ : str
        Its structure.

    criterion_ : float
        Its value of the criterion. Where rows share values, candidates are compared by
        one that is corrected, as in the Notes of :class:`~skem.GaussianMixtureIC`.

    best_index_ : int
        Its place in `results_`.

    results_ : dict of 1-D ndarrays
        One entry for each candidate, by number of components and then by structure,
        with the columns that :class:`~skem.GaussianMixtureIC` has.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if all of them are strings.

    See Also
    --------
    StudentMixture : One mixture of a given size and structure.
    GaussianMixtureIC : The same of Gaussian mixtures.
    bootstrap_lrt : Test whether one more component is real.

    Notes
    -----
    The candidates share the search for where to start, as in
    :class:`~skem.GaussianMixtureIC`; where clusters are split and merged for that, rows
    far from them count for less. With ``df="estimate"`` a component may take on the
    outliers of all clusters, by heavy tails; then ``df="common"`` or a number shows the
    number of clusters better.

    References
    ----------
    .. [1] J. L. Andrews and P. D. McNicholas (2012). Model-based clustering,
       classification, and discriminant analysis via mixtures of multivariate
       t-distributions. Statistics and Computing 22(5), 1021-1029.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import StudentMixtureIC
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_t(3, size=(300, 1)) + np.repeat([0.0, 15.0], 150)[:, None]
    >>> selection = StudentMixtureIC((1, 2, 3), covariance_type="tied", random_state=0)
    >>> selection.fit(X).n_components_
    2
    """

    best_estimator_: StudentMixture
    _kind = StudentMixture
    _passed = (*ChosenMixture._passed, "df", "df_init")
    df_ = AttributeOfBest[np.ndarray]()

    _parameter_constraints: dict = {  # noqa: RUF012
        **ChosenMixture._parameter_constraints,
        "df": [
            StrOptions(["estimate", "common"]),
            Interval(Real, 0.0, None, closed="right"),
        ],
        "df_init": [None, Interval(Real, 0.0, None, closed="neither")],
    }

    def __init__(
        self,
        n_components: int | Sequence[int] = tuple(range(1, 10)),
        *,
        covariance_type: CovarianceType
        | Literal["all"]
        | Sequence[CovarianceType] = COVARIANCE_TYPES,
        df: Literal["estimate", "common"] | float = "estimate",
        criterion: Criterion = "bic",
        tol: float = 1e-2,
        reg_covar: float | Auto = "auto",
        max_iter: int = 1000,
        n_init: int = 8,
        init_params: InitParams = "kmeans",
        df_init: float | None = None,
        noise: bool | float | None = None,
        algorithm: Algorithm = "auto",
        random_state: RandomState = None,
        n_jobs: int | None = None,
        refit: bool = True,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.df = df
        self.criterion = criterion
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.df_init = df_init
        self.noise = noise
        self.algorithm = algorithm
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.refit = refit
        self.verbose = verbose
