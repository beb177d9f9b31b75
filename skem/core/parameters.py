"""The parameters of a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Parameters:
    """Weights, means and precision Cholesky factors of all K components.

    The factor U is upper triangular with Σ⁻¹ = U Uᵀ; its shape is the structure's.
    """

    weights: np.ndarray
    means: np.ndarray
    precisions_cholesky: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(K, d)."""
        n_components, n_features = self.means.shape
        return n_components, n_features

    @cached_property
    def log_weights(self) -> np.ndarray:
        """Log w, finite also where a weight is zero."""
        return np.log(np.maximum(self.weights, TINY))
