"""Mixtures of tables: a pass over categories and over mixed columns, and whole fits.

python -m benchmarks.families [--no-save] [--tiny]
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from benchmarks.timing import LEAST, TINY, Report, duel, seconds
from skem import MixtureModel
from skem.core.blocks.threads import Workers
from skem.families.table_map import TableMap

N = 2000 if TINY else 100_000
N_MIXED = 2000 if TINY else 1_000_000
ITEMS, CATEGORIES, K = 10, 4, 5
STARTS = 10


class LatentClasses:
    """EM of latent classes as NumPy has it, with one-hot rows made in each step."""

    def __init__(self, X: np.ndarray, n_components: int) -> None:
        self.X = X.astype(int)
        self.K = n_components

    def one_hot(self) -> np.ndarray:
        n, d = self.X.shape
        rows = np.zeros((n, d * CATEGORIES))
        for j in range(d):
            rows[np.arange(n), j * CATEGORIES + self.X[:, j]] = 1
        return rows

    def m_step(self, resp: np.ndarray) -> None:
        counts = resp.sum(axis=0)
        self.weights = counts / len(resp)
        self.p = (self.one_hot().T @ resp / counts).T

    def e_step(self) -> tuple[float, np.ndarray]:
        logits = self.one_hot() @ np.log(np.clip(self.p, 1e-15, 1)).T
        logits += np.log(self.weights)
        norm = logsumexp(logits, axis=1, keepdims=True)
        return float(norm.mean()), np.exp(logits - norm)

    def step(self) -> None:
        self.m_step(self.e_step()[1])

    def fit(self, seed: int) -> float:
        """Return the best mean log-likelihood of several random starts."""
        rng = np.random.default_rng(seed)
        best = -np.inf
        for _ in range(STARTS):
            self.m_step(rng.dirichlet(np.ones(self.K), len(self.X)))
            before = -np.inf
            for _ in range(1000):
                value, resp = self.e_step()
                if value - before < 1e-10:
                    break
                before = value
                self.m_step(resp)
            best = max(best, value)
        return best


def classes(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(CATEGORIES), size=(K, ITEMS))
    z = rng.integers(K, size=n)
    u = rng.random((n, ITEMS))[:, :, None]
    return (u > np.cumsum(p[z], axis=2)).sum(axis=2).clip(0, CATEGORIES - 1)


def mixed(n: int) -> tuple[np.ndarray, dict[int, str]]:
    """Four columns of numbers, two of counts, four of categories."""
    rng = np.random.default_rng(1)
    z = rng.integers(K, size=n)
    numbers = rng.normal(3 * z[:, None], 1, (n, 4))
    counts = rng.poisson(2 + 3 * z[:, None], (n, 2))
    X = np.column_stack([numbers, counts, classes(n)[:, :4]]).astype(float)
    families = dict.fromkeys((4, 5), "poisson") | dict.fromkeys(
        range(6, 10), "categorical"
    )
    return X, families


def passes(X: np.ndarray, families: object):
    """Return a function that times passes, of rows that are not merged."""
    model = MixtureModel(
        K, families=families, covariance_type="diag", random_state=0, tol=1e3
    ).fit(X[: min(len(X), 5000)])
    values = np.ascontiguousarray(X.T, dtype=float)

    def timed() -> float:
        with Workers() as workers:
            product = model._product.of(values)
            em = TableMap(product, values, np.ones(len(X)), workers)
            em.evaluate(model._point)
            return seconds(lambda: em.evaluate(model._point).successor, LEAST)

    return timed


def compare_passes(report: Report) -> None:
    report.line("\n## One EM pass")
    report.table("data", "peer", "peer ms", "skem ms", "ratio", "spread")
    X = classes(N)
    peer = LatentClasses(X, K)
    peer.m_step(np.random.default_rng(0).dirichlet(np.ones(K), N))
    result = duel(passes(X, "categorical"), lambda: seconds(peer.step, LEAST))
    shape = f"{N} × {ITEMS} items of {CATEGORIES}, K = {K}"
    report.row(shape, "NumPy, one-hot rows in each step", *result.cells)
    X, families = mixed(N_MIXED)
    numbers = np.random.default_rng(2).normal(size=(N_MIXED, 10))
    result = duel(passes(X, families), passes(numbers, "gaussian"))
    report.row(f"{N_MIXED} × 10, mixed, K = {K}", "10 Gaussian columns", *result.cells)


def compare_fits(report: Report) -> None:
    report.line(
        f"\n## Whole fits of latent classes\n\nPeer: {STARTS} random starts, to an "
        "increase of the mean log-likelihood of less than 1e-10. Lead: total "
        "log-likelihood of skem's default fit, which is penalised, less the peer's."
    )
    report.table("rows", "peer ms", "skem ms", "ratio", "spread", "lead")
    for n in (300,) if TINY else (1000, 10_000):
        X = classes(n, 3)
        values = {}

        def ours(X: np.ndarray = X, values: dict = values) -> float:
            def job() -> None:
                model = MixtureModel(K, families="categorical", random_state=0).fit(X)
                values["skem"] = model.lower_bound_

            return seconds(job)

        def theirs(X: np.ndarray = X, values: dict = values) -> float:
            def job() -> None:
                values["peer"] = LatentClasses(X, K).fit(0)

            return seconds(job)

        result = duel(ours, theirs, rounds=3)
        lead = n * (values["skem"] - values["peer"])
        report.row(n, *result.cells, f"{lead:.2f}")


def main() -> None:
    report = Report(
        "families",
        "Mixtures of tables",
        "skem's `MixtureModel` beside plain NumPy; same process, in turn; medians of "
        "rounds after a warm-up, with the smallest and the largest ratio.",
    )
    compare_passes(report)
    compare_fits(report)
    report.save()


if __name__ == "__main__":
    main()
