"""How wide the intervals are that values which many rows share stand for.

Equal values are no evidence of a density. A column in whole numbers, a share of zeros,
a default or a clipped value: a component on one of them would be likelier the narrower
it is. So a value that many rows share is taken for one that was recorded with a width
w, and its rows count as spread evenly over it: they have w²/12 on top of their squares
(W. F. Sheppard, 1898, for data in even steps).

In even steps the width is the step. If there are few steps, it is at least such that
one Gaussian describes the column as well as one component on each value does.
Indicators of which at most one is true, as those of a category's levels, are one such
column.

Values that have many times the rows of their neighbours in even steps, zeros of
inflated counts or whole numbers among hundredths, and all shared values of other
columns are nearly as wide as it takes for their rows, spread over it, to be as dense as
the others around: the distance within which there are as many others, or half of the
others if they are fewer. Splitting off such a value then gains next to nothing, a fifth
of a nat for each row, and only where nothing else is to be gained that is done. Where
the others are far they are no wider than these neighbours. Where rows share several of
these values beyond chance, as a record that was entered often, their box is to be as
wide as that.

Numbers with few decimals are in even steps, too, however few rows share one. That
matters where columns are related up to their last digit, as shares that add up to one
hundred or a duration beside its ends: clusters would be those of rounding errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.optimize import brentq
from scipy.special import entr

from skem.core.gaussian.distinct import DistinctValues, changes
from skem.core.gaussian.ties import Atoms, Recording, Ties

ATOM = 5.0
"""Least weight of rows that share a value for it to be one that is looked at."""
ATOM_SHARE = 0.005
"""Least share of all rows, too: a few equal values in many make no component."""
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
HEAPED = 4.0
"""Times the rows of these neighbours from which on a value has more of them than the
step accounts for: a zero of inflated counts, or a number that many were rounded to."""
NARROWER = 1.25
"""Ratio of the width with which a value's rows are as dense as others to the width that
it has: where nothing else tells rows apart, that they share a value is to."""
AS_DENSE = float(1 / np.sqrt(2 * np.pi * np.e / 12))
"""Ratio of the width, of Gaussian variance w²/12, to that of a box of as many rows, if
they are as dense: on the average of the logarithm over the width."""
COVERED = 4.0
"""Times the distance between the quartiles of a value's neighbours that it is wide, at
most: twice what they cover, if they are even."""
END = 0.5
"""Times the rows of the next value from which on the first value of a column is where
its scale ends."""
OUTLYING = 30.0
"""Times the spread of other features beyond which few rows with another value than all
others are outliers, and no step away."""
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
COMBINATIONS = 64
"""Combinations of shared values that are looked at, at most: the most frequent ones."""


def find_ties(
    data: np.ndarray, z: np.ndarray, weight: np.ndarray, *, one_scale: bool = False
) -> Ties | None:
    """Look for shared values; None if there are none.

    `data` (d, n) are the raw values, `z` the same in standardised coordinates. Weights
    count rows, so that an integer weight is as many rows that share all their values.
    With `one_scale` for all features, few outliers beside one value make no steps.
    """
    ordered = np.sort(z, axis=1)
    found = _shared_values(data, z, ordered, weight, one_scale=one_scale)
    without = np.flatnonzero(np.ones(len(z)) if found is None else found.steps == 0)
    grids = np.zeros(len(z))
    if len(z) > 1 and len(without):
        relevant = RELEVANT * _left_by_others(z, ordered)
        grids[without] = _grids(data[without], ordered[without], relevant[without])
    if not grids.any():
        return found
    # Of these values all but outliers are in steps.
    middle = ordered[np.arange(len(z)), (~np.isnan(ordered)).sum(axis=1) // 2]
    recording = Recording.of(len(z))
    if found is not None and found.recording is not None:
        recording = found.recording
    recording = recording._replace(
        step=recording.step + np.sqrt(12 * grids),
        origin=np.where(grids > 0, middle, recording.origin),
    )
    if found is None:
        return Ties(grids, recording=recording)
    atoms = (
        each._replace(squares=np.maximum(each.squares, grids[each.feature]))
        for each in found.atoms
    )
    return Ties(found.steps + grids, tuple(atoms), recording)


def _grids(data: np.ndarray, ordered: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return w²/12 of columns that are in even steps, (d,), or zero.

    The step is the greatest common divisor of gaps between neighbouring values, of
    `data` in standardised coordinates that are `ordered`. Less than is `relevant` is
    left out.
    """
    squares = np.zeros(len(data))
    most = min(COMPARED_GAPS, data.shape[1] - 1)
    if most < LEAST_GAPS:
        return squares
    off = _rounding(data, ordered)
    gaps = np.diff(ordered, axis=1)
    gaps[~(gaps > 2 * off[:, None])] = np.inf
    # No step is wider than the least gap.
    wide = np.flatnonzero(gaps.min(axis=1) ** 2 / 12 >= relevant)
    if len(wide):
        steps = _steps(gaps[wide], off[wide], ordered[wide], most)
        squares[wide] = steps**2 / 12
        squares[squares < relevant] = 0
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


