"""Columns in even steps: whole numbers, few decimals, indicators.

If many rows share values, the step is the largest gap between neighbouring values that
has nearly all rows on its grid. Else it is the greatest common divisor of gaps: numbers
with few decimals are in even steps, however few rows share one. That matters where
columns are related up to their last digit, as shares that add up to one hundred or a
duration beside its ends: clusters would be those of rounding errors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.optimize import brentq
from scipy.special import entr

from skem.core.gaussian.distinct import changes

COLUMN = 0.95
"""Share of a column that must be in even steps."""
STEPS_OF_COLUMN = 1000.0
"""Most steps in a column's range; narrower ones make no difference."""
CANDIDATES = 4
"""Gaps between neighbouring values that are tried as steps: the most frequent ones."""
ONE_OF = 4
"""Values of which one is looked at first."""
MOST_DIFFERENT = int(np.sqrt(2 * STEPS_OF_COLUMN)) + 1
"""Gaps that may all be different, where they are steps in that range: 1 + 2 + …"""
FEW = 12
"""Values of a column in even steps that are few."""
BESIDE = 2.0
"""Steps within which a value of a column in even steps has its neighbours."""
OFF = 0.02
"""Steps that a value may be off the grid."""
FINEST = 1e7
"""Steps in the range of a column that has a grid, at most: beyond it is rounding."""
COMPARED_GAPS = 16
"""Gaps between neighbouring values whose common divisor the step of a grid is."""
LEAST_GAPS = 10
"""Gaps that say that there is a grid, at least."""
ABOVE_ROUNDING = 100.0
"""Times rounding that the step of a grid is, at least."""
RELEVANT = 1e-4
"""Share of a column's variance, given the others, from which w²/12 is of account."""
EXACT = 1e-12
"""Eigenvalues of correlations up to which columns determine each other."""
OUTSIDE = 3.0
"""Times the range of 90 % of a column outside of which a value says nothing of that."""
EXCLUSIVE_WORK = 2**31
"""Products that are computed to find indicators that exclude each other, at most."""


def even_step(values: np.ndarray, masses: np.ndarray) -> float:
    """Largest step that nearly all rows are on a grid of; 0 if there is none."""
    extent = values[-1] - values[0]
    if 2 * len(values) > masses.sum():
        return 0.0
    gaps = np.diff(values)
    gaps = gaps[gaps > extent / STEPS_OF_COLUMN]
    shares = np.round(gaps / extent, 6)
    order = np.argsort(shares, kind="stable")
    starts = changes(shares[order])
    counts = np.diff(np.append(starts, len(gaps)))
    if len(gaps) > MOST_DIFFERENT and counts.max() == 1:
        return 0.0
    common = gaps[order[starts[np.argsort(-counts, kind="stable")[:CANDIDATES]]]]
    away = values - values[masses.argmax()]
    # What is off the grid among a few of them may be too much already.
    some = away[::ONE_OF] / common[:, None]
    off = (np.abs(some - np.round(some)) > OFF) @ masses[::ONE_OF]
    common = common[off <= (1 - COLUMN + 1e-9) * masses.sum()]
    for step in np.sort(common)[::-1]:
        steps_away = away / step
        place = np.round(steps_away)
        on_grid = np.where(np.abs(steps_away - place) <= OFF, masses, 0)
        # One value at each place: others are off.
        if np.maximum.reduceat(on_grid, changes(place)).sum() >= COLUMN * masses.sum():
            return float(step)
    return 0.0


def square_of_steps(values: np.ndarray, masses: np.ndarray, step: float) -> float:
    """Return w²/12 of all values of a column in even steps.

    Each run of values without gaps, if they are few, has a part in it.
    """
    square = step**2 / 12
    if len(values) > FEW:
        return square
    cuts = np.flatnonzero(np.diff(values) > (BESIDE + OFF) * step) + 1
    for some, its_masses in zip(
        np.split(values / step, cuts), np.split(masses, cuts), strict=True
    ):
        if not its_masses.any():
            # Beside weights of any size, they are rounded to none.
            continue
        share = its_masses / its_masses.sum()
        variance = share @ (some - share @ some) ** 2
        square = max(square, step**2 * _balancing(np.array([variance]), share))
    return square


