"""How strong the penalty should be: what it costs, and what it prevents.

python -m benchmarks.penalty [--no-save]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.metrics import adjusted_rand_score

from benchmarks.data import COVARIANCE_TYPES, real_data
from benchmarks.timing import Report
from skem.core.accelerate import ACCELERATORS
from skem.core.blocks import ArrayBlocks
from skem.core.covariance import STRUCTURES, Scatter, Structure
from skem.core.em import EMMap
from skem.core.expectation import Expectation, choose_form
from skem.core.initialize import DIVERSE, initialize, kmeans, labelled_statistics
from skem.core.initialize import subsample as seeding_rows
from skem.core.regularization import ScaleFreePenalty
from skem.core.solve import Solution, solve
from skem.core.threads import Workers, Workspace

RESTARTS = 60
TINY = 1e-9
"""An ε that is as good as none, but keeps a degenerate fit finite."""
NARROW = 1e-4
"""Variance in some direction, relative to the pooled one within components, below
which a component is a spike."""
CASES = [
    ("faithful", 2),
    ("faithful", 3),
    ("faithful", 5),
    ("galaxies", 3),
    ("galaxies", 5),
    ("acidity", 2),
    ("acidity", 4),
    ("iris", 2),
    ("iris", 3),
    ("iris", 5),
    ("wine", 3),
    ("wine", 5),
    ("cancer", 2),
    ("cancer", 4),
    ("digits", 10),
]
LABELS = {
    "iris": load_iris().target,
    "wine": load_wine().target,
    "cancer": load_breast_cancer().target,
    "digits": load_digits().target,
}
CLASSES = {name: len(np.unique(labels)) for name, labels in LABELS.items()}


def with_epsilon(
    epsilon: Callable[[float, int], float],
) -> Callable[[EMMap, int], EMMap]:
    """Change ε, as a function of N and d; Λ stays S K^(−2/d)."""

    def change(em: EMMap, n_components: int) -> EMMap:
        N, d = em.blocks.total_weight, em.blocks.n_features
        return replace(
            em, regularization=replace(em.regularization, epsilon=epsilon(N, d))
        )

    return change


def within_clusters(em: EMMap, n_components: int) -> EMMap:
    """Keep ε = 2/√N; Λ is the scatter within k-means clusters of whitened data."""
    Z, weight = seeding_rows(em, n_components, np.random.RandomState(0))
    white = Z
    if em.structure.matrices:
        values, vectors = np.linalg.eigh(np.cov(Z.T).reshape(Z.shape[1], -1))
        white = Z @ vectors / np.sqrt(np.maximum(values, 1e-12))
    resp = kmeans(white, weight, n_components, np.random.RandomState(0)) * weight
    scatter = labelled_statistics(em, Z, resp).scatter()
    pooled = Scatter(
        scatter.values.sum(axis=0)[None], scatter.counts.sum(keepdims=True)
    )
    N, d = em.blocks.total_weight, em.blocks.n_features
    # With one component, of_data takes the covariance as it is, but for a floor.
    penalty = ScaleFreePenalty.of_data(
        em.structure, pooled, em.total.scatter(), N, 1, d
    )
    return replace(em, regularization=penalty)


VARIANTS: dict[str, Callable[[EMMap, int], EMMap]] = {
    "2/√N": with_epsilon(lambda N, d: 2 / math.sqrt(N)),
    "1": with_epsilon(lambda N, d: 1.0),
    "d + 2": with_epsilon(lambda N, d: d + 2.0),
    "2/√N, Λ within": within_clusters,
}


class Outcome(NamedTuple):
    """What a penalty makes of one case."""

    lost: float
    """Nats of ℓ from the best solution to the MLE nearby; NaN if that is a spike."""
    degenerate: int
    """Restarts that end in a degenerate solution."""
    wins: bool
    """Whether the solution of highest ℓ_p is one."""
    labels: np.ndarray


def follow(em: EMMap, start, tol: float) -> Solution:
    return solve(
        em.evaluate, start, ACCELERATORS["auto"](em.chart), tol=tol, max_iter=500
    )


def is_degenerate(em: EMMap, solution: Solution) -> bool:
    """Whether a component has too few rows for its covariance, or is a spike.

    Components that share their covariance need no rows of their own.
    """
    structure, found = em.structure, solution.evaluation.parameters
    if structure.shared:
        return False
    d = found.shape[1]
    counts = found.weights * em.blocks.total_weight
    needed = d + 1 if structure.matrices else 2
    covariances = dense(structure, structure.covariances(found.precisions_cholesky), d)
    pooled = np.einsum("k,kij->ij", found.weights, covariances)
    whitening = np.linalg.inv(np.linalg.cholesky(pooled))
    relative = np.linalg.eigvalsh(whitening @ covariances @ whitening.T)
    return bool(counts.min() < needed or relative.min() < NARROW)


def dense(structure: Structure, covariances: np.ndarray, d: int) -> np.ndarray:
    if structure.matrices:
        return covariances
    return covariances.reshape(len(covariances), -1)[:, :, None] * np.eye(d)


def labels_of(em: EMMap, solution: Solution) -> np.ndarray:
    parameters = solution.evaluation.parameters
    form = choose_form(em.structure, parameters, em.blocks.dtype)
    expectation = Expectation(form, em.coordinates)
    workspace = Workspace()
    return np.concatenate(
        [
            expectation.responsibilities(block, workspace).argmax(axis=0)
            for block in em.blocks.blocks(expectation.values_per_sample)
        ]
    )


def outcome(em: EMMap, n_components: int) -> Outcome:
    """Follow all restarts, then leave the penalty out from the best of them."""
    solutions = []
    for seed, method in enumerate(islice(cycle(DIVERSE), RESTARTS)):
        rng = np.random.RandomState(seed)
        start = initialize(em, method, n_components, rng)
        solutions.append(follow(em, start, tol=0.01))
    degenerate = [is_degenerate(em, solution) for solution in solutions]
    values = [solution.evaluation.objective for solution in solutions]
    best = int(np.argmax(values))
    bare = replace(em, regularization=replace(em.regularization, epsilon=TINY))
    nearby = follow(bare, solutions[best].evaluation.parameters, tol=1e-3)
    lost = nearby.evaluation.loglik - solutions[best].evaluation.loglik
    if is_degenerate(bare, nearby):
        lost = math.nan
    return Outcome(
        lost, sum(degenerate), degenerate[best], labels_of(em, solutions[best])
    )


def cases() -> Iterator[tuple[str, np.ndarray, int, str]]:
    """Yield data set, rows, K and covariance type."""
    data = real_data()
    for name, K in CASES:
        for covariance_type in COVARIANCE_TYPES:
            # For one feature, diag and spherical are the same as full.
            if data[name].shape[1] > 1 or covariance_type in ("full", "tied"):
                yield name, data[name], K, covariance_type


def examine() -> dict[tuple[str, int, str], dict[str, Outcome]]:
    """Case -> penalty -> outcome."""
    found: dict[tuple[str, int, str], dict[str, Outcome]] = {}
    for name, X, K, covariance_type in cases():
        with Workers() as workers:
            blocks = ArrayBlocks(X, None, workers, X.dtype)
            em = EMMap.prepare(blocks, STRUCTURES[covariance_type], K, "auto")
            found[name, K, covariance_type] = {
                variant: outcome(change(em, K), K)
                for variant, change in VARIANTS.items()
            }
    return found


def report_table(report, found, cell) -> None:
    report.table("data, K, covariance", *VARIANTS)
    for (name, K, covariance_type), outcomes in found.items():
        cells = [cell(name, outcomes[variant]) for variant in VARIANTS]
        report.row(f"{name}, {K}, {covariance_type}", *cells)


def main() -> None:
    report = Report(
        "penalty",
        "The strength of the penalty",
        "ε of ℓ_p = ℓ − (ε/2) Σ_k [tr(Λ Σ_k⁻¹) + log|Σ_k|], with Λ = S K^(−2/d), on "
        f"real data from the same {RESTARTS} starts each; skem's default is 2/√N, and "
        "mclust's prior has d + 2. In the last column, Λ is the pooled covariance "
        "within the clusters of k-means on whitened data instead.",
    )
    found = examine()
    report.line("\n## Nats of log-likelihood from the highest ℓ_p to the MLE nearby\n")
    report.line(
        "What EM gains from there without a penalty; *spike*: it ends in a degenerate "
        "solution, so that there is no MLE nearby."
    )
    report_table(
        report,
        found,
        lambda name, o: "*spike*" if math.isnan(o.lost) else f"{o.lost:.2f}",
    )
    report.line("\n## Degenerate solutions\n")
    report.line(
        f"Of {RESTARTS} restarts, those that end in a component of fewer than d + 1 "
        "rows (two, for variances) or of a variance, in some direction, below "
        f"{NARROW:g} of the pooled one; **bold** where the highest ℓ_p is such a "
        "solution. A component that the penalty has emptied counts, too. Tied "
        "covariances are left out."
    )
    own = {case: o for case, o in found.items() if case[2] != "tied"}
    report_table(
        report,
        own,
        lambda name, o: f"**{o.degenerate}**" if o.wins else str(o.degenerate),
    )
    report.line("\n## Adjusted Rand index of the highest ℓ_p, where there are classes")
    labelled = {case: o for case, o in found.items() if CLASSES.get(case[0]) == case[1]}
    report_table(
        report,
        labelled,
        lambda name, o: f"{adjusted_rand_score(LABELS[name], o.labels):.2f}",
    )
    report.save()


if __name__ == "__main__":
    main()
