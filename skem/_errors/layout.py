"""The coordinates of a mixture's parameters: where they are, and which are free.

They are ones in which the information of a sample with known labels is diagonal:
log-weights, whitened means U⁻ᵀ a, and the log-Cholesky coordinates of
`Structure.to_chart`. Whatever the units and the conditioning of the covariances, the
information matrix is then as well-conditioned as the mixture's overlap lets it be.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.linalg import block_diag

from skem._errors.tangent import Tangent
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.marginals import independent_part
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.storage import SQRT2

NO_WEIGHT = 1e-100
"""Weights below this are taken for zero, and are not estimated."""


@dataclass(frozen=True)
class Layout:
    """Coordinates of weights, means and covariances, in this order.

    Noise, if there is any, has the last of the weights. Degrees of freedom are between
    means and covariances.
    """

    structure: Structure
    parameters: Parameters
    given: dict[str, np.ndarray] = field(default_factory=dict)
    """Masks (K,) of the weights, means and covariances that are not free."""
    noise: bool = False
    null: NullSpace | None = None
    """Where the data have no variance: nothing there is free."""

    def of_part(self, features: np.ndarray) -> Self:
        """Return that of some features, by index, where the others are constant."""
        part = independent_part(self.structure, self.parameters, features)
        null = None if self.null is None else self.null.marginal(features)
        return replace(self, parameters=part, null=null)

    @cached_property
    def expected(self) -> np.ndarray:
        """E q(y) for y of covariance one, shape (size, 1)."""
        d = self.parameters.means.shape[1]
        return self.structure.quadratic.weighted_sum(np.eye(d), np.ones(d))[:, None]

    @property
    def logarithmic(self) -> np.ndarray:
        """Which coordinates of a covariance are logarithms, shape (size,)."""
        return self.expected[:, 0] > 0

    @cached_property
    def root_weights(self) -> np.ndarray:
        """√w, shape (K,), or with noise (K + 1,)."""
        weights = self.parameters.weights
        if self.noise:
            weights = np.append(weights, self.parameters.noise_weight)
        weights = weights / weights.sum()
        return np.sqrt(np.where(weights < NO_WEIGHT, 0.0, weights))

    @property
    def n_covariances(self) -> int:
        """Number of covariances that are free."""
        return 1 if self.structure.shared else len(self.parameters.weights)

    def means(self, k: int) -> slice:
        """Return the rows of a component's mean."""
        n, d = len(self.root_weights), self.parameters.shape[1]
        return slice(n + k * d, n + (k + 1) * d)

    @property
    def n_before(self) -> int:
        """Number of coordinates before those of the covariances."""
        return self.means(len(self.parameters.weights) - 1).stop

    def covariance(self, row: int) -> slice:
        """Return the rows of a covariance."""
        size, start = len(self.expected), self.n_before
        return slice(start + row * size, start + (row + 1) * size)

    @property
    def n_rows(self) -> int:
        """Number of coordinates, one more than there are free parameters."""
        return self.covariance(self.n_covariances - 1).stop

    @cached_property
    def tangent(self) -> Tangent | None:
        """What is free of the covariances, where something is asked of them."""
        if self.structure.constraint is None or "covariances" in self.given:
            return None
        cholesky, (_, d) = self.parameters.precisions_cholesky, self.parameters.shape
        # The unit of all of them has no effect, and may be at the end of the range.
        base = cholesky / np.abs(cholesky).max()
        return Tangent(self.structure, base, d, self.null)

    def own(self, k: int) -> np.ndarray:
        """Return the rows that belong to one component alone."""
        parts = [slice(k, k + 1)]
        if k < len(self.parameters.weights):
            parts += self._own_of_place(k)
            if not self.structure.shared:
                parts.append(self.covariance(k))
        return np.r_[tuple(parts)]

    def _own_of_place(self, k: int) -> list[slice]:
        """Return the rows of a component beside its weight and its covariance."""
        return [self.means(k)]

    @cached_property
    def columns(self) -> np.ndarray:
        """Free coordinates, one a column, in all coordinates."""
        free = self._free_before
        size = self.n_rows - self.n_before
        if self.tangent is not None:
            own = self.tangent.jacobian.reshape(size, -1)
        else:
            given = self.given.get("covariances", np.zeros(self.n_covariances, bool))
            own = block_diag(
                *(
                    self._free_covariance(row)[:, : 0 if given[row] else None]
                    for row in range(self.n_covariances)
                )
            )
        found = np.zeros((self.n_rows, free.shape[1] + own.shape[1]))
        found[: self.n_before, : free.shape[1]] = free
        found[self.n_before :, free.shape[1] :] = own
        return found

    @property
    def n_free_before(self) -> int:
        """Number of free coordinates before those of the covariances."""
        return self._free_before.shape[1]

    @cached_property
    def n_own(self) -> np.ndarray:
        """Number of free coordinates that each component has alone, (K,)."""
        K = len(self.parameters.weights)
        free = self.columns != 0
        return np.array([free[self.own(k)].any(axis=0).sum() for k in range(K)])

    @cached_property
    def _free_before(self) -> np.ndarray:
        """Those columns of all that come before the covariances."""
        n = len(self.root_weights)
        found, kept = np.eye(self.n_before), np.ones(self.n_before, bool)
        if self.fixed_weights.any():
            # Free weights share what the others leave.
            found[:n, :n] -= np.outer(self._free_root, self._free_root)
            kept[:n] = self.free_weights
            if kept[:n].sum() == 1:
                kept[:n] = False
        if self.noise_apart:
            found[:n, n - 1], kept[n - 1] = self._of_noise, True
        if self.null is not None:
            for k in range(len(self.parameters.weights)):
                axes, rows = self._varying(k), self.means(k)
                end = rows.start + axes.shape[1]
                found[rows, rows.start : end] = axes
                kept[end : rows.stop] = False
        if "means" in self.given:
            for k in np.flatnonzero(self.given["means"]).tolist():
                kept[self.means(k)] = False
        return found[:, kept]

    def _varying(self, k: int) -> np.ndarray:
        """Axes of the whitened rows of a component along which data vary, (d, r)."""
        d, cholesky = self.parameters.shape[1], self.parameters.precisions_cholesky
        if self.null is None:
            return np.eye(d)
        root = self.structure.color(cholesky, k, np.eye(d))
        normals = (root / np.abs(root).max()).T @ self.null.normals.T
        if not self.structure.matrices:
            return np.eye(d)[:, ~normals.any(axis=1)]
        return np.linalg.qr(normals, mode="complete")[0][:, self.null.size :]

    def _free_covariance(self, row: int) -> np.ndarray:
        """Return the free coordinates of a covariance, one a column, in all of its."""
        if self.null is None:
            return np.eye(len(self.expected))
        axes = self._varying(row)
        if not self.structure.matrices:
            return axes
        pairs = zip(*np.triu_indices(axes.shape[1]), strict=True)
        columns = [
            np.outer(axes[:, i], axes[:, j]) + np.outer(axes[:, j], axes[:, i])
            for i, j in pairs
        ]
        entries = np.triu_indices(len(axes))
        found = np.array([column[entries] for column in columns]).T
        found = found.reshape(len(self.expected), -1)
        found[self.logarithmic] /= SQRT2
        return found / np.linalg.norm(found, axis=0)

    @cached_property
    def fixed_weights(self) -> np.ndarray:
        """Mask of the weights that are given, beside noise as shares of the others."""
        fixed = np.zeros(len(self.root_weights), bool)
        mask = self.given.get("weights")
        if mask is not None:
            fixed[: len(mask)] = mask
        return fixed

    @property
    def noise_apart(self) -> bool:
        """Whether noise takes from all weights, and free ones share what is theirs."""
        return bool(self.noise and self.fixed_weights.any())

    @cached_property
    def free_weights(self) -> np.ndarray:
        """Mask of the weights that share what the others leave."""
        free = ~self.fixed_weights
        if self.noise_apart:
            free[-1] = False
        return free

    @cached_property
    def _free_root(self) -> np.ndarray:
        """Roots of the shares that free weights have of what is theirs."""
        root = np.where(self.free_weights, self.root_weights, 0.0)
        return root / max(float(np.linalg.norm(root)), NO_WEIGHT)

    @property
    def _of_noise(self) -> np.ndarray:
        """Direction in which noise gives to the others in proportion, of length one."""
        *others, own = self.root_weights
        whole = float(np.linalg.norm(others))
        return np.append(np.multiply(others, own / max(whole, NO_WEIGHT)), -whole)

    @property
    def common(self) -> np.ndarray:
        """Direction of the free coordinates that is of no effect on the weights."""
        found = np.zeros(self.columns.shape[1])
        free = np.flatnonzero(self.free_weights)
        if not self.fixed_weights.any():
            found[free] = self.root_weights
        elif len(free) > 1:
            found[: len(free)] = self._free_root[free]
        return found