def _shared_values(
    data: np.ndarray,
    z: np.ndarray,
    ordered: np.ndarray,
    weight: np.ndarray,
    *,
    one_scale: bool,
) -> Ties | None:
    """Return widths of values that many rows share; None if there are none."""
    least = max(ATOM, ATOM_SHARE * weight.sum())
    # Values that may have as much share it with so many rows.
    others = int(np.ceil(least / weight.max() * (1 - 1e-9))) - 1
    equal = ordered[:, others:] == ordered[:, : max(0, ordered.shape[1] - others)]
    features = np.flatnonzero(equal.any(axis=1))
    if not len(features):
        return None
    sorted_data, ordered = data[features], ordered[features]
    if (weight == weight[0]).all():
        # In either coordinates their order is the same, and sorting is quicker.
        sorted_data = np.sort(sorted_data, axis=1)
        weights = np.broadcast_to(weight, ordered.shape)
    else:
        order = np.argsort(z[features], axis=1, kind="stable")
        sorted_data = np.take_along_axis(sorted_data, order, axis=1)
        weights = weight[order]
    columns = DistinctValues.of(ordered, weights)
    values, masses, starts = columns.values, columns.masses, columns.starts
    rounding = _rounding(sorted_data, ordered)
    heaviest = np.maximum.reduceat(masses, starts)
    steps, step_of = np.zeros(len(z)), np.zeros(len(values))
    recording = Recording.of(len(z))
    heavy, indicators = masses >= least, []
    alone = starts == columns.ends
    heavy[starts[alone]] = False
    rows = columns.row_of(starts)
    for i in np.flatnonzero(~alone & (heaviest >= least)):
        some, row = slice(starts[i], columns.ends[i] + 1), rows[i]
        feature = features[row]
        step = _even_step(values[some], masses[some])
        recording.low[feature] = _end(values[some], masses[some], least)
        recording.high[feature] = -_end(-values[some][::-1], masses[some][::-1], least)
        others = masses[some].sum() - heaviest[i]
        if one_scale and others < least and step > OUTLYING * _spread(z) > 0:
            step = 0.0
        if step > 0:
            steps[feature] = _square_of_steps(values[some], masses[some], step)
            recording.step[feature] = step
            recording.origin[feature] = values[some][masses[some].argmax()]
            rounding[row] = max(rounding[row], OFF * step)
            step_of[some] = step
            if some.stop - some.start == 2:
                indicators.append(feature)
    for group in _exclusive(z[indicators], weight):
        _widen_indicators(steps, [indicators[i] for i in group], z, weight)
    atoms = np.flatnonzero(heavy)
    heaped = _heaped(columns, atoms, step_of[atoms], rounding)
    heaped |= _of_records(columns, atoms, step_of[atoms], z[features], weight, least)
    atoms = atoms[heaped]
    if not len(atoms):
        return Ties(steps, recording=recording) if steps.any() else None
    squares = _widths(columns, atoms, rounding) ** 2 / 12
    row = columns.row_of(atoms)
    squares = np.maximum(squares, steps[features[row]])
    _widen_together(squares, columns, atoms, z[features], weight, least)
    raw = sorted_data[row, columns.place[atoms]]
    cuts = np.flatnonzero(np.diff(row)) + 1
    each = zip(*(np.split(part, cuts) for part in (row, raw, squares)), strict=True)
    return Ties(
        steps,
        tuple(
            Atoms(int(features[its_row[0]]), its_values, its_squares)
            for its_row, its_values, its_squares in each
        ),
        recording,
    )


