"""Regression, imputation, classification and outliers by mixtures, beside peers.

python -m benchmarks.estimators [speed coverage classes rate] [--no-save] [--tiny]
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import StratifiedKFold

from benchmarks.data import overlapping_sample, rows_of
from benchmarks.timing import TINY, Report, seconds, write_parts
from skem import (
    GaussianMixture,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureOutlierDetector,
)

N, D, K = (2000, 4, 3) if TINY else (100_000, 10, 10)
ROUNDS = 1 if TINY else 3
MISSING = 0.1
"""Share of the cells that are missing where rows are imputed."""
RATE = 0.01
LOW, HIGH = 0.007, 0.015
HELD_OUT = 2 if TINY else 5
"""Folds of the comparison of classifiers."""
SIMULATIONS = 2 if TINY else 100
NEW = 2000 if TINY else 50_000
CASES = [(400, 5, 2), (1000, 5, 2), (400, 2, 2), (10_000, 5, 2)]
"""n, d, K."""
FITS, LEVEL = 2 if TINY else 30, 0.95
FEW_ROWS = [
    (45, 15),
    (75, 15),
    (150, 15),
    (300, 15),
    (750, 15),
    (1500, 15),
    (15, 5),
    (25, 5),
    (50, 5),
    (100, 5),
    (250, 5),
    (500, 5),
]
"""n, d of regressions of which the coverage is counted."""
TAKES_NAN = bool(GaussianMixture().__sklearn_tags__().input_tags.allow_nan)


def speed(report: Report) -> None:
    X = overlapping_sample(N, D, K, 1.0, seed=0)
    holed = X.copy()
    holed[np.random.default_rng(0).random(X.shape) < MISSING] = np.nan
    rest, target = X[:, 1:], X[:, 0]
    # A fit takes missing values where a mixture's does.
    training = holed if TAKES_NAN else X

    def regress() -> None:
        regressor = GaussianMixtureRegressor(K, random_state=0).fit(rest, target)
        regressor.predict(rest)

    def impute() -> None:
        imputer = GaussianMixtureImputer(K, random_state=0).fit(training)
        imputer.transform(holed)

    jobs = {
        "plain fit": lambda: GaussianMixture(K, random_state=0).fit(X),
        "regressor, fit and predict": regress,
        "imputer, fit and transform": impute,
        "IterativeImputer": lambda: IterativeImputer(random_state=0).fit_transform(
            holed
        ),
    }
    times = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            times[name].append(seconds(job))
    report.line(f"\n## Time, {N} × {D}, {K} components, {MISSING:.0%} of cells missing")
    report.line(f"\nThe imputer is fitted to rows with missing values: {TAKES_NAN}.")
    report.table("job", "s", "÷ plain fit")
    plain = np.median(times["plain fit"])
    for name, found in times.items():
        report.row(name, f"{np.median(found):.2f}", f"{np.median(found) / plain:.1f}")


def coverage(report: Report) -> None:
    """Count how often quantiles cover new targets: parameters are taken for known."""
    report.line(
        f"\n## Regression: targets between the quantiles of {1 - LEVEL:.0%} and "
        f"{LEVEL:.0%}, in {FITS} fits to a line of as many features, with a noise of "
        "deviation one"
    )
    report.table(
        "rows × features", "rows for each feature", "coverage %", "median deviation"
    )
    for n, d in FEW_ROWS[:1] if TINY else FEW_ROWS:
        covered, spreads = [], []
        for seed in range(FITS):
            rng = np.random.default_rng(seed)
            X, new = rng.normal(size=(n, d)), rng.normal(size=(1000, d))
            y, target = (
                rows.sum(axis=1) + rng.normal(size=len(rows)) for rows in (X, new)
            )
            regressor = GaussianMixtureRegressor(random_state=0).fit(X, y)
            low, high = regressor.predict_quantiles(new, [1 - LEVEL, LEVEL]).T
            covered.append(np.mean((target > low) & (target < high)))
            spreads.append(np.median(regressor.predict(new, return_std=True)[1]))
        report.row(
            f"{n} × {d}",
            f"{n / d:.0f}",
            f"{100 * np.mean(covered):.1f}",
            f"{np.mean(spreads):.3f}",
        )


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {"iris": load_iris(return_X_y=True)}
    if TINY:
        return found
    found["wine"] = load_wine(return_X_y=True)
    X, y = load_breast_cancer(return_X_y=True)
    found["cancer"] = X[:, :10], y
    X, y = load_digits(return_X_y=True)
    found["digits"] = PCA(20, random_state=0).fit_transform(X), y
    X = overlapping_sample(6000, 2, 12, 3.0, seed=1)
    labels = GaussianMixture(12, n_init=1, random_state=0).fit_predict(X)
    found["12 clusters, 3 classes"] = X, labels % 3
    return found


class PerClass:
    """A mixture of scikit-learn's for each class, chosen by BIC."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> PerClass:
        self.classes, counts = np.unique(y, return_counts=True)
        self.log_priors = np.log(counts / len(y))
        self.mixtures = [self._best(X[y == label]) for label in self.classes]
        return self

    def _best(self, X: np.ndarray) -> Peer:
        sizes = range(1, 1 + min(9, len(X)))
        fits = [Peer(size, random_state=0).fit(X) for size in sizes]
        return min(fits, key=lambda mixture: mixture.bic(X))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        joint = self.log_priors + np.stack(
            [mixture.score_samples(X) for mixture in self.mixtures], axis=1
        )
        joint -= joint.max(axis=1, keepdims=True)
        return np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)


