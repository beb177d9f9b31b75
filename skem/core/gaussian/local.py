"""Charts of covariances: coordinates in which they stay what their structure allows.

A chart is about base factors U₀. For data from there, its coordinates are independent,
and their information is known: the count of rows, or as `scale` has it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.linalg import helmert
from scipy.optimize import linear_sum_assignment

from skem.core.gaussian.axes import common_axes, rotation
from skem.core.gaussian.quadratic import upper_triangle
from skem.core.gaussian.storage import Storage, diagonals, transposed

LEAST_INFORMATION = 1e-6
"""Information, for each row, that the angle of axes of equal variances is given."""

EQUAL_LOGS = 1e-6
"""Difference of logarithms of variances up to which rounding alone tells their axes."""


class Local(ABC):
    """Coordinates of covariances about a base."""

    @abstractmethod
    def scale(self, counts: np.ndarray, total: float) -> np.ndarray:
        """Return the roots of the information from components of these counts, (K,).

        `total` is their sum.
        """

    @abstractmethod
    def pack(self, cholesky: np.ndarray) -> np.ndarray:
        """Return the coordinates of U, of the shape of what `scale` is times."""

    @abstractmethod
    def unpack(self, values: np.ndarray) -> np.ndarray:
        """Undo `pack`."""


@dataclass(frozen=True)
class LogCholesky(Local):
    """Those of the storage, where each covariance is free: see `Storage.to_chart`."""

    storage: Storage
    base: np.ndarray
    n_features: int

    def scale(self, counts: np.ndarray, total: float) -> np.ndarray:
        roots = np.sqrt(counts)[:, None]
        if self.storage.shared:
            return np.full((1, 1), np.sqrt(total))
        # A variance that d features share has d times the information.
        return roots * np.sqrt(self.n_features) if self.base.ndim == 1 else roots

    def pack(self, cholesky: np.ndarray) -> np.ndarray:
        return self.storage.to_chart(self.base, cholesky)

    def unpack(self, values: np.ndarray) -> np.ndarray:
        return self.storage.from_chart(self.base, values)


@lru_cache(maxsize=64)
def zero_sums(d: int) -> np.ndarray:
    """Orthonormal basis (d − 1, d) of vectors whose entries sum to zero."""
    return helmert(d) if d > 1 else np.empty((0, 1))


@dataclass(frozen=True)
class ShapedLocal(Local):
    """Coordinates of the fourteen shapes, a row of one vector (1, parameters).

    The letters of `name` say which logarithms of the volume, (d/2)⁻½ per row, and of
    the shape, in an orthonormal basis of zero sums, components have in common; and
    then the angles of axes, or where only |C| = 1 is asked of matrices (VEE, EVV), the
    log-Cholesky coordinates of C.
    """

    name: str
    storage: Storage
    base: np.ndarray
    n_features: int

    @cached_property
    def _basis(self) -> np.ndarray:
        return zero_sums(self.n_features)

    def _shared(self, letter: int) -> bool:
        return self.name[letter] == "E"

    def _split(self, log_ratios: np.ndarray) -> list[np.ndarray]:
        """Log-ratios of variances (K, d) -> coordinates of volumes and shapes."""
        volumes = log_ratios.mean(axis=1)
        parts = [volumes.mean(keepdims=True) if self._shared(0) else volumes]
        if self.name[1] != "I":
            shapes = log_ratios @ self._basis.T
            parts.append(shapes.mean(axis=0) if self._shared(1) else shapes.ravel())
        return parts

    def _joined(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Undo `_split`; return what is left of the values as well."""
        K, d = len(self.base), self.n_features
        n = 1 if self._shared(0) else K
        ratios = np.broadcast_to(values[:n], K)[:, None]
        rest = values[n:]
        if self.name[1] != "I":
            rows = 1 if self._shared(1) else K
            shapes, rest = np.split(rest, [rows * (d - 1)])
            ratios = ratios + shapes.reshape(rows, d - 1) @ self._basis
        return np.broadcast_to(ratios, (K, d)), rest

    def _of_logarithms(self, counts: np.ndarray) -> list[np.ndarray]:
        """Information of what `_split` returns."""
        d, whole = self.n_features, counts.sum(keepdims=True)
        parts = [d / 2 * (whole if self._shared(0) else counts)]
        if self.name[1] != "I":
            parts.append(np.repeat((whole if self._shared(1) else counts) / 2, d - 1))
        return parts

    def scale(self, counts: np.ndarray, total: float) -> np.ndarray:
        parts = self._of_logarithms(counts) + self._of_the_rest(counts)
        return np.sqrt(np.concatenate(parts))[None]

    def _of_the_rest(self, counts: np.ndarray) -> list[np.ndarray]:
        return []

    def pack(self, cholesky: np.ndarray) -> np.ndarray:
        ratios = 2 * np.log(self.base / cholesky)
        return np.concatenate(self._split(ratios.reshape(len(ratios), -1)))[None]

    def unpack(self, values: np.ndarray) -> np.ndarray:
        ratios, _ = self._joined(values[0])
        if self.base.ndim == 1:
            ratios = ratios[:, 0]
        return self.base * np.exp(-ratios / 2)


