"""Streams: what one pass loses, batches per second, and how a drift is followed.

python -m benchmarks.stream [quality throughput drift] [--no-save] [--tiny]
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans

from benchmarks.data import overlapping_sample
from benchmarks.timing import TINY, Report, duel, seconds, write_parts
from skem import GaussianMixture

N, D, K = 3000 if TINY else 1_000_000, 5, 6
HELD_OUT = 1000 if TINY else 50_000
BATCH = 1000
OVERLAPS = {"moderate": 1.0, "heavy": 0.6}
"""Standard deviation of the means, in those of the components."""
SEEDS = 1 if TINY else 10
DECAYS = (0.51, 0.6, 0.7, 0.8, 1.0)
NEAR = 0.005
LEAST = 0.0 if TINY else 0.2
"""Seconds of batches in a round, at least."""


def batches(X: np.ndarray, size: int = BATCH) -> Iterator[np.ndarray]:
    for start in range(0, len(X), size):
        yield X[start : start + size]


def feed(model, X: np.ndarray, size: int = BATCH):
    for batch in batches(X, size):
        model.partial_fit(batch)
    return model


def copy_of(model, **params):
    """Return the model with its state, and other parameters."""
    return pickle.loads(pickle.dumps(model)).set_params(**params)


def quality(report: Report) -> None:
    report.line(
        f"\n## One pass over {N} × {D}, K = {K}, in batches of {BATCH}\n\n"
        f"Nats per sample that the held-out mean log-likelihood ({HELD_OUT} rows) "
        "falls short of the batch fit's. The start is the fit of the first batch "
        "alone, from k-means; the batch fit goes from there over all rows to its "
        "optimum, and the stream goes once over the rest. Components have random "
        "shapes; each seed is another problem."
    )
    for name, spread in list(OVERLAPS.items())[: 1 if TINY else None]:
        lost(report, name, spread)


def lost(report: Report, name: str, spread: float) -> None:
    report.line(f"\n### Overlap: {name}, means N(0, {spread}²)")
    report.table("seed", "at the start", *(f"κ = {decay}" for decay in DECAYS))
    losses = []
    for seed in range(SEEDS):
        X = overlapping_sample(N + HELD_OUT, D, K, spread, seed)
        X, held_out = X[:N], X[N:]
        start = GaussianMixture(K, random_state=seed).partial_fit(X[:BATCH])
        best = copy_of(start, warm_start=True).fit(X).score(held_out)
        streamed = [
            feed(copy_of(start, learning_decay=decay), X[BATCH:]) for decay in DECAYS
        ]
        found = [best - model.score(held_out) for model in (start, *streamed)]
        losses.append(found)
        report.row(seed, *(f"{loss:.4f}" for loss in found))
    for name, summary in (("median", np.median), ("largest", np.max)):
        report.row(name, *(f"{x:.4f}" for x in summary(losses, axis=0)))
    within = np.sum(np.array(losses) <= NEAR, axis=0)
    report.row(f"within {NEAR}", *(f"{x} of {SEEDS}" for x in within))


def throughput(report: Report) -> None:
    report.line(
        "\n## Time of a batch\n\n"
        "`partial_fit` of skem's GaussianMixture (full covariances) and of "
        "scikit-learn's MiniBatchKMeans, which has no covariances. Ratio: "
        "MiniBatchKMeans's time ÷ skem's."
    )
    report.table("rows", "MiniBatchKMeans ms", "skem ms", "ratio", "spread")
    for size in (1, 100) if TINY else (1, 100, 1000, 10_000, 100_000):
        X = overlapping_sample(max(10 * size, 2000), D, K, OVERLAPS["moderate"], seed=0)
        models = [GaussianMixture(K, random_state=0), MiniBatchKMeans(K, n_init=1)]
        jobs = [
            partial(seconds, partial(model.partial_fit(X).partial_fit, X[:size]), LEAST)
            for model in models
        ]
        report.row(size, *duel(*jobs).cells)


def drift(report: Report) -> None:
    n_batches, radius = 10 if TINY else 1000, 8.0
    report.line(
        f"\n## Means that drift\n\n{n_batches} batches of {BATCH} rows of {K} unit "
        f"clusters on a circle of radius {radius}, all of which move by a constant "
        "step from batch to batch. Root mean square distance of the means from the "
        "truth at the end, in standard deviations of the clusters."
    )
    windows = (None, 1_000, 10_000, 30_000)
    report.table("step", *(f"learning_window = {window}" for window in windows))
    rng = np.random.default_rng(0)
    angles = 2 * np.pi * np.arange(K) / K
    means = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    direction = np.array([1.0, 0.0])
    noise = rng.normal(size=(n_batches, BATCH, 2))
    parts = means[rng.integers(K, size=(n_batches, BATCH))] + noise
    template = GaussianMixture.from_parameters(
        np.full(K, 1 / K), means, np.broadcast_to(np.eye(2), (K, 2, 2))
    )
    for step in (0.0, 0.001, 0.01, 0.1):
        row = []
        for window in windows:
            model = copy_of(template, learning_window=window)
            for t, part in enumerate(parts):
                model.partial_fit(part + step * t * direction)
            error = model.means_ - (means + step * (n_batches - 1) * direction)
            row.append(np.sqrt(np.mean(error**2) * 2))
        report.row(step, *(f"{x:.3f}" for x in row))


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "stream",
        "Streams",
        "`partial_fit`, one pass. The default of `learning_decay`, κ, is "
        f"{clone(GaussianMixture()).learning_decay}.",
    )
    write_parts(report, quality, throughput, drift)


if __name__ == "__main__":
    main()
