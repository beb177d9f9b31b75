"""Values that many rows share, and the widths that they stand for: see `widths`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


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