@dataclass(frozen=True)
class UnitDeterminants(ShapedLocal):
    """VEE and EVV: volumes, and matrices of determinant one."""

    @cached_property
    def _log_det(self) -> np.ndarray:
        return self.storage.log_det(self.base, self.n_features) / self.n_features

    @cached_property
    def _unit(self) -> np.ndarray:
        return self.base * np.exp(-self._log_det)[:, None, None]

    @cached_property
    def _on_diagonal(self) -> np.ndarray:
        i, j = upper_triangle(self.n_features)
        return i == j

    def _of_logarithms(self, counts: np.ndarray) -> list[np.ndarray]:
        return super()._of_logarithms(counts)[:1]

    def _of_the_rest(self, counts: np.ndarray) -> list[np.ndarray]:
        d = self.n_features
        size = d * (d + 1) // 2 - 1
        return [np.repeat(counts.sum(keepdims=True) if self._one else counts, size)]

    @property
    def _one(self) -> bool:
        return self._shared(1)

    def pack(self, cholesky: np.ndarray) -> np.ndarray:
        log_det = self.storage.log_det(cholesky, self.n_features) / self.n_features
        volumes = 2 * (self._log_det - log_det)
        unit = cholesky * np.exp(-log_det)[:, None, None]
        values = self.storage.to_chart(self._unit, unit)
        if self._one:
            values = values.mean(axis=0, keepdims=True)
        shapes = np.hstack(
            [
                values[:, self._on_diagonal] @ self._basis.T,
                values[:, ~self._on_diagonal],
            ]
        )
        if self._shared(0):
            volumes = volumes.mean(keepdims=True)
        return np.concatenate([volumes, shapes.ravel()])[None]

    def unpack(self, values: np.ndarray) -> np.ndarray:
        K, d = len(self.base), self.n_features
        n = 1 if self._shared(0) else K
        volumes, rest = values[0, :n], values[0, n:]
        rest = rest.reshape(1 if self._one else K, -1)
        shapes = np.empty((len(rest), d * (d + 1) // 2))
        shapes[:, self._on_diagonal] = rest[:, : d - 1] @ self._basis
        shapes[:, ~self._on_diagonal] = rest[:, d - 1 :]
        unit = self.storage.from_chart(
            self._unit, np.broadcast_to(shapes, (K, shapes.shape[1]))
        )
        return unit * np.exp(self._log_det - volumes / 2)[:, None, None]


@dataclass(frozen=True)
class Rotated(ShapedLocal):
    """Volumes, shapes, and the angles of axes about those of the base, by pairs.

    An angle's information for each row is (a_i − a_j)² / (a_i a_j), a the variances.
    """

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Axes (K or 1, d, d) and logarithms of the variances along them, (K, d)."""
        return self._decomposed(self.base)

    def _decomposed(self, cholesky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # In a unit in which squares are in range: axes do not depend on it.
        unit = diagonals(cholesky).min(axis=-1)[:, None, None]
        covariances = self.storage.covariances(cholesky / unit)
        if self._shared(2):
            axes = common_axes(covariances)[None]
        else:
            axes = np.linalg.eigh(covariances)[1]
        roots = transposed(axes) @ cholesky
        largest = np.abs(roots).max(axis=-1)
        squares = np.square(roots / largest[..., None]).sum(axis=-1)
        return axes, -2 * np.log(largest) - np.log(squares)

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        return np.triu_indices(self.n_features, 1)

    def _of_the_rest(self, counts: np.ndarray) -> list[np.ndarray]:
        i, j = self._pairs
        _, logs = self._axes
        ratio = logs[:, i] - logs[:, j]
        # 4 sinh² of half of it; beyond e²⁵⁰ it does not matter.
        each = 4 * np.square(np.sinh(np.clip(ratio / 2, -250, 250)))
        each = counts[:, None] * np.maximum(each, LEAST_INFORMATION)
        return [each.sum(axis=0) if self._shared(2) else each.ravel()]

    def pack(self, cholesky: np.ndarray) -> np.ndarray:
        base, base_logs = self._axes
        axes, logs = self._decomposed(cholesky)
        # The axes of the target in the order of those that they are nearest to.
        products = transposed(base) @ axes
        _, order = linear_sum_assignment(np.square(products).sum(axis=0), maximize=True)
        products, logs = products[..., order], logs[:, order]
        of_each = np.stack([base_logs, logs], axis=1)
        of_each = of_each.reshape(len(products), -1, self.n_features)
        for product, its_logs in zip(products, of_each, strict=True):
            align(product, its_logs)
        products = products * np.where(diagonals(products) < 0, -1, 1)[:, None, :]
        for product in products:
            if np.linalg.det(product) < 0:
                product[:, np.argmin(np.diagonal(product))] *= -1
        i, j = self._pairs
        angles = skew_of(products)[:, i, j]
        return np.concatenate([*self._split(logs - base_logs), angles.ravel()])[None]

    def unpack(self, values: np.ndarray) -> np.ndarray:
        d = self.n_features
        base, logs = self._axes
        ratios, rest = self._joined(values[0])
        i, j = self._pairs
        skew = np.zeros((len(base), d, d))
        skew[:, i, j] = rest.reshape(len(base), len(i))
        axes = base @ rotation(skew - transposed(skew))
        deviations = np.exp((logs + ratios) / 2)
        return self.storage.upper_factor(axes / deviations[:, None, :])


def align(product: np.ndarray, logs: np.ndarray) -> None:
    """Turn axes along which all variances are equal as near to the base's as can be.

    Rounding alone would say where they are in what they span. `product` are the base's
    axes times these, and `logs` (…, d) the logarithms of all variances.
    """
    apart = np.abs(logs[:, :, None] - logs[:, None, :]).max(axis=0)
    first = (apart <= EQUAL_LOGS).argmax(axis=0)
    for one in np.flatnonzero(np.bincount(first) > 1):
        same = np.flatnonzero(first == one)
        left, _, right = np.linalg.svd(product[np.ix_(same, same)])
        product[:, same] = product[:, same] @ (left @ right).T


def skew_of(rotations: np.ndarray) -> np.ndarray:
    """Undo `rotation`: S = 2 (R − I) (R + I)⁻¹, not for a half turn."""
    eye = np.eye(rotations.shape[-1])
    skew = 2 * np.linalg.solve(rotations + (1 + 1e-12) * eye, rotations - eye)
    return (skew - transposed(skew)) / 2


def local(name: str, storage: Storage, base: np.ndarray, n_features: int) -> Local:
    """Return the chart of one of the fourteen shapes."""
    if name in ("VEE", "EVV"):
        return UnitDeterminants(name, storage, base, n_features)
    kind = ShapedLocal if name[2] == "I" else Rotated
    return kind(name, storage, base, n_features)