def exclusive(z: np.ndarray, weight: np.ndarray) -> Iterator[list[int]]:
    """Yield groups of indicators of which at most one is true in any row.

    `z` (m, n) are columns of two values.
    """
    if len(z) < 2:
        return
    every = max(1, len(z) ** 2 * z.shape[1] // EXCLUSIVE_WORK)
    true = (z[:, ::every] > np.nanmin(z, axis=1)[:, None]).astype(np.float32)
    together = true @ true.T > 0
    frequent = np.argsort(-(true @ weight[::every]), kind="stable")
    # In this order, with those that have no group yet.
    together, free = together[np.ix_(frequent, frequent)], np.ones(len(z), bool)
    while free.any():
        group: list[int] = []
        fit = free.copy()
        while fit.any():
            group.append(int(fit.argmax()))
            fit &= ~together[group[-1]]
            fit[group[-1]] = free[group[-1]] = False
        if len(group) > 1:
            yield frequent[group].tolist()


def widen_indicators(
    steps: np.ndarray, group: np.ndarray, z: np.ndarray, weight: np.ndarray
) -> None:
    """Make exclusive indicators as wide as one column of their levels is to be."""
    some = z[group]
    low, high = np.nanmin(some, axis=1), np.nanmax(some, axis=1)
    present = ~np.isnan(some).any(axis=0)
    share = (some[:, present] == high[:, None]) @ weight[present]
    share = share / max(weight[present].sum(), 1e-300)
    rest = max(0.0, 1.0 - share.sum())
    axes = np.linalg.eigvalsh(np.diag(share) - np.outer(share, share))
    square = _balancing(axes, np.append(share, rest))
    steps[group] = np.maximum(steps[group], square * (high - low) ** 2)


def _balancing(variances: np.ndarray, shares: np.ndarray) -> float:
    """Return the h² with which a component for each value gains nothing.

    Beside one Gaussian that has these variances along its axes: ½ Σ log(1 + σ²/h²) is
    the entropy of the shares.
    """
    variances = variances[variances > 0]
    entropy = float(entr(shares).sum())
    if not len(variances) or entropy <= 0:
        return 0.0

    def gain(log_square: float) -> float:
        return float(0.5 * np.log1p(variances / np.exp(log_square)).sum() - entropy)

    low, high = np.log(variances.max()) - 30, np.log(variances.max()) + 30
    if gain(low) <= 0 or gain(high) >= 0:
        return 0.0
    return float(np.exp(brentq(gain, low, high)))


def squares_of_grids(
    data: np.ndarray, z: np.ndarray, ordered: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Return w²/12 of those features that are in even steps, (d,), and else zero.

    The step is the greatest common divisor of gaps between neighbouring values of
    `data` in standardised coordinates `z`, which are sorted in `ordered`. Where it is
    nothing to what a column varies by, given the others, it is left out.
    """
    squares = np.zeros(len(z))
    most = min(COMPARED_GAPS, data.shape[1] - 1)
    if most < LEAST_GAPS or len(z) < 2 or not len(features):
        return squares
    relevant = (RELEVANT * _left_by_others(z, ordered))[features]
    data, ordered = data[features], ordered[features]
    off = rounding_of(data, ordered)
    gaps = np.diff(ordered, axis=1)
    gaps[~(gaps > 2 * off[:, None])] = np.inf
    # No step is wider than the least gap.
    wide = np.flatnonzero(gaps.min(axis=1) ** 2 / 12 >= relevant)
    if len(wide):
        found = _steps(gaps[wide], off[wide], ordered[wide], most) ** 2 / 12
        squares[features[wide]] = np.where(found < relevant[wide], 0, found)
    return squares


def _steps(
    gaps: np.ndarray, off: np.ndarray, ordered: np.ndarray, most: int
) -> np.ndarray:
    """Return the common divisors of the smallest gaps, (d,); zero where is no grid."""
    steps = np.zeros(len(gaps))
    low, high = _bounds(ordered)
    least = np.maximum((high - low) / FINEST, ABOVE_ROUNDING * off)
    few = np.sort(np.partition(gaps, most - 1, axis=1)[:, :most], axis=1)
    left = np.flatnonzero(np.isfinite(few[:, LEAST_GAPS - 1]) & np.isfinite(least))
    divisor = few[left, 0]
    for i in range(1, most if len(left) else 0):
        left, divisor = left[divisor >= least[left]], divisor[divisor >= least[left]]
        gap = np.where(np.isfinite(few[left, i]), few[left, i], divisor)
        divisor = _common_divisor(divisor, gap, least[left] / 4)
    for j, step in zip(left, divisor, strict=True):
        # Of all of these gaps together it has more digits.
        own = few[j, np.isfinite(few[j])]
        step = own.sum() / np.round(own / step).sum()
        inside = ordered[j, (ordered[j] >= low[j]) & (ordered[j] <= high[j])]
        away = (inside - inside[0]) / step
        if step >= least[j] and not (np.abs(away - np.round(away)) > OFF).any():
            steps[j] = step
    return steps


def _common_divisor(a: np.ndarray, b: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Return common divisors of numbers by Euclid's algorithm; what is less is none."""
    while (b > rounding).any():
        rest = b > rounding
        safe = np.where(rest, b, 1.0)
        a, b = (
            np.where(rest, b, a),
            np.where(rest, np.abs(a - b * np.round(a / safe)), b),
        )
    return a


def _bounds(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where values of sorted columns, (d, n), begin to be outliers."""
    there = (~np.isnan(ordered)).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = (
        ordered[rows, (share * np.maximum(there - 1, 0)).astype(int)]
        for share in (0.05, 0.95)
    )
    wide = OUTSIDE * (high - low)
    return low - wide, high + wide


def _left_by_others(z: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return the variances (d,) of columns given all others, of d > 1.

    Of rows without outliers. What others determine exactly is no noise of rounding.
    """
    d = len(z)
    low, high = _bounds(ordered)
    rows = ((z >= low[:, None]) & (z <= high[:, None])).all(axis=0)
    if rows.sum() <= d:
        return np.full(d, np.inf)
    own = z[:, rows]
    sd = own.std(axis=1)
    unit = np.where(sd > 0, sd, 1.0)
    own = (own - own.mean(axis=1, keepdims=True)) / unit[:, None]
    correlations = own @ own.T / own.shape[1]
    root, failed = dpotrf(correlations, lower=1)
    inverse, singular = dtrtri(root, lower=1)
    if failed or singular or EXACT * d * np.square(inverse).sum() > 1:
        variances, axes = np.linalg.eigh(correlations)
        kept = variances > EXACT * variances[-1]
        inverse = (axes[:, kept] / np.sqrt(variances[kept])).T
    precisions = np.square(inverse).sum(axis=0)
    return unit**2 / np.maximum(precisions, 1e-300)


def rounding_of(data: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return what values of each feature may be off in coordinates that are sorted."""
    precision = data.dtype if np.issubdtype(data.dtype, np.floating) else float
    last = (~np.isnan(z)).sum(axis=1) - 1
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (f.reduce(data, axis=1).astype(float) for f in (np.fmin, np.fmax))
        slope = (z[np.arange(len(z)), last] - z[:, 0]) / (high - low)
        off = 16 * np.finfo(precision).eps * np.maximum(abs(low), abs(high)) * slope
    return np.where(np.isfinite(off), off, 0.0) + 16 * np.finfo(float).eps
