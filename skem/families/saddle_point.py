"""Probabilities of counts without terms that cancel: Loader's saddle-point form.

C. Loader (2000). Fast and accurate computation of binomial probabilities.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)
FROM = 16
"""Where Stirling's series has all digits."""
SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)


def stirling(x: np.ndarray) -> np.ndarray:
    """Return log(Γ(x + 1) eˣ x⁻ˣ): 0 at 0, and ½ log(2πx) + 1/(12x) − … far from it."""
    x = np.asarray(x, dtype=float)
    found = np.empty(x.shape)
    large = x >= FROM
    small = x[~large]
    found[~large] = gammaln(small + 1) - xlogy(small, small) + small
    far = x[large]
    inverse = 1 / far
    square = inverse**2
    series = np.zeros(far.shape)
    for term in reversed(SERIES):
        series = series * square + term
    found[large] = HALF_LOG_2PI + 0.5 * np.log(far) + series * inverse
    return found


def deviance(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return x log(x/μ) + μ − x, half of Poisson's deviance: never negative."""
    apart = x - mean
    near = np.abs(apart) < mean / 2
    share = np.where(near, apart, 0.0) / mean
    close = mean * (xlog1py(1 + share, share) - share)
    return np.where(near, close, xlogy(x, x) - xlogy(x, mean) - apart)
