"""Mixtures of t components beside plain EM in NumPy, and beside Gaussian passes.

python -m benchmarks.student [full tied diag spherical] [--no-save] [--tiny]
"""

from __future__ import annotations

import time
import warnings
from functools import partial

import numpy as np
from scipy.special import digamma, gammaln, logsumexp
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from benchmarks.data import COVARIANCE_TYPES, start
from benchmarks.em_pass import cell, skem_pass
from benchmarks.timing import LEAST, TINY, Report, chosen, duel, seconds
from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    StudentMixture,
    StudentMixtureIC,
)
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.student.em import StudentMap
from skem.core.student.parameters import Freedom, StudentParameters

GRID = [(2000, 2, 3)] if TINY else [(100_000, 2, 3), (100_000, 10, 10), (20_000, 40, 5)]
"""n, d, K."""
SHARES = [0.02, 0.1, 0.3]
SEEDS = range(1 if TINY else 10)
COMPONENTS = range(1, 3 if TINY else 7)


def sample(n: int, d: int, K: int, seed: int = 0, df: float = 4.0, spread: float = 3.0):
    """Rows from K t components, their centres and components."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, spread, (K, d))
    labels = rng.integers(K, size=n)
    tau = rng.chisquare(df, n) / df
    X = centres[labels] + rng.normal(size=(n, d)) / np.sqrt(tau)[:, None]
    return X, centres, labels


class PlainEM:
    """EM of a t mixture with full scale matrices, as one writes it in NumPy.

    Degrees of freedom by a bisection of the M-step's equation.
    """

    def __init__(self, X, means, df=5.0):
        K, d = means.shape
        self.X, self.weights, self.means = X, np.full(K, 1 / K), means
        self.scales, self.df = np.broadcast_to(np.eye(d), (K, d, d)), np.full(K, df)

    def step(self) -> float:
        """Take a step; return the log-likelihood before it."""
        X, (K, d) = self.X, self.means.shape
        distances, logs = np.empty((2, len(X), K))
        for k in range(K):
            lower = np.linalg.cholesky(self.scales[k])
            white = np.linalg.solve(lower, (X - self.means[k]).T)
            distances[:, k] = np.square(white).sum(axis=0)
            nu = self.df[k]
            logs[:, k] = (
                np.log(self.weights[k]) + gammaln((nu + d) / 2) - gammaln(nu / 2)
                - d / 2 * np.log(nu * np.pi) - np.log(np.diagonal(lower)).sum()
                - (nu + d) / 2 * np.log1p(distances[:, k] / nu)
            )  # fmt: skip
        log_density = logsumexp(logs, axis=1)
        resp = np.exp(logs - log_density[:, None])
        u = (self.df + d) / (self.df + distances)
        counts, weighted = resp.sum(axis=0), resp * u
        self.weights = counts / len(X)
        self.means = weighted.T @ X / weighted.sum(axis=0)[:, None]
        self.scales = np.empty((K, d, d))
        tails = np.einsum("nk,nk->k", resp, np.log(u) - u) / counts
        tails += digamma((self.df + d) / 2) - np.log((self.df + d) / 2)
        low, high = np.full(K, 1e-2), np.full(K, 1e6)
        for _ in range(60):
            middle = np.sqrt(low * high)
            above = np.log(middle / 2) - digamma(middle / 2) + 1 + tails > 0
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        self.df = middle
        for k in range(K):
            centred = X - self.means[k]
            self.scales[k] = (weighted[:, k] * centred.T) @ centred / counts[k]
        return float(log_density.sum())


def student_pass(X, covariance_type, given):
    """Return a function that times passes of the t mixture."""
    structure, K = STRUCTURES[covariance_type], len(given["means_init"])
    public = StudentParameters(
        given["weights_init"],
        given["means_init"],
        structure.factor_precisions(given["precisions_init"]),
        np.full(K, 5.0),
    )

    def timed() -> float:
        with Workers() as workers:
            blocks = ArrayBlocks(X, None, workers, X.dtype)
            freedom = Freedom(public.df, fixed=False)
            em = StudentMap.of_data(blocks, structure, K, 1e-6, freedom)
            here = em.coordinates.inward(structure, public)
            em.evaluate(here)
            return seconds(lambda: em.evaluate(here).successor, LEAST)

    return timed


def compare_passes(report: Report) -> None:
    report.line("\n## One pass\n\nPeer: plain EM in NumPy, full scale matrices.")
    report.table("data", "peer ms", "skem ms", "ratio", "spread")
    for n, d, K in GRID:
        X, centres, _ = sample(n, d, K)
        plain = PlainEM(X, centres)
        ours = student_pass(X, "full", start(centres, "full"))
        found = duel(ours, lambda plain=plain: seconds(plain.step, LEAST))
        report.row(cell(n, d, K), *found.cells)
    report.line(
        "\nTimes of a t pass in those of a Gaussian pass of the same structure."
    )
    report.table("covariance", "data", "Gaussian ms", "t ms", "t ÷ Gaussian")
    for covariance_type in chosen(COVARIANCE_TYPES):
        for n, d, K in GRID:
            X, centres, _ = sample(n, d, K)
            given = start(centres, covariance_type)
            gaussian, _ = skem_pass(X, covariance_type, given)
            found = duel(student_pass(X, covariance_type, given), gaussian)
            theirs, own, _, _ = found.cells
            report.row(
                covariance_type, cell(n, d, K), theirs, own, f"{1 / found.ratio:.1f}"
            )


def compare_fits(report: Report) -> None:
    report.line(
        "\n## From the same start to the same optimum\n\n"
        "Plain EM until it is within 0.01 nats of the end of a fit to 0.001 nats."
    )
    report.table("data", "EM steps", "skem steps", "EM s", "skem s", "nats of skem")
    for n, d, K in [(1000, 2, 2)] if TINY else [(5000, 2, 3), (20_000, 5, 4)]:
        X, centres, _ = sample(n, d, K, spread=4.0)
        given = start(centres, "full")
        params = {"reg_covar": 0.0, "df_init": 5.0, **given}
        end = StudentMixture(K, tol=1e-3, **params).fit(X).lower_bound_ * n
        began = time.process_time()
        ours = StudentMixture(K, **params).fit(X)
        own = time.process_time() - began
        began, steps = time.process_time(), 0
        plain = PlainEM(X, given["means_init"])
        while plain.step() < end - 0.01 and steps < 2000:
            steps += 1
        theirs = time.process_time() - began
        left = end - ours.lower_bound_ * n
        report.row(
            cell(n, d, K), steps, ours.n_iter_, f"{theirs:.2f}", f"{own:.2f}",
            f"{left:.4f}",
        )  # fmt: skip


def compare_searches(report: Report) -> None:
    report.line(
        "\n## Default fits beside those of Gaussian mixtures\n\n"
        "And `StudentMixtureIC` beside `GaussianMixtureIC`, with K = 1 to 6 and four "
        "structures."
    )
    report.table("data", "what", "Gaussian ms", "t ms", "t ÷ Gaussian")
    for name, X, K in small_data():
        for what, kinds in {
            f"K = {K}": (
                GaussianMixture(K, random_state=0),
                StudentMixture(K, random_state=0),
            ),
            "selection": (
                GaussianMixtureIC(COMPONENTS, random_state=0),
                StudentMixtureIC(COMPONENTS, random_state=0),
            ),
        }.items():
            gaussian, ours = (partial(seconds, partial(kind.fit, X)) for kind in kinds)
            found = duel(ours, gaussian, rounds=3)
            theirs, own, _, _ = found.cells
            report.row(name, what, theirs, own, f"{1 / found.ratio:.1f}")


def small_data() -> list[tuple[str, np.ndarray, int]]:
    """Return names, data and numbers of components."""
    found = [("iris, 150 × 4", load_iris().data, 3)]
    if not TINY:
        found.append(("2000 × 5", sample(2000, 5, 4)[0], 4))
    return found


def compare_clusterings(report: Report) -> None:
    report.line(
        "\n## Outliers\n\nThree Gaussian clusters of 300 rows in all, 6 standard "
        "deviations apart, and a share of rows from a Cauchy distribution 20 times as "
        f"wide; default fits with K = 3, {len(SEEDS)} samples. Adjusted Rand index of "
        "the clusters' rows: mean, and the worst."
    )
    report.table("outliers", "Gaussian", "t")
    for share in SHARES:
        scores = np.array([one_clustering(share, seed) for seed in SEEDS])
        mean, least = scores.mean(axis=0), scores.min(axis=0)
        cells = [f"{m:.2f} ({w:.2f})" for m, w in zip(mean, least, strict=True)]
        report.row(f"{share:.0%}", *cells)


def one_clustering(share: float, seed: int) -> list[float]:
    """Adjusted Rand indices of a Gaussian and of a t mixture."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 300)
    X = np.array([[0, 0], [6, 0], [0, 6.0]])[y] + rng.normal(size=(300, 2))
    Z = np.vstack([X, 20 * rng.standard_cauchy((round(300 * share), 2))])
    return [
        adjusted_rand_score(y, kind(3, random_state=seed).fit(Z).predict(X))
        for kind in (GaussianMixture, StudentMixture)
    ]


def main() -> None:
    report = Report(
        "student",
        "Mixtures of t components",
        "Same data, same start, same process, in turn; median of 5 rounds after a "
        "warm-up. Ratio: the peer's time ÷ skem's.",
    )
    compare_passes(report)
    compare_fits(report)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare_searches(report)
    compare_clusterings(report)
    report.save()


if __name__ == "__main__":
    main()
