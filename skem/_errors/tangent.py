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
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.storage import transposed

FIRST_STEP = 1e-5
"""Step of first differences, in units of the coordinates' standard errors for a row."""
SECOND_STEP = 1e-3
"""Step of second differences, of which the error is the square."""


@dataclass(frozen=True)
class Beside:
    """Precision Cholesky factors in the directions that are not null.

    There alone is something asked of covariances, in features times the slope.
    """

    structure: Structure
    null: NullSpace
    whole: np.ndarray

    @cached_property
    def basis(self) -> np.ndarray:
        """Orthonormal directions (d, r)."""
        return self.null.others(along_features=not self.structure.matrices)

    @cached_property
    def _scaled(self) -> np.ndarray:
        return self.structure.rescale_precisions_cholesky(
            self.whole, 1 / self.null.relative_slope
        )

    @cached_property
    def part(self) -> np.ndarray:
        """Those of `whole` in these directions."""
        return self.structure.beside(self.whole, self.null)

    def joined(self, part: np.ndarray) -> np.ndarray:
        """Undo `part`, with the null directions as they are in `whole`."""
        if not self.structure.matrices:
            found = self._scaled + (part - self.part) @ self.basis.T
        else:
            null = self.null.basis @ self._scaled
            known = np.linalg.cholesky(null @ transposed(null))
            roots = np.concatenate(
                [self.basis @ part, self.null.basis.T @ known], axis=-1
            )
            found = self.structure.upper_factor(roots)
        return self.structure.rescale_precisions_cholesky(
            found, self.null.relative_slope
        )


@dataclass(frozen=True)
class Tangent:
    """The free coordinates about `base`, the precision Cholesky factors.

    They are in units that have an information of one for a row of each component.
    Nothing is free in the null directions, if there are some.
    """

    structure: Structure
    base: np.ndarray
    n_features: int
    null: NullSpace | None = None

    @cached_property
    def _beside(self) -> Beside | None:
        if self.null is None:
            return None
        return Beside(self.structure, self.null, self.base)

    @cached_property
    def _local(self) -> Local:
        if self._beside is None:
            return self.structure.local(self.base, self.n_features)
        return self.structure.local(self._beside.part, self._beside.basis.shape[1])

    @cached_property
    def _unit(self) -> np.ndarray:
        if self.null is not None and self.null.size == self.n_features:
            return np.empty(0)
        K = len(self.base)
        return 1 / self._local.scale(np.ones(K), float(K))[0]

    @property
    def size(self) -> int:
        """Number of free parameters of the covariances."""
        return len(self._unit)

    def _at(self, values: np.ndarray) -> np.ndarray:
        found = self._local.unpack((values * self._unit)[None])
        return found if self._beside is None else self._beside.joined(found)

    @cached_property
    def jacobian(self) -> np.ndarray:
        """∂t/∂c of each covariance's own coordinates t, (K, coordinates, size)."""
        here = self.structure.to_chart(self.base, self.base)
        found = np.empty((*here.shape, self.size))
        for j, step in enumerate(FIRST_STEP * np.eye(self.size)):
            ahead, behind = (
                self.structure.to_chart(self.base, self._at(sign * step))
                for sign in (1, -1)
            )
            found[..., j] = (ahead - behind) / (2 * FIRST_STEP)
        return found

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
        if not self.size:
            return steps
        middle = loss(np.zeros(self.size))
        ahead = np.array([loss(step) for step in steps])
        behind = np.array([loss(-step) for step in steps])
        hessian = np.diag(ahead + behind - 2 * middle)
        for i, j in zip(*np.triu_indices(self.size, 1), strict=True):
            both = loss(steps[i] + steps[j]) + loss(-steps[i] - steps[j])
            alone = ahead[i] + ahead[j] + behind[i] + behind[j]
            hessian[i, j] = hessian[j, i] = (both + 2 * middle - alone) / 2
        return hessian / SECOND_STEP**2
