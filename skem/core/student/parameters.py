"""Mixtures of multivariate t components: parameters, statistics, degrees of freedom.

A t with ν degrees of freedom is a Gaussian of covariance Σ/τ with τ ~ Gamma(ν/2, ν/2).
Given a row at the squared Mahalanobis distance δ, E τ = u = (ν + d)/(ν + δ): rows far
away count for little. With τ in the complete data, EM needs the weights r u for means
and scatter, and r for the rest (Peel & McLachlan 2000, Statistics and Computing 10).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.special import digamma, gammaln

from skem.core.gamma import gamma_shape
from skem.core.gaussian.covariance import Scatter
from skem.core.gaussian.parameters import TINY, Parameters, placed
from skem.core.gaussian.statistics import Statistics

LEAST, MOST = 0.1, 1e6
"""Degrees of freedom that are estimated."""
NEXT_TO_LEAST = 1.01 * LEAST
"""Degrees of freedom below which they are at their lower bound."""
GAUSSIAN = 1e7
"""Degrees of freedom from which a t is computed as a Gaussian."""
LABELLED = 4.0
"""Degrees of freedom by which rows of a label count for less the farther they are."""


@dataclass(frozen=True)
class StudentParameters(Parameters):
    """Locations in `means`, the factors of scale matrices, and ν in `df`, (K,)."""

    df: np.ndarray

    @classmethod
    def of(cls, parameters: Parameters, df: np.ndarray) -> Self:
        """Return a mixture's with ν beside them."""
        return cls(
            parameters.weights, parameters.means, parameters.precisions_cholesky, df
        )

    def ordered(self, order: np.ndarray, cholesky: np.ndarray) -> Self:
        """Return the components in another order, with their factors in that order."""
        return replace(super().ordered(order, cholesky), df=self.df[order])

    def spliced(
        self, pairs: np.ndarray, twos: Parameters, weights: np.ndarray, *, shared: bool
    ) -> Self:
        """Put components in the places of others, with the ν that starts have.

        An estimate close to a Gaussian takes many steps to become robust again.
        """
        assert isinstance(twos, StudentParameters)
        found = super().spliced(pairs, twos, weights, shared=shared)
        return replace(found, df=placed(self.df, pairs, twos.df))

    def peaked(self, counts: np.ndarray, n_features: int) -> np.ndarray:
        """Mask of components with ν at its lower bound, of fewer rows than d/2.

        At its location such a density grows as ν^(1 − d/2) for ν → 0, and elsewhere it
        falls as ν. So the likelihood has no maximum there but at the bound.
        """
        return (self.df < NEXT_TO_LEAST) & (counts < n_features / 2)


