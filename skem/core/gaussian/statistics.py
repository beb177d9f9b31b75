"""Sufficient statistics of weighted, softly labelled data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from skem.core.gaussian.covariance import Scatter
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.ties import weighted_squares

TOGETHER = 2**17
"""Values of all rows, once for each component, that are looked at together."""


@dataclass(frozen=True)
class Statistics:
    """Additive sums over samples, about one reference point per component.

    With y = x − c_k, responsibilities r and sample weights v:

    - `loglik` = Σ_i v_i log p(x_i)
    - `sums[k]` = Σ_i v_i r_ik [1, y_i, q(y_i)], the layout of T(y)
    - `reference[k]` = c_k, shape (K, d)
    - `noise` = Σ_i v_i r_i0, of a component without a place, if there is one

    Arrays may have leading axes, one entry of which is a mixture by itself.
    """

    loglik: Any
    sums: np.ndarray
    reference: np.ndarray
    quadratic: Quadratic
    noise: Any = 0.0

    @classmethod
    def of_labels(
        cls,
        quadratic: Quadratic,
        Z: np.ndarray,
        resp: np.ndarray,
        squares: np.ndarray | None = None,
    ) -> Statistics:
        """Statistics of rows Z (n, d) with weighted responsibilities, about the means.

        Responsibilities are (…, K, n). `squares` (d, n) or (d, 1) are added to those of
        the features.
        """
        counts = resp.sum(axis=-1)
        means = resp @ Z / np.where(counts > 0, counts, 1)[..., None]
        d = Z.shape[1]
        sums = np.zeros((*counts.shape, 1 + d + quadratic.size(d)))
        sums[..., 0] = counts
        if resp.size * d <= TOGETHER:
            away = Z - means[..., None, :]
            scaled = (away * resp[..., None]).swapaxes(-1, -2)
            second = sums[..., 1 + d :]
            second[...] = quadratic.of_matrices(scaled @ away)
            if squares is not None:
                own = weighted_squares(squares, resp)
                quadratic.add_squares(
                    np.moveaxis(second, -1, 0), np.moveaxis(own, -1, 0)
                )
            return cls(0.0, sums, means, quadratic)
        for k in np.ndindex(*counts.shape):
            own = np.flatnonzero(resp[k])
            r, row = resp[k][own], sums[k][1 + d :]
            row += quadratic.weighted_sum((Z[own] - means[k]).T, r)
            if squares is not None:
                some = np.broadcast_to(squares, Z.T.shape)[:, own]
                quadratic.add_squares(row, weighted_squares(some, r))
        return cls(0.0, sums, means, quadratic)

    def __add__(self, other: Statistics) -> Statistics:
        """Merge two sets of samples; both must be about the same reference."""
        return replace(
            self,
            loglik=self.loglik + other.loglik,
            sums=self.sums + other.sums,
            noise=self.noise + other.noise,
        )

    def __iadd__(self, other: Statistics) -> Statistics:
        """Merge into the sums of this one."""
        np.add(self.sums, other.sums, out=self.sums)
        return replace(
            self,
            loglik=self.loglik + other.loglik,
            noise=self.noise + other.noise,
        )

    def __sizeof__(self) -> int:
        """Count the arrays, for schedulers that ask how much there is to be sent."""
        return super().__sizeof__() + self.sums.nbytes + self.reference.nbytes

    def __mul__(self, factor: float) -> Statistics:
        """Give every sample `factor` times its weight."""
        return replace(
            self,
            loglik=self.loglik * factor,
            sums=self.sums * factor,
            noise=self.noise * factor,
        )

    def __getitem__(self, index: Any) -> Self:
        """Return some of the components; or of the mixtures of a stack."""
        noise = self.noise[index] if np.ndim(self.noise) else self.noise
        return replace(
            self, sums=self.sums[index], reference=self.reference[index], noise=noise
        )

    def about(self, reference: np.ndarray) -> Statistics:
        """Return the sums about other points, shape (K, d).

        Σ r q(y) about c' is Σ r q(x − mean) + n q(mean − c'): for a point near the
        means nothing cancels.
        """
        offsets = self.offsets + (self.reference - reference)
        counts = self.counts[:, None]
        second = self.scatter_sums() + counts * self.quadratic_of(offsets)
        sums = np.hstack([counts, counts * offsets, second])
        return replace(self, sums=sums, reference=reference)

    def merged(self, other: Statistics) -> Statistics:
        """Merge two sets of samples, whatever their references, at the common means."""
        counts = self.counts + other.counts
        share = np.divide(
            other.counts, counts, out=np.zeros_like(counts), where=counts > 0
        )
        means = self.means + share[:, None] * (other.means - self.means)
        return self.about(means) + other.about(means)

    def pooled(self) -> Statistics:
        """Return the statistics of the same samples as one component, at their mean."""
        counts = self.counts
        # Noise may leave no row to the components.
        total = counts.sum()
        mean = counts @ self.means / total if total > 0 else self.means.mean(axis=0)
        reference = np.broadcast_to(mean, self.reference.shape)
        sums = self.about(reference).sums.sum(axis=0, keepdims=True)
        return replace(self, sums=sums, reference=mean[None])

    @property
    def n_features(self) -> int:
        """Number of features, d."""
        return self.reference.shape[-1]

    @property
    def counts(self) -> np.ndarray:
        """n_k = Σ v r, shape (K,)."""
        return self.sums[..., 0]

    @cached_property
    def offsets(self) -> np.ndarray:
        """Mean of x − c_k, shape (K, d); zero for an empty component."""
        first = self.sums[..., 1 : 1 + self.n_features]
        counts = self.counts[..., None]
        return np.divide(first, counts, out=np.zeros_like(first), where=counts > 0)

    @property
    def sizes(self) -> np.ndarray:
        """Weight of the rows of each component, shape (K,)."""
        return self.counts

    @cached_property
    def means(self) -> np.ndarray:
        """Weighted means, shape (K, d)."""
        return self.reference + self.offsets

    def scatter_sums(self) -> np.ndarray:
        """Σ v r q(x − mean) = Σ v r q(y) − n q(offset), packed, shape (K, size)."""
        second = self.sums[..., 1 + self.n_features :]
        return second - self.counts[..., None] * self.quadratic_of(self.offsets)

    def quadratic_of(self, points: np.ndarray) -> np.ndarray:
        """q(x) of each point, shape (…, size)."""
        d = self.n_features
        rows = points.reshape(-1, d)
        size = self.quadratic.size(d)
        expanded = np.empty((size, len(rows)))
        self.quadratic.expand(np.ascontiguousarray(rows.T), expanded)
        return expanded.T.reshape(*points.shape[:-1], size)

    def scatter(self) -> Scatter:
        """Scatter about the weighted means, with the counts."""
        values = self.quadratic.unpack(self.scatter_sums(), self.n_features)
        return Scatter(values, self.counts)

    def within(self, total: Statistics) -> Scatter:
        """Pooled scatter within components: `total`'s less that between the means.

        For statistics without a quadratic part; `total` is the one-component
        statistic of the same data, about zero. Has a component axis of length one.
        """
        quadratic, counts, d = total.quadratic, self.counts, self.n_features
        between = np.empty((*counts.shape[:-1], 1, quadratic.size(d)))
        for at in np.ndindex(counts.shape[:-1]):
            between[at] = quadratic.weighted_sum(self.means[at].T, counts[at])
        values = quadratic.unpack(total.sums[:, 1 + d :] - between, d)
        return Scatter(values, counts.sum(axis=-1, keepdims=True))

    def completed(self, total: Statistics) -> Statistics:
        """Add the pooled scatter as a quadratic part, shared out by the counts.

        For statistics without one. Structures that need only the pooled scatter then
        take these for any others.
        """
        within = self.within(total)
        pooled = total.quadratic.pack(within.values) / within.counts
        quadratic = total.quadratic
        centred = replace(self, quadratic=quadratic)
        second = self.counts[:, None] * (pooled + centred.quadratic_of(self.offsets))
        return replace(centred, sums=np.hstack([self.sums, second]))
