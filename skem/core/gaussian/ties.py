"""Values that many rows share, and the widths that they stand for: see `widths`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

RANKED = 4
"""Values of a feature that are compared with all rows one by one, at most."""
MOST_OF_STEPS = 1 - 1e-8
"""Share of the variance in a direction, at most, that is the width of steps."""
EXACT = 2**53
"""Integers below which floating-point numbers are exact."""


class Atoms(NamedTuple):
    """Values of a feature, ascending, and w²/12 of each."""

    feature: int
    values: np.ndarray
    squares: np.ndarray


class Recording(NamedTuple):
    """How values of features (d,) are recorded, in standardised coordinates.

    In steps, or zero, from an origin on; infinite ends are none.
    """

    step: np.ndarray
    origin: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, d: int) -> Recording:
        """Return that of d features of any values."""
        return cls(np.zeros(d), np.zeros(d), np.full(d, -np.inf), np.full(d, np.inf))

    def recorded(self, z: np.ndarray) -> np.ndarray:
        """Return values (d, n) between the ends, and in steps where there are any."""
        step, origin, low, high = (each[:, None] for each in self)
        z = np.clip(z, low, high)
        unit = np.where(step > 0, step, 1.0)
        return np.where(step > 0, origin + unit * np.round((z - origin) / unit), z)


@dataclass(frozen=True)
class Ties:
    """w²/12 of the values that are shared, in standardised coordinates.

    `steps` (d,) are those of columns in even steps, or zero; `atoms` are single values
    that have another one. `recording` is what other data need to share values alike.
    """

    steps: np.ndarray
    atoms: tuple[Atoms, ...] = ()
    recording: Recording | None = None

    def squares(self, data: np.ndarray) -> np.ndarray:
        """Return w²/12 of each value of raw data; (d, 1) if it is that of all rows."""
        if not self.atoms:
            return self.steps[:, None]
        (_, value, more), *ranked = self._ranked
        # Laid out as the data are. Products take less time than a choice for each.
        out = (data == value) * more
        if self.steps.any():
            out += self.steps[:, None]
        for features, value, more in ranked:
            out[features] += (data[features] == value) * more
        for feature, values, squares in self.atoms:
            if len(values) > RANKED:
                row, step = data[feature], self.steps[feature]
                place = np.minimum(np.searchsorted(values, row), len(values) - 1)
                out[feature] = np.where(values[place] == row, squares[place], step)
        return out

    def scaled(self, factors: np.ndarray) -> Ties:
        """Return w²/12 in other units of the features: times some factors (d,)."""
        atoms = (
            each._replace(squares=each.squares * factors[each.feature])
            for each in self.atoms
        )
        return Ties(self.steps * factors, tuple(atoms))

    def only(self, features: np.ndarray) -> Ties:
        """Return w²/12 of some features, by index."""
        place = {feature: i for i, feature in enumerate(features.tolist())}
        atoms = (
            each._replace(feature=place[each.feature])
            for each in self.atoms
            if each.feature in place
        )
        return Ties(self.steps[features], tuple(atoms))

    def table(self, dtype: np.dtype) -> np.ndarray | None:
        """Return all of it as numbers that a compiled pass can look up, (d, 1 + 2 m).

        Of each feature w²/12 of most values, then m values with their own; NaN where
        there are fewer, and for values that data of that type cannot have. None if
        there are too many.
        """
        if self._table is None or dtype != np.float32:
            return self._table
        values = self._table[:, 1::2]
        table = self._table.copy()
        table[:, 1::2][values.astype(dtype) != values] = np.nan
        return table

    @cached_property
    def _table(self) -> np.ndarray | None:
        most = max((len(atoms.values) for atoms in self.atoms), default=0)
        if most > RANKED:
            return None
        table = np.full((len(self.steps), 1 + 2 * most), np.nan)
        table[:, 0] = self.steps
        for feature, values, squares in self.atoms:
            integers = values.dtype.kind in "iu"
            if integers and ((values >= EXACT) | (values <= -EXACT)).any():
                return None
            table[feature, 1 : 1 + 2 * len(values) : 2] = values
            table[feature, 2 : 2 + 2 * len(values) : 2] = squares
        return table

    @cached_property
    def _ranked(self) -> list[tuple[slice | np.ndarray, np.ndarray, np.ndarray]]:
        """First values of features with few such ones, second ones, and so on.

        With what their squares are more than those of steps. The first are for all
        features, others too if most have one: NaN and zero where there is none.
        """
        few = [atoms for atoms in self.atoms if len(atoms.values) <= RANKED]
        found: list[tuple[slice | np.ndarray, np.ndarray, np.ndarray]] = []
        for rank in range(max((len(atoms.values) for atoms in few), default=1)):
            some = [atoms for atoms in few if len(atoms.values) > rank]
            features = np.array([atoms.feature for atoms in some], int)
            values = np.full((len(self.steps), 1), np.nan)
            values[features, 0] = [atoms.values[rank] for atoms in some]
            more = np.zeros_like(values)
            more[features, 0] = [atoms.squares[rank] for atoms in some]
            more[features, 0] -= self.steps[features]
            most = rank == 0 or 2 * len(some) > len(self.steps)
            where = slice(None) if most else features
            found.append((where, values[where], more[where]))
        return found


def weighted_squares(squares: np.ndarray, resp: np.ndarray) -> np.ndarray:
    """Σ_i r_i s_i of each feature, for weights (…, b): (…, d)."""
    if squares.shape[1] == 1:
        return resp.sum(axis=-1, dtype=float)[..., None] * squares[:, 0]
    return resp @ squares.T


def root_without(white: np.ndarray) -> np.ndarray:
    """Return lower roots (…, d, d) of I − W Wᵀ.

    W = L⁻¹ A are roots A of what covariances L Lᵀ have of the width of steps. So L
    times these roots are those of the covariances without it, and nothing is subtracted
    that is nearly collinear. Where shapes that components share have taken a part of
    the width, less is subtracted, so that there is variance left in each direction.
    """
    largest = np.linalg.norm(white, 2, axis=(-2, -1), keepdims=True)
    white = white * np.minimum(
        1.0, np.sqrt(MOST_OF_STEPS) / np.maximum(largest, 1e-300)
    )
    products = white @ np.swapaxes(white, -1, -2)
    return np.linalg.cholesky(np.eye(products.shape[-1]) - products)
