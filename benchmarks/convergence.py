"""Passes and time to the optimum, and how far from it the stopping rules stop.

python -m benchmarks.convergence [--no-save] [--tiny]
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.data import problems
from benchmarks.timing import TINY, Report, geometric_mean
from skem import GaussianMixture
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize
from skem.core.solve.loop import solve
from skem.core.solve.plain import Plain
from skem.core.solve.registry import ACCELERATORS

GAPS = (0.01, 0.001)
"""Nats from the optimum that count as there."""
SAME = 0.02
"""Nats within which two limits are the same optimum."""
SLOW = 40 if TINY else 250
"""Passes of plain EM from which a problem counts as slow."""
CONTESTANTS = ("squarem", "lbfgs")


class Path(NamedTuple):
    """The objective after each pass, with the time since the start of the run."""

    objectives: np.ndarray
    seconds: np.ndarray

    def passes_to(self, value: float) -> int:
        return int(np.argmax(self.objectives >= value)) + 1

    def seconds_to(self, value: float) -> float:
        return float(self.seconds[self.passes_to(value) - 1])


def follow(em, start, accelerator, tol, max_iter) -> Path:
    """Run the loop, and keep its path."""
    objectives, seconds = [], []
    begin = time.perf_counter()

    def keep(step, evaluation, guest):
        objectives.append(evaluation.objective)
        seconds.append(time.perf_counter() - begin)

    solve(em.evaluate, start, accelerator, tol=tol, max_iter=max_iter, callback=keep)
    return Path(np.array(objectives), np.array(seconds))


class Outcome(NamedTuple):
    """One accelerator on one problem, relative to plain EM from the same start."""

    passes: tuple[float, float]
    seconds: tuple[float, float]
    stopped: float
    limit: float


def contest(em, start, name, plain: Path) -> Outcome:
    new = ACCELERATORS[name]
    long = follow(em, start, new(em.chart), 1e-8, 5000)
    short = follow(em, start, new(em.chart), 0.01, 1000)
    best, limit = plain.objectives[-1], long.objectives.max()
    targets = [min(best, limit) - gap for gap in GAPS]
    return Outcome(
        tuple(long.passes_to(t) / plain.passes_to(t) for t in targets),
        tuple(long.seconds_to(t) / plain.seconds_to(t) for t in targets),
        limit - short.objectives[-1],
        limit - best,
    )


def default_gap(em, X, K, covariance_type, seed) -> float:
    """Nats of ℓ_p from the end of skem's default fit to the optimum next to it."""
    mixture = GaussianMixture(K, covariance_type=covariance_type, random_state=seed)
    end = em.coordinates.inward(em.structure, mixture.fit(X)._parameters())
    limit = follow(em, end, Plain(em.chart), 1e-9, 20_000).objectives[-1]
    return limit - em.evaluate(end).objective


def peer_gap(X, K, covariance_type, seed) -> float:
    """Nats of log-likelihood from scikit-learn's default stop to its own optimum.

    skem's plain EM goes on from there: with a numeric `reg_covar` its iterates are the
    same.
    """
    params = {"covariance_type": covariance_type, "reg_covar": 1e-6}
    stopped = Peer(K, random_state=seed, **params).fit(X)
    limit = GaussianMixture(
        K,
        algorithm="em",
        tol=1e-9,
        max_iter=20_000,
        weights_init=stopped.weights_,
        means_init=stopped.means_,
        precisions_init=stopped.precisions_,
        **params,
    ).fit(X)
    return (limit.score(X) - stopped.score(X)) * len(X)


