"""How many rows are said to be one in a hundred by `support_probability`.

python -m benchmarks.support [--no-save] [--tiny]
"""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks.data import mixture_sample
from benchmarks.timing import TINY, Report
from skem import GaussianMixture
from skem.core.gaussian.covariance import STRUCTURES

RARE = 0.01
NEW = 2000
"""New rows for each fit."""
DRAWS = 20_000
REPEATS = 1 if TINY else 20
CASES = [
    (400, 2, 2, "full"),
    (1000, 2, 2, "full"),
    (10_000, 2, 2, "full"),
    (400, 5, 3, "full"),
    (400, 5, 3, "diag"),
    (250, 30, 2, "full"),
    (250, 30, 2, "tied"),
    (250, 30, 2, "diag"),
    (2500, 30, 2, "full"),
]
"""n, d, K, covariance type."""


def shares(n: int, d: int, K: int, covariance_type: str, seed: int) -> list[float]:
    """Shares below `RARE` of draws of the mixture, rows of the fit and new rows."""
    X, _ = mixture_sample(n + NEW, d, K, seed)
    mixture = GaussianMixture(
        K, covariance_type=covariance_type, random_state=seed
    ).fit(X[:n])
    own, _ = mixture.sample(NEW, random_state=seed + 1)
    return [
        float(np.mean(mixture.support_probability(rows, DRAWS, 0) < RARE))
        for rows in (own, X[:n], X[n:])
    ]


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "support",
        "Rows that are one in a hundred",
        f"Percentage of rows with a `support_probability` below {RARE:g}. The rows are "
        "from K unit Gaussians with means N(0, 3²), so that each of the structures is "
        f"right; means of {REPEATS} data sets and default fits, with the largest in "
        f"brackets; {NEW} draws of the fitted mixture and {NEW} new rows for each. "
        "Parameters per row: free parameters of the mixture ÷ n.",
    )
    report.table(
        "rows × features, K",
        "covariance",
        "parameters per row",
        "draws of the mixture",
        "rows of the fit",
        "new rows",
    )
    for n, d, K, covariance_type in CASES[:2] if TINY else CASES:
        found = np.array(
            [shares(n, d, K, covariance_type, seed) for seed in range(REPEATS)]
        )
        structure = STRUCTURES[covariance_type]
        n_parameters = K * d + K - 1 + structure.n_parameters(K, d)
        report.row(
            f"{n} × {d}, {K}",
            covariance_type,
            f"{n_parameters / n:.3f}",
            *(
                f"{100 * column.mean():.1f} ({100 * column.max():.1f})"
                for column in found.T
            ),
        )
    report.save()


if __name__ == "__main__":
    main()
