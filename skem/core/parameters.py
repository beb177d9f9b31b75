"""The parameters of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Parameters:
    """Weights, means and precision Cholesky factors of all K components.

    The factor U is upper triangular with Σ⁻¹ = U Uᵀ; its shape is the structure's.
    Several mixtures are stacked along a leading axis of each array.
    """

    weights: np.ndarray
    means: np.ndarray
    precisions_cholesky: np.ndarray

    @classmethod
    def stacked(cls, mixtures: Sequence[Parameters]) -> Parameters:
        """Stack mixtures of one structure and as many components."""
        return cls(
            np.stack([each.weights for each in mixtures]),
            np.stack([each.means for each in mixtures]),
            np.stack([each.precisions_cholesky for each in mixtures]),
        )

    def __getitem__(self, index: Any) -> Parameters:
        """Return one or several mixtures of a stack."""
        return Parameters(
            self.weights[index], self.means[index], self.precisions_cholesky[index]
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, d), after the axis of a stack."""
        return self.means.shape

    @cached_property
    def log_weights(self) -> np.ndarray:
        """Log w, finite also where a weight is zero."""
        return np.log(np.maximum(self.weights, TINY))
