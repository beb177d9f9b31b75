"""Whether a mixture of a table fits: its columns, pairs of them, and patterns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skem._bootstrap.simulated_tables import TableSimulation
from skem._inputs.frames import in_memory
from skem._inputs.sklearn import Interval
from skem._inputs.typing import RandomState, validate_params
from skem._inputs.validation import N_JOBS, check_mixture, weight_of_each
from skem._report.text import Printed, Section, TextColumn, pandas_for, shorten
from skem.core.gaussian.covariance import SHAPES
from skem.families.gaussian import Gaussian
from skem.mixture_model import MixtureModel

PARTS = 5
"""Parts that the range of a column of numbers is cut into, at most."""
PAIRS_SHOWN = 10
LONGEST_NAME = 24
RARE = 1.0
"""Rows that are expected in a cell that stands by itself, at least."""
EQUAL = 1e-6
"""By how much statistics differ by rounding alone."""
SMALLEST = 1e-300
"""A probability, at least."""


@dataclass(frozen=True, eq=False, repr=False)
class GoodnessOfFit(Printed):  # numpydoc ignore=PR01
    """What `goodness_of_fit` returns: arrays as attributes, tables when it is printed.

    Attributes
    ----------
    names : list of str
        The columns.

    statistics : ndarray of shape (n_features, n_features)
        Pearson's X² of each pair of columns, and of each column of numbers by itself on
        the diagonal. NaN for pairs that the mixture models together, for columns of
        categories, which always fit by themselves, and for those of one value.

    degrees_of_freedom : ndarray of shape (n_features, n_features)
        Of the cells: (a − 1)(b − 1) of a pair of columns with a and b of them, less
        those that are too rare to stand by themselves; and a − 1 of one column.

    likelihood_ratio, pearson : float or None
        G² and X² of the patterns: rows without gaps that have the same categories in
        all columns. None if not all columns are of categories.

    pattern_degrees_of_freedom : float or None
        The number of possible patterns less one, or that of rows without gaps if it is
        smaller, less the number of parameters, as poLCA has it.

    p_values : ndarray of shape (n_features, n_features) or None
        Shares of simulated statistics that are at least as large as those of the data,
        these among them. None without simulations, as the next two.

    likelihood_ratio_p_value, pearson_p_value : float or None
        The same of the patterns.

    n_boot : int
        Number of simulations.

    See Also
    --------
    goodness_of_fit : Function that returns it.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import MixtureModel, goodness_of_fit
    >>> X = np.random.default_rng(0).integers(2, size=(200, 3))
    >>> model = MixtureModel(families="bernoulli").fit(X)
    >>> found = goodness_of_fit(model, X)
    >>> found.names, found.residuals.shape
    (['x0', 'x1', 'x2'], (3, 3))
    """

    names: list[str]
    statistics: np.ndarray
    degrees_of_freedom: np.ndarray
    likelihood_ratio: float | None = None
    pearson: float | None = None
    pattern_degrees_of_freedom: float | None = None
    p_values: np.ndarray | None = None
    likelihood_ratio_p_value: float | None = None
    pearson_p_value: float | None = None
    n_boot: int = 0

    @property
    def residuals(self) -> np.ndarray:
        """Bivariate residuals X²/df of pairs: about one where the mixture fits."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.statistics / self.degrees_of_freedom

    def to_frame(self) -> Any:
        """Return a data frame with a row for each column of numbers and each pair.

        Returns
        -------
        frame : pandas.DataFrame
            Its columns are `first` and `second`, the names, which are the same of a
            column by itself; `statistic`, `df` and `residual`; and after simulations
            `p_value`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = pandas_for("to_frame")
        i, j = np.nonzero(np.triu(~np.isnan(self.statistics)))
        columns = {
            "first": [self.names[place] for place in i],
            "second": [self.names[place] for place in j],
            "statistic": self.statistics[i, j],
            "df": self.degrees_of_freedom[i, j].astype(int),
            "residual": self.residuals[i, j],
        }
        if self.p_values is not None:
            columns["p_value"] = self.p_values[i, j]
        return pandas.DataFrame(columns)

    def _sections(self) -> Iterator[Section]:
        if self.likelihood_ratio is not None:
            yield self._patterns()
        pairs = list(combinations(range(len(self.names)), 2))
        values = np.array([self.residuals[pair] for pair in pairs])
        order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
        order = order[~np.isnan(values[order])][:PAIRS_SHOWN]
        shown = [pairs[place] for place in order]
        if shown:
            title = "Pairs of columns"
            if len(shown) < len(pairs):
                title += f", {len(shown)} of {len(pairs)}: the largest X²/df"
            yield self._cells(title, shown)
        told = np.flatnonzero(~np.isnan(np.diagonal(self.statistics))).tolist()
        if told:
            yield self._cells("Columns by themselves", [(j, j) for j in told])

    def _patterns(self) -> Section:
        df = self.pattern_degrees_of_freedom
        columns = [
            TextColumn("patterns", ["G²", "X²"]),
            _numbers("statistic", [self.likelihood_ratio, self.pearson], ".2f"),
            _numbers("df", [df, df], ".0f"),
        ]
        if self.p_values is not None:
            p = [self.likelihood_ratio_p_value, self.pearson_p_value]
            columns.append(_numbers("p", p, ".3f"))
        return Section("Patterns of all columns", columns)

    def _cells(self, title: str, places: Sequence[tuple[int, int]]) -> Section:
        names = [shorten(name, LONGEST_NAME) for name in self.names]
        called = [names[i] if i == j else f"{names[i]}, {names[j]}" for i, j in places]
        arrays = {
            "X²": (self.statistics, ".2f"),
            "df": (self.degrees_of_freedom, ".0f"),
            "X²/df": (self.residuals, ".2f"),
        }
        if self.p_values is not None:
            arrays["p"] = self.p_values, ".3f"
        columns = [
            _numbers(name, [values[place] for place in places], form)
            for name, (values, form) in arrays.items()
        ]
        return Section(title, [TextColumn("", called), *columns])


def _numbers(title: str, values: Sequence[float | None], form: str) -> TextColumn:
    return TextColumn(
        title, ["" if v is None or math.isnan(v) else f"{v:{form}}" for v in values]
    )


@validate_params(
    {
        "X": ["array-like"],
        "sample_weight": ["array-like", None],
        "n_boot": [Interval(Integral, 0, None, closed="left")],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def goodness_of_fit(
    estimator: Any,
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    n_boot: int = 0,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> GoodnessOfFit:
    """Compare the counts that a mixture of a table expects with those of the data.

    A mixture of a table takes its columns for independent given the component. Where
    two of them are not, they have a large bivariate residual [1]_: Pearson's X² of
    their cross table, by its degrees of freedom.

    Parameters
    ----------
    estimator : MixtureModel or MixtureIC
        The fitted mixture, or a search, of which it is the chosen one.

    X : DataFrame or array-like of shape (n_samples, n_features)
        The table of the fit.

    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, those of the fit. Statistics are of as many rows as they
        add up to.

    n_boot : int, default=0
        Number of tables that are drawn from the mixture, and fitted, for p-values. The
        smallest that can result is 1 / (n_boot + 1).

    n_jobs : int or None, default=None
        The number of simulations at a time, in processes of joblib.

    random_state : int, RandomState instance or None, default=None
        Seed. Pass an int for reproducible results, which do not depend on `n_jobs`.

    Returns
    -------
    found : GoodnessOfFit
        Prints as tables.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.

    TypeError
        If it is no mixture of a table.

    ValueError
        If X does not suit the mixture, or weights are negative or all zero; or if
        tables are to be drawn, and a column has no value.

    NotImplementedError
        If a column's family is one of your own that does not define `cdf`.

    See Also
    --------
    bootstrap_lrt : Tests the number of components.
    QuantileDisplay : A picture of how one column fits.

    Notes
    -----
    Columns of numbers are cut near quantiles of the mixture, between the values that
    there are, into five parts, or fewer where values such as zero are more probable
    than a part. Expected are n Σ_k r̄_k p_k(a) p_k(b), with r̄ the mean responsibilities
    of the n rows that have both values. Cells in which less than one row is expected
    are counted together: a single row there would make a large X². Columns that one
    Gaussian models together, with their covariances, are not independent, and have no
    residual.

    X² of a pair has no χ² distribution, as the mixture was fitted to its cells: it is
    too small rather than too large. So p-values are simulated [2]_: tables like the
    data, with their gaps, are drawn from the mixture, and mixtures are fitted to them
    that start from it. Of the patterns, too, G² and X² follow χ² only if each has some
    rows, which few tables have. Where there are gaps they are larger: they are of the
    rows without, and the mixture was fitted to the others, too.

    References
    ----------
    .. [1] J. K. Vermunt & J. Magidson (2005). Technical Guide for Latent GOLD 4.0,
       section 6.3. Statistical Innovations.
    .. [2] D. L. Oberski, G. H. van Kollenburg & J. K. Vermunt (2013). A Monte Carlo
       evaluation of three methods to detect local dependence in binary data latent
       class models. Advances in Data Analysis and Classification 7(3), 267-279.

    Examples
    --------
    Two answers that are the same for half of the people, beside two groups:

    >>> import numpy as np
    >>> from skem import MixtureModel, goodness_of_fit
    >>> rng = np.random.default_rng(0)
    >>> group = rng.integers(2, size=(500, 1))
    >>> X = (rng.random((500, 6)) < np.where(group, 0.8, 0.2)).astype(int)
    >>> X[:250, 1] = X[:250, 0]
    >>> model = MixtureModel(2, families="bernoulli", random_state=0).fit(X)
    >>> found = goodness_of_fit(model, X, n_boot=19, random_state=0)
    >>> found.residuals[0, 1] > 10, found.p_values[0, 1]
    (np.True_, np.float64(0.05))
    """
    mixture = check_mixture(estimator, "MixtureModel", ("families_", "parameters_"))
    X = in_memory(X)
    values = mixture._map(X, sample_weight).numbers()
    weighed = values[:, weight_of_each(sample_weight, values.shape[1]) > 0]
    cells = Cells.of(mixture, weighed)
    found = cells.compared(values, mixture, X, sample_weight)
    if n_boot == 0:
        return found.told(mixture)
    for name, x in zip(cells.names, weighed, strict=True):
        if np.isnan(x).all():
            raise ValueError(
                f"Column {name!r} has no value in these rows, so that nothing can be "
                "fitted to tables like them. Leave n_boot at 0."
            )
    rng = check_random_state(random_state)
    seeds = map(int, rng.randint(np.iinfo(np.int32).max, size=n_boot))
    K = len(mixture.weights_)
    simulation = TableSimulation.of(mixture, X, sample_weight, K)
    with Parallel(n_jobs=n_jobs) as parallel:
        simulated = parallel(
            delayed(_simulated)(simulation, cells, seed) for seed in seeds
        )
    return found.told(mixture, simulated)


def _simulated(simulation: TableSimulation, cells: Cells, seed: int) -> Compared:
    """Return the statistics of a table that is drawn, and fitted from where it was."""
    table = simulation.drawn(seed)
    fitted = copy(simulation.mixture)
    fitted.set_params(warm_start=True, verbose=0, random_state=seed)
    with warnings.catch_warnings():
        # Of steps that end, of components and of columns: the fit has had its own.
        warnings.simplefilter("ignore", UserWarning)
        fitted.fit(table, sample_weight=simulation.weight)
    values = simulation.mixture._map(table, simulation.weight).numbers()
    return cells.compared(values, fitted, table, simulation.weight)


class Compared(NamedTuple):
    """Statistics of data, and what they are of."""

    names: list[str]
    statistics: np.ndarray
    degrees: np.ndarray
    patterns: tuple[float, float] | None
    free: float
    """Counts of patterns that are free, at most as many as rows."""

    def told(
        self, mixture: MixtureModel, simulated: Sequence[Compared] = ()
    ) -> GoodnessOfFit:
        """Return what users see."""
        found = GoodnessOfFit(self.names, self.statistics, self.degrees)
        if self.patterns is not None:
            found = replace(
                found,
                likelihood_ratio=self.patterns[0],
                pearson=self.patterns[1],
                pattern_degrees_of_freedom=self.free - mixture.n_parameters_,
            )
        if not simulated:
            return found
        n_boot = len(simulated)
        least = self.statistics - EQUAL
        reached = np.sum([each.statistics >= least for each in simulated], axis=0)
        p = np.where(np.isnan(least), np.nan, (1 + reached) / (1 + n_boot))
        found = replace(found, p_values=p, n_boot=n_boot)
        if self.patterns is None:
            return found
        low = np.array(self.patterns) - EQUAL
        both = np.sum([np.array(each.patterns) >= low for each in simulated], axis=0)
        ratio, pearson = ((1 + both) / (1 + n_boot)).tolist()
        return replace(found, likelihood_ratio_p_value=ratio, pearson_p_value=pearson)


@dataclass(frozen=True)
class Cells:
    """What the values of each column of a mixture's table are counted as.

    Numbers have `edges`, the upper ends of all parts but the last, and categories None.
    """

    mixture: MixtureModel
    edges: list[np.ndarray | None]
    together: np.ndarray
    """Mask (d, d) of pairs that one Gaussian models together."""

    @classmethod
    def of(cls, mixture: MixtureModel, values: np.ndarray) -> Cells:
        """Cut the columns of numbers of a table (d, n) at quantiles of the mixture."""
        d = len(mixture.families_)
        together, levels = np.zeros((d, d), bool), np.arange(1, PARTS) / PARTS
        edges: list[np.ndarray | None] = [None] * d
        for kind, places in mixture._columns.groups:
            if isinstance(kind, Gaussian) and SHAPES[kind.covariance_type].matrices:
                together[np.ix_(places, places)] = True
            for j in places:
                if not kind.categorical:
                    found = mixture._column_quantile(j, levels)
                    edges[j] = _between_values(found, values[j])
        np.fill_diagonal(together, False)
        return cls(mixture, edges, together)

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self.mixture.families_)

    def _laws(self, mixture: MixtureModel) -> list[np.ndarray]:
        """Probabilities (K, B) of the cells of each column, by this mixture or that."""
        found: list[np.ndarray] = []
        for j, (name, edges) in enumerate(zip(self.names, self.edges, strict=True)):
            if edges is not None:
                ends = np.concatenate([[-np.inf], edges, [np.inf]])
                found.append(np.diff(mixture._component_cdf(j, ends), axis=1))
                continue
            # A table that was drawn may lack a category.
            every = self.mixture.categories_[name].tolist()
            own = [every.index(each) for each in mixture.categories_[name].tolist()]
            laws = np.zeros((len(mixture.weights_), len(every)))
            laws[:, own] = mixture._proportions(j)
            found.append(laws)
        return found

    def _codes(self, values: np.ndarray) -> np.ndarray:
        """Cells of values (d, n), −1 of gaps."""
        codes = np.full(values.shape, -1, dtype=np.intp)
        for j, (x, edges) in enumerate(zip(values, self.edges, strict=True)):
            there = ~np.isnan(x)
            own = x[there] if edges is None else np.searchsorted(edges, x[there])
            codes[j, there] = own
        return codes

    def compared(
        self, values: np.ndarray, mixture: MixtureModel, X: Any, sample_weight: Any
    ) -> Compared:
        """Count a table with these values (d, n), and compare with what is expected."""
        codes = self._codes(values)
        log_density, resp = mixture._posterior(X, None, sample_weight)
        weight = weight_of_each(sample_weight, len(log_density))
        laws, d = self._laws(mixture), len(codes)
        # Weights of the rows that have both values, by component.
        masks = (codes >= 0).astype(float)
        shared = np.stack([(masks * r) @ masks.T for r in resp * weight], axis=2)
        statistics, degrees = np.full((d, d), np.nan), np.zeros((d, d))
        degrees[np.diag_indices(d)] = [own.shape[1] - 1 for own in laws]
        for i in range(d):
            if self.edges[i] is not None and degrees[i, i] > 0:
                counts = _counts(codes[i], weight, laws[i].shape[1])
                statistics[i, i], _ = _pearson(counts, shared[i, i] @ laws[i])
        for i, j in combinations(range(d), 2):
            if self.together[i, j] or degrees[i, i] * degrees[j, j] == 0:
                continue
            a, b = laws[i].shape[1], laws[j].shape[1]
            code = np.where(masks[i] * masks[j] > 0, codes[i] * b + codes[j], -1)
            expected = np.einsum("k,ka,kb->ab", shared[i, j], laws[i], laws[j])
            counts = _counts(code, weight, a * b)
            statistics[i, j], n_rare = _pearson(counts, expected.ravel())
            degrees[i, j] = max(1, (a - 1) * (b - 1) - n_rare)
        lower = np.tril_indices(d, -1)
        statistics[lower], degrees[lower] = statistics.T[lower], degrees.T[lower]
        degrees[self.together] = np.nan
        patterns = None
        if all(edges is None for edges in self.edges):
            patterns = _patterns(codes, weight, log_density)
        n_patterns = float(np.prod(np.diagonal(degrees) + 1))
        n_rows = float(weight[(codes >= 0).all(axis=0)].sum())
        free = min(n_rows, n_patterns - 1)
        return Compared(self.names, statistics, degrees, patterns, free)


def _between_values(edges: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Move edges half-way between the values beside them: these may be rounded."""
    x = np.unique(x[~np.isnan(x)])
    if len(x) < 2:
        return np.empty(0)
    after = np.searchsorted(x, edges, side="right")
    low, high = x[np.maximum(after - 1, 0)], x[np.minimum(after, len(x) - 1)]
    inside = (after > 0) & (after < len(x))
    return np.unique(np.where(inside, low / 2 + high / 2, edges))


