"""Values that many rows share: how wide the intervals are that they stand for.

Equal values are no evidence of a density. A column in whole numbers, a share of zeros,
a default or a clipped value: a component on one of them would be likelier the narrower
it is. So a value that many rows share is taken for one that was recorded with a width
w, and its rows count as spread evenly over it: they have w²/12 on top of their squares
(W. F. Sheppard, 1898, for data in even steps).

In even steps the width is the step, but for values that have many times the rows of
their neighbours: zeros of inflated counts, or whole numbers among hundredths. There and
elsewhere it is nearly such that the value's rows, spread over it, are as dense as the
other rows around: the distance within which there are as many others, or half of the
others if they are fewer. Splitting off such a value then gains next to nothing, a fifth
of a nat for each row, and only where nothing else is to be gained that is done. Of a
value that is far from all others the width is no more than twice what these neighbours
cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

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
BESIDE = 2.0
"""Steps within which a value of such a column has its neighbours."""
HEAPED = 4.0
"""Times the rows of these neighbours from which on a value has more of them than the
step accounts for: a zero of inflated counts, or a number that many were rounded to."""
NARROWER = 1.25
"""Ratio of the width with which a value's rows are as dense as others to the width that
it has: where nothing else tells rows apart, that they share a value is to."""
OUTLYING = 30.0
"""Times the spread of other features beyond which few rows with another value than all
others are outliers, and no step away."""
OFF = 0.02
"""Steps that a value may be off the grid."""
ROUNDING = 4 * float(np.finfo(float).eps)
"""Share of a number that may be rounding."""


class Atoms(NamedTuple):
    """Values of a feature, ascending, and w²/12 of each."""

    feature: int
    values: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True)
class Ties:
    """w²/12 of the values that are shared, in standardised coordinates.

    `steps` (d,) are those of columns in even steps, or zero; `atoms` are single values
    that have another one.
    """

    steps: np.ndarray
    atoms: tuple[Atoms, ...] = ()

    def squares(self, data: np.ndarray) -> np.ndarray:
        """Return w²/12 of each value of raw data; (d, 1) if it is that of all rows."""
        if not self.atoms:
            return self.steps[:, None]
        alone, its_squares = self._alone
        # Laid out as the data are.
        out = (data == alone) * its_squares
        if self.steps.any():
            np.copyto(out, self.steps[:, None], where=data != alone)
        for feature, values, squares in self._several:
            row, step = data[feature], self.steps[feature]
            place = np.minimum(np.searchsorted(values, row), len(values) - 1)
            out[feature] = np.where(values[place] == row, squares[place], step)
        return out

    @cached_property
    def _several(self) -> list[Atoms]:
        """Those of features with more than one such value."""
        return [atoms for atoms in self.atoms if len(atoms.values) > 1]

    @cached_property
    def _alone(self) -> tuple[np.ndarray, np.ndarray]:
        """The value of features with a single such one, else NaN, and its w²/12."""
        alone = np.full((len(self.steps), 1), np.nan)
        its_squares = np.zeros((len(self.steps), 1))
        for feature, values, squares in self.atoms:
            if len(values) == 1:
                alone[feature], its_squares[feature] = values, squares
        return alone, its_squares


def weighted_squares(squares: np.ndarray, resp: np.ndarray) -> np.ndarray:
    """Σ_i r_i s_i of each feature, for weights (…, b): (…, d)."""
    if squares.shape[1] == 1:
        return resp.sum(axis=-1, dtype=float)[..., None] * squares[:, 0]
    return resp @ squares.T


def find_ties(
    data: np.ndarray, z: np.ndarray, weight: np.ndarray, *, one_scale: bool = False
) -> Ties | None:
    """Look for shared values; None if there are none.

    `data` (d, n) are the raw values, `z` the same in standardised coordinates. Weights
    count rows, so that an integer weight is as many rows that share all their values.
    With `one_scale` for all features, few outliers beside one value make no steps.
    """
    least = max(ATOM, ATOM_SHARE * weight.sum())
    ordered = np.sort(z, axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1) | (weight.max() >= least)
    features = np.flatnonzero(tied)
    if not len(features):
        return None
    data, ordered = data[features], ordered[features]
    if (weight == weight[0]).all():
        # In either coordinates their order is the same, and sorting is quicker.
        data, weights = np.sort(data, axis=1), np.broadcast_to(weight, data.shape)
    else:
        order = np.argsort(z[features], axis=1, kind="stable")
        data, weights = np.take_along_axis(data, order, axis=1), weight[order]
    columns = DistinctValues.of(ordered, weights)
    row, values = columns.row, columns.values
    starts = np.flatnonzero(columns.first == np.arange(len(columns.first)))
    heaviest = np.maximum.reduceat(columns.masses, starts)
    several = columns.last[starts] > starts
    steps = np.zeros(len(z))
    chosen = []
    for start in starts[several & (heaviest >= least)]:
        some = slice(start, columns.last[start] + 1)
        feature = features[row[start]]
        step = _even_step(values[some], columns.masses[some])
        others = columns.masses[some].sum() - heaviest[row[start]]
        if one_scale and others < least and step > OUTLYING * _spread(z) > 0:
            step = 0.0
        steps[feature] = step**2 / 12
        heavy = start + np.flatnonzero(columns.masses[some] >= least)
        if step > 0:
            heavy = heavy[_heaped(columns, heavy, step)]
        if len(heavy):
            chosen.append(heavy)
    if not chosen:
        return Ties(steps) if steps.any() else None
    return Ties(steps, _atoms_at(columns, chosen, data, features, steps))


class DistinctValues(NamedTuple):
    """Distinct values of some features, one feature after the other, ascending.

    Numbers of features and values are the real and imaginary parts of `keys`, which
    NumPy sorts by the one and then by the other. For each value: its weight, that of
    its feature's smaller ones, and both together; the index of its feature's first and
    last one; and its place among the feature's rows.
    """

    keys: np.ndarray
    masses: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    first: np.ndarray
    last: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, ordered: np.ndarray, weight: np.ndarray) -> DistinctValues:
        """Take sorted rows with their weights; missing values are last, and no values.

        A row without a value has none.
        """
        there = ~np.isnan(ordered)
        cumulated = np.zeros((len(ordered), ordered.shape[1] + 1))
        np.cumsum(np.where(there, weight, 0.0), axis=1, out=cumulated[:, 1:])
        new = there.copy()
        new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        row, place = np.nonzero(new)
        ends = np.flatnonzero(np.diff(row, append=-1))
        which = np.searchsorted(ends, np.arange(len(row)))
        first, last = np.append(0, ends[:-1] + 1)[which], ends[which]
        below = cumulated[row, place]
        upto = np.append(below[1:], 0.0)
        upto[ends] = cumulated[row[ends], -1]
        keys = keys_of(row, ordered[row, place])
        return cls(keys, upto - below, below, upto, first, last, place)

    @property
    def values(self) -> np.ndarray:
        """The values."""
        return self.keys.imag

    @property
    def row(self) -> np.ndarray:
        """Number of the feature of each."""
        return self.keys.real.astype(int)

    def and_mirrored(self) -> DistinctValues:
        """Return these, and after them the same with the other sign, the last first.

        Those features have numbers of their own, so that a place is found among the
        values of the one or of the other.
        """
        top, total = 2 * len(self.keys) - 1, self.upto[self.last]
        keys = -self.keys
        keys.real += 2 * self.keys[-1].real + 1
        mirrored = (
            keys,
            self.masses,
            total - self.upto,
            total - self.below,
            top - self.last,
            top - self.first,
            self.place,
        )
        return DistinctValues(
            *(
                np.concatenate([own, other[::-1]])
                for own, other in zip(self, mirrored, strict=True)
            )
        )

    def search(
        self, atoms: np.ndarray, wanted: np.ndarray, side: Literal["left", "right"]
    ) -> np.ndarray:
        """Return where each value would be among those of an atom's feature."""
        keys = keys_of(self.keys.real[atoms], wanted)
        return np.searchsorted(self.keys, keys, side=side)


