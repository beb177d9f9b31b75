"""The quadratic part of T(x) = [1, x, q(x)], and sums of it.

A kind says which quadratic statistic a covariance structure needs. `expand` writes
q(x) for a block; sums of q keep that layout, one row per component, until `unpack`
gives them their natural shape. For a shift, Σ r q(x − δ) about the mean is
Σ r q(x) − n q(δ), whatever the kind. Two of a kind are equal, so that statistics may
come from another process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np


class Quadratic(Protocol):
    """What a kind of quadratic statistic can do."""

    def size(self, n_features: int) -> int:
        """Return the number of values of q(x)."""

    def expand(self, z: np.ndarray, out: np.ndarray) -> None:
        """Write q(z) for z of shape (d, b) into `out` of shape (size, b)."""

    def weighted_sum(self, z: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Return Σ_i r_i q(z_i), shape (size,), without forming q."""

    def add_squares(self, values: np.ndarray, squares: np.ndarray) -> None:
        """Add squares of features, (d, …), to values of q, (size, …), in place."""

    def unpack(self, sums: np.ndarray, n_features: int) -> np.ndarray:
        """(…, size) -> (…, d, d), (…, d) or (…,)."""

    def pack(self, values: np.ndarray) -> np.ndarray:
        """Undo `unpack`."""

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        """Σ r x xᵀ, (…, d, d) -> Σ r q(x), (…, size)."""


GATHERED = 32
"""Samples of which copies cost less than a call for each feature."""


@lru_cache(maxsize=64)
def upper_triangle(n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices of the upper triangle, row by row."""
    return np.triu_indices(n_features)


@lru_cache(maxsize=64)
def packed_places(n_features: int) -> np.ndarray:
    """Where each entry of a matrix stands in the packed upper triangle, (d, d)."""
    places = np.zeros((n_features, n_features), int)
    i, j = upper_triangle(n_features)
    places[i, j] = places[j, i] = np.arange(len(i))
    return places


@lru_cache(maxsize=64)
def diagonal_positions(n_features: int) -> np.ndarray:
    """Where the diagonal stands in the packed upper triangle."""
    i, j = upper_triangle(n_features)
    return np.flatnonzero(i == j)


@dataclass(frozen=True)
class Pairs:
    """All products x_i x_j, i ≤ j."""

    def size(self, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def expand(self, z: np.ndarray, out: np.ndarray) -> None:
        if z.shape[1] <= GATHERED:
            first, second = upper_triangle(len(z))
            np.multiply(z[first], z[second], out=out)
            return
        row = 0
        for i in range(len(z)):
            n = len(z) - i
            np.multiply(z[i:], z[i], out=out[row : row + n])
            row += n

    def weighted_sum(self, z: np.ndarray, resp: np.ndarray) -> np.ndarray:
        scaled = z * np.sqrt(resp)
        return self.pack(scaled @ scaled.T)

    def add_squares(self, values: np.ndarray, squares: np.ndarray) -> None:
        values[diagonal_positions(len(squares))] += squares

    def unpack(self, sums: np.ndarray, n_features: int) -> np.ndarray:
        return sums.take(packed_places(n_features), axis=-1)

    def pack(self, values: np.ndarray) -> np.ndarray:
        *stack, d, _ = values.shape
        i, j = upper_triangle(d)
        return values.reshape(*stack, d * d).take(i * d + j, axis=-1)

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return self.pack(matrices)


@dataclass(frozen=True)
class Squares:
    """The squares x_i²."""

    def size(self, n_features: int) -> int:
        return n_features

    def expand(self, z: np.ndarray, out: np.ndarray) -> None:
        np.square(z, out=out)

    def weighted_sum(self, z: np.ndarray, resp: np.ndarray) -> np.ndarray:
        return np.square(z) @ resp

    def add_squares(self, values: np.ndarray, squares: np.ndarray) -> None:
        values += squares

    def unpack(self, sums: np.ndarray, n_features: int) -> np.ndarray:
        return sums

    def pack(self, values: np.ndarray) -> np.ndarray:
        return values

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return np.einsum("...ii->...i", matrices)


@dataclass(frozen=True)
class Norm:
    """The squared norm |x|²."""

    def size(self, n_features: int) -> int:
        return 1

    def expand(self, z: np.ndarray, out: np.ndarray) -> None:
        np.einsum("ib,ib->b", z, z, out=out[0])

    def weighted_sum(self, z: np.ndarray, resp: np.ndarray) -> np.ndarray:
        return np.atleast_1d(np.einsum("ib,ib->b", z, z) @ resp)

    def add_squares(self, values: np.ndarray, squares: np.ndarray) -> None:
        values[0] += squares.sum(axis=0)

    def unpack(self, sums: np.ndarray, n_features: int) -> np.ndarray:
        return sums[..., 0]

    def pack(self, values: np.ndarray) -> np.ndarray:
        return values[..., None]

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return np.einsum("...ii->...", matrices)[..., None]


@dataclass(frozen=True)
class Nothing:
    """No quadratic part: it is common to all components and cancels."""

    def size(self, n_features: int) -> int:
        return 0

    def expand(self, z: np.ndarray, out: np.ndarray) -> None:
        pass

    def weighted_sum(self, z: np.ndarray, resp: np.ndarray) -> np.ndarray:
        return np.empty(0)

    def add_squares(self, values: np.ndarray, squares: np.ndarray) -> None:
        pass

    def unpack(self, sums: np.ndarray, n_features: int) -> np.ndarray:
        return sums

    def pack(self, values: np.ndarray) -> np.ndarray:
        return values

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return np.empty((*matrices.shape[:-2], 0))