def _counts(codes: np.ndarray, weight: np.ndarray, n_cells: int) -> np.ndarray:
    there = codes >= 0
    return np.bincount(codes[there], weight[there], n_cells)


def _pearson(counts: np.ndarray, expected: np.ndarray) -> tuple[float, int]:
    """Σ (O − E)²/E, and how many cells fewer there are as rare ones are one cell.

    Cells of which less than one row is expected are, with as many of the next ones as
    it takes to expect one.
    """
    order = np.argsort(expected, kind="stable")
    counts, expected = counts[order], expected[order]
    n_rare = int(np.searchsorted(expected, RARE))
    if n_rare:
        n_enough = int(np.searchsorted(np.cumsum(expected), RARE)) + 1
        n_rare = min(max(n_rare, n_enough), len(order)) - 1
    starts = [0, *range(n_rare + 1, len(order))]
    counts, expected = (np.add.reduceat(x, starts) for x in (counts, expected))
    expected = np.maximum(expected, SMALLEST)
    return float(np.sum((counts - expected) ** 2 / expected)), n_rare


def _patterns(
    codes: np.ndarray, weight: np.ndarray, log_density: np.ndarray
) -> tuple[float, float]:
    """Return G² and X² of rows without gaps."""
    rows = (codes >= 0).all(axis=0) & (weight > 0)
    n = weight[rows].sum()
    _, first, place = np.unique(
        codes[:, rows], axis=1, return_index=True, return_inverse=True
    )
    counts = np.bincount(place.ravel(), weight[rows])
    expected = np.maximum(n * np.exp(log_density[rows][first]), SMALLEST)
    ratio = 2 * np.sum(counts * np.log(counts / expected))
    # What no row has adds what is expected of it.
    rest = max(0.0, float(n - expected.sum()))
    pearson = np.sum((counts - expected) ** 2 / expected) + rest
    return float(ratio), float(pearson)
