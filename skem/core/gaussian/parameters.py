"""The parameters of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from skem.core.gaussian.storage import TINY


@dataclass(frozen=True)
class Parameters:
    """Weights, means and precision Cholesky factors of all K components.

    The factor U is upper triangular with Σ⁻¹ = U Uᵀ; its shape is the structure's.
    Several mixtures are stacked along a leading axis of each array. If there is noise,
    its weight is what is left of one.
    """

    weights: np.ndarray
    means: np.ndarray
    precisions_cholesky: np.ndarray

    @classmethod
    def stacked(cls, mixtures: Sequence[Self]) -> Self:
        """Stack mixtures of one structure and as many components."""
        kind = type(mixtures[0])
        return kind(
            *map(np.stack, zip(*(each.arrays for each in mixtures), strict=True))
        )

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays that they are made of."""
        # `fields` would look at each of them again.
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __getitem__(self, index: Any) -> Self:
        """Return one or several mixtures of a stack."""
        return type(self)(*[array[index] for array in self.arrays])

    def astype(self, dtype: np.dtype) -> Self:
        """Return them in arrays of another type."""
        return type(self)(*[array.astype(dtype) for array in self.arrays])

    def ordered(self, order: np.ndarray, cholesky: np.ndarray) -> Self:
        """Return the components in another order, with their factors in that order."""
        return replace(
            self,
            weights=self.weights[order],
            means=self.means[order],
            precisions_cholesky=cholesky,
        )

    def spliced(
        self, pairs: np.ndarray, twos: Parameters, weights: np.ndarray, *, shared: bool
    ) -> Self:
        """Put components of each of a stack in the places of as many of this mixture.

        Of places (M, 2) that are the same the first component has it. A covariance that
        all share stays as it is.
        """
        cholesky = self.precisions_cholesky
        if shared:
            stack = np.broadcast_to(cholesky, (len(pairs), *cholesky.shape))
        else:
            stack = placed(cholesky, pairs, twos.precisions_cholesky)
        means = placed(self.means, pairs, twos.means)
        return replace(self, weights=weights, means=means, precisions_cholesky=stack)

    def peaked(self, counts: np.ndarray, n_features: int) -> np.ndarray:
        """Mask of components whose density peaks at a row without bound: none."""
        return np.zeros(len(self.weights), bool)

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, d), after the axis of a stack."""
        return self.means.shape

    @cached_property
    def all_means(self) -> np.ndarray:
        """The means of all components of all mixtures of a stack, (G, d)."""
        return self.means.reshape(-1, self.means.shape[-1])

    @property
    def noise_weight(self) -> np.ndarray:
        """The weight of noise, what the others leave of one."""
        return np.maximum(1 - self.weights.sum(axis=-1), 0.0)

    @property
    def log_noise_weight(self) -> np.ndarray:
        """Log w_0, finite also where it is zero."""
        return np.log(np.maximum(self.noise_weight, TINY))

    @cached_property
    def log_weights(self) -> np.ndarray:
        """Log w, finite also where a weight is zero."""
        return np.log(np.maximum(self.weights, TINY))


def shares(weights: np.ndarray) -> np.ndarray:
    """Weights (…, K) over their sum; all the same where noise has taken everything."""
    total = weights.sum(axis=-1, keepdims=True)
    return np.where(total > 0, weights, 1.0) / np.where(
        total > 0, total, weights.shape[-1]
    )


def placed(array: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return copies of an array, (M, K, …), with other values (M, 2, …) in places."""
    copies = np.repeat(array[None], len(places), axis=0)
    mixture = np.arange(len(places))
    for i in reversed(range(places.shape[1])):
        copies[mixture, places[:, i]] = values[:, i]
    return copies
