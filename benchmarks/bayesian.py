"""Bayesian mixtures beside scikit-learn's: passes, default fits, and components found.

python -m benchmarks.bayesian [passes fits components] [--no-save] [--tiny]
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from sklearn.mixture import BayesianGaussianMixture as Peer

from benchmarks.data import COVARIANCE_TYPES, GRID, mixture_sample, real_data, rows_of
from benchmarks.em_pass import cell
from benchmarks.timing import (
    LEAST,
    TINY,
    Report,
    duel,
    geometric_mean,
    seconds,
    write_parts,
)
from skem import BayesianGaussianMixture
from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.posterior import Sticks

SIMULATIONS = 2 if TINY else 50
TRUNCATIONS = [5] if TINY else [10, 50]
APART = 6.0
"""Standard deviations between the means of separated components, at least."""


def peer_at_start(X, K, covariance_type):
    """Return scikit-learn's mixture one step from random rows."""
    peer = Peer(
        n_components=K,
        covariance_type=covariance_type,
        max_iter=1,
        init_params="random_from_data",
        random_state=0,
    )
    return peer.fit(X)


def peer_pass(peer, X):
    def job():
        log_norm, log_resp = peer._e_step(X)
        peer._m_step(X, log_resp)
        peer._compute_lower_bound(log_resp, log_norm)

    return lambda: seconds(job, LEAST)


def skem_pass(peer, X):
    """Return a function that times passes from the same posterior."""
    ours = BayesianGaussianMixture.from_sklearn(peer)
    structure = STRUCTURES[peer.covariance_type]

    def timed() -> float:
        with Workers() as workers:
            blocks = ArrayBlocks(X, None, workers, X.dtype)
            K = peer.n_components
            beliefs = Beliefs(Sticks(1 / K, K))
            em = VariationalMap.of_data(blocks, structure, beliefs, 1e-6)
            start = em.coordinates.inward(structure, ours._posterior())

            def job():
                evaluation = em.evaluate(start)
                return evaluation.objective, evaluation.successor

            job()
            return seconds(job, LEAST)

    return timed


def passes(report: Report) -> None:
    report.line(
        "\n## One pass\n\nE-step, M-step and bound, from the same posterior, float64."
    )
    report.table("covariance", "data", "scikit-learn ms", "skem ms", "ratio", "spread")
    for covariance_type in COVARIANCE_TYPES:
        for n, d, K in GRID:
            X, _ = mixture_sample(n, d, K)
            peer = peer_at_start(X, K, covariance_type)
            result = duel(skem_pass(peer, X), peer_pass(peer, X), rounds=3)
            report.row(covariance_type, cell(n, d, K), *result.cells)


def at_posterior(peer, X) -> BayesianGaussianMixture:
    """Return ours at scikit-learn's posterior: the bound of it, with all constants."""
    return BayesianGaussianMixture.from_sklearn(
        peer, warm_start=True, max_iter=0, reg_covar=peer.reg_covar
    ).fit(X)


def data():
    """Yield name and rows."""
    real = real_data()
    for name in ("faithful",) if TINY else ("faithful", "iris", "digits"):
        yield name, real[name]
    sizes = [] if TINY else [(2000, 2, 8), (10_000, 10, 10)]
    for n, d, K in sizes:
        yield f"{n} × {d}, {K} clusters", mixture_sample(n, d, K)[0]


def fits(report: Report) -> None:
    report.line(
        "\n## Default fits\n\nIn turn, with the default prior of "
        "scikit-learn. Bounds are skem's, in nats, with all constants, of the "
        "posteriors that each has found; of iris, whose values many rows share, "
        "skem climbs the bound of rows spread over their widths."
    )
    report.table(
        "data",
        "K",
        "prior",
        "scikit-learn ms",
        "skem ms",
        "ratio",
        "nats ahead",
        "scikit-learn components",
        "skem components",
    )
    BayesianGaussianMixture(2, random_state=0).fit(next(data())[1])
    ratios, ahead = [], []
    for name, X in data():
        for K in TRUNCATIONS:
            for covariance_type in ("full",) if TINY else ("full", "diag"):
                for prior in ("dirichlet_process", "dirichlet_distribution"):
                    params = {
                        "n_components": K,
                        "covariance_type": covariance_type,
                        "weight_concentration_prior_type": prior,
                        "random_state": 0,
                    }
                    # The prior of both, so that one question is asked.
                    ours = BayesianGaussianMixture(covariance_prior=None, **params)
                    peer = Peer(**params)
                    mine = seconds(partial(ours.fit, X), LEAST)
                    theirs = seconds(partial(peer.fit, X), LEAST)
                    there = at_posterior(peer, X)
                    ratios.append(theirs / mine)
                    ahead.append(ours.lower_bound_ - there.lower_bound_)
                    report.row(
                        name,
                        K,
                        f"{covariance_type}, {prior.split('_')[1]}",
                        f"{1e3 * theirs:.0f}",
                        f"{1e3 * mine:.0f}",
                        f"{ratios[-1]:.1f}",
                        f"{ahead[-1]:+.1f}",
                        there.n_effective_components_,
                        ours.n_effective_components_,
                    )
    fast, high = np.array(ratios) >= 5, np.array(ahead) >= -0.05
    report.line(
        f"\nGeometric mean of the ratios {geometric_mean(ratios):.1f}, median "
        f"{np.median(ratios):.1f}; five times as fast in "
        f"{fast.mean():.0%} of {len(fast)} fits; a bound at least as high, to 0.05 "
        f"nats, in {high.mean():.0%}."
    )


def separated(seed: int):
    """Rows of two to six components of random shapes, and their number."""
    rng = np.random.default_rng(seed)
    d, K = int(rng.integers(1, 5)), int(rng.integers(2, 7))
    means = np.empty((0, d))
    while len(means) < K:
        mean = rng.normal(0, 4 * APART / np.sqrt(d), (1, d))
        if all(np.linalg.norm(mean - other) >= APART for other in means):
            means = np.concatenate([means, mean])
    labels = rng.choice(K, size=100 * K, p=rng.dirichlet(np.full(K, 10.0)))
    shapes = np.eye(d) * rng.uniform(0.4, 1.0, (K, 1, d))
    return rows_of(labels, means, shapes, rng), K


def components(report: Report) -> None:
    report.line(
        f"\n## Number of components\n\n{SIMULATIONS} simulations of two to six "
        "separated components in one to four features, 100 rows for each; K = 15. The "
        "share in which as many components own a row as there are."
    )
    report.table("prior", "scikit-learn", "skem")
    for prior in ("dirichlet_process", "dirichlet_distribution"):
        right = []
        for seed in range(SIMULATIONS):
            X, K = separated(seed)
            params = {
                "n_components": 15,
                "weight_concentration_prior_type": prior,
                "random_state": seed,
            }
            ours = BayesianGaussianMixture(**params).fit(X)
            peer = Peer(**params).fit(X)
            theirs = (peer.mean_precision_ - peer.mean_precision_prior_ >= 1).sum()
            right.append([theirs == K, ours.n_effective_components_ == K])
        shares = np.mean(right, axis=0)
        report.row(prior, *(f"{share:.0%}" for share in shares))


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "bayesian",
        "Bayesian mixtures",
        "skem beside `sklearn.mixture.BayesianGaussianMixture`: same data, same "
        "process, in turn. Ratio: scikit-learn's time ÷ skem's.",
    )
    write_parts(report, passes, fits, components)


if __name__ == "__main__":
    main()
