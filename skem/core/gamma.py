"""The likeliest shape of a Gamma distribution, and what a sample tells of it."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, zeta

NEWTON_STEPS = 3
"""The start is within 1.5 %, and each step squares that."""
LARGE_SHAPE = 1e5
"""Shape beyond which log a − ψ(a) is rounding, and the start is precise."""
CANCELS = 1e4
"""Shape beyond which a² ψ′(a) − a is 1/2 + 1/(6a) to the digits that it has."""


def trigamma(x: np.ndarray) -> np.ndarray:
    """ψ′(x) = ζ(2, x): `scipy.special.polygamma` takes four times as long to say so."""
    return zeta(2.0, x)


def gamma_shape(gap: np.ndarray, least: float, most: float) -> np.ndarray:
    """Solve log a − ψ(a) = gap within bounds, by Newton's method on 1/a.

    As Minka (2002), Estimating a Gamma distribution, does.
    """
    s = np.maximum(gap, 1e-12)
    a = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(NEWTON_STEPS):
        a = np.clip(a, least, most)
        slope = a - a**2 * trigamma(a)
        step = np.where(a < LARGE_SHAPE, (np.log(a) - digamma(a) - s) / slope, 0.0)
        a = 1 / np.maximum(1 / a + step, 1e-12)
    return np.clip(a, least, most)


def shape_information(shape: np.ndarray) -> np.ndarray:
    """Information of one sample on log a, where the mean is known: a² ψ′(a) − a."""
    exact = shape**2 * trigamma(np.minimum(shape, CANCELS)) - shape
    return np.where(shape < CANCELS, exact, 0.5 + 1 / (6 * shape))


def same_variance(df: np.ndarray, other: float) -> np.ndarray:
    """Factor of the squared scales of t laws that keeps variances if ν becomes another.

    E 1/τ = ν/(ν − 2) for τ ~ Gamma(ν/2, ν/2). One where either of them has none.
    """
    if other <= 2:
        return np.ones(df.shape)
    own = df / np.where(df > 2, df - 2, 1.0)
    return np.where(df > 2, own * (other - 2) / other, 1.0)
