"""GaussianMixture: the parameters that users set, and mixtures of scikit-learn."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.mixture import GaussianMixture as Peer

from skem._fitting.likelihood import LikelihoodMixture
from skem._inputs.array_api import like_given, numpy_of
from skem._inputs.typing import Algorithm, Auto, CovarianceType, InitParams, RandomState
from skem._inputs.validation import computing_dtype
from skem._saving.peer import (
    DENSITY,
    copy_of_a_fit,
    parameters_of,
    peer_of,
    warn_of_hooks,
)
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.covariance import SHAPES
from skem.core.mixture.em import EMMap
from skem.core.mixture.scale import Clusterings


class GaussianMixture(LikelihoodMixture):
    """Gaussian mixture, fitted by maximum penalised likelihood.

    A drop-in replacement for :class:`sklearn.mixture.GaussianMixture`: it has the same
    parameters, methods and attributes and, from the same start, the same iterates.
    Each pass over the data is many times faster, takes sample weights and needs memory
    for a few blocks only. By default a fit never runs into a singular covariance.

    Parameters
    ----------
    n_components : int, default=1
        The number of mixture components, K.

    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ...}, default='full'
        The structure of the covariances:

        - 'full': each component has its own general covariance matrix.
        - 'tied': all components share the same general covariance matrix.
        - 'diag': each component has its own diagonal covariance matrix.
        - 'spherical': each component has its own single variance.
        - 'EII', 'EEI', 'VEI', 'EVI', 'VEE', 'EVE', 'VVE', 'EEV', 'VEV', 'EVV': of
          Σ_k = λ_k D_k A_k D_kᵀ, det A_k = 1, the volume λ, the shape A and the
          orientation D, in this order, are equal in all components (E), vary (V), or
          are those of the identity (I), as in R's mclust [7]_. 'VVV', 'EEE', 'VVI' and
          'VII' are other names of 'full', 'tied', 'diag' and 'spherical'.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that the fit may still leave to be gained.
        It is estimated from how fast the steps shrink. Unlike a bound on one increment
        of the mean it does not depend on the number of samples, and slow progress is
        not taken for convergence. With 0, all `max_iter` steps are done.

    reg_covar : 'auto' or float, default='auto'
        How covariances are kept away from singularity.

        - 'auto': the scale-free penalty of Chen & Tan [1]_. Each covariance gets
          ε = 2/√N pseudo-observations on the scale of the clusters, with N the sum of
          the sample weights. The scale comes from a quick fit to a sample of rows,
          without remote ones. It removes degenerate optima, whatever the units of the
          data, and moves sensible ones by less than a nat of log-likelihood where each
          component has three rows for each of its parameters. Values that many rows
          share, such as zeros or whole numbers, are taken for recorded with a width
          (see Notes).
        - float: a constant added to the diagonal of the covariances, in squared units
          of the data, as in scikit-learn; the fit raises if a covariance is still
          not positive definite.

    max_iter : int, default=1000
        The largest number of steps of a run, each of which costs one pass over the
        data. The evaluation of the start is one more, and the few steps that starts
        are screened by are not counted.

    n_init : int or 'auto', default='auto'
        How the fit looks for a good optimum.

        - 'auto': six diverse starts, or up to ten of at most five components, get a
          few steps each, and the best one is finished. Then the search moves
          components: it takes away one that would not be missed, splits another, and
          keeps the result if the likelihood is higher [5]_. Five moves for each
          component, but at most twenty, are a round, and the search ends after two
          rounds without a gain, or three where there are fewer than ten rows for each
          parameter. Where steps take long, fewer starts and moves are tried, and one
          round without a gain is enough. On more than 20 000 rows
          (or 400 per component) it works on a random subsample first, then on growing
          ones, or on points that stand for cells of rows, and at last on all rows.
          Starts come from k-means, and from the nearest of rows that are chosen at
          random or by k-means++; if `init_params` is not 'kmeans', from that method
          alone. There is one start if a part of it is given.
        - int: so many starts by `init_params`, all of them finished on all rows, as in
          scikit-learn.

    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, \
    default='kmeans'
        How starts are made, on standardised features and, for large data, on a
        random subsample of rows:

        - 'kmeans': responsibilities are the labels of a k-means clustering.
        - 'k-means++': means are rows chosen by the k-means++ method.
        - 'random': responsibilities are random.
        - 'random_from_data': means are rows chosen at random.

    weights_init : array-like of shape (n_components,), default=None
        Weights to start from. None: made by `init_params`. With `noise` they may add
        up to less than one: the rest is that of noise.

    means_init : array-like of shape (n_components, n_features), default=None
        Means to start from. None: made by `init_params`.

    precisions_init : array-like, default=None
        Precisions (inverse covariances) to start from. None: made by `init_params`.
        The shape depends on `covariance_type`::

            (n_components,)                        if 'spherical' or 'EII',
            (n_features, n_features)               if 'tied',
            (n_components, n_features)             if 'diag' or '..I',
            (n_components, n_features, n_features) if 'full' or another

    noise : bool or float, default=None
        Whether one more component is noise, of constant density 1/V over the region of
        the data [6]_: rows that belong to no cluster then do not widen those that there
        are. Its weight is `noise_weight_`. True: V is the volume of the data's bounding
        box, along the features or along the principal axes, whichever is smaller, as
        mclust's `hypvol`. A number is the density itself, 1/V in units of the data, as
        mclust's `Vinv`: 1 is a density of one, not True. `predict` gives −1 to noise,
        `predict_proba` and `transform` have one more column, the last, and the density
        of `score_samples` includes it. Of a row with missing values, V is that of the
        features that it has, all widths of the box being scaled by one factor. Marginal
        and conditional laws are there for a box along the features. `to_sklearn` raises
        `NotImplementedError` with noise.

    fixed : {'weights', 'means', 'covariances'}, sequence or dict of them, default=None
        What stays as it is given: weights by `weights_init` (1/K each if that is None),
        means by `means_init`, covariances by `precisions_init`. A dict has a bool for
        each, or one for each component, as ``{"means": [True, False]}``: components
        that are not fixed start from the values that are given for them. Free weights
        share what the fixed ones leave. What is fixed is not counted in
        `n_parameters_`. Covariances that components share are fixed together. With
        noise, fixed weights are shares of what that leaves. If nothing else is given to
        start from, a good optimum is looked for as by default.

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

    learning_decay : float, default=0.6
        How fast `partial_fit` forgets, κ in (0.5, 1]. Batch t, of the size of the first
        one, moves the statistics by t^(−κ) of the way to its own. The smaller, the
        sooner a bad start is forgotten, and the more noise remains; with 1 all rows
        keep the same weight. With the default one pass over a million rows came within
        0.005 nats per sample of the batch fit from the same start in all of 20
        problems, half of them with heavy overlap of the components; with 1 in 17.

    learning_window : float, default=None
        The number of rows (total weight) beyond which the memory of `partial_fit` does
        not grow: a row's weight then falls by the factor e for each so many rows that
        follow it, and a drift is followed at that pace. None: the memory keeps growing,
        and the parameters converge.

    verbose : int, default=0
        If positive, one line is printed for each run (a start that is finished), and
        one for every `verbose_interval` steps: the mean log-likelihood, an estimate of
        how many nats are left to be gained, and the kind of step. Runs and their
        passes are also tasks for the callbacks of scikit-learn ≥ 1.9, such as
        ``set_callbacks(ProgressBar())``.

    verbose_interval : int, default=10
        Number of steps between two lines.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components: the largest first, whatever the seed, unless a start
        or labels are given, or a start is continued. With noise they add up to
        ``1 - noise_weight_``.

    noise_weight_ : float
        Weight of the noise. Only with `noise`.

    noise_volume_ : float
        V, the volume of the region of the noise, in units of the data; ``inf`` or 0.0
        if it is beyond the range of floats. The mixture keeps its logarithm, so that
        its densities are right all the same. Only with `noise`.

    means_ : ndarray of shape (n_components, n_features)
        Means, in units of the data.

    covariances_ : ndarray
        Covariances, in squared units of the data. The shape depends on
        `covariance_type`::

            (n_components,)                        if 'spherical' or 'EII',
            (n_features, n_features)               if 'tied',
            (n_components, n_features)             if 'diag' or '..I',
            (n_components, n_features, n_features) if 'full' or another

    precisions_ : ndarray
        Inverses of the covariances, of the same shape.

    precisions_cholesky_ : ndarray
        Upper triangular factors U of the precisions, Σ⁻¹ = U Uᵀ, of the same shape.

    converged_ : bool
        Whether at most `tol` nats were estimated to be left to be gained. After
        `partial_fit` False: a stream may always bring something new.

    n_iter_ : int
        Number of steps of the run that led to the result, over all rows: passes over
        the data after the one that evaluates where it starts. The search before it is
        not counted. `partial_fit` adds one for each batch after the start.

    lower_bound_ : float
        Mean log-likelihood of the training data at the returned parameters, in nats
        per sample (weighted); equals ``score(X, sample_weight=sample_weight)``. With
        labels it is the likelihood of rows and labels. After `partial_fit` the running
        mean of each batch's log-likelihood at the parameters before it, as of data held
        out, with the weights of the statistics.

    lower_bounds_ : list of float of length `n_iter_`
        Mean log-likelihood after each of these steps. Not there after `partial_fit`.

    degenerate_components_ : ndarray of int
        Indices of components that the data do not support: those with fewer effective
        samples, N·w_k, than determine their mean and covariance (d + 1 for a full
        covariance, 1 for a tied one that is far from all others, else 3, or 2 of one
        feature), and those on the same spot as another one. A fit that leaves any warns
        of them, and names the rows that the first kind rest on; `partial_fit` warns of
        those that a batch adds, without rows.

    n_parameters_ : int
        Number of free parameters of the model; noise has two, its weight and its
        volume, as in mclust. Directions in which the data of the fit have no variance,
        such as constant columns, have none, with ``reg_covar="auto"``.

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
    sklearn.mixture.GaussianMixture : The same model in scikit-learn; `to_sklearn` and
        `from_sklearn` turn one into the other.

    Notes
    -----
    Attributes may be set by hand. `precisions_cholesky_` may then be any matrix L with
    Σ⁻¹ = L Lᵀ, and is made from `covariances_` if it is missing. The density and what
    follows from it go by `precisions_cholesky_`, `sample` by `covariances_`.

    Equal values are no evidence of a density. With ``reg_covar="auto"`` the rows of a
    value that many share count as spread evenly over a width w, and add w²/12 to the
    squares of their feature: the step of a column in even steps, such as bits or whole
    numbers (Sheppard's correction), or more if it has few values; and four fifths of
    the distance within which as many other rows are, in other columns, and where a
    value has far more rows than its step accounts for. So a component gains next to
    nothing by standing on one value. The guide on fitting tells the details.
    `lower_bound_` and `score` take all values for points; where there are shared
    values, `lower_bounds_` are the steps of what was climbed, shifted to end at
    `lower_bound_`.

    float32 data are computed in float32, with sums in float64, and give float32
    attributes. Integer and boolean data give what float64 data give. The rows that a
    stream starts from set the type of the attributes: float32 if all of them are.

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
    .. [5] Q. Zhao, V. Hautamäki, I. Kärkkäinen and P. Fränti (2012). Random swap EM
       algorithm for Gaussian mixture models. Pattern Recognition Letters 33(16),
       2120-2126.
    .. [6] C. Fraley and A. E. Raftery (2002). Model-based clustering, discriminant
       analysis, and density estimation. JASA 97(458), 611-631.
    .. [7] G. Celeux and G. Govaert (1995). Gaussian parsimonious clustering models.
       Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> gm = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> gm.means_.round(6) + 0.0
    array([[ 1.,  2.],
           [10.,  2.]])
    >>> gm.predict([[0, 0], [12, 3]])
    array([0, 1])
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-2,
        reg_covar: float | Auto = "auto",
        max_iter: int = 1000,
        n_init: int | Auto = "auto",
        init_params: InitParams = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
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
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
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
        covariance_type: CovarianceType = "full",
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

        covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', ...}, \
    default='full'
            The structure of the covariances, as for the estimator. They must have it.

        **params : dict
            Further parameters of the estimator. With `noise` the next fit has noise;
            this mixture has none.

        Returns
        -------
        mixture : GaussianMixture
            Ready for `predict`, `score_samples`, `sample` and the like, and for a
            `fit` with ``warm_start=True`` to continue from.

        Raises
        ------
        ValueError
            If an array has the wrong shape, as covariances that are not of the shape of
            `covariance_type`, or not of its structure; the weights are not
            probabilities; or a covariance is not positive definite.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> gm = GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> gm.predict([[-2.0], [1.0]])
        array([0, 1])
        """
        return cls._of_parameters(weights, means, covariances, covariance_type, params)

    @classmethod
    def from_sklearn(cls, mixture: Peer, **params: Any) -> Self:
        """Build a fitted mixture from a fitted one of scikit-learn's.

        Parameters
        ----------
        mixture : sklearn.mixture.GaussianMixture
            A fitted mixture.

        **params : dict
            Further parameters of the estimator; `n_components`, `covariance_type` and,
            unless it is given, `random_state` are those of `mixture`.

        Returns
        -------
        mixture : GaussianMixture
            Of the same parameters, in the same floating-point type: ready for `predict`
            and the like, for `partial_fit`, and for a `fit` with ``warm_start=True`` to
            continue from.

        Raises
        ------
        NotFittedError
            If `mixture` is not fitted.

        TypeError
            If it is not a mixture of scikit-learn's.

        See Also
        --------
        to_sklearn : The way back.
        from_parameters : A mixture from its parameters.

        Examples
        --------
        >>> import sklearn.mixture
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> theirs = sklearn.mixture.GaussianMixture(2, random_state=0).fit(X)
        >>> ours = GaussianMixture.from_sklearn(theirs)
        >>> print(round(ours.score(X), 4), round(theirs.score(X), 4))
        -4.1554 -4.1554
        """
        parameters, covariances = parameters_of(mixture)
        params.setdefault("random_state", mixture.random_state)
        ours = cls(
            len(parameters.weights), covariance_type=mixture.covariance_type, **params
        )
        ours._validate_params()
        ours._set_parameters(parameters, covariances)
        # Theirs may have been edited: `sample` goes by the covariances.
        del ours._as_fitted
        ours.n_features_in_ = parameters.shape[1]
        copy_of_a_fit(mixture, ours)
        return ours

    def to_sklearn(self) -> Peer:
        """Return scikit-learn's mixture of the same parameters.

        For code that asks ``isinstance(mixture, sklearn.mixture.GaussianMixture)``, as
        skl2onnx and `skimage.feature.fisher_vector` do.

        Returns
        -------
        mixture : sklearn.mixture.GaussianMixture
            Fitted, with copies of the parameters, and with `converged_`, `n_iter_` and
            `lower_bound_` if they are there. `n_components`, `covariance_type` and
            `random_state` are the same; other parameters of the estimator, which are
            those of a fit, have scikit-learn's defaults.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        NotImplementedError
            If it has `noise`.

        See Also
        --------
        from_sklearn : The way back.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> ours = GaussianMixture(2, random_state=0).fit(X)
        >>> theirs = ours.to_sklearn()
        >>> type(theirs).__module__.partition(".")[0]
        'sklearn'
        >>> np.array_equal(theirs.predict(X), ours.predict(X))
        True
        """
        self._check_is_fitted()
        if self._background is not None:
            raise NotImplementedError(
                "Mixtures of scikit-learn's have no noise. Take one of the components: "
                f"{type(self).__name__}.from_parameters(weights_ / weights_.sum(), "
                "means_, covariances_, covariance_type)."
            )
        structure, parameters = SHAPES[self.covariance_type], self._parameters()
        dtype = computing_dtype(numpy_of(self.means_))
        covariances = getattr(self, "covariances_", None)
        if covariances is None:
            covariances = structure.covariances(parameters.precisions_cholesky)
        return peer_of(
            self, parameters.astype(dtype), numpy_of(covariances).astype(dtype)
        )

    def _warn_of_hooks(self) -> None:
        warn_of_hooks(type(self), GaussianMixture)

    def _become_like(self, X: Any) -> None:
        for name in (*DENSITY, "labels_"):
            if name in vars(self):
                setattr(self, name, like_given(X, getattr(self, name)))

    def _prepared(
        self, blocks: Blocks, clusterings: Clusterings | None = None
    ) -> EMMap:
        em = EMMap.prepare(
            blocks,
            SHAPES[self.covariance_type],
            self.n_components,
            self.reg_covar,
            self.noise,
            clusterings,
        )
        return self._with_fixed(em)