def classes(report: Report) -> None:
    report.line(f"\n## Classes: error and log-loss on rows held out, {HELD_OUT} folds")
    report.table("data", "classifier", "error %", "log-loss", "s")
    makers = {
        "skem, auto": lambda: MixtureDiscriminantAnalysis(
            covariance_type="auto", random_state=0
        ),
        "skem, auto, full": lambda: MixtureDiscriminantAnalysis(random_state=0),
        "QDA": partial(QuadraticDiscriminantAnalysis, reg_param=1e-3),
        "scikit-learn's mixtures by BIC": PerClass,
    }
    if TINY:
        del makers["skem, auto"]
    for name, (X, y) in data().items():
        for label, make in makers.items():
            errors, losses, spent = [], [], 0.0
            for train, test in StratifiedKFold(
                HELD_OUT, shuffle=True, random_state=0
            ).split(X, y):
                begin = time.perf_counter()
                proba = make().fit(X[train], y[train]).predict_proba(X[test])
                spent += time.perf_counter() - begin
                truth = np.searchsorted(np.unique(y[train]), y[test])
                errors.append(np.mean(proba.argmax(axis=1) != truth))
                own = proba[np.arange(len(test)), truth]
                losses.append(-np.mean(np.log(np.maximum(own, 1e-15))))
            report.row(
                name,
                label,
                f"{100 * np.mean(errors):.1f}",
                f"{np.mean(losses):.3f}",
                f"{spent:.2f}",
            )


def two_clusters(seed: int, d: int, n_components: int) -> Callable[[int], np.ndarray]:
    """A right model: components of random weights, means and shapes."""
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(n_components, d))
    shapes = np.eye(d) + 0.3 * rng.normal(size=(n_components, d, d))
    weights = rng.dirichlet(np.full(n_components, 5.0))

    def draw(n: int) -> np.ndarray:
        labels = rng.choice(n_components, n, p=weights)
        return rows_of(labels, means, shapes, rng)

    return draw


def rate(report: Report) -> None:
    report.line(
        f"\n## Outliers: share of {NEW} new rows, for a rate of {RATE:.0%}, in "
        f"{SIMULATIONS} simulations of a right model"
    )
    report.table(
        "rows × features, K",
        "threshold",
        "mean %",
        f"from {LOW:.1%} to {HIGH:.1%}",
        "lower",
        "higher",
    )
    for n, d, n_components in CASES[:1] if TINY else CASES:
        found = []
        for seed in range(SIMULATIONS):
            draw = two_clusters(seed, d, n_components)
            X, new = draw(n), draw(NEW)
            detector = MixtureOutlierDetector(
                n_components, false_alarm_rate=RATE, random_state=0
            ).fit(X)
            scores = detector.score_samples(new)
            plain = detector.mixture_.hdr_level(1 - RATE, random_state=0)
            found.append((np.mean(scores < detector.offset_), np.mean(scores < plain)))
        for label, shares in zip(
            ("calibrated", f"region of {1 - RATE:.0%}"),
            np.transpose(found),
            strict=True,
        ):
            report.row(
                f"{n} × {d}, {n_components}",
                label,
                f"{100 * shares.mean():.2f}",
                f"{np.mean((shares >= LOW) & (shares <= HIGH)):.0%}",
                f"{np.mean(shares < LOW):.0%}",
                f"{np.mean(shares > HIGH):.0%}",
            )
    one = new[:1]
    detector.predict(one)
    times = [seconds(lambda: detector.predict(one)) for _ in range(200)]
    report.line(f"\nOne row: {1e3 * np.median(times):.2f} ms.")


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "estimators",
        "Estimators made of mixtures",
        "`GaussianMixtureRegressor` and `GaussianMixtureImputer` beside a plain fit of "
        "as many components and scikit-learn's `IterativeImputer`; "
        "`MixtureDiscriminantAnalysis` beside scikit-learn's QDA and its mixtures for "
        "each class; the coverage of the regressor's quantiles; and the rate of false "
        "alarms of `MixtureOutlierDetector`.",
    )
    write_parts(report, speed, coverage, classes, rate)


if __name__ == "__main__":
    main()
