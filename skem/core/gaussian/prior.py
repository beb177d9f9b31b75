"""The prior of a Bayesian mixture: statistics → q, and how far q is from it.

To an EM map it is a regularization: the M-step of the statistics is the posterior, and
the penalty is the KL divergence KL(q ‖ p), which makes the objective the evidence lower
bound (Bishop 2006, section 10.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaln

from skem.core.gaussian.covariance import NOTHING, Scatter, Structure
from skem.core.gaussian.maximisation import factor
from skem.core.gaussian.posterior import (
    LOG_2,
    Posterior,
    WeightPrior,
    effective_log_weights,
    wishart_digammas,
)
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.regularization import (
    COLLINEAR,
    BesideNull,
    n_directions,
    null_of_parts,
)
from skem.core.gaussian.ridge import Unchanging
from skem.core.gaussian.statistics import Statistics


def expanded(quadratic: Quadratic, points: np.ndarray) -> np.ndarray:
    """X xᵀ of each point as the kind has it: (…, d, d), (…, d) or (…,)."""
    *stack, d = points.shape
    size = quadratic.size(d)
    packed = np.empty((size, points.size // d))
    quadratic.expand(np.ascontiguousarray(points.reshape(-1, d).T), packed)
    return quadratic.unpack(packed.T.reshape(*stack, size), d)


def of_variances(quadratic: Quadratic, variances: np.ndarray) -> np.ndarray:
    """Return what rows with such variances of the features (d,) add to a scatter."""
    packed = np.zeros((quadratic.size(len(variances)), 1))
    quadratic.add_squares(packed, variances[:, None])
    return quadratic.unpack(packed[:, 0], len(variances))


def public_covariance(structure: Structure, scatter: np.ndarray, d: int) -> np.ndarray:
    """Return the covariances of one component with so much scatter and a count of one.

    The shape is the structure's, for one component.
    """
    one = Scatter(scatter[None], np.ones(1))
    return structure.estimate(one, NOTHING, d)


@dataclass(frozen=True)
class Prior(BesideNull, Unchanging):
    """p(θ), in the coordinates of an EM map.

    With V_0 = W_0⁻¹ in `scatter` as the structure's scatter has it, `mean` m_0,
    `mean_precision` β_0, and `degrees_of_freedom` ν_0. Where components share a
    covariance, each has a prior of its own, and their posteriors are the same.
    `log_det` is log|V_0|.

    Each row counts with a variance on top, `row`: that of `reg_covar`, or one in
    directions in which the data have none, so that these tell nothing of the
    components: `null`, where all have the variance `floor`. These are no dimensions of
    q, whose mean and precision are known there.
    """

    weights: WeightPrior
    mean_precision: float
    mean: np.ndarray
    degrees_of_freedom: float
    scatter: np.ndarray
    log_det: float
    row: np.ndarray
    repairs: bool
    null: np.ndarray | None = None
    floor: float = COLLINEAR

    @classmethod
    def of(
        cls,
        structure: Structure,
        weights: WeightPrior,
        mean_precision: float,
        mean: np.ndarray,
        degrees_of_freedom: float,
        scatter: np.ndarray,
        row: np.ndarray,
        *,
        repairs: bool,
        null: np.ndarray | None = None,
        floor: float = COLLINEAR,
    ) -> Prior:
        """Prepare the constants; those of a singular V_0 are left out."""
        d = len(mean)
        cholesky, failed = structure.factor(public_covariance(structure, scatter, d))
        log_det = 0.0
        if not failed.any():
            log_det = -2 * float(structure.log_det(cholesky, d).ravel()[0])
        found = cls(
            weights,
            float(mean_precision),
            mean,
            float(degrees_of_freedom),
            scatter,
            log_det,
            row,
            repairs,
            null,
            floor,
        )
        if null is None or failed.any():
            return found
        known = found.n_null * np.log(degrees_of_freedom * found.floor)
        return replace(found, log_det=log_det - float(known))

    def renewed(
        self,
        structure: Structure,
        within: Scatter,
        total: Scatter,
        total_weight: float,
        n_features: int,
    ) -> Prior:
        """Let go of null directions in which data have variance by now.

        V_0 keeps what it had there, and ν_0 stays that of a proper prior.
        """
        if self.null is None or self.beneath(total, COLLINEAR):
            return self
        null = null_of_parts(null_of_parts(self.null, total), within)
        n_null = n_directions(null)
        if n_null == self.n_null:
            return self
        degrees, varying = self.degrees_of_freedom, n_features - n_null
        if degrees <= varying - 1:
            degrees = float(varying)
        row = np.zeros_like(self.row) if null is None else self.floor * null
        return Prior.of(
            structure,
            self.weights,
            self.mean_precision,
            self.mean,
            degrees,
            self.scatter + (degrees - self.degrees_of_freedom) * row,
            row,
            repairs=self.repairs,
            null=null,
            floor=self.floor,
        )

    @property
    def dimensions(self) -> int:
        """Number of directions with variance, those of q."""
        return len(self.mean) - self.n_null

    @property
    def log_null(self) -> float:
        """Log-determinant of a covariance in the directions without variance."""
        return float(self.n_null * np.log(self.floor))

    @cached_property
    def log_norm(self) -> float:
        """Log B(W_0, ν_0), less its −¼ d(d − 1) log π."""
        degrees, log_det = np.asarray(self.degrees_of_freedom), -self.log_det
        return float(_log_norm(degrees, np.asarray(log_det), self.dimensions))

    def precision(self, counts: np.ndarray) -> np.ndarray:
        """β_k."""
        return self.mean_precision + counts

    def degrees(self, structure: Structure, counts: np.ndarray) -> np.ndarray:
        """ν_k, (…, K), or (…, 1) if components share a covariance."""
        if structure.shared:
            counts = counts.sum(axis=-1, keepdims=True) / self.size(counts)
        return self.degrees_of_freedom + counts

    def size(self, counts: np.ndarray) -> int:
        """K, of which those without a count are empty."""
        K = self.weights.truncation
        return counts.shape[-1] if K is None else K

    def _beside(self, values: np.ndarray) -> np.ndarray:
        """(…, K) with the axes that scatter has more."""
        return values.reshape(*values.shape, *(1,) * self.scatter.ndim)

    def posterior(
        self, structure: Structure, statistics: Statistics, scatter: Scatter
    ) -> Posterior:
        """M-step: q from statistics and their scatter."""
        counts, d = statistics.counts, statistics.n_features
        offsets = statistics.means - self.mean
        share = counts / self.precision(counts)
        between = self.mean_precision * self._beside(share)
        between = between * expanded(structure.quadratic, offsets)
        added = between + self._beside(counts) * self.row
        axis = -1 - self.scatter.ndim
        if scatter.values.shape[axis] == 1:
            added = added.sum(axis=axis, keepdims=True)
        times = self.size(counts) if structure.shared else 1
        prior = Scatter(
            times * self.scatter, np.asarray(times * self.degrees_of_freedom)
        )
        covariances = structure.estimate(
            Scatter(scatter.values + added, scatter.counts), prior, d
        )
        cholesky = factor(structure, self, covariances, d)
        means = self.mean + share[..., None] * offsets
        return self.of_counts(structure, counts, means, cholesky)

    def of_counts(
        self,
        structure: Structure,
        counts: np.ndarray,
        means: np.ndarray,
        cholesky: np.ndarray,
    ) -> Posterior:
        """Return q with these counts n_k, means m_k, and factors of ν_k W_k."""
        concentration = self.weights.update(counts)
        effective = effective_log_weights(
            self.weights.expected_log(concentration),
            self.precision(counts),
            self.degrees(structure, counts),
            self.dimensions,
        )
        expected = self.weights.expected(concentration)
        return Posterior(expected, means, cholesky, effective, counts)

    def empty(self, structure: Structure) -> np.ndarray:
        """Return the factor of ν_0 W_0, with a component axis: that of no rows."""
        d = len(self.mean)
        nothing = Scatter(np.zeros((1, *self.scatter.shape)), np.zeros(1))
        prior = Scatter(self.scatter, np.asarray(self.degrees_of_freedom))
        return factor(structure, self, structure.estimate(nothing, prior, d), d)

    def penalty(self, structure: Structure, parameters: Any) -> Any:
        """KL(q ‖ p)."""
        counts, cholesky = parameters.counts, parameters.precisions_cholesky
        d = self.dimensions
        ratio = self.mean_precision / self.precision(counts)
        of_means = 0.5 * d * (ratio - 1 - np.log(ratio)).sum(axis=-1)
        of_weights = self.weights.divergence(self.weights.update(counts))
        # ½ tr((V₀ + β₀ (m − m₀)(m − m₀)ᵀ) ν W), of means and of Wisharts.
        outer = expanded(structure.quadratic, parameters.means - self.mean)
        times = self.size(counts) if structure.shared else 1
        target = self.mean_precision * outer
        if structure.shared:
            target = target.sum(axis=-1 - self.scatter.ndim)
        target = target + times * self.scatter
        trace = 0.5 * structure.trace_precision(cholesky, target)
        wisharts = self._wisharts(structure, counts, cholesky).sum(axis=-1)
        return of_weights + of_means + times * wisharts + trace

    def _wisharts(
        self, structure: Structure, counts: np.ndarray, cholesky: np.ndarray
    ) -> np.ndarray:
        """KL of each Wishart from the prior's, less ½ tr(V₀ ν W).

        That of all directions: ν₀ for each without variance is taken off again.
        """
        degrees, before = self.degrees(structure, counts), self.degrees_of_freedom
        d = self.dimensions
        log_det = 2 * structure.log_det(cholesky, len(self.mean)) + self.log_null
        log_det = log_det - d * np.log(degrees)
        expected = wishart_digammas(degrees, d) + d * LOG_2 + log_det
        own = _log_norm(degrees, log_det, d)
        return (
            own
            - self.log_norm
            + 0.5 * (degrees - before) * expected
            - 0.5 * d * degrees
            - 0.5 * self.n_null * before
        )

    def covariances(
        self,
        structure: Structure,
        scatter: Scatter,
        n_features: int,
        means: np.ndarray | None = None,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return expected covariances without what the means add."""
        prior = Scatter(self.scatter, np.asarray(self.degrees_of_freedom))
        return structure.estimate(scatter, prior, n_features)


def _log_norm(degrees: np.ndarray, log_det: np.ndarray, d: int) -> np.ndarray:
    """Log B(W, ν), less its −¼ d(d − 1) log π."""
    halves = (degrees[..., None] - np.arange(d)) / 2
    gammas = gammaln(halves).sum(axis=-1)
    return np.asarray(-0.5 * degrees * (log_det + d * LOG_2) - gammas)
