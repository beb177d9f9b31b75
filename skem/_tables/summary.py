"""The summary of a mixture of a table: proportions and means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from skem._report.summary import Summary, certain, unless_alike
from skem._report.text import (
    Section,
    TextColumn,
    count,
    rounded,
    shorten,
)
from skem.families.hurdle import ZERO

LONGEST_ROW_NAME = 40
"""Characters of a row's name, at most."""


@dataclass(frozen=True, eq=False, repr=False)
class TableSummary(Summary):
    """What `MixtureModel.summary` returns: tables when it is printed.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Weights.

    families : dict of str to str
        The family of each column.

    parameters : dict of str to dict of str to ndarray
        Parameters of each column by name, the components along the first axis.

    categories : dict of str to ndarray
        Categories of the columns that have them.

    n_parameters : int
        Number of free parameters.

    lower_bound : float or None
        Mean log-likelihood of the training data, without labels; None of a part of a
        mixture.

    sizes : ndarray of shape (n_components,) or None
        Weight of the rows that each component is the most probable one of. None, as
        what follows, without data.

    effective_sizes : ndarray of shape (n_components,) or None
        Sums of the (weighted) responsibilities.

    log_likelihood, bic, aic, icl : float or None
        Of the data.

    entropy, relative_entropy, mean_probabilities : float, float, ndarray, or None
        How sure labels are, as in the summary of a `GaussianMixture`: −Σ v r log r in
        nats; one less that by N log K; and mean responsibilities of the rows of each
        label, of shape (n_components, n_components).

    data_have_labels : bool
        Whether these are of known components, too, as `lower_bound` never is.

    logarithms : dict of str to tuple of str
        Names of the parameters of each column that are of logarithms.
    """

    weights: np.ndarray
    families: dict[str, str]
    parameters: dict[str, dict[str, np.ndarray]]
    categories: dict[str, np.ndarray]
    n_parameters: int
    lower_bound: float | None
    sizes: np.ndarray | None = None
    effective_sizes: np.ndarray | None = None
    log_likelihood: float | None = None
    bic: float | None = None
    aic: float | None = None
    icl: float | None = None
    entropy: float | None = None
    relative_entropy: float | None = None
    mean_probabilities: np.ndarray | None = None
    data_have_labels: bool = False
    logarithms: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def _by_name(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "weight", self.weights
        if self.sizes is not None:
            yield "size", self.sizes
        for name in self.parameters:
            yield from self._of_column(name)

    def _of_column(self, name: str) -> Iterator[tuple[str, np.ndarray]]:
        if name in self.categories:
            yield from self._proportions(name)
            return
        of_logs = self.logarithms.get(name, ())
        for label, law in self.parameters[name].items():
            of = " of log" if label in of_logs else ""
            # One that no row has is next to zero.
            law = np.round(law, 12) if label == ZERO else law
            yield f"{name}: {label}{of}", law

    def _sections(self) -> list[Section]:
        K, found = len(self.weights), dict(self._by_name())
        of_categories = [
            row for name in self.categories for row in self._proportions(name)
        ]
        for name, _ in of_categories:
            found.pop(name)
        rows = list(found.items())
        title = (
            f"Mixture of {count(K, 'component')}: "
            f"{count(self.n_parameters, 'free parameter')}"
        )
        if self.lower_bound is not None:
            which = unless_alike(False, self.data_have_labels)
            which = f" ({which.removeprefix(', ')})" if which else ""
            title += f", mean log-likelihood{which} {self.lower_bound:.6f}"
        sections = [_section(title, rows)]
        if of_categories:
            sections.append(_section("Proportions of categories", of_categories))
        if self.log_likelihood is not None:
            which = unless_alike(True, self.data_have_labels)
            cells = {
                f"log-likelihood{which}": f"{self.log_likelihood:.2f}",
                "BIC": f"{self.bic:.2f}",
                "AIC": f"{self.aic:.2f}",
                "ICL": f"{self.icl:.2f}",
                "entropy": f"{self.entropy:.2f}",
            }
            if self.relative_entropy is not None:
                cells["relative entropy"] = f"{self.relative_entropy:.3f}"
            names = TextColumn("quantity", list(cells))
            sections.append(
                Section("Fit", [names, TextColumn("value", list(cells.values()))])
            )
        return [*sections, *certain(self.mean_probabilities)]

    def _proportions(self, name: str) -> list[tuple[str, np.ndarray]]:
        laws, labels = self.parameters[name], self.categories[name]
        if "probability" in laws:
            return [(f"{name} = {labels[-1]}", laws["probability"])]
        columns = laws["proportions"].T
        return [
            (f"{name} = {label}", column)
            for label, column in zip(labels, columns, strict=True)
        ]


def _section(title: str, rows: list[tuple[str, np.ndarray]]) -> Section:
    names = TextColumn("", [shorten(name, LONGEST_ROW_NAME) for name, _ in rows])
    cells = [_cells(values) for _, values in rows]
    columns = [
        TextColumn(str(k), [row[k] for row in cells]) for k in range(len(rows[0][1]))
    ]
    return Section(title, [names, *columns])


def _cells(values: np.ndarray) -> list[str]:
    """Numbers of a row: three digits of the largest."""
    if values.ndim > 1:
        return [" ".join(f"{v:.3g}" for v in np.ravel(each)) for each in values]
    largest = float(np.abs(values).max())
    return rounded(values, largest if np.isfinite(largest) else 0.0)
