"""The summary of a fitted mixture, as numbers and as tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skem._report.measures import Agreement
from skem._report.text import (
    Printed,
    Section,
    TextColumn,
    count,
    pandas_for,
    printable,
    rounded,
    shorten,
)
from skem.core.gaussian.covariance import SHAPES

LONGEST_NAME = 20
FEATURES_SHOWN = 20
ROWS_SHOWN = 60
"""With more than so many, those in the middle are left out."""
GAP = "..."
LARGEST_MATRIX = 6
"""Of larger symmetric matrices, only the largest entries are shown."""
PAIRS_SHOWN = 5
"""How many of them."""


class Summary(Printed):
    """What is said of each component, and printed."""

    @abstractmethod
    def _by_name(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield names of what the components have, and the numbers (K,) or (K, …)."""

    def to_frame(self) -> Any:
        """Return a data frame with a row for each component.

        Returns
        -------
        frame : pandas.DataFrame
            Its index is `component`. Its columns are `weight`; `size`, if there are
            data; and what the components have of each feature, such as ``x0: mean``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = pandas_for("to_frame")
        found = {}
        for name, values in self._by_name():
            for place in np.ndindex(values.shape[1:]):
                full = f"{name}{[*place]}" if place else name
                found[full] = values[(slice(None), *place)]
        index = pandas.RangeIndex(len(found["weight"]), name="component")
        return pandas.DataFrame(found, index=index)


@dataclass(frozen=True, eq=False, repr=False)
class MixtureSummary(Summary):
    """What `summary` returns: numbers as attributes, tables when it is printed.

    Those that need data are None in a summary without.

    Attributes
    ----------
    covariance_type : str
        The structure of the covariances.

    feature_names : tuple of str
        Names of the features: those seen in `fit`, or x0, x1, ...

    n_parameters : int
        Number of free parameters.

    weights : ndarray of shape (n_components,)
        Weights.

    means : ndarray of shape (n_components, n_features)
        Means.

    standard_deviations : ndarray of shape (n_components, n_features)
        Marginal standard deviations. Of t components the scales, which are smaller:
        roots of the diagonals of the scale matrices, √((df − 2)/df) of the standard
        deviations, which are infinite for two degrees of freedom or less.

    correlations : ndarray
        The different correlation matrices: of shape (n_components, n_features,
        n_features), (1, n_features, n_features) if the covariance is shared, and
        (0, n_features, n_features) if features are uncorrelated by assumption.

    overlap : ndarray of shape (n_components, n_components)
        Bhattacharyya coefficients ∫ √(p_j p_k) of the components' densities: 1 if two
        are the same, 0 if they are apart.

    lower_bound : float or None
        `lower_bound_`: the mean log-likelihood of the fit, for a row; of a Bayesian
        mixture the evidence lower bound, of all rows. None if the mixture was not
        fitted to data.

    converged : bool or None
        `converged_`, None if the mixture was not fitted to data.

    noise_weight : float or None
        `noise_weight_`, None if there is no noise.

    n_samples : float or None
        Number of rows N, or sum of their weights.

    sizes : ndarray of shape (n_components,) or None
        Number of rows, or sum of their weights, of which each component is the most
        probable.

    effective_sizes : ndarray of shape (n_components,) or None
        Sums of the (weighted) responsibilities.

    log_likelihood : float or None
        Total log-likelihood, in nats.

    bic, aic, icl : float or None
        As the methods of these names; the lower the better.

    entropy : float or None
        −Σ v r log r of the responsibilities, in nats: from 0, where every row has but
        one possible component, to N log K.

    relative_entropy : float or None
        One less the entropy by N log K: 1 where all labels are sure. K counts noise,
        too. None of one component.

    mean_probabilities : ndarray of shape (n_components, n_components) or None
        Mean responsibilities of the components in the rows of each label: labels along
        the first axis. NaN of labels without rows.

    df : ndarray of shape (n_components,) or None
        Degrees of freedom of t components; `standard_deviations` are then scales.

    is_evidence : bool
        Whether `lower_bound` is an evidence lower bound.

    fit_has_labels, data_have_labels : bool
        Whether `lower_bound`, and what is said of the data, are of known components,
        too. Where one is and the other is not, the printed summary says so.
    """

    covariance_type: str
    feature_names: tuple[str, ...]
    n_parameters: int
    weights: np.ndarray
    means: np.ndarray
    standard_deviations: np.ndarray
    correlations: np.ndarray
    overlap: np.ndarray
    lower_bound: float | None
    converged: bool | None
    noise_weight: float | None = None
    n_samples: float | None = None
    sizes: np.ndarray | None = None
    effective_sizes: np.ndarray | None = None
    log_likelihood: float | None = None
    bic: float | None = None
    aic: float | None = None
    icl: float | None = None
    entropy: float | None = None
    relative_entropy: float | None = None
    mean_probabilities: np.ndarray | None = None
    df: np.ndarray | None = None
    is_evidence: bool = False
    fit_has_labels: bool = False
    data_have_labels: bool = False

    def on_data(
        self, found: Agreement, total: float, *, labelled: bool = False
    ) -> MixtureSummary:
        """Add what is known of data with total weight N, perhaps with labels."""
        totals, p = replace(found.totals, weight=total), self.n_parameters
        sure, K = found.certainty, len(self.weights)
        # Without noise, which comes last.
        return replace(
            self,
            n_samples=total,
            sizes=sure.sizes[:K],
            effective_sizes=sure.shared.sum(axis=0)[:K],
            log_likelihood=totals.loglik,
            bic=totals.bic(p),
            aic=totals.aic(p),
            icl=totals.icl(p),
            entropy=sure.entropy,
            relative_entropy=sure.relative_entropy,
            mean_probabilities=sure.mean_probabilities[:K, :K],
            data_have_labels=labelled,
        )

    def _by_name(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "weight", self.weights
        if self.sizes is not None:
            yield "size", self.sizes
        if self.df is not None:
            yield "df", self.df
        spread = "standard_deviation" if self.df is None else "scale"
        for j, name in enumerate(self.feature_names):
            yield f"{name}: mean", self.means[:, j]
            yield f"{name}: {spread}", self.standard_deviations[:, j]

    def _sections(self) -> Iterator[Section]:
        """Yield the tables of a summary."""
        deviations = self.standard_deviations
        yield _components(self)
        yield _fit(self)
        yield from certain(self.mean_probabilities)
        yield Section("Means", _by_component(self, self.means))
        title = "Standard deviations" if self.df is None else "Scales"
        yield Section(title, _by_component(self, deviations))
        yield from _correlations(self)
        yield from _overlap(self.overlap)


def model(n_components: int, covariance_type: str) -> str:
    """Name a mixture."""
    return f"{count(n_components, 'component')}, {covariance_type} covariances"


def _shown(number: int, most: int) -> list[int | None]:
    """Return indices of what is shown, with None for a gap."""
    if number <= most:
        return list(range(number))
    half = most // 2
    return [*range(half), None, *range(number - half, number)]


def _numbers(n_components: int) -> TextColumn:
    """Return the numbers of the components that are shown."""
    shown = _shown(n_components, ROWS_SHOWN)
    return TextColumn("component", [GAP if k is None else str(k) for k in shown])


def _with_gap(title: str, cells: Sequence[str]) -> TextColumn:
    """Return a column with those of the cells that are shown."""
    shown = _shown(len(cells), ROWS_SHOWN)
    return TextColumn(title, [GAP if k is None else cells[k] for k in shown])


def _amounts(values: np.ndarray) -> list[str]:
    """Return sums of weights, which are whole numbers if the weights are."""
    whole = bool((values == np.round(values)).all())
    return [f"{value:.{0 if whole else 1}f}" for value in values]


def _components(summary: MixtureSummary) -> Section:
    K = len(summary.weights)
    weights = [f"{weight:.4f}" for weight in summary.weights]
    columns = [_numbers(K), _with_gap("weight", weights)]
    if summary.df is not None:
        columns.append(_with_gap("df", [f"{df:.4g}" for df in summary.df]))
    if summary.sizes is not None and summary.effective_sizes is not None:
        effective = [f"{size:.1f}" for size in summary.effective_sizes]
        columns.append(_with_gap("size", _amounts(summary.sizes)))
        columns.append(_with_gap("effective size", effective))
    return Section(model(K, summary.covariance_type), columns)


def _fit(summary: MixtureSummary) -> Section:
    cells = {"parameters": str(summary.n_parameters)}
    if summary.converged is not None:
        cells["converged"] = "yes" if summary.converged else "no"
    if summary.noise_weight is not None:
        cells["weight of noise"] = f"{summary.noise_weight:.4f}"
    if summary.n_samples is not None:
        (cells["samples"],) = _amounts(np.array([summary.n_samples]))
    bound = "mean log-likelihood of the fit", 4
    if summary.is_evidence:
        # That of all rows, as what is below.
        bound = "evidence lower bound of the fit", 2
    of_fit, of_data = summary.fit_has_labels, summary.data_have_labels
    differ = of_fit != of_data
    numbers = {
        bound[0] + unless_alike(of_fit, differ): (summary.lower_bound, bound[1]),
        "log-likelihood" + unless_alike(of_data, differ): (summary.log_likelihood, 2),
        "BIC": (summary.bic, 2),
        "AIC": (summary.aic, 2),
        "ICL": (summary.icl, 2),
        "entropy": (summary.entropy, 2),
        "relative entropy": (summary.relative_entropy, 3),
    }
    for name, (value, decimals) in numbers.items():
        if value is not None:
            cells[name] = _fixed(value, decimals)
    columns = [
        TextColumn("quantity", list(cells)),
        TextColumn("value", list(cells.values())),
    ]
    return Section("Fit", columns)


def unless_alike(labelled: bool, differ: bool) -> str:
    """Say whether labels are counted, where two likelihoods differ in that."""
    if not differ:
        return ""
    return ", with labels" if labelled else ", without labels"


def _names(summary: MixtureSummary) -> list[str]:
    return [shorten(printable(name), LONGEST_NAME) for name in summary.feature_names]


def _by_component(summary: MixtureSummary, values: np.ndarray) -> list[TextColumn]:
    """One row for each component, each feature rounded by its smallest deviation."""
    names = _names(summary)
    units = summary.standard_deviations.min(axis=0)
    columns = [_numbers(len(values))]
    for j in _shown(len(names), FEATURES_SHOWN):
        if j is None:
            columns.append(_with_gap(GAP, [GAP] * len(values)))
        else:
            columns.append(_with_gap(names[j], rounded(values[:, j], units[j])))
    return columns


def _correlations(summary: MixtureSummary) -> Iterator[Section]:
    names, matrices = _names(summary), summary.correlations
    if len(names) == 1 or not len(matrices):
        return
    shared = SHAPES[summary.covariance_type].shared
    owners = ["all"] if shared else [str(k) for k in range(len(matrices))]
    few = len(names) * len(matrices) <= ROWS_SHOWN
    if few and 2 < len(names) <= LARGEST_MATRIX:
        for owner, matrix in zip(owners, matrices, strict=True):
            title = f"component {owner}" if owner != "all" else "all components"
            yield Section(f"Correlations, {title}", _triangle(names, matrix, 2))
    else:
        yield _largest_correlations(owners, names, matrices)


def _triangle(
    names: Sequence[str], matrix: np.ndarray, decimals: int
) -> list[TextColumn]:
    columns = [
        TextColumn(
            name, [""] * j + [_fixed(value, decimals) for value in matrix[j:, j]]
        )
        for j, name in enumerate(names)
    ]
    return [TextColumn("", names), *columns]


def _largest_pairs(matrix: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs i < j with the largest entries, at most `PAIRS_SHOWN`."""
    i, j = np.triu_indices(len(matrix), 1)
    order = np.argsort(-abs(matrix[i, j]), kind="stable")[:PAIRS_SHOWN]
    return [(int(i[pair]), int(j[pair])) for pair in order]


