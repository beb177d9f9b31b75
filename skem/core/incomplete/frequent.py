"""The step of incomplete rows under components with matrices, by patterns, in NumPy.

A pattern that many rows have is expanded: its marginals are linear in [1, x, x xᵀ],
with zeros for what is missing in x and in their coefficients, and only the sums of its
rows are completed. Other rows are left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Pairs, diagonal_positions
from skem.core.gaussian.statistics import Statistics
from skem.core.incomplete.completed import factored
from skem.core.incomplete.patterns import Patterns
from skem.core.passes.linear import about_means, linear_step, split_noise, with_noise

FREQUENT = 32
"""Rows of a pattern from which it is expanded."""


@dataclass(frozen=True)
class PatternStep:
    """Components in coordinates, as `CompletedMatrices` has them."""

    parameters: Parameters
    coordinates: Coordinates
    background: np.ndarray | None

    @cached_property
    def factors(self) -> np.ndarray:
        """Precision Cholesky factors, (F, d, d)."""
        d = self.parameters.shape[-1]
        return self.parameters.precisions_cholesky.reshape(-1, d, d)

    def statistics(
        self, block: Block, workspace: Workspace
    ) -> tuple[Statistics, np.ndarray]:
        """Fold the rows of frequent patterns into statistics, about the means.

        The other rows are returned beside them.
        """
        patterns = Patterns.of(np.isnan(block.data))
        frequent = np.flatnonzero(patterns.counts >= FREQUENT)
        left = [patterns.order[np.repeat(patterns.counts < FREQUENT, patterns.counts)]]
        if not len(frequent):
            return self._nothing, left[0]
        marginals = Marginals(self, patterns.observed[frequent])
        loglik, all_sums = 0.0, []
        for i, p in enumerate(frequent):
            rows = patterns.rows(p)
            own = block.only(rows)
            features = self._features(own, workspace)
            found = linear_step(marginals.theta[i], features, own.weight, workspace)
            if len(found.lost):
                left.append(rows)
                all_sums.append(np.zeros_like(found.sums))
                continue
            loglik = loglik + found.loglik + own.total_weight * marginals.unit[i]
            all_sums.append(found.sums)
        sums, noise = split_noise(np.stack(all_sums), noise=self.background is not None)
        statistics = about_means(
            Pairs(),
            self.parameters,
            loglik * np.ones(sums.shape[1]),
            marginals.completed(sums),
            noise.sum(axis=0),
        )
        return statistics, np.concatenate(left)

    def _features(self, block: Block, workspace: Workspace) -> np.ndarray:
        """T(z) of rows, with z = 0 for missing values."""
        quadratic, (d, b) = Pairs(), block.data.shape
        shape = (1 + d + quadratic.size(d), b)
        features = workspace.array("features", shape, np.float64)
        features[0] = 1
        squares = self.coordinates.squares(block.data)
        with np.errstate(all="ignore"):
            z = self.coordinates.load(block.data, features[1 : 1 + d])
            np.copyto(z, 0, where=np.isnan(block.data))
            quadratic.expand(z, features[1 + d :])
            if squares is not None:
                quadratic.add_squares(features[1 + d :], squares)
        return features

    @property
    def _nothing(self) -> Statistics:
        """The statistics of no rows."""
        *mixtures, K, d = self.parameters.shape
        sums = np.zeros((*mixtures, K, 1 + d + Pairs().size(d)))
        nothing = np.zeros(mixtures)[()]
        return Statistics(nothing, sums, self.parameters.means, Pairs(), nothing)


class Marginals:
    """Marginals of patterns (P, d), linear in [1, x, x xᵀ] of rows padded with zeros.

    - `theta` (P, M, K, 1 + d + size): coefficients of mixtures' components
    - `unit` (P,): log |dz/dx| of what was observed, less that of all features
    """

    def __init__(self, step: PatternStep, observed: np.ndarray) -> None:
        factors, means = step.factors, step.parameters.all_means
        F, d, _ = factors.shape
        P, self._each = len(observed), len(means) // F
        transposed = np.swapaxes(factors, -1, -2)
        # Uᵀ less what is in the span of Q; y -> ŷ; C; all (F, P, d, d).
        rest = np.repeat(transposed[:, None], P, axis=1)
        self._fill = np.broadcast_to(np.eye(d), rest.shape).copy()
        self._within = np.zeros(rest.shape)
        log_det = np.repeat(
            np.log(np.einsum("fii->fi", factors)).sum(axis=1)[:, None], P, axis=1
        )
        for gaps in factored(factors, observed):
            log_det[:, gaps.which] -= gaps.log_det
            part = gaps.basis @ transposed[:, None]
            rest[:, gaps.which] -= np.swapaxes(gaps.basis, -1, -2) @ part
            which, rows = gaps.which[:, None], gaps.missing
            self._fill[:, which, rows] = -gaps.inverse @ part
            places = gaps.which[:, None, None], rows[:, :, None], rows[:, None, :]
            self._within[(slice(None), *places)] = gaps.covariances
        log_det -= 0.5 * LOG_2PI * observed.sum(axis=1)
        self._fill *= observed[:, None, :]
        precisions = np.swapaxes(rest, -1, -2) @ rest
        precisions *= observed[:, :, None] & observed[:, None, :]
        self._means = means.reshape(F, self._each, 1, d) * observed
        self._observed = observed
        theta = self._coefficients(step.parameters, precisions, log_det)
        of_noise = None
        if step.background is not None:
            of_noise = np.zeros((P, 1, theta.shape[-1]))
            of_noise[..., 0] = -(observed @ step.background)[:, None]
        self.theta = with_noise(theta, step.parameters, of_noise)
        log_slopes = step.coordinates.log_slopes
        self.unit = observed @ log_slopes - log_slopes.sum()

    def _coefficients(
        self, parameters: Parameters, precisions: np.ndarray, log_det: np.ndarray
    ) -> np.ndarray:
        """Return those of all components, (P, M, K, 1 + d + size)."""
        F, each, P, d = self._means.shape
        linear = np.einsum("fpij,fcpj->fcpi", precisions, self._means)
        constant = log_det[:, None] - 0.5 * np.einsum(
            "fcpi,fcpi->fcp", linear, self._means
        )
        constant += parameters.log_weights.reshape(F, each, 1)
        quadratic = -Pairs().pack(precisions)
        quadratic[..., diagonal_positions(d)] *= 0.5
        shape = (F, each, P, quadratic.shape[-1])
        quadratic = np.broadcast_to(quadratic[:, None], shape)
        theta = np.concatenate([constant[..., None], linear, quadratic], axis=-1)
        theta = np.moveaxis(theta.reshape(F * each, P, -1), 1, 0)
        return theta.reshape(P, -1, parameters.shape[-2], theta.shape[-1])

    def completed(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn Σ r [1, x, x xᵀ] of each pattern into statistics about the means.

        Counts (G, 1), first moments (G, d), and second ones, packed.
        """
        F, each, P, d = self._means.shape
        shape = (F, each, P)
        sums = np.moveaxis(sums.reshape(P, -1, sums.shape[-1]), 0, 1)
        sums = sums.reshape(*shape, sums.shape[-1])
        counts, means = sums[..., 0], self._means
        first = sums[..., 1 : 1 + d] * self._observed
        second = Pairs().unpack(sums[..., 1 + d :], d)
        cross = first[..., :, None] * means[..., None, :]
        second = second - cross - np.swapaxes(cross, -1, -2)
        second += counts[..., None, None] * means[..., :, None] * means[..., None, :]
        first = first - counts[..., None] * means
        fill, within = self._fill[:, None], self._within[:, None]
        first = (fill @ first[..., None])[..., 0].sum(axis=2)
        second = fill @ second @ np.swapaxes(fill, -1, -2)
        second += counts[..., None, None] * within
        second = Pairs().pack(second.sum(axis=2))
        G = F * each
        counts = counts.sum(axis=2).reshape(G, 1)
        return counts, first.reshape(G, d), second.reshape(G, -1)
