"""Standard errors from the information beside those of the parametric bootstrap.

python -m benchmarks.standard_errors [full tied diag spherical] [--no-save]
"""

from __future__ import annotations

import time
import warnings
from typing import NamedTuple

import numpy as np

from benchmarks.data import COVARIANCE_TYPES, overlapping_sample
from benchmarks.timing import Report, chosen
from skem import GaussianMixture
from skem.core.covariance import STRUCTURES
from skem.datasets import load_faithful

REPLICATES = 200
PARTS = ("weights", "means", "covariances")


class Bootstrap(NamedTuple):
    """Standard deviations over replicates, and the seconds that they took."""

    errors: list[np.ndarray]
    seconds: float


def refit(mixture: GaussianMixture, X: np.ndarray) -> GaussianMixture:
    """Fit from the parameters that the data were drawn from."""
    return GaussianMixture(
        len(mixture.weights_),
        covariance_type=mixture.covariance_type,
        weights_init=mixture.weights_,
        means_init=mixture.means_,
        precisions_init=mixture.precisions_,
        tol=1e-4,
    ).fit(X)


def nearest(mixture: GaussianMixture, replicate: GaussianMixture) -> np.ndarray:
    """The replicate's component nearest to each of the mixture's, in deviations."""
    offsets = mixture.means_[:, None] - replicate.means_
    deviations = mixture.summary().standard_deviations[:, None]
    return np.square(offsets / deviations).sum(axis=2).argmin(axis=1)


def parameters(mixture: GaussianMixture, order: np.ndarray) -> list[np.ndarray]:
    shared = STRUCTURES[mixture.covariance_type].shared
    covariances = mixture.covariances_
    return [
        mixture.weights_[order],
        mixture.means_[order],
        covariances if shared else covariances[order],
    ]


def bootstrap(mixture: GaussianMixture, n: int) -> Bootstrap:
    begin = time.perf_counter()
    found = []
    for seed in range(REPLICATES):
        X, _ = mixture.sample(n, random_state=seed)
        replicate = refit(mixture, X)
        found.append(parameters(replicate, nearest(mixture, replicate)))
    errors = [np.std(values, axis=0, ddof=1) for values in zip(*found, strict=True)]
    return Bootstrap(errors, time.perf_counter() - begin)


def problems():
    """Yield name, data and number of components."""
    yield "Old Faithful", load_faithful().data, 2
    for n, d, K, spread in [(500, 2, 2, 3.0), (5000, 2, 3, 3.0), (5000, 5, 3, 2.0)]:
        X = overlapping_sample(n, d, K, spread, seed=n + d + K)
        yield f"{n} × {d}, spread {spread:g}", X, K


def compare(report: Report) -> None:
    report.table(
        "covariance", "data", "K", *PARTS, "seconds, information", "seconds, bootstrap"
    )
    for covariance_type in chosen(COVARIANCE_TYPES):
        for name, X, K in problems():
            truth = GaussianMixture(
                K, covariance_type=covariance_type, n_init="auto", random_state=0
            ).fit(X)
            X, _ = truth.sample(len(X), random_state=REPLICATES)
            mixture = refit(truth, X)
            begin = time.perf_counter()
            errors = mixture.standard_errors(X)
            seconds = time.perf_counter() - begin
            peer = bootstrap(mixture, len(X))
            ratios = [
                (ours / theirs).ravel()
                for ours, theirs in zip(errors, peer.errors, strict=True)
            ]
            cells = [
                f"{np.median(ratio):.2f} ({ratio.min():.2f}-{ratio.max():.2f})"
                for ratio in ratios
            ]
            report.row(
                covariance_type,
                name,
                K,
                *cells,
                f"{seconds:.3f}",
                f"{peer.seconds:.1f}",
            )


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "standard_errors",
        "Standard errors",
        "Standard errors from the empirical information ÷ those of the parametric "
        f"bootstrap ({REPLICATES} samples from the fitted mixture, each fitted from "
        "its parameters, components matched by the nearest mean): the median over the "
        "parameters, with the smallest and the largest. The bootstrap's own errors "
        f"have a standard error of {100 / np.sqrt(2 * REPLICATES):.0f} %. The data are "
        "as many rows drawn from a mixture that was fitted to those named, so that the "
        "model is right, as both methods suppose.",
    )
    compare(report)
    report.save()


if __name__ == "__main__":
    main()
