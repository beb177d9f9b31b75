"""MixtureIC: the number of components of a table's mixture, by a criterion."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_random_state

from skem._fitting.fitting import unchanged_on_error
from skem._inputs.blocks import warn_unless_counts
from skem._inputs.callers import users_level
from skem._inputs.families import alternatives, resolve, warn_of_codes
from skem._inputs.sklearn import fit_context
from skem._inputs.tables import Table, TakesTables, read_weighed
from skem._inputs.validation import check_labels, check_n_samples
from skem._report.text import UNDETERMINED
from skem._selection.delegate import (
    AttributeOfBest,
    Chooser,
    of_best,
    warn_unless_converged,
)
from skem._selection.grid import (
    CHOICE_CONSTRAINTS,
    Candidate,
    check_covariance_types,
    check_numbers_of_components,
    print_candidates,
    results_of,
)
from skem._selection.tables import Rows, near_the_best, path, searched
from skem.exceptions import DegenerateComponentsWarning
from skem.mixture_model import MixtureModel

TABLES = MixtureModel._parameter_constraints


class Models(NamedTuple):
    """A covariance structure and families of columns, with what tells these apart."""

    covariance_type: str
    families: Any
    told: str


class MixtureIC(TakesTables, Chooser):
    """Mixture of a table, chosen by an information criterion.

    A `MixtureModel` is fitted for each number of components and each covariance
    structure of its Gaussian columns, and the one with the lowest criterion is kept.
    Each mixture also starts from splits of the one with a component less, and is tried
    again from merges of the one with a component more.

    Parameters
    ----------
    n_components : int or sequence of int, default=(1, 2, 3, 4, 5, 6)
        The numbers of components to try.

    families : default='auto'
        The families of the columns, as in `MixtureModel`. In a mapping from columns to
        families, a list of several are alternatives, such as ``{"amount": ["gamma",
        "lognormal"]}``: each of them is tried, with each of other columns, at most 64
        choices in all.

    covariance_type : str or sequence of str, default=('full', 'diag')
        The structures of Gaussian columns to try; 'all' is mclust's fourteen. Where
        less than two columns are correlated, only the first one is tried.

    criterion : {'bic', 'aic', 'icl'}, default='bic'
        What is minimised, as in `GaussianMixtureIC`.

    tol : float, default=1e-2
        As in `MixtureModel`.

    pseudo_observations : 'auto' or float, default='auto'
        As in `MixtureModel`.

    max_iter : int, default=1000
        As in `MixtureModel`.

    n_init : int or 'auto', default='auto'
        As in `MixtureModel`, for each candidate. Of several numbers of components each
        has shorter searches, of which 'auto' is one; those near the best candidate are
        then searched in full.

    algorithm : {'auto', 'em', 'squarem', 'lbfgs'}, default='auto'
        As in `MixtureModel`.

    handle_unknown : {'error', 'missing'}, default='error'
        As in `MixtureModel`. After a fit, `set_params` hands it to the chosen mixture.

    random_state : int, RandomState instance or None, default=None
        Seed. Results do not depend on `n_jobs`.

    n_jobs : int or None, default=None
        The number of covariance structures that are tried at a time, in processes of
        joblib.

    verbose : int, default=0
        Whether to print a line for each fit, and for each candidate at the end.

    Attributes
    ----------
    best_estimator_ : MixtureModel
        The chosen mixture, fitted. `weights_`, `parameters_`, `labels_` and its other
        fitted attributes, and its methods, are those of the search, too.

    n_components_ : int
        Its number of components.

    covariance_type_ : str
        Its structure of Gaussian columns.

    criterion_ : float
        Its criterion, the lowest. Where rows share values of columns whose families
        give these a width, those of the others are corrected for that, as in the Notes
        of :class:`GaussianMixtureIC`.

    best_index_ : int
        Its place in `results_`.

    results_ : dict of 1-D ndarrays
        One entry for each candidate, for ``pandas.DataFrame(selection.results_)``:
        the columns of `GaussianMixtureIC`, and where there are alternatives,
        'param_families', such as ``amount: gamma``. All candidates are eligible.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns seen during `fit`, if all of them are strings.

    See Also
    --------
    MixtureModel : One mixture of a table.
    GaussianMixtureIC : Numbers alone; candidates there share their work.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import MixtureIC
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.integers(2, size=400)
    >>> X = rng.random((400, 6)) < np.array([0.2, 0.8])[kind][:, None]
    >>> MixtureIC((1, 2, 3), random_state=0).fit(X).n_components_
    2
    """

    best_estimator_: MixtureModel
    parameters_ = AttributeOfBest[dict[str, dict[str, np.ndarray]]]()
    covariances_ = AttributeOfBest[dict[tuple[str, ...], np.ndarray]]()
    categories_ = AttributeOfBest[dict[str, np.ndarray]]()
    families_ = AttributeOfBest[dict[str, str]]()
    search_bounds_ = AttributeOfBest[np.ndarray]()
    covariance_type_: str

    _parameter_constraints: dict = {  # noqa: RUF012
        **CHOICE_CONSTRAINTS,
        "families": "no_validation",
        "pseudo_observations": TABLES["pseudo_observations"],
        "n_init": TABLES["n_init"],
        "handle_unknown": TABLES["handle_unknown"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int | Sequence[int] = (1, 2, 3, 4, 5, 6),
        *,
        families: Any = "auto",
        covariance_type: str | Sequence[str] = ("full", "diag"),
        criterion: str = "bic",
        tol: float = 1e-2,
        pseudo_observations: float | str = "auto",
        max_iter: int = 1000,
        n_init: int | str = "auto",
        algorithm: str = "auto",
        handle_unknown: str = "error",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.families = families
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.tol = tol
        self.pseudo_observations = pseudo_observations
        self.max_iter = max_iter
        self.n_init = n_init
        self.algorithm = algorithm
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        labels: ArrayLike | None = None,
    ) -> Self:
        """Fit every candidate, and choose one.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table, as for `MixtureModel`.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; do not normalise them to one.

        labels : array-like of int of shape (n_samples,), default=None
            Known components, as in :meth:`MixtureModel.fit`. Numbers of components that
            are fewer than those of the labels are not tried. The criterion counts the
            labels.

        Returns
        -------
        self : object
            With the chosen mixture.

        Raises
        ------
        ValueError
            As `MixtureModel.fit`. The estimator then stays as it was.

        Warns
        -----
        FitFailedWarning
            If there are fewer rows than components of some candidates.
        ConvergenceWarning
            If the chosen mixture has not converged.
        DegenerateComponentsWarning
            If the chosen mixture has `degenerate_components_`.
        UserWarning
            If the largest of several numbers of components is chosen. If weights are
            not whole numbers, and add up to more than twice the number of rows. If
            categories are odd, as `MixtureModel.fit` warns. If the chosen mixture has
            more parameters than its columns of categories determine, as there.
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight, labels)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(
        self, X: Any, sample_weight: ArrayLike | None, labels: ArrayLike | None
    ) -> None:
        components = check_numbers_of_components(self.n_components)
        structures = check_covariance_types(self.covariance_type)
        table, weight = read_weighed(self, X, sample_weight, reset=True, min_samples=2)
        warn_unless_counts(weight, "criteria")
        known = check_labels(labels, table.n_rows, components[-1], weight)
        if known is not None:
            components = [K for K in components if K > known.max()]
        n_rows = int(np.count_nonzero(weight))
        possible = [K for K in components if K <= n_rows]
        check_n_samples(n_rows, components[0])
        if len(possible) < len(components):
            warnings.warn(
                f"No candidates with more than {n_rows} components can be fitted, as "
                "there are only so many samples.",
                FitFailedWarning,
                stacklevel=users_level(),
            )
        paths = self._paths(structures, table)
        warn_of_codes(self.families, table, weight)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        names = ("n_features_in_", "feature_names_in_")
        seen = {name: vars(self)[name] for name in names if name in vars(self)}
        rows = Rows(table, weight, known, seen, self.verbose)
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(path)([self._candidate(K, each, seed) for K in possible], rows)
            for each in paths
        )
        fitted = [
            [_judged(each, X, rows, there) for each in own]
            for own, there in zip(found, paths, strict=True)
        ]
        if len(possible) > 1:
            self._search_near(fitted, paths, X, rows, seed)
        self._choose([each for same in zip(*fitted, strict=True) for each in same])
        if known is None:
            self.best_estimator_._warn_unless_identified()

    def _paths(self, structures: Sequence[str], table: Table) -> list[Models]:
        """Return the structures and families that are tried."""
        found = []
        with warnings.catch_warnings():
            for families, told in alternatives(self.families):
                groups = resolve(families, structures[0], table)
                # Of odd columns one warning is enough.
                warnings.simplefilter("ignore", UserWarning)
                apart = not any(kind.multivariate and own[1:] for kind, own in groups)
                for name in structures[:1] if apart else structures:
                    found.append(Models(name, families, told))
        return found

    def _search_near(
        self,
        fitted: list[list[Candidate]],
        paths: Sequence[Models],
        X: Any,
        rows: Rows,
        seed: int,
    ) -> None:
        """Search those near the best one as single fits do, until there are no others.

        Better ones take the place of candidates.
        """
        done: set[tuple[int, int]] = set()
        while True:
            near = near_the_best(fitted, self.criterion)
            places = [
                (i, j)
                for i, own in enumerate(fitted)
                for j, each in enumerate(own)
                if each.n_components in near[i] - {1} and (i, j) not in done
            ]
            if not places:
                return
            done |= set(places)
            present = [(fitted[i][j], paths[i]) for i, j in places]
            found = Parallel(n_jobs=self.n_jobs)(
                delayed(searched)(
                    each, self._candidate(each.n_components, there, seed), rows
                )
                for each, there in present
            )
            for (i, j), each in zip(places, found, strict=True):
                fitted[i][j] = _judged(each, X, rows, paths[i])

    def _candidate(self, K: int, models: Models, seed: int) -> MixtureModel:
        names = ("tol", "pseudo_observations", "max_iter", "n_init", "algorithm")
        options = {name: getattr(self, name) for name in names}
        return MixtureModel(
            K,
            families=models.families,
            covariance_type=models.covariance_type,
            handle_unknown=self.handle_unknown,
            random_state=seed,
            **options,
        )

    def _choose(self, found: list[Candidate]) -> None:
        self._set_choice(results_of(found, self.criterion))
        if self.verbose:
            print_candidates(self.results_, self.criterion)
        # Candidates have a common seed, by which all draws would be the same.
        chosen = found[self.best_index_].mixture
        self.best_estimator_ = chosen.set_params(random_state=self.random_state)
        self._warn_of_most_tried()
        warn_unless_converged(self.best_estimator_)
        if len(self.degenerate_components_):
            warnings.warn(
                f"Components {self.degenerate_components_.tolist()} of the chosen "
                f"mixture {UNDETERMINED} {self.best_estimator_._few_rows()}"
                "Leave out such numbers of components.",
                DegenerateComponentsWarning,
                stacklevel=users_level(),
            )

    @property
    def _has_covariances(self) -> bool:
        return len(self.best_estimator_.covariances_) > 0

    def set_params(self, **params: Any) -> Self:
        """Set parameters; `handle_unknown` is that of the chosen mixture, too.

        Parameters
        ----------
        **params : dict
            Parameters by name. The others count for the next fit.

        Returns
        -------
        self : object
            The search.
        """
        super().set_params(**params)
        best = vars(self).get("best_estimator_")
        if best is not None and "handle_unknown" in params:
            best.set_params(handle_unknown=self.handle_unknown)
        return self

    predict = of_best(MixtureModel.predict)
    predict_proba = of_best(MixtureModel.predict_proba)
    score_samples = of_best(MixtureModel.score_samples)
    component_log_density = of_best(MixtureModel.component_log_density)
    hdr_level = of_best(MixtureModel.hdr_level)
    sample = of_best(MixtureModel.sample)
    impute = of_best(MixtureModel.impute)
    support_probability = of_best(MixtureModel.support_probability)
    marginal = of_best(MixtureModel.marginal)
    conditional = of_best(MixtureModel.conditional)
    cdf = of_best(MixtureModel.cdf)
    quantile = of_best(MixtureModel.quantile)
    standard_errors = of_best(MixtureModel.standard_errors)
    summary = of_best(MixtureModel.summary)


def _judged(candidate: Candidate, X: Any, rows: Rows, models: Models) -> Candidate:
    """Return a candidate with what it is judged by, and told from others by."""
    totals = candidate.mixture._totals(X, rows.weight, labels=rows.known)
    return replace(
        candidate,
        families=models.told,
        total_weight=totals.weight,
        log_likelihood=totals.loglik,
        surprise=-totals.certainty,
    )
