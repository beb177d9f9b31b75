"""Standard errors: coverage of their intervals, the jackknife, and the bootstrap.

python -m benchmarks.standard_errors [coverage jackknife bootstrap] [--no-save] [--tiny]
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.data import COVARIANCE_TYPES, overlapping_sample
from benchmarks.timing import TINY, Report, write_parts
from skem import GaussianMixture
from skem.core.gaussian.covariance import STRUCTURES
from skem.datasets import load_faithful

REPLICATES = 5 if TINY else 200
SIMULATIONS = 5 if TINY else 400
MANY = 10_000 if TINY else 400_000
"""Rows whose fit stands for the parameters that the fits of a wrong model are near."""
METHODS = ("sandwich", "hessian", "opg")
LEVEL = 0.95
PARTS = ("weights", "means", "covariances")


class Bootstrap(NamedTuple):
    """Standard deviations over replicates, and the seconds that they took."""

    errors: list[np.ndarray]
    seconds: float


def refit(mixture: GaussianMixture, X: np.ndarray, **params) -> GaussianMixture:
    """Fit from the parameters of another mixture."""
    params = {"tol": 1e-4, **params}
    return GaussianMixture(
        len(mixture.weights_),
        covariance_type=mixture.covariance_type,
        weights_init=mixture.weights_,
        means_init=mixture.means_,
        precisions_init=mixture.precisions_,
        **params,
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


def bootstrapped(mixture: GaussianMixture, n: int) -> Bootstrap:
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
    if TINY:
        return
    for n, d, K, spread in [(500, 2, 2, 3.0), (5000, 2, 3, 3.0), (5000, 5, 3, 2.0)]:
        X = overlapping_sample(n, d, K, spread, seed=n + d + K)
        yield f"{n} × {d}, spread {spread:g}", X, K


def bootstrap(report: Report) -> None:
    report.line(
        "\n## Beside the parametric bootstrap\n\n"
        "The default standard errors ÷ those of the parametric "
        f"bootstrap ({REPLICATES} samples from the fitted mixture, each fitted from "
        "its parameters, components matched by the nearest mean): the median over the "
        "parameters, with the smallest and the largest. The bootstrap's own errors "
        f"have a standard error of {100 / np.sqrt(2 * REPLICATES):.0f} %. The data are "
        "as many rows drawn from a mixture that was fitted to those named, so that the "
        "model is right."
    )
    report.table(
        "covariance", "data", "K", *PARTS, "seconds, sandwich", "seconds, bootstrap"
    )
    for covariance_type in COVARIANCE_TYPES[:1] if TINY else COVARIANCE_TYPES:
        for name, X, K in problems():
            truth = GaussianMixture(
                K, covariance_type=covariance_type, n_init="auto", random_state=0
            ).fit(X)
            X, _ = truth.sample(len(X), random_state=REPLICATES)
            mixture = refit(truth, X)
            begin = time.perf_counter()
            errors = mixture.standard_errors(X)
            seconds = time.perf_counter() - begin
            peer = bootstrapped(mixture, len(X))
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


def jackknife(report: Report) -> None:
    """Compare all methods on Old Faithful."""
    X = load_faithful().data
    mixture = GaussianMixture(2, reg_covar=0.0, tol=1e-10, random_state=0).fit(X)
    n = 10 if TINY else len(X)
    order = np.argsort(mixture.means_[:, 0])
    left_out = []
    for i in range(n):
        kept = np.delete(np.arange(len(X)), i)
        # What a fit leaves must be little beside 1/n of a standard error.
        replicate = refit(mixture, X[kept], reg_covar=0.0, tol=1e-10)
        left_out.append(free(parameters(replicate, order)))
    deviations = np.array(left_out) - np.mean(left_out, axis=0)
    expected = np.sqrt((n - 1) / n * np.square(deviations).sum(axis=0))
    report.line(
        "\n## Old Faithful, beside the jackknife\n\n"
        "K = 2, full, the maximum likelihood estimate: each method's errors ÷ those of "
        f"the jackknife. The bootstrap has {5 * REPLICATES} weightings, and an error "
        f"of about {100 / np.sqrt(10 * REPLICATES):.0f} %. Components in the order of "
        "their means."
    )
    report.table("parameter", "jackknife", *METHODS, "bootstrap")
    columns = [
        free([each[order] for each in mixture.standard_errors(X, **how)]) / expected
        for how in (
            *({"method": method} for method in METHODS),
            {
                "method": "bootstrap",
                "n_boot": 5 * REPLICATES,
                "random_state": 0,
                "n_jobs": 1 if TINY else 2,
            },
        )
    ]
    names = ["weight 0"]
    names += [f"mean {k}, {j}" for k in range(2) for j in range(2)]
    names += [f"covariance {k}, {ij}" for k in range(2) for ij in ("00", "01", "11")]
    for name, error, *ratios in zip(names, expected, *columns, strict=True):
        report.row(name, f"{error:.4g}", *(f"{ratio:.3f}" for ratio in ratios))


def free(found) -> np.ndarray:
    """The free ones of weights, means and covariances of two components."""
    weights, means, covariances = found
    triangles = covariances[:, [0, 0, 1], [0, 1, 1]]
    return np.concatenate([weights[:1], means.ravel(), triangles.ravel()])


Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def gaussian(rng, shape) -> np.ndarray:
    return rng.normal(size=shape)


def heavy(rng, shape) -> np.ndarray:
    """Multivariate t with 8 degrees of freedom, of covariance one."""
    return rng.normal(size=shape) * np.sqrt(6 / rng.chisquare(8, size=(shape[0], 1)))


def skewed(rng, shape) -> np.ndarray:
    """Gamma variables of shape 4, of mean zero and covariance one."""
    return (rng.gamma(4.0, size=shape) - 4) / 2


HOUSEHOLD = 4
"""Rows of a household, which are in one cluster, with half of the noise in common."""


class Case(NamedTuple):
    """Two clusters in two features, and the mixture that is fitted.

    Most of the values may be rounded to whole numbers, the others to tenths; and rows
    may come in households.
    """

    name: str
    n: int
    draw: Draw
    covariance_type: str = "full"
    rounded: bool = False
    households: bool = False

    def sample(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        shapes = np.array([[[1.0, 0.5], [0.0, 0.8]], [[1.4, 0.0], [-0.6, 0.5]]])
        means = np.array([[0.0, 0.0], [4.0, 2.0]])
        labels = (rng.random(n) < 0.4).astype(int)
        noise = self.draw(rng, (n, 2))
        if self.households:
            labels = labels[self.groups(n)]
            noise = np.sqrt(0.5) * (noise + noise[self.groups(n)][:, ::-1])
        X = means[labels] + np.einsum("nij,nj->ni", shapes[labels], noise)
        if self.rounded:
            X = np.where(rng.random((n, 2)) < 0.6, np.round(X), np.round(X, 1))
        return X

    def groups(self, n: int) -> np.ndarray:
        return np.arange(n) // HOUSEHOLD

    def ways(self) -> dict[str, dict]:
        """Arguments of `standard_errors`, by name."""
        found: dict[str, dict] = {method: {"method": method} for method in METHODS}
        if self.households:
            found["sandwich, groups"] = {"groups": self.groups(self.n)}
        return found


CASES = [
    Case("Gaussian", 200, gaussian),
    Case("Gaussian", 1000, gaussian),
    Case("t, 8 degrees of freedom", 1000, heavy),
    Case("gamma, shape 4", 1000, skewed),
    Case("Gaussian, fitted by spheres", 1000, gaussian, "spherical"),
    Case("Gaussian, fitted by one covariance", 1000, gaussian, "tied"),
    Case("Gaussian, rounded to tenths and wholes", 1000, gaussian, rounded=True),
    Case("Gaussian, in households of four", 1000, gaussian, households=True),
]


def coverage(report: Report) -> None:
    """Count how often intervals cover."""
    report.line(
        f"\n## Coverage of intervals of {100 * LEVEL:g} %\n\n"
        f"Two clusters in two features, {SIMULATIONS} samples of n rows, each fitted "
        "from the parameters that the fit of "
        f"{MANY} rows has, which are those to be covered. In per cent, the mean over "
        "the parameters, and in brackets the smallest; each parameter's has a standard "
        f"error of {100 * np.sqrt(LEVEL * (1 - LEVEL) / SIMULATIONS):.1f}. Of a "
        "household all rows are in one cluster, and have half of the noise in common; "
        "with groups, errors know it."
    )
    report.table("clusters", "n", "fitted", "method", *PARTS)
    for case in CASES[:1] if TINY else CASES:
        rough = GaussianMixture(
            2, covariance_type=case.covariance_type, random_state=0
        ).fit(case.sample(5000, 1))
        truth = refit(rough, case.sample(MANY, 0))
        ways = case.ways()
        hits: dict[str, list] = {name: [] for name in ways}
        for seed in range(SIMULATIONS):
            X = case.sample(case.n, 2 + seed)
            mixture = refit(truth, X)
            for name, how in ways.items():
                intervals = mixture.standard_errors(X, **how)
                hits[name].append(covered(intervals.confidence_interval(LEVEL), truth))
        for name, found in hits.items():
            cells = []
            for part in zip(*found, strict=True):
                share = 100 * np.mean(part, axis=0)
                cells.append(f"{share.mean():.1f} ({share.min():.1f})")
            report.row(case.name, case.n, case.covariance_type, name, *cells)


def covered(intervals, truth: GaussianMixture) -> list[np.ndarray]:
    parts = zip(intervals, parameters(truth, np.arange(2)), strict=True)
    return [(lower <= true) & (true <= upper) for (lower, upper), true in parts]


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "standard_errors",
        "Standard errors",
        "`standard_errors` by its methods: the sandwich, which is the default; the "
        "inverse Hessian; the outer product of gradients (opg); and the weighted "
        "likelihood bootstrap.",
    )
    write_parts(report, coverage, jackknife, bootstrap)


if __name__ == "__main__":
    main()
