"""MixtureModel: mixtures over tables, with a family for each column."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skem._fitting.fitting import PARAMETERS, unchanged_on_error
from skem._inputs.options import StrOptions, covariance_types
from skem._inputs.sklearn import Interval
from skem._tables.fitting import FittingTable
from skem.core.gaussian.covariance import SHAPES


class MixtureModel(FittingTable):
    """Mixture model of a table: each column has a family of distributions.

    Clusters rows of numbers, counts, categories and gaps by likelihood. Columns, or
    groups of columns, are independent given the component; a group of Gaussian columns
    may be correlated. With categories alone that is latent class analysis.

    Parameters
    ----------
    n_components : int, default=1
        The number of mixture components, K.

    families : 'auto', str, Family, mapping or list of pairs, default='auto'
        The family of each column:

        - 'auto': categorical for columns of categories, text and bools, and Gaussian
          for those of numbers; `families_` says which it was. A column of Python
          objects is one of numbers if all of its values are; a warning names the cell
          if that is so but for 5 % of them at most, or they read as numbers. Another
          one names a column of more than 20 categories, if they are more than half as
          many as its values: names of rows, dates as text.
        - str or Family: one family for all columns.
        - mapping from columns (names or places) to families. Columns that are not
          named are as with 'auto'.
        - list of pairs (family, columns), as in
          :class:`~sklearn.compose.ColumnTransformer`: a Gaussian pair is a group of
          its own, independent of others given the component.

        A family is an instance of :class:`skem.Family`, or one of the names:

        - 'gaussian': normal, with `covariance_type` for all columns of that name.
        - 'student': Student's t with location, scale and degrees of freedom.
        - 'lognormal': positive, the logarithms are Gaussian with `covariance_type`.
        - 'exponential': from 0, by the mean.
        - 'gamma': positive, by shape and mean.
        - 'poisson': counts, by the rate.
        - 'negative_binomial': counts, by mean and size; variance μ + μ²/size.
        - 'hurdle_gamma', 'hurdle_lognormal', 'hurdle_poisson': zero with a probability,
          else positive amounts or counts, by the parameters of these.
        - 'bernoulli': 0 and 1, or two categories.
        - 'categorical': categories, or any column by its different values.
        - 'ordinal': as 'categorical'; the order is not used.

    covariance_type : str, default='full'
        The structure of the covariances of Gaussian columns, as in
        :class:`GaussianMixture`. With 'full' a table of numbers alone is a
        `GaussianMixture`. 'diag' makes all columns independent given the component, as
        StepMix has it.

    tol : float, default=1e-2
        The total log-likelihood, in nats, that the fit may still leave to be gained,
        as in :class:`GaussianMixture`.

    pseudo_observations : 'auto' or float, default='auto'
        How many rows of prior knowledge each component gets: ε = 2/√N with 'auto', N
        the sum of weights. They are rows of the pooled data: a Dirichlet at the overall
        proportions for categories, a Gamma at the mean, but for outliers, for counts.
        That keeps proportions off 0 and 1. For Gaussian and Student columns they have
        the scale of clusters, as with ``reg_covar="auto"`` of
        :class:`GaussianMixture`. With 0 the fit is by maximum likelihood, and
        proportions may be 0.

    max_iter : int, default=1000
        The largest number of steps of a run, each of which is one pass over the data.

    n_init : int or 'auto', default='auto'
        'auto': ten starts (four for each component, at most) get a few steps, and the
        best one is finished; then components that are missed little are taken away
        and others split, ten moves at a time, until two times in a row gain nothing.
        On many rows this is done on 10 000 of them first. On few rows starts and moves
        get more steps, and searches are done again until three of them agree about the
        best end, four times at most. An int: the best of so many such searches. See
        `search_bounds_`.

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        The solver, as in :class:`GaussianMixture`.

    weights_init : array-like of shape (n_components,), default=None
        Weights to start from, with `parameters_init`; None: all are equal.

    parameters_init : mapping, default=None
        Parameters to start from, as `parameters_` has them: for each column, by name or
        place, a dict from names of parameters to arrays with the components along the
        first axis. Of Gaussian and Student columns the mean or location will do. Rows
        are assigned to components by the columns that are given, and one run goes on
        from there, without a search; components keep their numbers.

    handle_unknown : {'error', 'missing'}, default='error'
        What a category is that `fit` has not seen: an error, or a missing value.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts, and of `sample` where that is given none.

    warm_start : bool, default=False
        Whether `fit` continues from the present mixture, if there is one: that of an
        earlier fit, of a stream or of a file. There is no search then, components keep
        their places, and columns their families and categories.

    fixed : sequence of str or int, default=None
        What a fit with ``warm_start=True`` leaves as it is: 'weights', and columns by
        name or place, with all of their parameters. Gaussian columns of one group are
        fixed together. What is fixed is not counted in `n_parameters_`, and stays so in
        `partial_fit`.

    verbose : int, default=0
        Whether to print a line for each search, and for each batch of `partial_fit`.

    learning_decay : float, default=0.6
        How fast `partial_fit` forgets, as in :class:`GaussianMixture`.

    learning_window : float, default=None
        The number of rows (total weight) beyond which the memory of `partial_fit` does
        not grow. None: it grows for ever.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components, the largest first, unless labels were given. Batches
        of a stream leave the order as it is. They may be edited.

    parameters_ : dict of str to dict of str to ndarray
        For each column its parameters by name, each with the components along the first
        axis: 'mean' and 'standard_deviation' (Gaussian; of logarithms if 'lognormal'),
        'location', 'scale' and 'df' (Student), 'mean' (exponential), 'shape' and 'mean'
        (gamma), 'rate' (Poisson), 'mean' and 'size' (negative binomial), 'probability'
        (Bernoulli; of the last of `categories_`), 'proportions' (categorical).
        Read-only: edit a ``copy.deepcopy``, for `parameters_init`.

    covariances_ : dict of tuple of str to ndarray
        For each group of Gaussian columns its covariances, in the shape of
        `covariance_type`. Read-only.

    categories_ : dict of str to ndarray
        The categories of each column that has them, in the order of its proportions.

    families_ : dict of str to str
        The name of the family of each column.

    converged_ : bool
        Whether at most `tol` nats were estimated to be left to be gained; after
        `partial_fit` False.

    n_iter_ : int
        Number of steps of the run that led to the result. `partial_fit` adds one for
        each batch after the start.

    lower_bound_ : float
        Mean log-likelihood of the training data, in nats per sample (weighted);
        equals ``score(X, sample_weight=sample_weight)``. After `partial_fit` the
        running mean of each batch's log-likelihood at the parameters before it.

    search_bounds_ : ndarray of shape (n_searches,)
        How high each search of `n_init` has come, in the units of `lower_bound_`, the
        best first, which is `lower_bound_`. Those whose differences, times the sum of
        weights, are below 0.1 have come to the same optimum. A fit without a search has
        one. Not there after `partial_fit`.

    degenerate_components_ : ndarray of int
        Indices of components that the data do not support: they rest on fewer
        effective rows, N·w_k, than it takes to determine what each has of its own, or
        coincide with another one. See
        :class:`~skem.exceptions.DegenerateComponentsWarning`.

    labels_ : ndarray of int32 of shape (n_samples,)
        The component that each row of the fit is most probable to be of, by its
        values alone. Not there for memory-mapped files and Dask collections that are
        read in pieces, nor after `partial_fit`.

    n_parameters_ : int
        Number of free parameters.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns seen during `fit`, if all of them are strings. Columns of
        arrays are called x0, x1, ... in the attributes.

    See Also
    --------
    GaussianMixture : Numbers alone: faster, with more of everything.
    MixtureIC : Choose the number of components.
    Family : Write your own family.

    Notes
    -----
    A missing cell (NaN, None, NA) is missing at random, and the likelihood is that of
    what was observed. A row without any value has density one.

    A column of categories has a probability for each, and a column of numbers a density
    in its units: log-likelihoods of models with other families for a column compare
    only if both are of one kind.

    The table is held in memory as float64 columns, or as float32 ones where all numbers
    are float32, and equal rows of a table of categories and counts as one row with a
    weight. Computation is in float64: numbers in float32 give what the same numbers in
    float64 do. An array of numbers that is memory-mapped and has many rows is read
    block by block. Of one of Dask, or a data frame of numbers, chunks are computed
    where they are, on the workers of a cluster if there is one: only sums come back.

    References
    ----------
    .. [1] G. J. McLachlan and D. Peel (2000). Finite Mixture Models. Wiley.
    .. [2] J. K. Vermunt and J. Magidson (2002). Latent class cluster analysis. In
       Applied Latent Class Analysis, Cambridge University Press, 89-106.

    Examples
    --------
    >>> import pandas as pd
    >>> from skem import MixtureModel
    >>> table = pd.DataFrame({
    ...     "plan": ["free", "free", "paid", "paid", "free", "paid"],
    ...     "visits": [1, 2, 30, 25, None, 28],
    ... })
    >>> model = MixtureModel(2, families={"visits": "poisson"}, random_state=0)
    >>> labels = model.fit_predict(table)
    >>> model.families_
    {'plan': 'categorical', 'visits': 'poisson'}
    >>> bool(labels[0] == labels[4] != labels[2])
    True
    """

    weights_: np.ndarray
    categories_: dict[str, np.ndarray]
    families_: dict[str, str]
    converged_: bool
    n_iter_: int
    lower_bound_: float
    search_bounds_: np.ndarray
    degenerate_components_: np.ndarray
    labels_: np.ndarray
    n_parameters_: int
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints: dict = {  # noqa: RUF012
        **{
            name: PARAMETERS[name]
            for name in (
                *("n_components", "tol", "n_init", "algorithm", "random_state"),
                *("warm_start", "verbose", "learning_decay", "learning_window"),
            )
        },
        "families": "no_validation",
        "covariance_type": [covariance_types(SHAPES)],
        "pseudo_observations": PARAMETERS["reg_covar"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "weights_init": ["array-like", None],
        "parameters_init": [dict, None],
        "handle_unknown": [StrOptions(["error", "missing"])],
        "fixed": [list, tuple, set, frozenset, None],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        families: Any = "auto",
        covariance_type: str = "full",
        tol: float = 1e-2,
        pseudo_observations: float | str = "auto",
        max_iter: int = 1000,
        n_init: int | str = "auto",
        algorithm: str = "auto",
        weights_init: ArrayLike | None = None,
        parameters_init: Any = None,
        handle_unknown: str = "error",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        fixed: Any = None,
        verbose: int = 0,
        learning_decay: float = 0.6,
        learning_window: float | None = None,
    ) -> None:
        self.n_components = n_components
        self.families = families
        self.covariance_type = covariance_type
        self.tol = tol
        self.pseudo_observations = pseudo_observations
        self.max_iter = max_iter
        self.n_init = n_init
        self.algorithm = algorithm
        self.weights_init = weights_init
        self.parameters_init = parameters_init
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.warm_start = warm_start
        self.fixed = fixed
        self.verbose = verbose
        self.learning_decay = learning_decay
        self.learning_window = learning_window

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        labels: ArrayLike | None = None,
    ) -> Self:
        """Fit the mixture to a table.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            A table of pandas, polars, Arrow or Dask, or an array. NaN, None and NA are
            missing.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight is a repeated row.

        labels : array-like of int of shape (n_samples,), default=None
            Components of rows where they are known, from 0 to `n_components` − 1, and
            −1 where they are not. Components then keep these numbers.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            If a column does not suit its family (which is named), has no value, or a
            dtype that is neither of numbers nor of categories; if weights are negative
            or all zero. The estimator then stays as it was.

        Warns
        -----
        ConvergenceWarning
            If the run that led to the result has not converged.

        UserWarning
            If 'auto' takes numbers with a few odd cells, or what names rows, for
            categories; or for numbers all of three or more columns that have few
            different whole numbers, from 0 or 1, and may be codes of categories.

        DegenerateComponentsWarning
            If there are `degenerate_components_`.

        UserWarning
            If all columns have categories, and there are more free parameters than
            a table of so many cells determines, unless components of rows are known.
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight, labels)
        return self

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one step with a batch of a stream: stepwise EM.

        The running sums of each family's statistics move towards those of the batch,
        and the M-step turns them into parameters [1]_. Memory does not grow, and the
        result hardly depends on how the stream is cut into batches.

        The first batch is fitted as `fit` would. While fewer than 150 rows per
        component have come, rows are kept, and fitted anew each time that their number
        has doubled; the order of the components may change until then. Rows should come
        in random order, at least at first. After `fit`, a stream goes on as if the data
        of the fit had been its beginning.

        The families, and the categories of each column, are those of the start; what a
        later category is, `handle_unknown` says. The second category of a Bernoulli
        column may come later. The penalty follows the stream: it is
        of as many rows as the running sums are as precise as. The pooled counts of
        negative binomial columns and the scale of Student ones stay those of the start.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            A batch, of one row or more. NaN, None and NA are missing.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A batch counts by its total weight.

        Returns
        -------
        self : object
            The mixture. It is fitted once there are as many rows as components, two at
            least, and a value in each column; methods that need it to be raise
            :class:`~sklearn.exceptions.NotFittedError` before.

        Raises
        ------
        ValueError
            As in `fit`; if columns differ from those of the first batch; or if
            `n_components`, `covariance_type` or `families` has been changed since. The
            estimator then stays as it was.

        Warns
        -----
        DegenerateComponentsWarning
            If a batch adds to `degenerate_components_`.

        UserWarning
            As in `fit`, when the stream begins.

        References
        ----------
        .. [1] O. Cappé and E. Moulines (2009). On-line expectation-maximization
           algorithm for latent data models. JRSS B 71(3), 593-613.

        Examples
        --------
        >>> import numpy as np
        >>> from skem import MixtureModel
        >>> rng = np.random.default_rng(0)
        >>> model = MixtureModel(2, families="poisson", random_state=0)
        >>> for _ in range(20):
        ...     rates = rng.choice([2.0, 20.0], size=(1000, 1))
        ...     model = model.partial_fit(rng.poisson(rates))
        >>> np.sort(model.parameters_["x0"]["rate"]).round()
        array([ 2., 20.])
        """
        with unchanged_on_error(self):
            self._validated_partial_fit(X, sample_weight)
        return self
