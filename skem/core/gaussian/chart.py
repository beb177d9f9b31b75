"""Unconstrained coordinates in which an EM step is about a unit gradient step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.local import Local, LogCholesky
from skem.core.gaussian.packing import Packer
from skem.core.gaussian.parameters import TINY, Parameters

SMALLEST_WEIGHT = 1e-10


@dataclass(frozen=True)
class Chart:
    """EM-local coordinates about a base point θ⁰.

    With s_k = √(N w⁰_k): s (log w − log w⁰), under softmax; s U⁰ᵀ(μ − μ⁰); and s times
    the structure's own coordinates of Σ, by the root of their information. At the base
    point that of the complete data in these coordinates is the identity. Every vector
    is a mixture. `restored` puts back what of it must not change.
    """

    structure: Structure
    base: Parameters
    total_weight: float
    restored: Callable[[Parameters], Parameters] | None = None
    noise: bool = False
    """Whether there is one more weight, what the others leave of one."""

    @cached_property
    def _scale(self) -> np.ndarray:
        weights = np.maximum(self.base.weights, SMALLEST_WEIGHT)
        return np.sqrt(self.total_weight * weights)[:, None]

    @cached_property
    def _weight_scale(self) -> np.ndarray:
        if not self.noise:
            return self._scale[:, 0]
        own = max(float(self.base.noise_weight), SMALLEST_WEIGHT)
        return np.append(self._scale[:, 0], np.sqrt(self.total_weight * own))

    @cached_property
    def _mean_scale(self) -> np.ndarray:
        return self._scale

    @cached_property
    def _local(self) -> Local:
        return self.structure.local(
            self.base.precisions_cholesky, self.base.means.shape[1]
        )

    @cached_property
    def _covariance_scale(self) -> np.ndarray:
        weights = np.maximum(self.base.weights, SMALLEST_WEIGHT)
        return self._local.scale(self.total_weight * weights, self.total_weight)

    @cached_property
    def _packer(self) -> Packer | None:
        """What does it in compiled code, if anything does."""
        if self.noise or not isinstance(self._local, LogCholesky):
            return None
        scales = (self._weight_scale, self._mean_scale, self._covariance_scale)
        return Packer.of(self.structure, self._parts(self.base), scales)

    def _parts(self, parameters: Parameters) -> tuple[np.ndarray, ...]:
        """Shares, means and factors."""
        shares = self._shares(parameters)
        return shares, parameters.means, parameters.precisions_cholesky

    def _shares(self, parameters: Parameters) -> np.ndarray:
        """Return what the components share."""
        weights = parameters.weights
        return np.append(weights, parameters.noise_weight) if self.noise else weights

    def _log_shares(self, parameters: Parameters) -> np.ndarray:
        return np.log(np.maximum(self._shares(parameters), TINY))

    def _assembled(
        self, shares: np.ndarray, means: np.ndarray, cholesky: np.ndarray
    ) -> Parameters:
        """Return the mixture of these shares."""
        return Parameters(shares[: len(means)], means, cholesky)

    def _size_of(self, log_ratio: np.ndarray) -> float:
        """Size of a change of the logarithms of shares."""
        return float(np.max(np.abs(log_ratio)))

    @cached_property
    def _scales(self) -> np.ndarray:
        """That of each entry of a vector."""
        (K, d), rows = self.base.shape, len(self._covariance_scale)
        means = np.broadcast_to(self._mean_scale, (K, d))
        if self._packer is not None:
            size = self._packer.size - len(self._weight_scale) - K * d
        else:
            size = self._local.pack(self.base.precisions_cholesky).size
        covariances = np.broadcast_to(self._covariance_scale, (rows, size // rows))
        parts = (self._weight_scale, means.ravel(), covariances.ravel())
        return np.concatenate(parts)

    def _split(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-weights, means and covariances of a vector, without their scales."""
        (K, d), n_weights = self.base.shape, len(self._weight_scale)
        end, rows = n_weights + K * d, len(self._covariance_scale)
        values = vector / self._scales
        means, covariances = values[n_weights:end], values[end:]
        return values[:n_weights], means.reshape(K, d), covariances.reshape(rows, -1)

    def pack(self, parameters: Parameters) -> np.ndarray:
        """Parameters -> vector; the base point is the origin."""
        if self._packer is not None:
            return self._packer.pack(*self._parts(parameters))
        base = self._log_shares(self.base)
        log_ratio = self._log_shares(parameters) - base
        # Softmax leaves a common constant free: the shares' mean of zero fixes it.
        log_ratio -= np.exp(base) @ log_ratio
        covariances = self._local.pack(parameters.precisions_cholesky)
        means = self.structure.whiten_rows(
            self.base.precisions_cholesky, parameters.means - self.base.means
        )
        return np.concatenate(
            [
                self._weight_scale * log_ratio,
                (self._mean_scale * means).ravel(),
                (self._covariance_scale * covariances).ravel(),
            ]
        )

    def unpack(self, vector: np.ndarray) -> Parameters:
        """Vector -> parameters."""
        if self._packer is not None:
            found = self._assembled(*self._packer.unpack(vector))
            return found if self.restored is None else self.restored(found)
        log_ratio, means, covariances = self._split(vector)
        log_shares = self._log_shares(self.base) + log_ratio
        shares = np.exp(log_shares - log_shares.max())
        base = self.base.precisions_cholesky
        cholesky = self._local.unpack(covariances)
        found = self._assembled(
            shares / shares.sum(),
            self.base.means + self.structure.color_rows(base, means),
            cholesky,
        )
        return found if self.restored is None else self.restored(found)

    def farthest(self, step: np.ndarray) -> float:
        """Return the largest move of a step, in standard deviations or logarithms."""
        moved, n_weights = step / self._scales, len(self._weight_scale)
        others = float(np.abs(moved[n_weights:]).max())
        return max(self._size_of(moved[:n_weights]), others)
