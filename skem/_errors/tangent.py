"""Free coordinates of covariances of which something is asked together.

Scores and their information are those of each covariance by itself. With J the Jacobian
of these coordinates in the free ones, they become Jᵀ s and Jᵀ B J.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.local import Local

FIRST_STEP = 1e-5
"""Step of first differences, in units of the coordinates' standard errors for a row."""
SECOND_STEP = 1e-3
"""Step of second differences, of which the error is the square."""


@dataclass(frozen=True)
class Tangent:
    """The free coordinates about `base`, the precision Cholesky factors.

    They are in units that have an information of one for a row of each component.
    """

    structure: Structure
    base: np.ndarray
    n_features: int

    @cached_property
    def _local(self) -> Local:
        return self.structure.local(self.base, self.n_features)

    @cached_property
    def _unit(self) -> np.ndarray:
        K = len(self.base)
        return 1 / self._local.scale(np.ones(K), float(K))[0]

    @property
    def size(self) -> int:
        """Number of free parameters of the covariances."""
        return len(self._unit)

    def _at(self, values: np.ndarray) -> np.ndarray:
        return self._local.unpack((values * self._unit)[None])

    @cached_property
    def jacobian(self) -> np.ndarray:
        """∂t/∂c of each covariance's own coordinates t, (K, coordinates, size)."""
        columns = []
        for step in FIRST_STEP * np.eye(self.size):
            ahead, behind = (
                self.structure.to_chart(self.base, self._at(sign * step))
                for sign in (1, -1)
            )
            columns.append((ahead - behind) / (2 * FIRST_STEP))
        return np.stack(columns, axis=-1)

    def columns(self, n_before: int) -> np.ndarray:
        """Return the Jacobian of all coordinates, of which the first are as before."""
        own = self.jacobian.reshape(-1, self.size)
        whole = np.zeros((n_before + len(own), n_before + self.size))
        whole[:n_before, :n_before] = np.eye(n_before)
        whole[n_before:, n_before:] = own
        return whole

    def information(self, scatter: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Minus the Hessian of Σ_k −½ [n_k log|Σ_k| + tr(Σ_k⁻¹ W_k)], (size, size).

        `scatter` is U₀ᵀ W U₀, as the structure has it. At the optimum W_k is n_k Σ_k
        where each covariance is free, but not where they are constrained.
        """

        def loss(values: np.ndarray) -> float:
            cholesky = self._at(values)
            if self.structure.matrices:
                ratio = np.linalg.solve(self.base, cholesky)
                trace = ((scatter @ ratio) * ratio).sum()
            else:
                ratio = cholesky / self.base
                trace = (scatter * ratio**2).sum()
            log_det = self.structure.log_det(ratio, self.n_features)
            return float(0.5 * trace - counts @ log_det)

        steps = SECOND_STEP * np.eye(self.size)
        middle = loss(np.zeros(self.size))
        ahead = np.array([loss(step) for step in steps])
        behind = np.array([loss(-step) for step in steps])
        hessian = np.diag(ahead + behind - 2 * middle)
        for i, j in zip(*np.triu_indices(self.size, 1), strict=True):
            both = loss(steps[i] + steps[j]) + loss(-steps[i] - steps[j])
            alone = ahead[i] + ahead[j] + behind[i] + behind[j]
            hessian[i, j] = hessian[j, i] = (both + 2 * middle - alone) / 2
        return hessian / SECOND_STEP**2
