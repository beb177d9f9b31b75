"""Default fits as practitioners make them, beside scikit-learn's.

python -m benchmarks.practice [pixels-8 pixels-64 speaker-24 ...] [--no-save] [--tiny]

All of them take about ten minutes; the keys of `CASES` are the names of single ones.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.data import overlapping_sample
from benchmarks.optima import objective
from benchmarks.timing import REST, TINY, Report, chosen
from skem import GaussianMixture

ASKED = 1.5
"""Times scikit-learn's time that a default fit may take."""


class Practice(NamedTuple):
    """What somebody fits."""

    draw: Callable[[], np.ndarray]
    K: int
    covariance_type: str
    repeats: int = 1


def pixels() -> np.ndarray:
    """An image of 512 × 512 pixels: gradients, discs and noise."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:512, :512] / 512
    image = np.stack(
        [
            120 + 60 * np.sin(6 * u + 2 * v),
            100 + 70 * np.cos(5 * v),
            90 + 80 * u * v,
        ],
        -1,
    )
    for _ in range(25):
        x, y, size = rng.random(3) * [1, 1, 0.15]
        image[(u - x) ** 2 + (v - y) ** 2 < size**2] = rng.integers(0, 256, 3)
    noise = rng.normal(0, 6, image.shape) * (1 + v[..., None])
    return np.clip(image + noise, 0, 255).astype(np.uint8).reshape(-1, 3)


def features(n: int, d: int, n_groups: int, rank: int, seed: int = 0) -> np.ndarray:
    """Rows of many groups that vary in a few common directions, as speech does."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_groups, d))
    common = rng.normal(size=(rank, d)) / np.sqrt(rank)
    y = rng.integers(0, n_groups, n)
    return (
        centres[y] + rng.normal(size=(n, rank)) @ common + 0.5 * rng.normal(size=(n, d))
    )


def cytometry() -> np.ndarray:
    """Populations of unequal sizes, skewed as after a transformation."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(15, 0.7))
    y = rng.choice(15, 300_000, p=shares)
    X = 3 * rng.normal(size=(15, 8))[y] + rng.gamma(4, 0.4, size=(300_000, 8))
    return np.arcsinh(X)


def positions() -> np.ndarray:
    """Places of very different extent on a map."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 50, 1_000_000)
    sd = np.exp(rng.normal(-1, 1, 50))[y][:, None]
    return 20 * rng.normal(size=(50, 2))[y] + sd * rng.normal(size=(1_000_000, 2))


def at_least_zero(n: int, d: int, n_groups: int, rank: int) -> np.ndarray:
    """Such rows, of which half of the values are zeros, as of what is seldom seen."""
    return np.clip(features(n, d, n_groups, rank), 0, None)


def digits() -> np.ndarray:
    return load_digits().data


CASES = {
    "pixels-8": Practice(pixels, 8, "full"),
    "pixels-64": Practice(pixels, 64, "full"),
    "speaker-24": Practice(lambda: features(50_000, 24, 400, 6), 256, "diag"),
    "speaker-40": Practice(lambda: features(50_000, 40, 400, 8), 256, "diag"),
    "embeddings-128": Practice(lambda: features(20_000, 128, 100, 20), 64, "diag"),
    "embeddings-768": Practice(lambda: features(20_000, 768, 30, 50), 10, "diag"),
    "cytometry": Practice(cytometry, 15, "full"),
    "positions": Practice(positions, 50, "full"),
    "digits": Practice(digits, 10, "full"),
    "counters": Practice(lambda: at_least_zero(50_000, 16, 10, 4), 10, "diag"),
    "spectra": Practice(lambda: at_least_zero(1_500, 784, 10, 10), 10, "diag"),
    "windows": Practice(lambda: features(3_000, 50, 3, 10), 3, "full"),
    "small": Practice(
        lambda: overlapping_sample(200, 3, 2, 2.0, seed=0), 2, "full", 1000
    ),
}


class Fitted(NamedTuple):
    """Seconds of all fits, and the last one."""

    seconds: float
    model: Any


def fitted(make: Callable[..., Any], X: np.ndarray, case: Practice) -> Fitted:
    """Fit with the seeds 0, 1, …"""
    common = {"n_components": case.K, "covariance_type": case.covariance_type}
    repeats = min(case.repeats, 5) if TINY else case.repeats
    time.sleep(REST)
    begin = time.perf_counter()
    for seed in range(repeats):
        model = make(random_state=seed, **common).fit(X)
    return Fitted(time.perf_counter() - begin, model)


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "practice",
        "Fits as practitioners make them",
        "Seconds of one default fit (a thousand for the small one) by scikit-learn and "
        "by skem, in turn, and by how many nats skem ends higher: in the plain "
        "log-likelihood, and less skem's penalty, where values that many rows share "
        "count as rounded. Digits, pixels, counters and spectra have constant columns, "
        "or clipped values: "
        "there the plain likelihood has no upper bound, and scikit-learn's is higher "
        "the more components have shrunk onto such values, down to its `reg_covar`; "
        "the penalised one is what compares the fits.",
    )
    report.table(
        "fit",
        "rows × features",
        "K",
        "covariance",
        "scikit-learn s",
        "skem s",
        "skem ÷ scikit-learn",
        "nats",
        "penalised nats",
    )
    ratios = []
    for name in chosen(list(CASES)):
        case = CASES[name]
        X = case.draw()
        if TINY:
            X = X[:: max(1, len(X) // 300)][:, :30]
            case = case._replace(K=min(case.K, 3))
        as_float = X.astype(float)
        theirs = fitted(Peer, as_float, case)
        ours = fitted(GaussianMixture, X, case)
        ratios.append(ours.seconds / theirs.seconds)
        models = [ours.model, theirs.model]
        own, other = (len(X) * model.score(as_float) for model in models)
        own_penalised, other_penalised = (
            objective(as_float, model) for model in models
        )
        report.row(
            name,
            f"{len(X)} × {X.shape[1]}",
            case.K,
            case.covariance_type,
            f"{theirs.seconds:.2f}",
            f"{ours.seconds:.2f}",
            f"{ratios[-1]:.2f}",
            f"{own - other:+.1f}",
            f"{own_penalised - other_penalised:+.1f}",
        )
    slower = sum(ratio > ASKED for ratio in ratios)
    report.line(f"\n{slower} of {len(ratios)} take more than {ASKED} times as long.")
    report.save()


if __name__ == "__main__":
    main()
