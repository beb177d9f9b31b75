"""Distribution functions and quantiles of mixtures of Gaussians on a line."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

LARGEST = 1e300
"""A distance in standard deviations that is as good as infinite."""
MOST_STEPS = 2000
"""As many as it takes to halve the widest bracket down to rounding."""


def cdf(
    x: np.ndarray, weights: np.ndarray, means: np.ndarray, sd: np.ndarray
) -> np.ndarray:
    """P(t ≤ x); components are on the last axis, and the others are those of x."""
    return np.einsum("...k,...k->...", weights, ndtr(_distances(x, means, sd)))


def _distances(x: np.ndarray, means: np.ndarray, sd: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.clip((x[..., None] - means) / sd, -LARGEST, LARGEST)


def quantile(
    q: np.ndarray, weights: np.ndarray, means: np.ndarray, sd: np.ndarray
) -> np.ndarray:
    """Solve P(t ≤ x) = q for each row of weights, means and sd, shape (n, K).

    log P(t ≤ x) = log q below the median, and the same of the other tail above: there
    too, the relative error of the probability is that of rounding. Newton steps within
    a bracket, whose ends are the lowest and the highest quantile of a component.
    """
    sides = np.where(q > 0.5, -1.0, 1.0)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
        levels = np.where(q > 0.5, np.log1p(-q), np.log(q))
    # Turned over, the upper tail is the lower one.
    means = sides[:, None] * means
    out = np.empty(len(q))
    outside = (q == 0) | (q == 1)
    out[outside] = -np.inf
    left = np.flatnonzero(~outside)
    own = means + sd * np.where(sides > 0, ndtri(q), -ndtri(q))[:, None]
    active = weights > 0
    low = np.where(active, own, np.inf).min(axis=1)
    high = np.where(active, own, -np.inf).max(axis=1)
    out[left] = low[left]
    for _ in range(MOST_STEPS):
        if not len(left):
            break
        x = out[left]
        z = _distances(x, means[left], sd[left])
        terms = log_weights[left] + log_ndtr(z)
        top = terms.max(axis=1)
        shares = np.exp(terms - top[:, None])
        total = shares.sum(axis=1)
        excess = top + np.log(total) - levels[left]
        under = excess < 0
        low[left[under]], high[left[~under]] = x[under], x[~under]
        with np.errstate(all="ignore"):
            # d log Φ(z)/dx = exp(log φ − log Φ)/sd.
            hazard = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(z))
            slope = (shares * hazard / sd[left]).sum(axis=1) / total
            new = x - excess / slope
        a, b = low[left], high[left]
        middle = a / 2 + b / 2
        new = np.where((new > a) & (new < b), new, middle)
        eps = 2 * np.finfo(float).eps
        width = np.maximum(np.abs(a), np.abs(b))
        done = (np.abs(new - x) <= eps * np.abs(x)) | (b - a <= eps * width)
        done |= excess == 0
        out[left] = np.where(excess == 0, x, new)
        left = left[~done]
    return sides * out
