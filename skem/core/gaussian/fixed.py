"""Parts of a mixture that a fit leaves as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Scatter, Structure
from skem.core.gaussian.parameters import TINY, Parameters
from skem.core.gaussian.statistics import Statistics

AWAY = 1e50
"""Standard deviations beyond which a component is as far as can be."""


@dataclass(frozen=True)
class Fixed:
    """Which weights, means and covariances are given, as masks (K,), and their values.

    `parameters` have values everywhere; those outside of the masks have no meaning.
    Where components share covariances, all of them are given or none.
    """

    parameters: Parameters
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    noise: bool = False
    """Whether weights are shares of what noise leaves, and not of one."""
    exact: Parameters | None = None
    """The values in units of the data, as they were given."""

    @classmethod
    def equal_weights(
        cls, structure: Structure, n_components: int, n_features: int, noise: bool
    ) -> Fixed:
        """Return weights of 1/K each, and nothing else that is given."""
        K, d = n_components, n_features
        unit, _ = structure.factor(np.ones(structure.shape(K, d)))
        if structure.matrices:
            unit = np.broadcast_to(np.eye(d), structure.shape(K, d))
        parameters = Parameters(np.full(K, 1 / K), np.zeros((K, d)), unit)
        some, none = np.ones(K, bool), np.zeros(K, bool)
        return cls(parameters, some, none, none, noise, parameters)

    def inward(self, structure: Structure, coordinates: Coordinates) -> Fixed:
        """Return the same in coordinates."""
        inward = coordinates.inward(structure, self.parameters)
        return replace(self, parameters=inward, exact=self.parameters)

    def outward(self) -> Fixed:
        """Return the same in units of the data, without what rounding does."""
        return self if self.exact is None else replace(self, parameters=self.exact)

    @property
    def placed(self) -> np.ndarray:
        """Mask of the components that have a place of their own: a move is no use."""
        return self.means | self.covariances

    @property
    def alike(self) -> bool:
        """Whether what is given does not tell components apart."""
        weights = self.parameters.weights
        equal = self.weights.all() and np.ptp(weights) == 0
        some = self.means.any() or self.covariances.any()
        return bool(equal or not self.weights.any()) and not some

    def n_parameters(self, structure: Structure, d: int) -> int:
        """Return how many parameters of the mixture are not free, of d dimensions."""
        K = len(self.parameters.weights)
        weights = min(int(self.weights.sum()), K - 1)
        means = int(self.means.sum()) * d
        # If not all of them are given, each component has its own.
        some = int(self.covariances.sum())
        all_given = some == K
        covariances = (
            structure.n_parameters(K, d)
            if all_given
            else some * (structure.n_parameters(1, d))
        )
        return weights + means + covariances

    def about_given(
        self, structure: Structure, statistics: Statistics, scatter: Scatter
    ) -> Scatter:
        """Return the scatter about the means that are given, and not about the own."""
        if not self.means.any():
            return scatter
        given = np.where(self.means[:, None], self.parameters.means, statistics.means)
        whole = replace(statistics, quadratic=structure.quadratic)
        more = whole.quadratic_of(given - statistics.means)
        more = more * statistics.counts[..., None]
        if scatter.counts.shape[-1] < more.shape[-2]:
            more = more.sum(axis=-2, keepdims=True)
        values = structure.quadratic.unpack(more, statistics.n_features)
        return scatter._replace(values=scatter.values + values)

    def with_covariances(
        self, structure: Structure, covariances: np.ndarray
    ) -> np.ndarray:
        """Put the given covariances in the place of others."""
        if not self.covariances.any():
            return covariances
        given = structure.covariances(self.parameters.precisions_cholesky)
        return self._chosen(given, covariances)

    def _chosen(self, given: np.ndarray, found: np.ndarray) -> np.ndarray:
        if self.covariances.all():
            return np.broadcast_to(given, found.shape)
        mask = self.covariances.reshape(-1, *(1,) * (given.ndim - 1))
        return np.where(mask, given, found)

    def restored(self, parameters: Parameters) -> Parameters:
        """Put what is given in its place; free weights share what is left."""
        weights, means = parameters.weights, parameters.means
        cholesky, given = parameters.precisions_cholesky, self.parameters
        if self.weights.any():
            own = np.where(self.weights, 0.0, np.maximum(weights, TINY))
            left = 1 - given.weights[self.weights].sum()
            share = np.maximum(own.sum(axis=-1, keepdims=True), TINY)
            whole = weights.sum(axis=-1, keepdims=True) if self.noise else 1.0
            weights = whole * np.where(
                self.weights, given.weights, own / share * max(left, 0.0)
            )
        if self.means.any():
            means = np.where(self.means[:, None], given.means, means)
        if self.covariances.any():
            cholesky = self._chosen(given.precisions_cholesky, cholesky)
        return replace(
            parameters, weights=weights, means=means, precisions_cholesky=cholesky
        )

    def distances(self, start: Parameters) -> np.ndarray:
        """Return how far each component of a start is from each given one, (K, K).

        Row k is for what is given of component k: its mean, and the logarithm of its
        weight.
        """
        given = self.parameters
        offsets = given.means[:, None] - start.means
        squares = np.square(np.clip(offsets, -AWAY, AWAY)).sum(axis=-1)
        found = np.where(self.means[:, None], squares, 0.0)
        ratio = given.log_weights[:, None] - start.log_weights
        return found + np.where(self.weights[:, None], np.square(ratio), 0.0)