def _largest_correlations(
    owners: Sequence[str], names: Sequence[str], matrices: np.ndarray
) -> Section:
    """Return the pairs of features with the largest correlations."""
    rows = [
        (owner, f"{names[i]}, {names[j]}", _fixed(matrix[i, j], 2))
        for owner, matrix in zip(owners, matrices, strict=True)
        for i, j in _largest_pairs(matrix)
    ]
    n_pairs = len(names) * (len(names) - 1) // 2
    title = "Correlations"
    if n_pairs > PAIRS_SHOWN:
        title = f"Largest correlations, {PAIRS_SHOWN} of {n_pairs}"
    columns = map(list, zip(*rows, strict=True))
    titles = ["component", "features", "correlation"]
    return Section(title, list(map(_with_gap, titles, columns)))


def certain(mean_probabilities: np.ndarray | None) -> Iterator[Section]:
    """Show how sure labels are, of a few components."""
    if mean_probabilities is None or not 1 < len(mean_probabilities) <= LARGEST_MATRIX:
        return
    names = [str(k) for k in range(len(mean_probabilities))]
    columns = [
        TextColumn(name, ["" if np.isnan(p) else _fixed(p, 3) for p in own])
        for name, own in zip(names, mean_probabilities.T, strict=True)
    ]
    title = "Mean probabilities of components, of the rows of each label"
    yield Section(title, [TextColumn("label", names), *columns])


def _overlap(overlap: np.ndarray) -> Iterator[Section]:
    K = len(overlap)
    if 1 < K <= LARGEST_MATRIX:
        names = [str(k) for k in range(K)]
        yield Section(
            "Overlap of components (Bhattacharyya coefficients)",
            _triangle(names, overlap, 4),
        )
    elif K > 1:
        pairs = _largest_pairs(overlap)
        yield Section(
            "Largest overlaps of components (Bhattacharyya coefficients), "
            f"{PAIRS_SHOWN} of {K * (K - 1) // 2}",
            [
                TextColumn("components", [f"{i}, {j}" for i, j in pairs]),
                TextColumn("overlap", [_fixed(overlap[i, j], 4) for i, j in pairs]),
            ],
        )


def _fixed(value: float, decimals: int) -> str:
    # + 0.0 makes a zero of a negative zero.
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"