def summary(report: Report, outcomes: dict, plain_passes: np.ndarray) -> None:
    report.line("\n## Relative to plain EM, to the same optimum\n")
    report.line(
        "Geometric mean, and in brackets the worst, over the problems in which the "
        f"limits agree within {SAME} nats; slow: EM needs more than {SLOW} passes."
    )
    report.table(
        "algorithm",
        "problems",
        "passes, 0.01",
        "passes, 0.001",
        "seconds, 0.01",
        "seconds, 0.001",
        "slow problems",
        "passes, 0.001",
        "seconds, 0.001",
    )
    for name, found in outcomes.items():
        same = np.array([abs(outcome.limit) <= SAME for outcome in found])
        slow = same & (plain_passes > SLOW)
        columns = [
            np.array([outcome.passes[i] for outcome in found]) for i in (0, 1)
        ] + [np.array([outcome.seconds[i] for outcome in found]) for i in (0, 1)]
        cells = [
            f"{geometric_mean(c[same]):.3f} ({c[same].max():.2f})" for c in columns
        ]
        slow_cells = [
            f"{geometric_mean(columns[i][slow]):.3f} ({columns[i][slow].max():.2f})"
            for i in (1, 3)
        ]
        report.row(name, same.sum(), *cells, slow.sum(), *slow_cells)


def other_optima(report: Report, names: list, outcomes: dict) -> None:
    report.line("\n## Other optima than plain EM's\n")
    report.line("Nats of the penalised log-likelihood by which the limit is better.")
    report.table("algorithm", "problem", "nats")
    for algorithm, found in outcomes.items():
        for name, outcome in zip(names, found, strict=True):
            if abs(outcome.limit) > SAME:
                report.row(algorithm, name, f"{outcome.limit:+.2f}")


def stopping(report: Report, outcomes: dict, gaps: dict[str, list]) -> None:
    report.line("\n## Nats left at the stop, to the run's own optimum\n")
    report.line(
        "Of single runs with the default `tol` from the start above, and of default "
        "fits, from the end of which plain EM goes on to its limit."
    )
    report.table("run", "median", "90 %", "95 %", "largest")
    rows = {name: [o.stopped for o in found] for name, found in outcomes.items()}
    rows |= gaps
    for name, values in rows.items():
        quantiles = np.quantile(values, [0.5, 0.9, 0.95, 1.0])
        report.row(name, *(f"{max(q, 0):.4f}" for q in quantiles))


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "convergence",
        "Passes to the optimum",
        "From the same k-means start on each problem: passes over the data, and wall "
        "time, until the penalised log-likelihood is within 0.01 and 0.001 nats of the "
        "optimum that plain EM reaches (run to 1e-9 nats).",
    )
    report.table(
        "problem", "EM passes, 0.01", "0.001", "squarem, 0.001", "lbfgs, 0.001"
    )
    names, plain_passes = [], []
    gaps: dict[str, list] = {"skem, default fit": [], "scikit-learn, default fit": []}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in CONTESTANTS}
    for seed, (name, X, K, covariance_type) in enumerate(problems()):
        with Workers() as workers:
            blocks = ArrayBlocks(X, None, workers, X.dtype)
            em = EMMap.prepare(blocks, STRUCTURES[covariance_type], K, "auto")
            rng = np.random.RandomState(seed)
            start = initialize(em, INITIALIZERS["kmeans"], K, rng)
            run = partial(follow, em, start)
            plain = run(Plain(em.chart), 1e-9, 20_000)
            for contestant in CONTESTANTS:
                outcomes[contestant].append(contest(em, start, contestant, plain))
            ours = default_gap(em, X, K, covariance_type, seed)
        limit = plain.objectives[-1]
        passes = [plain.passes_to(limit - gap) for gap in GAPS]
        names.append(name)
        plain_passes.append(passes[1])
        theirs = peer_gap(X, K, covariance_type, seed)
        for own, gap in zip(gaps.values(), (ours, theirs), strict=True):
            own.append(gap)
        report.row(
            name, *passes, *(f"{outcomes[c][-1].passes[1]:.2f}" for c in CONTESTANTS)
        )
    summary(report, outcomes, np.array(plain_passes))
    other_optima(report, names, outcomes)
    stopping(report, outcomes, gaps)
    report.save()


if __name__ == "__main__":
    main()