def keys_of(row: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return numbers that sort by the row first."""
    keys = np.empty(len(values), complex)
    keys.real, keys.imag = row, values
    return keys


def _atoms_at(
    columns: DistinctValues,
    chosen: list[np.ndarray],
    data: np.ndarray,
    features: np.ndarray,
    steps: np.ndarray,
) -> tuple[Atoms, ...]:
    """Return the chosen places of each feature as atoms; `data` are sorted.

    None is narrower than the step of its column.
    """
    row, atoms = columns.row, np.concatenate(chosen)
    squares = np.maximum(_widths(columns, atoms) ** 2 / 12, steps[features[row[atoms]]])
    raw = data[row[atoms], columns.place[atoms]]
    cuts = np.cumsum([len(some) for some in chosen])[:-1]
    each = zip(chosen, np.split(raw, cuts), np.split(squares, cuts), strict=True)
    return tuple(
        Atoms(int(features[row[some[0]]]), its_values, its_squares)
        for some, its_values, its_squares in each
    )


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
    starts = np.flatnonzero(np.diff(shares[order], prepend=-1.0))
    counts = np.diff(starts, append=len(gaps))
    common = gaps[order[starts[np.argsort(-counts, kind="stable")[:CANDIDATES]]]]
    steps = np.sort(common)[::-1]
    away = (values - values[masses.argmax()]) / steps[:, None]
    on_grid = np.abs(away - np.round(away)) <= OFF
    found = steps[on_grid @ masses >= COLUMN * masses.sum()]
    return float(found[0]) if len(found) else 0.0


def _heaped(columns: DistinctValues, atoms: np.ndarray, step: float) -> np.ndarray:
    """Whether values of a column in even steps have far more rows than those around.

    And are so wide that it makes a difference.
    """
    at, own = columns.values[atoms], columns.masses[atoms]
    first = columns.search(atoms, at - (BESIDE + OFF) * step, "left")
    last = columns.search(atoms, at + (BESIDE + OFF) * step, "right") - 1
    heaped = own > HEAPED * (columns.upto[last] - columns.below[first] - own)
    if heaped.any():
        heaped[heaped] = _widths(columns, atoms[heaped]) > BESIDE * step
    return heaped


def _widths(columns: DistinctValues, atoms: np.ndarray) -> np.ndarray:
    """Widths over which the rows of each shared value are as dense as those around."""
    values, (_, masses, below, upto, *_) = columns.values, columns
    lowest, highest = columns.first[atoms], columns.last[atoms]
    own, at = masses[atoms], values[atoms]
    wanted = np.minimum(own, (upto[highest] - own) / 2) * (1 - 1e-9)
    high = _reach(columns, atoms, wanted)
    # What these neighbours cover, on either side, and how wide they are themselves.
    first = columns.search(atoms, at - high, "left")
    last = columns.search(atoms, at + high, "right") - 1
    left = values[np.maximum(atoms - 1, lowest)] - values[np.minimum(first, atoms)]
    right = values[last] - values[np.minimum(atoms + 1, highest)]
    width = np.zeros(len(values))
    width[atoms] = high
    sums = np.concatenate([[0.0], np.cumsum(masses * width)])
    others = upto[last] - below[first] - own
    mean = (sums[last + 1] - sums[first] - own * high) / np.maximum(others, own * 1e-9)
    wide = np.minimum(high, 2 * np.maximum(np.maximum(left, right), mean))
    inner = np.clip(np.stack([atoms - 1, atoms + 1]), lowest, highest)
    away = np.where(inner == atoms, np.inf, np.abs(values[inner] - at))
    return np.minimum(wide, np.maximum(wide / NARROWER, away.min(axis=0)))


def _reach(
    columns: DistinctValues, atoms: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Distance to the first other value within which there are as many rows.

    On either side, besides those of the shared value itself; infinite if no value is
    as far.
    """
    both = columns.and_mirrored()
    atoms = np.concatenate([atoms, len(both.keys) - 1 - atoms])
    at, rows = both.values[atoms], both.keys.real[atoms]
    wanted = np.tile(wanted, 2) + both.masses[atoms]
    values, (keys, _, below, upto, *_) = both.values, both
    rounding = ROUNDING * np.abs(at)

    def are_within(place: np.ndarray) -> np.ndarray:
        wide = distance(place)
        least = np.searchsorted(keys, keys_of(rows, at - wide))
        return upto[place] - below[least] >= wanted

    def distance(place: np.ndarray) -> np.ndarray:
        # Not below that of a value that is as far on the other side.
        away = values[place] - at
        return away + (rounding + ROUNDING * away)

    low, high = atoms, both.last[atoms]
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = are_within(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found = np.where(are_within(high), distance(high), np.inf)
    return found.reshape(2, -1).min(axis=0)