def _end(values: np.ndarray, masses: np.ndarray, least: float) -> float:
    """Return the lowest value if rows are heaped there, and else that there is no end.

    A Gaussian in steps has fewer there.
    """
    heaped = masses[0] >= max(least, END * masses[1])
    return float(values[0]) if heaped else -np.inf


def _rounding(data: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return what values of each feature may be off in coordinates that are sorted."""
    precision = data.dtype if np.issubdtype(data.dtype, np.floating) else float
    last = (~np.isnan(z)).sum(axis=1) - 1
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (f.reduce(data, axis=1).astype(float) for f in (np.fmin, np.fmax))
        slope = (z[np.arange(len(z)), last] - z[:, 0]) / (high - low)
        off = 16 * np.finfo(precision).eps * np.maximum(abs(low), abs(high)) * slope
    return np.where(np.isfinite(off), off, 0.0) + 16 * np.finfo(float).eps


def _spread(z: np.ndarray) -> float:
    """Return the largest distance between the quartiles of a feature."""
    present = (row[~np.isnan(row)] for row in z)
    quartiles = [np.quantile(row, [0.25, 0.75]) for row in present if row.size]
    return float(np.max(np.diff(quartiles)))


def _even_step(values: np.ndarray, masses: np.ndarray) -> float:
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


def _square_of_steps(values: np.ndarray, masses: np.ndarray, step: float) -> float:
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
        share = its_masses / its_masses.sum()
        variance = share @ (some - share @ some) ** 2
        square = max(square, step**2 * _balancing(np.array([variance]), share))
    return square


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


def _exclusive(z: np.ndarray, weight: np.ndarray) -> Iterator[list[int]]:
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


def _widen_indicators(
    steps: np.ndarray, group: list[int], z: np.ndarray, weight: np.ndarray
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


def _heaped(
    columns: DistinctValues,
    atoms: np.ndarray,
    steps: np.ndarray,
    rounding: np.ndarray,
) -> np.ndarray:
    """Whether values have far more rows than those around them, in even steps.

    And are so wide that it makes a difference. All have where there are no steps.
    """
    at, own, beside = columns.values[atoms], columns.masses[atoms], BESIDE + OFF
    first = columns.search(atoms, at - beside * steps, "left")
    last = columns.search(atoms, at + beside * steps, "right") - 1
    around = columns.upto[last] - columns.below[first] - own
    heaped = (own > HEAPED * around) & (steps > 0)
    if heaped.any():
        wide = _widths(columns, atoms[heaped], rounding)
        heaped[heaped] = wide > beside * steps[heaped]
    return heaped | (steps == 0)


def _of_records(
    columns: DistinctValues,
    atoms: np.ndarray,
    steps: np.ndarray,
    z: np.ndarray,
    weight: np.ndarray,
    least: float,
) -> np.ndarray:
    """Whether values in even steps are those of a record that was entered often.

    One that has far more rows than there are around it in all columns with steps,
    though none of its values has more than its neighbours.
    """
    found, stepped = np.zeros(len(atoms), bool), np.flatnonzero(steps > 0)
    own = atoms[stepped]
    features, at = np.unique(columns.row_of(own), return_index=True)
    if len(features) < 2:
        return found
    which = _numbers(columns, own, z)
    beside = (BESIDE + OFF) * steps[stepped[at], None]
    first, masses = _combinations(which, weight * (which >= 0).all(axis=0))
    for i in np.argsort(-masses, kind="stable")[:COMBINATIONS]:
        if not masses[i] >= least:
            break
        away = np.abs(z[features] - z[features, first[i], None])
        around = weight[(away <= beside).all(axis=0)].sum()
        if masses[i] > HEAPED * (around - masses[i]):
            found[stepped[which[:, first[i]]]] = True
    return found


def _combinations(
    which: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of equal columns (m, n), and the weights that they have."""
    # Columns are alike where these are, and take longer to sort.
    keys = np.random.RandomState(0).randint(2**62, size=len(which)) @ which
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, np.bincount(inverse, weight)


def _widths(
    columns: DistinctValues, atoms: np.ndarray, rounding: np.ndarray
) -> np.ndarray:
    """Widths over which the rows of each shared value are as dense as those around."""
    values, (_, masses, below, upto, *_) = columns.values, columns
    (lowest, highest), row = columns.around(atoms), columns.row_of(atoms)
    own, at = masses[atoms], values[atoms]
    wanted = _wanted(own, upto[highest] - own)
    high = _reach(columns, atoms, wanted, rounding[row])
    # What these neighbours cover, on either side, and how wide they are themselves.
    first = columns.search(atoms, at - high, "left")
    last = columns.search(atoms, at + high, "right") - 1
    beside = np.stack([[below[first], upto[atoms]], [below[atoms], upto[last]]])
    wide = COVERED * columns.spread(atoms, *beside).max(axis=0)
    width = np.zeros(len(values))
    width[atoms] = high
    sums = np.concatenate([[0.0], np.cumsum(masses * width)])
    others = upto[last] - below[first] - own
    mean = (sums[last + 1] - sums[first] - own * high) / np.maximum(others, own * 1e-9)
    wide = np.maximum(wide, 2 * mean)
    wide = np.minimum(high, np.where(wide > 2 * rounding[row], wide, 0))
    inner = np.clip(np.stack([atoms - 1, atoms + 1]), lowest, highest)
    away = np.where(inner == atoms, np.inf, np.abs(values[inner] - at))
    return np.minimum(wide, np.maximum(wide / NARROWER, away.min(axis=0)))


def _wanted(own: Any, others: Any) -> Any:
    """Rows that are as many as a value's own, or half of the others if they are fewer.

    Less what sums of weights may be off.
    """
    return np.minimum(own, others / 2) * (1 - 1e-9)


def _reach(
    columns: DistinctValues,
    atoms: np.ndarray,
    wanted: np.ndarray,
    rounding: np.ndarray,
) -> np.ndarray:
    """Distance to the first other value within which there are as many rows.

    On either side, besides those of the shared value itself; infinite if no value is
    as far. As far is what differs by no more than rounding.
    """
    lowest, highest = columns.around(atoms)
    values, below, upto = columns.values, columns.below, columns.upto
    at, off = values[atoms], 2 * rounding

    def distance(place: np.ndarray) -> np.ndarray:
        # Not below that of a value that is as far on the other side.
        return np.abs(values[place] - at) + off

    def above(place: np.ndarray) -> np.ndarray:
        return upto[place] - below[columns.search(atoms, at - distance(place), "left")]

    def beneath(place: np.ndarray) -> np.ndarray:
        last = columns.search(atoms, at + distance(place), "right") - 1
        return upto[last] - below[place]

    reach = np.full(len(atoms), np.inf)
    for within, far in ((above, highest), (beneath, lowest)):
        near, enough = atoms, within(far) >= wanted + columns.masses[atoms]
        while (np.abs(far - near) > 1).any():
            # As many steps from the atom on either side.
            middle = near + np.sign(far - near) * (np.abs(far - near) // 2)
            found = within(middle) >= wanted + columns.masses[atoms]
            near, far = np.where(found, near, middle), np.where(found, middle, far)
        reach = np.minimum(reach, np.where(enough, distance(far), np.inf))
    return reach


def _widen_together(
    squares: np.ndarray,
    columns: DistinctValues,
    atoms: np.ndarray,
    z: np.ndarray,
    weight: np.ndarray,
    least: float,
) -> None:
    """Widen values that the same rows share, until their box is no denser than others.

    `squares` are w²/12 of each of the atoms.
    """
    which = _numbers(columns, atoms, z)
    some = (which >= 0).sum(axis=0) > 1
    if not weight[some].sum() >= least:
        return
    which = which[:, some]
    first, masses = _combinations(which, weight[some])
    found = which[:, first]
    present = np.sqrt(12 * squares)
    frequent = np.argsort(-masses, kind="stable")[:COMBINATIONS]
    for i in frequent[masses[frequent] >= least]:
        own = found[found[:, i] >= 0, i]
        wide, at = present[own], columns.values[atoms[own], None]
        if (wide > 0).all():
            near = z[columns.row_of(atoms[own])]
            near = np.where(np.isnan(near), at, near)
            widths = _of_box(near - at, wide, weight, masses[i])
            squares[own] = np.maximum(squares[own], widths**2 / 12)


def _numbers(columns: DistinctValues, atoms: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return which of the atoms each row has in each feature, or -1."""
    rows = columns.row_of(atoms)
    shared = np.unique(rows)
    found = np.full((len(shared), z.shape[1]), -1)
    for numbers, feature in zip(found, shared, strict=True):
        own = np.flatnonzero(rows == feature)
        at = columns.values[atoms[own]]
        place = np.minimum(np.searchsorted(at, z[feature]), len(own) - 1)
        numbers[...] = np.where(at[place] == z[feature], own[place], -1)
    return found


def _of_box(
    away: np.ndarray, wide: np.ndarray, weight: np.ndarray, mass: float
) -> np.ndarray:
    """Widen a box until as many other rows are in it, as `_widths` does in one feature.

    `away` (features, n) is where rows are, seen from those of the box, of some mass. If
    these share their values by chance, there are as many others in it as it is. The
    more they are beyond that, the more it is widened, until they are no denser than an
    interval with its neighbours on one side.
    """
    others = np.flatnonzero(away.any(axis=0))
    far = (np.abs(away[:, others]) / (NARROWER * wide[:, None])).max(axis=0)
    order = np.argsort(far, kind="stable")
    within = np.cumsum(weight[others[order]])
    if not len(order) or not within[-1] > 0:
        return wide
    wanted = _wanted(mass, within[-1])
    times = far[order[np.searchsorted(within, wanted)]]
    # What rounding may say.
    more = 1 + 1e-9
    if times <= more:
        return wide
    near = away[:, others[far <= times * more]]
    between = np.diff(np.quantile(near, [0.25, 0.75], axis=1), axis=0)[0]
    # What these cover, on one side of the value or on both.
    sides = np.maximum(near.max(axis=1), 0) - np.minimum(near.min(axis=1), 0)
    d = len(wide)
    denser = np.log(np.maximum(sides / (times * wide), 1.0)).sum()
    too_dense = denser - np.log(NARROWER) - (1 - d) * np.log(AS_DENSE)
    with np.errstate(divide="ignore"):
        too_many = np.log(wanted / weight[others[far <= more]].sum())
    widths = times * wide * np.exp(max(0.0, min(too_dense, too_many)) / d)
    return np.clip(widths, wide, np.maximum(COVERED * between, wide))
