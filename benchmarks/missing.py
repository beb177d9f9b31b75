"""Incomplete rows: the cost of a pass, and what is recovered beside imputation.

python -m benchmarks.missing [full tied diag spherical] [--no-save] [--tiny]
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_iris
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.data import COVARIANCE_TYPES, mixture_sample, start
from benchmarks.em_pass import cell, skem_pass
from benchmarks.timing import TINY, Report, chosen, duel
from skem import GaussianMixture
from skem.datasets import load_faithful

GRID = [(2000, 3, 2)] if TINY else [(100_000, 5, 5), (100_000, 10, 10), (20_000, 50, 5)]
"""n, d, K."""
SHARE = 0.1
"""Share of the cells that are missing in a pass."""
GAPS = 0.2
"""The same where recovery is asked for."""
SEEDS = range(1 if TINY else 10)


def with_gaps(X: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Remove values completely at random, but for one of each row."""
    rng = np.random.default_rng(seed)
    gaps = rng.random(X.shape) < share
    gaps[np.arange(len(X)), rng.integers(X.shape[1], size=len(X))] = False
    return np.where(gaps, np.nan, X)


def compare_passes(report: Report) -> None:
    report.line(
        f"\n## One EM pass, {SHARE:.0%} of the cells missing completely at random\n\n"
        "Beside the same pass over the complete data. Ratio: complete ÷ incomplete, so "
        "that 0.25 is four times the time."
    )
    report.table(
        "covariance", "data", "complete ms", "incomplete ms", "ratio", "spread"
    )
    for covariance_type in chosen(COVARIANCE_TYPES):
        for n, d, K in GRID:
            X, means = mixture_sample(n, d, K)
            given = start(means, covariance_type)
            incomplete, _ = skem_pass(with_gaps(X, SHARE, 0), covariance_type, given)
            complete, _ = skem_pass(X, covariance_type, given)
            result = duel(incomplete, complete)
            complete_ms, incomplete_ms, _, _ = result.cells
            ratios = result.ratios
            report.row(
                covariance_type,
                cell(n, d, K),
                complete_ms,
                incomplete_ms,
                f"{np.median(ratios):.3f}",
                f"{ratios.min():.3f}-{ratios.max():.3f}",
            )


def imputed(mixture: Any, X: np.ndarray) -> np.ndarray:
    """Fill each gap with its conditional mean under a full mixture."""
    filled, resp = X.copy(), mixture.predict_proba(X)
    for i in np.flatnonzero(np.isnan(X).any(axis=1)):
        gap = np.isnan(X[i])
        filled[i, gap] = 0
        for r, mean, S in zip(
            resp[i], mixture.means_, mixture.covariances_, strict=True
        ):
            own = S[np.ix_(~gap, ~gap)]
            offset = np.linalg.solve(own, X[i, ~gap] - mean[~gap])
            filled[i, gap] += r * (mean[gap] + S[np.ix_(gap, ~gap)] @ offset)
    return filled


def of_skem(train: np.ndarray, K: int, seed: int) -> tuple[Any, np.ndarray]:
    mixture = GaussianMixture(K, random_state=seed).fit(train)
    return mixture, imputed(mixture, train)


def after(imputer: Any) -> Callable[[np.ndarray, int, int], tuple[Any, np.ndarray]]:
    """Return what fills in, and then fits scikit-learn's mixture."""

    def fitted(train: np.ndarray, K: int, seed: int) -> tuple[Any, np.ndarray]:
        filled = imputer.fit_transform(train)
        return Peer(K, n_init=5, random_state=seed).fit(filled), filled

    return fitted


CONTESTANTS = {
    "skem": of_skem,
    "IterativeImputer + scikit-learn": after(
        IterativeImputer(random_state=0, max_iter=30)
    ),
    "KNNImputer + scikit-learn": after(KNNImputer()),
    "mean + scikit-learn": after(SimpleImputer()),
}


def problems() -> dict[str, tuple[np.ndarray, np.ndarray | None, int]]:
    """Name -> rows, labels if there are any, and the number of components."""
    iris = load_iris()
    rows = 400 if TINY else 2000
    X, means = mixture_sample(rows, 5, 4, spread=2.0)
    nearest = ((X[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return {
        "Old Faithful": (load_faithful().data, None, 2),
        "iris": (iris.data, iris.target, 3),
        f"{rows} × 5, K = 4": (X, nearest, 4),
    }


def compare_recovery(report: Report) -> None:
    report.line(
        f"\n## Recovery, {GAPS:.0%} of the cells missing completely at random\n\n"
        "Fitted to nine tenths of the rows, with gaps. Held out: mean log-likelihood "
        "of the other rows, which are complete. ARI: labels of the rows of the fit, by "
        "what they have, beside those that are known. RMSE: of the cells that were "
        "removed, in standard deviations of their column. Means over "
        f"{len(SEEDS)} sets of gaps."
    )
    report.table("data", "method", "held out", "ARI", "RMSE", "seconds")
    for name, (X, y, K) in problems().items():
        for method, fit in CONTESTANTS.items():
            found = [recovery(fit, X, y, K, seed) for seed in SEEDS]
            held_out, ari, rmse, taken = np.mean(found, axis=0)
            report.row(
                name,
                method,
                f"{held_out:.3f}",
                "" if y is None else f"{ari:.3f}",
                f"{rmse:.3f}",
                f"{taken:.2f}",
            )


def recovery(
    fit: Callable, X: np.ndarray, y: np.ndarray | None, K: int, seed: int
) -> tuple[float, ...]:
    """Held-out log-likelihood, ARI, RMSE and seconds for one set of gaps."""
    order = np.random.default_rng(seed).permutation(len(X))
    test, rest = np.split(order, [len(X) // 10])
    train = with_gaps(X[rest], GAPS, seed)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture, filled = fit(train, K, seed)
    taken = time.perf_counter() - begin
    gaps = np.isnan(train)
    error = ((filled - X[rest]) / X.std(axis=0))[gaps]
    rows = train if isinstance(mixture, GaussianMixture) else filled
    labels = mixture.predict(rows)
    ari = np.nan if y is None else adjusted_rand_score(y[rest], labels)
    return mixture.score(X[test]), ari, float(np.sqrt(np.mean(error**2))), taken


def main() -> None:
    report = Report(
        "missing",
        "Missing values",
        "A pass over incomplete rows beside one over complete rows; and fits to "
        "incomplete rows beside imputation followed by a fit.",
    )
    compare_passes(report)
    compare_recovery(report)
    report.save()


if __name__ == "__main__":
    main()
