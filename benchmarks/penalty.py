"""What the penalty costs, and what it prevents.

python -m benchmarks.penalty [--no-save] [--tiny]
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.metrics import adjusted_rand_score

from benchmarks.data import COVARIANCE_TYPES, real_data
from benchmarks.timing import TINY, Report
from skem import GaussianMixture
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES, Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import DIVERSE
from skem.core.search.initialize import initialize
from skem.core.solve.loop import Solution, solve
from skem.core.solve.registry import ACCELERATORS

RESTARTS = 20
NEGLIGIBLE = 1e-9
"""An ε that is as good as none, but keeps a degenerate fit finite."""
NARROW = 1e-4
"""Variance in some direction, relative to the pooled one within components, below
which a component is a spike."""
WELL = 10
"""Rows a parameter of a component that is well determined."""
ENOUGH = 3
TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
REAL = [
    ("faithful", (2, 3, 5)),
    ("galaxies", (3, 5)),
    ("acidity", (2, 4)),
    ("iris", (2, 3, 5)),
    ("wine", (3,)),
    ("cancer", (2, 4)),
    ("digits", (10,)),
]
LABELS = {
    "iris": load_iris().target,
    "wine": load_wine().target,
    "cancer": load_breast_cancer().target,
    "digits": load_digits().target,
}


class Case(NamedTuple):
    """Data, and how they are fitted."""

    name: str
    X: np.ndarray
    K: int
    covariance_type: str


def triangle(rng, n, separation, widths=(1.0, 1.0, 1.0)):
    """Three clusters of round shape, so far apart in units of the widest."""
    y = rng.integers(0, 3, n)
    noise = rng.normal(size=(n, 2)) * np.asarray(widths)[y][:, None]
    return separation * max(widths) * TRIANGLE[y] + noise


def synthetic() -> Iterator[tuple[str, np.ndarray, int]]:
    rng = np.random.default_rng(0)
    for separation in (1, 3, 6, 1e2, 1e4, 1e6):
        yield f"{separation:g} sd apart", triangle(rng, 600, separation), 3
    for ratio in (10, 100, 1000):
        widths = (1, ratio**0.5, ratio)
        yield f"widths 1 : {ratio}", triangle(rng, 900, 10, widths), 3
    for K in (2, 5):
        yield f"three clusters, K = {K}", triangle(rng, 900, 100), K
    X = triangle(rng, 600, 100)
    X[:3] = [[1e4, 0], [0, 1e6], [-1e5, 1e5]]
    yield "three outliers", X, 3
    X = triangle(rng, 600, 6)
    X[:30] = -9999
    yield "fill values", X, 4
    centres = 100 * rng.normal(size=(8, 10))
    yield (
        "8 clusters of 10 features",
        centres[rng.integers(0, 8, 8000)] + rng.normal(size=(8000, 10)),
        8,
    )


def cases() -> Iterator[Case]:
    data = real_data()
    for name, X, K in synthetic():
        for covariance_type in COVARIANCE_TYPES:
            yield Case(name, X, K, covariance_type)
    for name, numbers in REAL:
        for K in numbers:
            for covariance_type in COVARIANCE_TYPES:
                # For one feature, diag and spherical are the same as full.
                if data[name].shape[1] > 1 or covariance_type in ("full", "tied"):
                    yield Case(f"{name}, K = {K}", data[name], K, covariance_type)


def first_edition(em: EMMap, n_components: int) -> EMMap:
    """Λ = S K^(−2/d), with S the covariance of the data."""
    scatter, d = em.total.scatter(), em.blocks.n_features
    target = scatter.values[0] / scatter.counts[0] * n_components ** (-2 / d)
    return replace(em, regularization=em.regularization.rescaled(target))


def follow(em: EMMap, start: Parameters, tol: float) -> Solution:
    return solve(
        em.evaluate, start, ACCELERATORS["auto"](em.chart), tol=tol, max_iter=1000
    )


def dense(structure: Structure, covariances: np.ndarray, d: int) -> np.ndarray:
    if structure.matrices:
        return covariances
    return covariances.reshape(len(covariances), -1)[:, :, None] * np.eye(d)


def is_degenerate(em: EMMap, solution: Solution) -> bool:
    """Whether a component has too few rows for its covariance, or is a spike."""
    structure, found = em.structure, solution.evaluation.parameters
    if structure.shared:
        return False
    d = found.shape[1]
    counts = found.weights * em.blocks.total_weight
    covariances = dense(structure, structure.covariances(found.precisions_cholesky), d)
    pooled = np.einsum("k,kij->ij", found.weights, covariances)
    whitening = np.linalg.inv(np.linalg.cholesky(pooled))
    relative = np.linalg.eigvalsh(whitening @ covariances @ whitening.T)
    return bool(counts.min() < structure.least_points(d) or relative.min() < NARROW**2)


class Cost(NamedTuple):
    """What the penalty does to one optimum."""

    rows: float
    """Rows a parameter, of the component that has the fewest."""
    nats: float
    """Log-likelihood up to the unpenalised optimum nearby; NaN if that is a spike."""
    widening: float
    """Largest relative change of a standard deviation, if all are well determined."""


def cost(em: EMMap, start: Parameters) -> Cost:
    here = follow(em, start, 1e-4)
    bare = replace(em, regularization=replace(em.regularization, epsilon=NEGLIGIBLE))
    nearby = follow(bare, here.evaluation.parameters, 1e-4)
    structure, shape = em.structure, start.shape
    K, d = shape
    own = d + structure.n_parameters(K, d) / K
    counts = em.blocks.total_weight * here.evaluation.parameters.weights
    rows = counts / own
    before, after = (
        structure.standard_deviations(
            solution.evaluation.parameters.precisions_cholesky, shape
        )
        for solution in (nearby, here)
    )
    change = np.abs(after / before - 1).max(axis=1)
    nats = float(nearby.evaluation.loglik - here.evaluation.loglik)
    if is_degenerate(bare, nearby):
        nats = np.nan
    well = rows.min() >= WELL
    return Cost(float(rows.min()), nats, float(change.max()) if well else np.nan)


def prepared(case: Case, workers: Workers) -> EMMap:
    blocks = ArrayBlocks(case.X, None, workers, case.X.dtype)
    return EMMap.prepare(blocks, STRUCTURES[case.covariance_type], case.K, "auto")


def cost_table(report: Report, chosen: list[Case]) -> None:
    report.line("\n## What it costs\n")
    report.line(
        "From a default fit on to the optimum nearby without a penalty: nats of "
        "log-likelihood, and the largest relative change of a standard deviation of a "
        f"component where all have at least {WELL} rows a parameter; the same for "
        "Λ = S K^(−2/d), the scale of the data, as it was before. *spike*: that way "
        "ends in a "
        "degenerate solution."
    )
    report.table(
        "data",
        "covariance",
        "rows a parameter",
        "nats",
        "change of sd",
        "nats, before",
        "change of sd, before",
    )
    found = []
    for case in chosen:
        fitted = GaussianMixture(
            case.K, covariance_type=case.covariance_type, random_state=0
        ).fit(case.X)
        with Workers() as workers:
            em = prepared(case, workers)
            start = em.coordinates.inward(em.structure, fitted._parameters())
            now = cost(em, start)
            before = cost(first_edition(em, case.K), start)
        found.append(now)
        report.row(
            case.name,
            case.covariance_type,
            f"{now.rows:.1f}",
            nats(now),
            percent(now),
            nats(before),
            percent(before),
        )
    enough = [c.nats for c in found if c.rows >= ENOUGH and np.isfinite(c.nats)]
    well = [c.widening for c in found if np.isfinite(c.widening)]
    report.line("\n### All of them\n")
    report.table("", "measured", "asked")
    report.row(
        f"cost ≤ 1 nat, of {len(enough)} with ≥ {ENOUGH} rows a parameter",
        f"{np.mean(np.array(enough) <= 1):.0%}",
        "≥ 95 %",
    )
    report.row("largest of them", f"{max(enough):.2f}", "≤ 3")
    report.row(
        f"sd changed by ≤ 2 %, of {len(well)} well determined",
        f"{np.mean(np.array(well) <= 0.02):.0%}",
        "100 %",
    )


def nats(found: Cost) -> str:
    return "*spike*" if np.isnan(found.nats) else f"{found.nats:.2f}"


def percent(found: Cost) -> str:
    return "" if np.isnan(found.widening) else f"{found.widening:.1%}"


def restart_table(report: Report, names: list[tuple[str, int]]) -> None:
    report.line("\n## What it prevents\n")
    report.line(
        f"Of {RESTARTS} restarts from diverse starts, those that end in a component of "
        "fewer rows than it needs or in a spike, **bold** where the highest objective "
        "is such a solution; and the adjusted Rand index of the highest, where there "
        "are classes."
    )
    report.table("data", "covariance", "degenerate", "before", "ARI", "ARI, before")
    data = real_data()
    for name, K in names:
        for covariance_type in ("full", "diag", "spherical"):
            case = Case(name, data[name], K, covariance_type)
            cells, aris = [], []
            with Workers() as workers:
                em = prepared(case, workers)
                for problem in (em, first_edition(em, K)):
                    ends = [
                        follow(
                            problem,
                            initialize(problem, method, K, np.random.RandomState(seed)),
                            0.01,
                        )
                        for seed, method in enumerate(islice(cycle(DIVERSE), RESTARTS))
                    ]
                    bad = [is_degenerate(problem, end) for end in ends]
                    best = int(np.argmax([e.evaluation.objective for e in ends]))
                    cells.append(f"**{sum(bad)}**" if bad[best] else str(sum(bad)))
                    aris.append(ari(case, problem, ends[best]))
            report.row(f"{name}, K = {K}", covariance_type, *cells, *aris)


def ari(case: Case, em: EMMap, solution: Solution) -> str:
    labels = LABELS.get(case.name)
    if labels is None or len(np.unique(labels)) != case.K:
        return ""
    coordinates, parameters = em.coordinates, solution.evaluation.parameters
    dtype = np.dtype(float)
    fitted = GaussianMixture.from_parameters(
        parameters.weights,
        coordinates.outward(em.structure, parameters, dtype).means,
        coordinates.covariances(em.structure, parameters, dtype),
        case.covariance_type,
    )
    return f"{adjusted_rand_score(labels, fitted.predict(case.X)):.2f}"


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "penalty",
        "The penalty",
        "ℓ_p = ℓ − (ε/2) Σ_k [tr(Λ Σ_k⁻¹) + log|Σ_k|], with ε = 2/√N and Λ on the "
        "scale of the clusters.",
    )
    chosen = list(cases())
    restarted = [(name, K) for name, numbers in REAL for K in numbers if name in LABELS]
    if TINY:
        chosen, restarted = chosen[:2], restarted[:1]
    cost_table(report, chosen)
    restart_table(report, restarted)
    report.save()


if __name__ == "__main__":
    main()
