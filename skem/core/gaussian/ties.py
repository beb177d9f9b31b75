"""Values that many rows share: how wide the intervals are that they stand for.

Equal values are no evidence of a density. A column in whole numbers, a share of zeros,
a default or a clipped value: a component on one of them would be likelier the narrower
it is. So a value that many rows share is taken for one that was recorded with a width
w, and its rows count as spread evenly over it: they have w²/12 on top of their squares
(W. F. Sheppard, 1898, for data in even steps).

In even steps the width is the step. Elsewhere it is such that the value's rows, spread
over it, are as dense as the other rows around: the distance within which there are as
many others, or half of the others if they are fewer. Splitting off such a value then
gains nothing. Of a value that is far from all others it is no more than twice what
these neighbours cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

ATOM = 5.0
"""Least weight of rows that share a value for it to be one that is looked at."""
SHARE = 0.005
"""Least share of all rows, too: a few equal values in many make no component."""
COLUMN = 0.95
"""Share of a column that must be in even steps."""
STEPS = 1000.0
"""Most steps in a column's range; narrower ones make no difference."""
CANDIDATES = 4
"""Gaps between neighbouring values that are tried as steps: the most frequent ones."""
OFF = 0.02
"""Steps that a value may be off the grid."""
ROUNDING = 4 * float(np.finfo(float).eps)


class Atoms(NamedTuple):
    """Values of a feature, ascending, and w²/12 of each."""

    feature: int
    values: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True)
class Ties:
    """w²/12 of the values that are shared, in standardised coordinates.

    `steps` (d,) are those of columns in even steps, or zero; `atoms` are single values
    of other columns.
    """

    steps: np.ndarray
    atoms: tuple[Atoms, ...] = ()

    def squares(self, data: np.ndarray) -> np.ndarray:
        """Return w²/12 of each value of raw data; (d, 1) if it is that of all rows."""
        if not self.atoms:
            return self.steps[:, None]
        out = np.broadcast_to(self.steps[:, None], data.shape).copy()
        features, alone, its_squares = self._alone
        out[features] = np.where(data[features] == alone, its_squares, 0.0)
        for feature, values, squares in self.atoms:
            if len(values) == 1:
                continue
            row = data[feature]
            place = np.minimum(np.searchsorted(values, row), len(values) - 1)
            out[feature] = np.where(values[place] == row, squares[place], 0.0)
        return out

    @cached_property
    def _alone(self) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Features with a single such value, the values and w²/12, as columns."""
        some = [atoms for atoms in self.atoms if len(atoms.values) == 1]
        values = np.array([atoms.values for atoms in some]).reshape(-1, 1)
        squares = np.array([atoms.squares for atoms in some]).reshape(-1, 1)
        return [atoms.feature for atoms in some], values, squares


def weighted_squares(squares: np.ndarray, resp: np.ndarray) -> np.ndarray:
    """Σ_i r_i s_i of each feature, for weights (…, b): (…, d)."""
    if squares.shape[1] == 1:
        return resp.sum(axis=-1, dtype=float)[..., None] * squares[:, 0]
    return resp @ squares.T


def find_ties(data: np.ndarray, z: np.ndarray, weight: np.ndarray) -> Ties | None:
    """Look for shared values; None if there are none.

    `data` (d, n) are the raw values, `z` the same in standardised coordinates. Weights
    count rows, so that an integer weight is as many rows that share all their values.
    """
    least = max(ATOM, SHARE * weight.sum())
    order = np.argsort(z, axis=1, kind="stable")
    ordered = np.take_along_axis(z, order, axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1) | (weight.max() >= least)
    steps = np.zeros(len(z))
    found = []
    for feature in np.flatnonzero(tied):
        # Missing values are last.
        row = ordered[feature, : np.count_nonzero(~np.isnan(ordered[feature]))]
        if len(row) == 0 or row[0] == row[-1]:
            continue
        first = np.flatnonzero(np.diff(row, prepend=-np.inf))
        values = row[first]
        masses = np.add.reduceat(weight[order[feature, : len(row)]], first)
        if masses.max() < least:
            continue
        steps[feature] = _even_step(values, masses) ** 2 / 12
        if steps[feature] == 0:
            atoms = np.flatnonzero(masses >= least)
            raw = data[feature, order[feature, first[atoms]]]
            widths = _widths(values, masses, atoms)
            found.append(Atoms(int(feature), raw, widths**2 / 12))
    return Ties(steps, tuple(found)) if found or steps.any() else None


def _even_step(values: np.ndarray, masses: np.ndarray) -> float:
    """Largest step that nearly all rows are on a grid of; 0 if there is none."""
    extent = values[-1] - values[0]
    if 2 * len(values) > masses.sum():
        return 0.0
    gaps = np.diff(values)
    gaps = gaps[gaps > extent / STEPS]
    _, first, counts = np.unique(
        np.round(gaps / extent, 6), return_index=True, return_counts=True
    )
    common = gaps[first[np.argsort(-counts, kind="stable")[:CANDIDATES]]]
    origin = values[masses.argmax()]
    for step in np.sort(common)[::-1]:
        away = (values - origin) / step
        on_grid = np.abs(away - np.round(away)) <= OFF
        if masses[on_grid].sum() >= COLUMN * masses.sum():
            return float(step)
    return 0.0


def _widths(values: np.ndarray, masses: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Widths over which the rows of each shared value are as dense as those around."""
    cumulated = np.concatenate([[0.0], np.cumsum(masses)])
    own, at = masses[atoms], values[atoms]
    wanted = np.minimum(own, (cumulated[-1] - own) / 2) * (1 - 1e-9)
    backwards = len(values) - 1 - atoms
    high = np.minimum(
        _reach(values, masses, atoms, wanted),
        _reach(-values[::-1], masses[::-1], backwards, wanted),
    )
    # What these neighbours cover, on either side, and how wide they are themselves.
    first = np.searchsorted(values, at - high, side="left")
    last = np.searchsorted(values, at + high, side="right") - 1
    left = values[np.maximum(atoms - 1, 0)] - values[np.minimum(first, atoms)]
    right = values[last] - values[np.minimum(atoms + 1, len(values) - 1)]
    width = np.zeros(len(values))
    width[atoms] = high
    sums = np.concatenate([[0.0], np.cumsum(masses * width)])
    others = cumulated[last + 1] - cumulated[first] - own
    mean = (sums[last + 1] - sums[first] - own * high) / np.maximum(others, own * 1e-9)
    return np.minimum(high, 2 * np.maximum(np.maximum(left, right), mean))


def _reach(
    values: np.ndarray, masses: np.ndarray, atoms: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Distance to the first greater value within which there are as many rows.

    On either side, besides those of the shared value itself; infinite if no value is
    as far.
    """
    cumulated = np.concatenate([[0.0], np.cumsum(masses)])
    at, wanted = values[atoms], wanted + masses[atoms]

    def are_within(place: np.ndarray) -> np.ndarray:
        least = np.searchsorted(values, at - distance(place), side="left")
        return cumulated[place + 1] - cumulated[least] >= wanted

    def distance(place: np.ndarray) -> np.ndarray:
        # Not below that of a value that is as far on the other side.
        away = values[place] - at
        return away + ROUNDING * (np.abs(at) + away)

    low, high = atoms, np.full(len(atoms), len(values) - 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = are_within(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(are_within(high), distance(high), np.inf)
