"""The summary: what was tried, and the mixture that was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from skem._cli.selection import Candidate, Selection
from skem._cli.table import Table
from skem._cli.text import Column, count, paragraph, rounded, shorten, table
from skem.core.covariance import STRUCTURES
from skem.gaussian_mixture import GaussianMixture

LONGEST_NAME = 20
MOST_NAMES = 12
LARGEST_MATRIX = 6
"""With more features than this, only the largest correlations are shown."""
LARGEST = 5
"""How many of them, for each component."""


def report(data: Table, selection: Selection, notes: Sequence[str]) -> str:
    """Return the whole summary."""
    mixture = selection.best.mixture
    names = [shorten(name, LONGEST_NAME) for name in data.names]
    deviations = standard_deviations(mixture)
    sections = [
        paragraph(_title(data)),
        "Candidates, of which the lowest BIC is best\n\n" + _candidates(selection),
        *map(paragraph, [*notes, *_not_converged(selection.candidates)]),
        f"Best: {_model(mixture)}\n\n" + _components(mixture, data.values),
        "Means\n\n" + _by_component(names, mixture.means_, deviations),
        "Standard deviations\n\n" + _by_component(names, deviations, deviations),
        *_correlations(mixture, names, deviations),
        paragraph(_effort(selection)),
    ]
    return "\n\n".join(sections) + "\n"


def standard_deviations(mixture: GaussianMixture) -> np.ndarray:
    """Return the marginal standard deviations, shape (K, d)."""
    structure = STRUCTURES[mixture.covariance_type]
    return structure.standard_deviations(
        mixture.precisions_cholesky_, mixture.means_.shape
    )


def correlations(mixture: GaussianMixture, deviations: np.ndarray) -> np.ndarray:
    """Return the different correlation matrices: (K, d, d), (1, d, d) or none."""
    if not STRUCTURES[mixture.covariance_type].matrices:
        return np.empty((0, 0, 0))
    d = deviations.shape[1]
    # Of features in units of their deviations, the covariances are the correlations.
    cholesky = mixture.precisions_cholesky_.reshape(-1, d, d)
    inverse = np.linalg.inv(cholesky * deviations[: len(cholesky), :, None])
    return np.swapaxes(inverse, 1, 2) @ inverse


def _title(data: Table) -> str:
    n, d = data.values.shape
    names = ", ".join(data.names[:MOST_NAMES]) + (", ..." if d > MOST_NAMES else "")
    return f"{data.title}: {count(n, 'row')}, {count(d, 'column')} ({names})"


def _model(mixture: GaussianMixture) -> str:
    components = count(len(mixture.weights_), "component")
    return f"{components}, {mixture.covariance_type} covariances"


def _candidates(selection: Selection) -> str:
    candidates = selection.candidates
    mixtures = [candidate.mixture for candidate in candidates]
    shapes = [mixture.covariance_type for mixture in mixtures]
    columns = [Column("K", [str(len(mixture.weights_)) for mixture in mixtures])]
    if len(set(shapes)) > 1:
        columns.append(Column("covariance", shapes))
    marks = ["<- best" if c is selection.best else "" for c in candidates]
    columns += [
        Column("log-likelihood", [f"{c.loglik:.2f}" for c in candidates]),
        Column("parameters", [str(mixture.n_parameters_) for mixture in mixtures]),
        Column("BIC", [f"{c.bic:.2f}" for c in candidates]),
        Column("", marks),
    ]
    return table(columns)


def _not_converged(candidates: Sequence[Candidate]) -> Iterator[str]:
    mixtures = [c.mixture for c in candidates if not c.mixture.converged_]
    if mixtures:
        which = "; ".join(map(_model, mixtures))
        steps = count(mixtures[0].max_iter, "step")
        yield f"Not converged in {steps}, so the likelihood may still rise: {which}."


def _components(mixture: GaussianMixture, X: np.ndarray) -> str:
    sizes = mixture.predict_proba(X).sum(axis=0)
    return table(
        [
            _numbers(len(sizes)),
            Column("weight", [f"{weight:.4f}" for weight in mixture.weights_]),
            Column("effective size", [f"{size:.1f}" for size in sizes]),
        ]
    )


def _numbers(n_components: int) -> Column:
    return Column("component", [str(k) for k in range(n_components)])


def _by_component(
    names: Sequence[str], values: np.ndarray, deviations: np.ndarray
) -> str:
    """One row for each component, each feature rounded by its smallest deviation."""
    features = zip(names, values.T, deviations.min(axis=0), strict=True)
    columns = [Column(name, rounded(column, unit)) for name, column, unit in features]
    return table([_numbers(len(values)), *columns])


def _correlations(
    mixture: GaussianMixture, names: Sequence[str], deviations: np.ndarray
) -> Iterator[str]:
    matrices = correlations(mixture, deviations)
    if len(names) == 1 or not len(matrices):
        return
    shared = STRUCTURES[mixture.covariance_type].shared
    owners = ["all"] if shared else _numbers(len(matrices)).cells
    if 2 < len(names) <= LARGEST_MATRIX:
        for owner, matrix in zip(owners, matrices, strict=True):
            title = f"component {owner}" if owner != "all" else "all components"
            yield f"Correlations, {title}\n\n" + _triangle(names, matrix)
    else:
        yield _largest(owners, names, matrices)


def _triangle(names: Sequence[str], matrix: np.ndarray) -> str:
    columns = [
        Column(name, [""] * j + [_correlation(r) for r in matrix[j:, j]])
        for j, name in enumerate(names)
    ]
    return table([Column("", names), *columns])


def _largest(owners: Sequence[str], names: Sequence[str], matrices: np.ndarray) -> str:
    """Return the pairs with the largest correlations, one in each row."""
    i, j = np.triu_indices(len(names), 1)
    rows = []
    for owner, matrix in zip(owners, matrices, strict=True):
        for pair in np.argsort(-abs(matrix[i, j]), kind="stable")[:LARGEST]:
            one, other = i[pair], j[pair]
            features = f"{names[one]}, {names[other]}"
            rows.append((owner, features, _correlation(matrix[one, other])))
    title = "Correlations"
    if len(i) > LARGEST:
        title = f"Largest correlations, {LARGEST} of {len(i)}"
    titles = ["component", "features", "correlation"]
    cells = zip(*rows, strict=True)
    return f"{title}\n\n" + table(list(map(Column, titles, cells)))


def _correlation(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}"


def _effort(selection: Selection) -> str:
    mixture = selection.best.mixture
    seconds = selection.seconds
    # The start is evaluated too, which is no step.
    passes = count(mixture.n_iter_ + 1, "pass", "passes")
    n_init = mixture.n_init
    starts = "several starts" if isinstance(n_init, str) else count(n_init, "start")
    return (
        f"{count(len(selection.candidates), 'model')} fitted in "
        f"{seconds:.{2 if seconds < 10 else 0}f} s, each from {starts}. "
        f"The best took {passes} over the data."
    )
