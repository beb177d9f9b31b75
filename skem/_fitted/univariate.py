"""Distribution functions and quantiles of mixtures on a line.

Of Gaussians, of t distributions, and with noise that is even over an interval.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, stdtr, stdtrit

from skem.core.gaussian.far import LOG_2PI
from skem.core.student.parameters import GAUSSIAN, correction

INFINITE = 1e300
"""A distance in standard deviations that is as good as infinite."""
BEYOND = 1e290
"""A number beyond which a quantile that is not found is infinite."""
FAR = 1e100
"""A distance beyond which the tail of a t is a power of it, to rounding."""
BISECTIONS = 2000
"""As many as it takes to halve the widest bracket down to rounding."""


def cdf(
    x: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    sd: np.ndarray,
    df: np.ndarray | None = None,
    even: bool = False,
) -> np.ndarray:
    """P(t ≤ x); components are on the last axis, and the others are those of x.

    With `df` (K,) they are t distributions of scales `sd`. The last one may be `even`
    over a width of `sd`.
    """
    z = _distances(x, means, sd)
    below = ndtr(z)
    if even:
        below[..., -1] = _even_cdf(z)
    if df is not None:
        # Numbers of one component are evaluated with its degrees of freedom.
        heavy = df < GAUSSIAN
        below[..., heavy] = _t_cdf(z[..., heavy], df[heavy])
    return np.einsum("...k,...k->...", weights, below)


def _even_cdf(z: np.ndarray) -> np.ndarray:
    """P(t ≤ z) of the last component, from −½ to ½."""
    return np.clip(z[..., -1] + 0.5, 0.0, 1.0)


def _t_cdf(z: np.ndarray, df: np.ndarray) -> np.ndarray:
    """P(t ≤ z) of t distributions; far out without z², which may be infinite."""
    log_z = np.log(np.maximum(-z, FAR))
    tail = np.where(z > -INFINITE, np.exp(_log_tail(df) - df * log_z), 0.0)
    return np.where(z < -FAR, tail, stdtr(df, z))


def _log_tail(df: np.ndarray) -> np.ndarray:
    """Log c of t distributions: P(t ≤ −z) is below c z^−df, and tends to it."""
    return correction(df, 1) - 0.5 * LOG_2PI + (df - 1) / 2 * np.log(df)


def _log_cdf(z: np.ndarray, df: np.ndarray | None, even: bool) -> np.ndarray:
    below = log_ndtr(z)
    if even:
        with np.errstate(divide="ignore"):
            below[..., -1] = np.maximum(np.log(_even_cdf(z)), -INFINITE)
    if df is not None:
        heavy = df < GAUSSIAN
        with np.errstate(divide="ignore"):
            below[..., heavy] = np.log(_t_cdf(z[..., heavy], df[heavy]))
    return below


def _log_pdf(z: np.ndarray, df: np.ndarray | None, even: bool) -> np.ndarray:
    normal = -0.5 * z**2 - 0.5 * LOG_2PI
    if even:
        normal[..., -1] = np.where(np.abs(z[..., -1]) <= 0.5, 0.0, -INFINITE)
    if df is None:
        return normal
    own = np.minimum(df, GAUSSIAN)
    peaks = correction(df, 1) - 0.5 * LOG_2PI
    tails = -(own + 1) * np.log(np.hypot(1, z / np.sqrt(own)))
    return np.where(df < GAUSSIAN, peaks + tails, normal)


def _lower_quantiles(
    q: np.ndarray, df: np.ndarray | None, even: bool, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantiles (n_q, K) of standard components, for q ≤ ½, and bounds around them."""
    own = np.repeat(ndtri(q)[:, None], n, axis=1)
    if even:
        own[:, -1] = q - 0.5
    if df is None:
        return own, own, own
    heavy = df < GAUSSIAN
    low, high = own.copy(), own
    low[:, heavy] = _below_t_quantile(q[:, None], df[heavy])
    # Far out SciPy's is infinite of either sign, or no number.
    own = own.copy()
    own[:, heavy] = stdtrit(df[heavy], q[:, None])
    own = np.where((own >= low) & (own <= high), own, low)
    return own, low, high


def _below_t_quantile(q: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Bounds below the quantiles of t distributions, which those of Φ are above."""
    log_t = (_log_tail(df) - np.log(q)) / df
    return -np.exp(np.minimum(log_t, np.log(INFINITE)))


def _distances(x: np.ndarray, means: np.ndarray, sd: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.clip((x[..., None] - means) / sd, -INFINITE, INFINITE)


def _log_mixture(
    z: np.ndarray,
    log_weights: np.ndarray,
    sd: np.ndarray,
    df: np.ndarray | None,
    even: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return log P(t ≤ x), and its derivative."""
    below = _log_cdf(z, df, even)
    terms = log_weights + below
    # Of what is not a number above zero, at the end of the range.
    top = np.maximum(terms.max(axis=1), -INFINITE)
    shares = np.exp(terms - top[:, None])
    total = shares.sum(axis=1)
    with np.errstate(all="ignore"):
        # d log Φ(z)/dx = exp(log φ − log Φ)/sd.
        hazard = np.exp(_log_pdf(z, df, even) - below)
        slope = (shares * hazard / sd).sum(axis=1) / total
        return top + np.log(total), slope


def quantile(
    q: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    sd: np.ndarray,
    df: np.ndarray | None = None,
    even: bool = False,
) -> np.ndarray:
    """Solve P(t ≤ x) = q for each row of weights, means and sd, shape (n, K).

    log P(t ≤ x) = log q below the median, and the same of the other tail above: there
    too, the relative error of the probability is that of rounding. Newton steps within
    a bracket, whose ends are below and above the quantiles of all components.
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
    tails = np.where(outside, 0.5, np.where(sides > 0, q, 1 - q))
    with np.errstate(over="ignore"):
        own, below, above = (
            np.nan_to_num(means + sd * each)
            for each in _lower_quantiles(tails, df, even, means.shape[1])
        )
    active = weights > 0
    low = np.where(active, below, np.inf).min(axis=1)
    high = np.where(active, above, -np.inf).max(axis=1)
    out[left] = np.where(active, own, np.inf).min(axis=1)[left]
    off = np.zeros(len(q))
    for _ in range(BISECTIONS):
        if not len(left):
            break
        x = out[left]
        z = _distances(x, means[left], sd[left])
        found, slope = _log_mixture(z, log_weights[left], sd[left], df, even)
        off[left] = excess = found - levels[left]
        under = excess < 0
        low[left[under]], high[left[~under]] = x[under], x[~under]
        with np.errstate(all="ignore"):
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
    if df is not None:
        # Beyond what numbers there are.
        out[(np.abs(off) > 1) & (out < -BEYOND)] = -np.inf
    return sides * out
