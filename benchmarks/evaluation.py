"""Evaluation of a fitted mixture beside scikit-learn's.

python -m benchmarks.evaluation [full tied diag spherical] [--no-save] [--tiny]
"""

from __future__ import annotations

from functools import partial

from sklearn.mixture import GaussianMixture as Peer

from benchmarks.data import COVARIANCE_TYPES, GRID, mixture_sample, start
from benchmarks.em_pass import cell, fitted
from benchmarks.timing import LEAST, Report, chosen, duel, seconds
from skem import GaussianMixture


def compare(report: Report) -> None:
    report.table(
        "method", "covariance", "data", "scikit-learn ms", "skem ms", "ratio", "spread"
    )
    for method in ("score_samples", "predict_proba"):
        for covariance_type in chosen(COVARIANCE_TYPES):
            for n, d, K in GRID[:5]:
                X, means = mixture_sample(n, d, K)
                given = start(means, covariance_type)
                jobs = [
                    getattr(
                        fitted(kind, X, covariance_type=covariance_type, **given),
                        method,
                    )
                    for kind in (GaussianMixture, Peer)
                ]
                result = duel(
                    *(partial(seconds, partial(job, X), LEAST) for job in jobs)
                )
                report.row(
                    method,
                    covariance_type,
                    cell(n, d, K),
                    *result.cells,
                )


def main() -> None:
    report = Report(
        "evaluation",
        "Evaluation of a fitted mixture",
        "skem beside `sklearn.mixture.GaussianMixture`, float64: same data and "
        "parameters, same process, in turn; median of 5 rounds after a warm-up. "
        "Ratio: scikit-learn's time ÷ skem's, with its smallest and largest value.",
    )
    compare(report)
    report.save()


if __name__ == "__main__":
    main()
