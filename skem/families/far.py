"""Rows of a table that are far from all components, in columns that are Gaussian.

The logits of such rows are large, and what they differ by is lost to rounding. They are
polynomials in the distance of a row, so that their coefficients are subtracted instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import distances, expansion, within_widths
from skem.core.gaussian.marginals import marginal_parameters
from skem.core.gaussian.parameters import Parameters
from skem.core.incomplete.patterns import Patterns

FARTHEST = 1e140
"""Size of coordinates at most, as squares have to stay in range."""
LARGEST = float(np.finfo(float).max)
ROUNDS = 3
"""How often components are compared with the likeliest so far."""


class Expansion(NamedTuple):
    """Logits −½ A t² + B t + C of a group of columns, (K, b), for rows of size t."""

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    t: np.ndarray

    def stacked(self, shape: tuple[int, ...]) -> Expansion:
        """Put the components of each mixture along an axis of their own."""
        A, B, C = (each.reshape(shape) for each in self[:3])
        return Expansion(A, B, C, self.t)

    def of(self, chosen: np.ndarray) -> Expansion:
        """Return the coefficients of one component for each row."""
        A, B, C = (np.take_along_axis(each, chosen, axis=-2) for each in self[:3])
        return Expansion(A, B, C, self.t)

    def above(self, other: Expansion | None = None) -> np.ndarray:
        """Logits, or what they are above others."""
        A, B, C = self[:3]
        if other is not None:
            A, B, C = A - other.A, B - other.B, C - other.C
        return -0.5 * A * self.t * self.t + B * self.t + C


def shrunk(z: np.ndarray) -> np.ndarray:
    """Rows (d, b) no farther than `FARTHEST`, in the direction in which they are."""
    size = np.abs(z).max(axis=0, initial=0.0)
    if size.max(initial=0.0) <= FARTHEST:
        return z
    size = np.minimum(size, LARGEST)
    z = np.clip(z, -LARGEST, LARGEST)
    return np.where(size > FARTHEST, z / size * FARTHEST, z)


def expanded(
    structure: Structure,
    parameters: Parameters,
    z: np.ndarray,
    seen: np.ndarray,
    squares: np.ndarray,
) -> Expansion:
    """Expand log-densities of what is seen, of rows z (d, b) that are zero elsewhere.

    Of rows that are near, about the means.
    """
    K, b = len(parameters.means), z.shape[1]
    A, B, C = np.zeros((3, K, b))
    t, near = distances(parameters, z)
    for kept, rows in Patterns.of(~seen):
        if not kept.any():
            continue
        form, own = structure, parameters
        if not kept.all():
            form, own = marginal_parameters(structure, parameters, kept)
        at = np.ix_(kept, rows)
        A[:, rows], B[:, rows], C[:, rows] = expansion(
            form, own, z[at] / t[rows], near[rows]
        )
        C[:, rows] += within_widths(form, own, squares[at])
    return Expansion(A, B, C, t)


def compared(
    groups: Sequence[Expansion], others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-densities (…, b) and probabilities (…, K, b), never NaN.

    `others` (…, K, b) are the logits of other columns, −∞ where a label rules a
    component out.
    """
    others = np.nan_to_num(others, nan=-np.inf, neginf=-np.inf)
    groups = [each.stacked(others.shape) for each in groups]
    chosen = others.argmax(axis=-2)[..., None, :]
    with np.errstate(all="ignore"):
        for _ in range(ROUNDS):
            base = np.take_along_axis(others, chosen, axis=-2)
            logits = others - base + sum(each.above(each.of(chosen)) for each in groups)
            logits = np.nan_to_num(logits, nan=-np.inf, posinf=LARGEST, neginf=-np.inf)
            chosen = logits.argmax(axis=-2)[..., None, :]
        base += sum(each.of(chosen).above() for each in groups)
        base = np.nan_to_num(base, nan=-np.inf)[..., 0, :]
        top = logits.max(axis=-2)
        resp = np.exp(logits - top[..., None, :])
        total = resp.sum(axis=-2)
        log_norm = np.clip(base + top + np.log(total), -LARGEST, LARGEST)
    return log_norm, resp / total[..., None, :]