@dataclass(frozen=True)
class StudentStatistics(Statistics):
    """Sums of rows that count r u in `sums`; and what counts r.

    - `owned[k]` = Σ_i v_i r_ik [1, E(log τ − τ), whether the row is out of reach]
    """

    owned: np.ndarray = field(kw_only=True)

    def __add__(self, other: Any) -> Self:
        """Merge two sets of samples; both must be about the same reference."""
        found: Any = super().__add__(other)
        return replace(found, owned=self.owned + other.owned)

    def __iadd__(self, other: Any) -> Self:
        """Merge into the sums of this one."""
        found: Any = super().__iadd__(other)
        return replace(found, owned=self.owned + other.owned)

    def __sizeof__(self) -> int:
        """Count the arrays."""
        return super().__sizeof__() + self.owned.nbytes

    def __mul__(self, factor: float) -> Self:
        """Give every sample `factor` times its weight."""
        found: Any = super().__mul__(factor)
        return replace(found, owned=self.owned * factor)

    def __getitem__(self, index: Any) -> Self:
        """Return some of the components; or of the mixtures of a stack."""
        found: Any = super().__getitem__(index)
        return replace(found, owned=self.owned[index])

    def with_mixture(self, mixture: tuple[int, ...], other: Any) -> Self:
        """Add samples of one mixture of a stack, about the same reference."""
        loglik, noise = np.array(self.loglik), np.array(self.noise)
        loglik[mixture] += other.loglik
        if noise.shape == loglik.shape:
            noise[mixture] += other.noise
        self.sums[mixture] += other.sums
        self.owned[mixture] += other.owned
        return replace(self, loglik=loglik[()], noise=noise[()])

    def pooled(self) -> Statistics:
        """Return the statistics of one component, with the weights that rows have."""
        return Statistics(0.0, self.sums, self.reference, self.quadratic).pooled()

    def scatter(self) -> Scatter:
        """Scatter about the weighted means, with n_k = Σ v r."""
        return Scatter(super().scatter().values, self.sizes)

    def shared_out(self) -> Self:
        """Share the scatter of all components out by the counts.

        Structures with one matrix need no more than its sum, of which all may stand
        with one component.
        """
        counts = self.counts[..., None]
        between = counts * self.quadratic_of(self.offsets)
        second = self.sums[..., 1 + self.n_features :]
        within = (second - between).sum(axis=-2, keepdims=True)
        share = counts / np.maximum(counts.sum(axis=-2, keepdims=True), TINY)
        sums = self.sums.copy()
        sums[..., 1 + self.n_features :] = between + share * within
        return replace(self, sums=sums)

    @property
    def sizes(self) -> np.ndarray:
        """n_k = Σ v r, shape (K,); `counts` are Σ v r u."""
        return self.owned[..., 0]


def correction(df: np.ndarray, n_features: Any) -> np.ndarray:
    """Log-density of a t at its location, less that of a Gaussian.

    log Γ((ν + d)/2) − log Γ(ν/2) − (d/2) log(ν/2).
    """
    half = np.minimum(df, GAUSSIAN) / 2
    found = gammaln(half + n_features / 2) - gammaln(half)
    found = found - n_features / 2 * np.log(half)
    return np.where(df < GAUSSIAN, found, 0.0)


def tail_of(df: np.ndarray) -> np.ndarray:
    """E(log τ − τ) of rows that follow a t with ν."""
    return digamma(df / 2) - np.log(df / 2) - 1


def likeliest(tails: np.ndarray) -> np.ndarray:
    """Return ν with `tail_of(ν)` equal to means of E(log τ − τ), within the bounds.

    ν/2 is the likeliest shape of a Gamma.
    """
    return 2 * gamma_shape(-1 - tails, LEAST / 2, MOST / 2)


@dataclass(frozen=True)
class Freedom:
    """How degrees of freedom are found: from `start` (K,), or fixed there.

    `common` is whether all components share one.
    """

    start: np.ndarray
    fixed: bool
    common: bool = False

    @property
    def size(self) -> int:
        """Return the number of free parameters."""
        return 0 if self.fixed else 1 if self.common else len(self.start)

    @cached_property
    def tells_apart(self) -> bool:
        """Whether components are not the same in another order."""
        return self.fixed and bool((self.start != self.start[0]).any())

    def labelled(self, sizes: np.ndarray) -> np.ndarray:
        """Σ E(log τ − τ) that leads to the start, for sizes (…, K)."""
        start = np.resize(self.start, sizes.shape[-1])
        return sizes * tail_of(np.minimum(start, MOST))

    def maximise(self, sizes: np.ndarray, tails: np.ndarray) -> np.ndarray:
        """M-step: ν from n_k and Σ r E(log τ − τ), (…, K)."""
        # Moves are of fewer components, and cuts of more.
        start = np.resize(self.start, sizes.shape[-1])
        if self.fixed:
            return np.broadcast_to(start, sizes.shape)
        if self.common:
            sizes = sizes.sum(axis=-1, keepdims=True)
            tails = tails.sum(axis=-1, keepdims=True)
        own = np.divide(tails, sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0)
        found = likeliest(np.where(np.isnan(own), -2.0, own))
        return np.where(np.isnan(own), np.clip(start, LEAST, MOST), found)
