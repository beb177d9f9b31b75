"""Thresholds that keep their rate on new rows, by rows that were held out.

Of draws of a fitted mixture a share u has a support probability below u, but not of new
rows, as the mixture is fitted to others. How much lower they are is seen on rows that
were left out of the fit (cross-fitting).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy

import numpy as np
from scipy.stats import chi2, f

from skem.core.incomplete.patterns import Patterns
from skem.gaussian_mixture import GaussianMixture

FOLDS = 10
LEAST_DRAWS, MOST_DRAWS = 20_000, 2**20
DRAWN_BELOW = 200
"""Draws that are to be below the threshold."""
ENOUGH = 100
"""Alarms among the rows held out that are enough to count them."""
DOUBT = 2.5
"""Standard deviations between alarms expected and seen that refute the law."""


def draws_for(rate: float) -> int:
    """Return how many draws it takes to tell a support probability of `rate`."""
    return int(np.clip(DRAWN_BELOW / rate, LEAST_DRAWS, MOST_DRAWS))


def parts(
    mixture: GaussianMixture, X: np.ndarray
) -> Iterator[tuple[str, np.ndarray, GaussianMixture | None, np.ndarray]]:
    """Yield rows of X by what is observed, with the mixture of that.

    A key of the pattern, which is text as in files of JSON, the rows, the mixture (None
    where nothing is observed), and the log-densities.
    """
    for observed, rows in Patterns.of(np.isnan(X.T)):
        features = np.flatnonzero(observed)
        part = None
        log_density = np.zeros(len(rows))
        if len(features):
            whole = len(features) == len(observed)
            part = mixture if whole else mixture.marginal(features.tolist())
            log_density = part._log_density(X[np.ix_(rows, features)]).astype(float)
        yield observed.tobytes().hex(), rows, part, log_density


def support(
    mixture: GaussianMixture, X: np.ndarray, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Probability that a draw of the mixture has a lower density than each row of X.

    Of what is observed of the row. And the log-densities, less that at the
    peak: they rank rows so far away that the probability is rounded to zero.
    """
    mass, below = np.ones(len(X)), np.zeros(len(X))
    for _, rows, part, log_density in parts(mixture, X):
        if part is not None:
            mass[rows] = part._support(draws, seed).below(log_density)
            below[rows] = log_density - peak(part)
    return mass, below


def peak(mixture: GaussianMixture) -> float:
    """Return the largest log-density at a mean."""
    return float(mixture._log_density(mixture.means_).max())


def held_out_support(
    mixture: GaussianMixture,
    X: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the support of rows under fits without them.

    Fits start from the one to all rows, so that they lead to the same optimum. Equal
    rows are held out together: so an integer weight is a repeated row here, too.
    """
    _, group = np.unique(
        np.ascontiguousarray(X + 0.0).view(f"V{X.dtype.itemsize * X.shape[1]}").ravel(),
        return_inverse=True,
    )
    n_groups = int(group.max()) + 1
    n_folds = min(FOLDS, n_groups)
    fold = (rng.permutation(n_groups) % n_folds)[group.ravel()]
    seed = rng.randint(2**31 - 1)
    mass, below = np.empty((2, len(X)))
    for i in range(n_folds):
        held = fold == i
        rest = ~held
        # Too few rows, or values of a feature, to leave any out.
        refit = mixture
        observed = ~np.isnan(X[rest])
        n_filled = np.count_nonzero(observed.any(axis=1))
        enough = n_filled >= max(2, len(mixture.weights_))
        if enough and observed.any(axis=0).all():
            refit = deepcopy(mixture).set_params(warm_start=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                refit.fit(X[rest], sample_weight=weight[rest])
        mass[held], below[held] = support(refit, X[held], draws, seed)
    return mass, below


def threshold(u: np.ndarray, weight: np.ndarray, rate: float, n_features: int) -> float:
    """Return the support probability below which new rows have the mass `rate`.

    As if for a Gaussian fitted to m rows: for draws of the fit squared distances are
    chi-squared, and for new rows (m + 1)/(m − d) d F(d, m − d), whose mean is d c with
    c = (m + 1)/(m − d − 2). That mean, to which all rows contribute, tells m. Where
    there are alarms enough to count them, or they refute this law, they are counted.
    """
    d = n_features
    distances = chi2.isf(np.clip(u, 1 / MOST_DRAWS, 1.0), d)
    c = np.average(distances, weights=weight) / d
    found = rate
    if c > 1 + 1e-9:
        m = (c * (d + 2) + 1) / (c - 1)
        border = (m + 1) / (m - d) * d * f.isf(rate, d, m - d)
        found = float(chi2.sf(border, d))
    expected = rate * weight.sum()
    surprise = abs(weight[u < found].sum() - expected) / np.sqrt(expected)
    if expected >= ENOUGH or surprise > DOUBT:
        return cut(u, weight, rate)
    return found


def cut(values: np.ndarray, weight: np.ndarray, share: float) -> float:
    """Return a number that as much as a share of the weight is below, or less.

    Half-way between two different values, so that rounding takes no row across it, and
    an integer weight is a repeated value.
    """
    order = np.argsort(values, kind="stable")
    values, cumulated = values[order], np.cumsum(weight[order])
    below = np.searchsorted(cumulated, share * cumulated[-1] * (1 + 1e-12), "right")
    above = values[min(int(below), len(values) - 1)]
    lower = values[values < above]
    return float(lower[-1] / 2 + above / 2) if len(lower) else float(above)
