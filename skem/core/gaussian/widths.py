"""How wide the intervals are that values which many rows share stand for.

Equal values are no evidence of a density. A column in whole numbers, a share of zeros,
a default or a clipped value: a component on one of them would be likelier the narrower
it is. So a value that many rows share is taken for one that was recorded with a width
w, and its rows count as spread evenly over it: they have w²/12 on top of their squares
(W. F. Sheppard, 1898, for data in even steps).

In even steps the width is the step, and more of values that some rows were rounded to
(see `heaps`). If there are few steps, it is at least such that one Gaussian describes
the column as well as one component on each value does. Indicators of which at most one
is true, as those of a category's levels, are one such column.

Values that have many times the rows of their neighbours in even steps, zeros of
inflated counts or whole numbers among hundredths, and all shared values of other
columns are nearly as wide as it takes for their rows, spread over it, to be as dense as
the others around: the distance within which there are as many others, or half of the
others if they are fewer. Splitting off such a value then gains next to nothing, a fifth
of a nat for each row, and only where nothing else is to be gained that is done. Where
the others are far they are no wider than these neighbours. Where rows share several of
these values beyond chance, as a record that was entered often, their box is to be as
wide as that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skem.core.gaussian.distinct import DistinctValues
from skem.core.gaussian.heaps import squares_of_heaps
from skem.core.gaussian.steps import (
    BESIDE,
    OFF,
    even_step,
    exclusive,
    rounding_of,
    square_of_steps,
    squares_of_grids,
    widen_indicators,
)
from skem.core.gaussian.ties import Atoms, Recording, Ties

ATOM = 5.0
"""Least weight of rows that share a value for it to be one that is looked at."""
ATOM_SHARE = 0.005
"""Least share of all rows, too: a few equal values in many make no component."""
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
    grids = squares_of_grids(data, z, ordered, without)
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
    rounding = rounding_of(sorted_data, ordered)
    stepped = _in_steps(columns, features, z, least, one_scale=one_scale)
    rounding = np.maximum(rounding, OFF * stepped.recording.step[features])
    steps = stepped.steps
    for group in exclusive(z[stepped.indicators], weight):
        widen_indicators(steps, stepped.indicators[group], z, weight)
    heavy = columns.masses >= least
    heavy[columns.starts[columns.starts == columns.ends]] = False
    atoms = np.flatnonzero(heavy)
    step_of = stepped.recording.step[features[columns.row_of(atoms)]]
    single = _heaped(columns, atoms, step_of, rounding)
    single |= _of_records(columns, atoms, step_of, z[features], weight, least)
    squares = stepped.heaps[atoms]
    widths = _widths(columns, atoms[single], rounding)
    squares[single] = np.maximum(squares[single], widths**2 / 12)
    wider = single | (squares > 0)
    atoms, squares = atoms[wider], squares[wider]
    if not len(atoms):
        return Ties(steps, recording=stepped.recording) if steps.any() else None
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
        stepped.recording,
    )


class _InSteps(NamedTuple):
    """Columns in even steps among d: w²/12 (d,), how they are recorded, indicators.

    And w²/12 of each of the distinct values that is on a heap, else zero.
    """

    steps: np.ndarray
    recording: Recording
    indicators: np.ndarray
    heaps: np.ndarray


def _in_steps(
    columns: DistinctValues,
    features: np.ndarray,
    z: np.ndarray,
    least: float,
    *,
    one_scale: bool,
) -> _InSteps:
    """Look for columns in even steps, of values that have at least so much weight."""
    values, masses, starts = columns.values, columns.masses, columns.starts
    steps, heaps = np.zeros(len(z)), np.zeros(len(values))
    recording, indicators = Recording.of(len(z)), []
    heaviest = np.maximum.reduceat(masses, starts)
    rows = columns.row_of(starts)
    for i in np.flatnonzero((starts < columns.ends) & (heaviest >= least)):
        some, feature = slice(starts[i], columns.ends[i] + 1), features[rows[i]]
        own, weights = values[some], masses[some]
        recording.low[feature] = _end(own, weights, least)
        recording.high[feature] = -_end(-own[::-1], weights[::-1], least)
        step = even_step(own, weights)
        few = one_scale and weights.sum() - heaviest[i] < least
        if few and step > OUTLYING * _spread(z) > 0:
            step = 0.0
        heaps[some] = squares_of_heaps(own, weights, step, least)
        if step > 0:
            steps[feature] = square_of_steps(own, weights, step)
            recording.step[feature] = step
            recording.origin[feature] = own[weights.argmax()]
            if len(own) == 2:
                indicators.append(feature)
    return _InSteps(steps, recording, np.array(indicators, int), heaps)


def _end(values: np.ndarray, masses: np.ndarray, least: float) -> float:
    """Return the lowest value if rows are heaped there, and else that there is no end.

    A Gaussian in steps has fewer there.
    """
    heaped = masses[0] >= max(least, END * masses[1])
    return float(values[0]) if heaped else -np.inf


def _spread(z: np.ndarray) -> float:
    """Return the largest distance between the quartiles of a feature."""
    present = (row[~np.isnan(row)] for row in z)
    quartiles = [np.quantile(row, [0.25, 0.75]) for row in present if row.size]
    return float(np.max(np.diff(quartiles)))


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
