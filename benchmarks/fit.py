"""Whole default fits beside scikit-learn's: time, likelihood reached, and memory.

python -m benchmarks.fit [small ridge large optimum memory] [--no-save] [--tiny]
"""

from __future__ import annotations

import tracemalloc
import warnings
from functools import partial
from itertools import count

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.data import mixture_sample, overlapping_sample
from benchmarks.timing import TINY, Report, duel, seconds, write_parts
from skem import GaussianMixture
from skem.datasets import load_faithful

GAP = 0.01
MOST_PASSES = 30 if TINY else 3000
OPTIMUM_ROUNDS = 1 if TINY else 3


def fit(kind, X, K, params, seeds, fits):
    """Fit with the next seed, and keep the fit."""
    model = kind(K, random_state=next(seeds), **params)
    fits.append(model.fit(X))


def compare(
    report: Report, name: str, X: np.ndarray, K: int, rounds: int, **params: float
) -> None:
    fits = [], []
    jobs = [
        partial(seconds, partial(fit, kind, X, K, params, count(), kept))
        for kind, kept in zip((GaussianMixture, Peer), fits, strict=True)
    ]
    result = duel(*jobs, rounds=rounds)
    ours, theirs = ([model.score(X) * len(X) for model in kept] for kept in fits)
    steps = [np.median([model.n_iter_ for model in kept]) for kept in fits]
    report.row(
        name,
        K,
        f"{1e3 * result.peer.median:.1f}",
        f"{1e3 * result.skem.median:.1f}",
        f"{result.ratio:.2f}",
        result.spread,
        f"{steps[1]:.0f}",
        f"{steps[0]:.0f}",
        f"{np.median(np.subtract(ours, theirs)):+.2f}",
    )


HEADER = (
    "data",
    "K",
    "scikit-learn ms",
    "skem ms",
    "ratio",
    "spread",
    "scikit-learn steps",
    "skem steps",
    "nats ahead",
)


def small(report: Report) -> None:
    report.line("\n## Small real data")
    of_real_data(report)


def ridge(report: Report) -> None:
    report.line("\n## The same with `reg_covar=1e-6`, scikit-learn's default")
    of_real_data(report, reg_covar=1e-6)


def of_real_data(report: Report, **params: float) -> None:
    report.table(*HEADER)
    data = {
        "iris": load_iris().data,
        "wine": load_wine().data,
        "faithful": load_faithful().data,
    }
    for name, X in data.items():
        for K in (2,) if TINY else (2, 3, 5):
            title = f"{name} {X.shape[0]} × {X.shape[1]}"
            compare(report, title, X, K, 15, **params)


def large(report: Report) -> None:
    report.line("\n## Large data")
    report.table(*HEADER)
    sizes = [(100_000, 2, 8), (100_000, 10, 10), (1_000_000, 2, 8)]
    for n, d, K in [(2000, 2, 3)] if TINY else sizes:
        X, _ = mixture_sample(n, d, K)
        compare(report, f"{n} × {d}", X, K, 5)


def passes_to_go(X, peer: Peer, gap: float) -> int:
    """Passes that scikit-learn would take from where it stopped to its own optimum.

    skem's plain EM takes them: with a numeric `reg_covar` its iterates are the same.
    """
    limit = GaussianMixture(
        peer.n_components,
        reg_covar=peer.reg_covar,
        algorithm="em",
        tol=gap / 10,
        max_iter=MOST_PASSES,
        weights_init=peer.weights_,
        means_init=peer.means_,
        precisions_init=peer.precisions_,
    ).fit(X)
    totals = np.array(limit.lower_bounds_) * len(X)
    return int(np.argmax(totals >= totals[-1] - gap)) + 1


def optimum(report: Report) -> None:
    report.line("\n## To the optimum\n")
    report.line(
        "Seconds of default fits, in turn; and of scikit-learn, were it to go on to "
        f"within {GAP} nats of its own optimum: passes (counted by skem's plain EM, at "
        f"most {MOST_PASSES}) × its seconds for one. Medians of {OPTIMUM_ROUNDS} seeds."
    )
    report.table(
        "data",
        "K",
        "skem s",
        "scikit-learn s",
        "ratio",
        "passes to go",
        "scikit-learn s to the gap",
        "ratio",
        "nats ahead",
    )
    for name, X, K in large_problems():
        rows = []
        for seed in range(OPTIMUM_ROUNDS):
            models, times = [], []
            for kind in (GaussianMixture, Peer):
                model = kind(K, random_state=seed)
                times.append(seconds(partial(model.fit, X)))
                models.append(model)
            ours, peer = models
            per_pass = seconds(partial(Peer.fit, one_pass(peer), X))
            to_go = passes_to_go(X, peer, GAP)
            ahead = (ours.score(X) - peer.score(X)) * len(X)
            rows.append([*times, to_go, times[1] + to_go * per_pass, ahead])
        mine, theirs, to_go, whole, ahead = np.median(rows, axis=0)
        report.row(
            name,
            K,
            f"{mine:.2f}",
            f"{theirs:.2f}",
            f"{theirs / mine:.1f}",
            f"{to_go:.0f}",
            f"{whole:.1f}",
            f"{whole / mine:.0f}",
            f"{ahead:+.1f}",
        )


def one_pass(peer: Peer) -> Peer:
    """Return scikit-learn's mixture, set to take one more step."""
    single = clone(peer).set_params(
        max_iter=1,
        weights_init=peer.weights_,
        means_init=peer.means_,
        precisions_init=peer.precisions_,
        init_params="random_from_data",
    )
    return single


def large_problems():
    """Yield name, data and K: separated and overlapping components."""
    sizes = [(1_000_000, 2, 8), (200_000, 16, 50)]
    for n, d, K in [(2000, 2, 3)] if TINY else sizes:
        yield f"{n} × {d}", mixture_sample(n, d, K)[0], K
    if TINY:
        return
    X = overlapping_sample(200_000, 16, 50, 1.0, seed=0)
    yield "200000 × 16, overlapping", X, 50


def memory(report: Report) -> None:
    n, d, K = 10_000 if TINY else 1_000_000, 2, 8
    X, _ = mixture_sample(n, d, K)
    report.line(f"\n## Peak memory beyond the data and the result, {n} × {d}, K = {K}")
    report.table("call", "scikit-learn MB", "skem MB")
    models = [kind(K, max_iter=3, random_state=0) for kind in (Peer, GaussianMixture)]
    for call, result in [("fit", 0), ("score_samples", 8 * n), ("bic", 0)]:
        peaks = []
        for model in models:
            tracemalloc.start()
            getattr(model, call)(X)
            peaks.append(tracemalloc.get_traced_memory()[1] - result)
            tracemalloc.stop()
        report.row(call, *(f"{peak / 1e6:.1f}" for peak in peaks))


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "fit",
        "Whole default fits",
        "skem and scikit-learn with their default parameters, in turn, with the same "
        "seeds: median of the rounds. Ratio: scikit-learn's time ÷ skem's, with the "
        "smallest and the largest of the rounds. Nats ahead: skem's total "
        "log-likelihood less scikit-learn's, median; scikit-learn stops where a step "
        "gains less than 1e-3 of the mean, skem where 0.01 of the total are left.",
    )
    write_parts(report, small, ridge, large, optimum, memory)


if __name__ == "__main__":
    main()
