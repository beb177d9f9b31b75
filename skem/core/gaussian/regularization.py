"""What keeps covariances away from singularity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from skem.core.gaussian.covariance import Scatter, Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.storage import diagonals, variances_of

COLLINEAR = 1e-8
"""Smallest eigenvalue of the correlation matrix that the penalty's target keeps."""
NULL = 1e-13
"""Variance of a standardised direction up to which all of it is rounding."""
DIGITS = 1e-12
"""Ratio of numbers in a factor below which the smaller one may be rounding."""
VANISHING = 1e-26
"""Variance of a standardised feature up to which all of it is rounding."""
ALONG = 1 - 1e-6
"""Cosine of directions that are the same."""
AMPLE, AMPLE_FLOOR = 30.0, 1e-3
"""Times the widths of values that the variance in null directions is, so that these add
little to distances there; and what that may make of it at most."""
POOLINGS = 5
"""Times that clusters are pooled, each with the scale of the one before."""
LEAST_SHARE = 1e-12
"""Share of N below which pseudo-observations could be lost to rounding."""


class IllDefinedCovarianceError(ValueError):
    """A covariance is not positive definite and must not be repaired."""


class Regularization(Protocol):
    """How scatter becomes covariances, and what that adds to the objective."""

    @property
    def repairs(self) -> bool:
        """Whether a covariance that cannot be factored is repaired, or an error."""

    def covariances(
        self,
        structure: Structure,
        scatter: Scatter,
        n_features: int,
        means: np.ndarray | None = None,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the regularized covariances, of components with these means.

        `previous` are the precision Cholesky factors of a step before.
        """

    def factored(
        self, structure: Structure, covariances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the precision Cholesky factors of these, as `Storage.factor` does."""

    @property
    def null_basis(self) -> np.ndarray | None:
        """Directions (q, d) without variance, orthonormal; None if there are none."""

    @property
    def n_null(self) -> int:
        """Number of these directions."""

    @property
    def pins(self) -> bool:
        """Whether part of the covariances is given, and no parameter."""

    def pinned(self, structure: Structure, cholesky: np.ndarray) -> np.ndarray:
        """Restore that part in precision Cholesky factors."""

    def scaled(self, share: float) -> Regularization:
        """Return the same for a share of the data."""

    def rescaled(self, scale: np.ndarray) -> Regularization:
        """Return the same for clusters of another scale."""

    def renewed(
        self,
        structure: Structure,
        within: Scatter,
        total: Scatter,
        total_weight: float,
        n_features: int,
    ) -> Regularization:
        """Return the same for other data in the same coordinates.

        `within` is the scatter of components, `total` that of all as one.
        """

    def penalty(self, structure: Structure, parameters: Parameters) -> Any:
        """Return what is subtracted from the log-likelihood."""


def null_directions(values: np.ndarray) -> np.ndarray | None:
    """Return where a covariance has no variance, as `ScaleFreePenalty` has it.

    `values` are a covariance matrix or the variances of features. A single variance,
    of all features, is taken as it is.
    """
    if values.ndim == 0:
        return None
    if values.ndim == 1:
        null = (values <= NULL).astype(float)
        return null if null.any() else None
    # Features without variance for themselves, so that rounding mixes none of them.
    variances = np.diagonal(values)
    empty = variances <= NULL * max(1.0, variances.max())
    projector = np.diag(empty.astype(float))
    if not empty.all():
        rest = np.ix_(~empty, ~empty)
        eigenvalues, vectors = np.linalg.eigh(values[rest])
        null = vectors[:, eigenvalues <= NULL * max(1.0, eigenvalues[-1])]
        projector[rest] = null @ null.T
    return projector if projector.any() else None


def null_beside(null: np.ndarray, part: np.ndarray) -> np.ndarray | None:
    """Return the null directions in which part of the data has no variance, either.

    In units of its own: beside remote rows the variance of all others is lost.
    """
    variances = variances_of(part)
    if part.ndim == 1:
        null = null * (variances <= VANISHING)
        return null if null.any() else None
    units = np.sqrt(np.where(variances > VANISHING, variances, 1.0))
    own = null_directions(part / np.outer(units, units))
    if own is None:
        return None
    vectors = _spanning(own) / units[:, None]
    basis, away = _spanning(null), np.linalg.qr(vectors)[0]
    left, cosines, _ = np.linalg.svd(basis.T @ away)
    common = basis @ left[:, : np.count_nonzero(cosines > ALONG)]
    return common @ common.T if common.size else None


def null_of_parts(null: np.ndarray | None, parts: Scatter) -> np.ndarray | None:
    """Return the null directions in which no part of the data has any variance."""
    for part, count in zip(parts.values, parts.counts, strict=True):
        if null is not None and count > 0:
            null = null_beside(null, part / count)
    return null


def n_directions(null: np.ndarray | None) -> int:
    """Return the number of null directions."""
    return 0 if null is None else round(float(variances_of(null).sum()))


def _spanning(projector: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of what a projector projects on."""
    eigenvalues, vectors = np.linalg.eigh(projector)
    return vectors[:, eigenvalues > 0.5]


def null_features(null: np.ndarray) -> np.ndarray | None:
    """Return 1 for features that are null, and 0 for others.

    None if directions are null that are no features.
    """
    features = variances_of(null)
    if null.ndim == 2 and (null != np.diag(features)).any():
        return None
    return features


def floor_above(null: np.ndarray, squares: np.ndarray, least: float) -> float:
    """Return a variance in null directions that mean squares of widths fit into."""
    projector = null if null.ndim == 2 else np.diag(null)
    width = float(np.linalg.eigvalsh(projector * squares @ projector)[-1])
    return max(least, width, min(AMPLE * width, AMPLE_FLOOR))


def elsewhere(null: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Take the variance along null directions away."""
    features = null_features(null)
    if features is None:
        others = np.eye(len(null)) - null
        return others @ covariances @ others
    kept = 1 - features
    return covariances * (np.outer(kept, kept) if null.ndim == 2 else kept)


def with_floor(scale: np.ndarray, least: float) -> np.ndarray:
    """Raise eigenvalues below `least` in units of the features' own variances.

    `scale` are a covariance matrix or the variances of features, or a single one. A
    feature without any variance gets `COLLINEAR`.
    """
    if scale.ndim < 2:
        return np.where(scale > VANISHING, scale, COLLINEAR)
    variances = np.diagonal(scale)
    missing = variances <= VANISHING
    units = np.sqrt(np.where(missing, COLLINEAR, variances))
    relative = np.where(missing | missing[:, None], 0, scale / np.outer(units, units))
    np.fill_diagonal(relative, 1)
    eigenvalues, vectors = np.linalg.eigh(relative)
    if eigenvalues[0] < least:
        relative = (vectors * np.maximum(eigenvalues, least)) @ vectors.T
    elif not missing.any():
        return scale
    return relative * np.outer(units, units)


def log_volume(scale: np.ndarray) -> float:
    """Log-determinant; the same for every affine map of data, but for a constant."""
    if scale.ndim == 2:
        return float(np.linalg.slogdet(scale)[1])
    return float(np.log(scale).sum())


def pseudo_rows(structure: Structure, n_features: int) -> int:
    """Return how many rows determine a covariance, and a little more."""
    return n_features + 1 if structure.matrices else 2


def _inverses(matrices: np.ndarray) -> np.ndarray:
    """Inverses of covariances, also of those that rounding has made singular."""
    with np.errstate(all="ignore"):
        try:
            inverses = np.linalg.inv(matrices)
            if np.isfinite(inverses).all():
                return inverses
        except np.linalg.LinAlgError:
            pass
        flat = matrices.reshape(-1, *matrices.shape[-2:])
        raised = np.stack([with_floor(matrix, COLLINEAR) for matrix in flat])
        return np.nan_to_num(np.linalg.inv(raised)).reshape(matrices.shape)


def _root(scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return A with A Aᵀ = `scale`, a covariance with a floor, and A⁻¹."""
    units = np.sqrt(np.diagonal(scale))
    eigenvalues, vectors = np.linalg.eigh(scale / np.outer(units, units))
    lengths = np.sqrt(np.maximum(eigenvalues, COLLINEAR))
    return units[:, None] * vectors * lengths, (vectors / lengths).T / units


def cluster_scale(
    structure: Structure,
    within: Scatter,
    n_features: int,
    before: np.ndarray | None = None,
) -> np.ndarray:
    """Λ from the scatter of clusters: Λ⁻¹ = Σ_k w_k Σ_k⁻¹.

    Each Σ_k has a few pseudo-observations of Λ itself, in turn, and Λ begins with the
    pooled scatter: a cluster of few rows tells little. With the Λ of a step before,
    which has no direction without variance, the next one is made from that.
    """
    counts = within.counts
    total = counts.sum()
    pooled = within.values.sum(axis=0) / total
    if structure.shared or len(counts) == 1:
        return pooled
    weights = (counts / total).reshape(-1, *(1,) * pooled.ndim)
    m = pseudo_rows(structure, n_features)
    denominator = (counts + m).reshape(weights.shape)
    scale = with_floor(pooled, COLLINEAR) if before is None else before
    poolings = POOLINGS if before is None else 1
    # Nothing can be pooled where no cluster has any variance.
    if structure.matrices:
        # Inverses of nearly collinear features would have few digits in any direction.
        root, inverse = _root(scale)
        values, white = inverse @ within.values @ inverse.T, np.eye(n_features)
        for _ in range(poolings):
            each = (values + m * white) / denominator
            white = _inverses((weights * _inverses(each)).sum(axis=0))
        scale = root @ ((white + white.T) / 2) @ root.T
        empty = np.diagonal(pooled) <= VANISHING
        return np.where(empty | empty[:, None], 0.0, (scale + scale.T) / 2)
    for _ in range(poolings):
        each = (within.values + m * scale) / denominator
        # A cluster without any variance has all the say.
        with np.errstate(divide="ignore", over="ignore"):
            scale = 1 / (weights / each).sum(axis=0)
    return np.where(pooled <= VANISHING, 0.0, scale)


class BesideNull:
    """What gives components the same variance where the data have none.

    `null` says where, as scatter has it: a projector on these directions, or 1 for
    these features; None if there are none. `floor` is the variance.
    """

    null: np.ndarray | None
    floor: float

    @cached_property
    def _bases(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions that are not null, and those that are."""
        assert self.null is not None
        if self.null.ndim == 2:
            return _spanning(np.eye(len(self.null)) - self.null), _spanning(self.null)
        axes = np.eye(len(self.null))
        return axes[:, self.null < 0.5], axes[:, self.null > 0.5]

    @property
    def null_basis(self) -> np.ndarray | None:
        return None if self.null is None else self._bases[1].T

    @property
    def n_null(self) -> int:
        return n_directions(self.null)

    def beneath(self, total: Scatter, least: float) -> bool:
        """Whether data have no more in null directions than widths of values give."""
        if self.null_basis is None or not self.floor > least:
            return False
        values = total.values[0] / total.counts[0]
        along = self.null_basis @ values @ self.null_basis.T
        return bool(np.linalg.eigvalsh(along)[-1] <= self.floor)

    def factored(
        self, structure: Structure, covariances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        features = self.null is None or self.constants is not None
        if features or not self._bases[0].size:
            return structure.factor(covariances)
        # Together they would have few digits in the null directions, unless these are
        # features.
        others, null = self._bases
        factors, failed = structure.factor(others.T @ covariances @ others)
        roots = np.empty(covariances.shape)
        cut = others.shape[1]
        roots[..., :cut], roots[..., cut:] = others @ factors, null / self.floor**0.5
        found = structure.upper_factor(roots)
        least = DIGITS * np.abs(found).max(axis=(-2, -1), keepdims=True)[..., 0]
        if (diagonals(found) < least).any():
            return structure.factor(covariances)
        return found, failed

    @cached_property
    def constants(self) -> np.ndarray | None:
        """Variances of features that are null, and 0 of the others.

        None if there are none, or other directions are null.
        """
        features = None if self.null is None else null_features(self.null)
        return None if features is None else self.floor * features

    def _floored(self, covariances: np.ndarray) -> np.ndarray:
        """Give the null directions the floor's variance, and no correlation."""
        assert self.null is not None
        return elsewhere(self.null, covariances) + self.floor * self.null

    @property
    def pins(self) -> bool:
        return self.null is not None

    def pinned(self, structure: Structure, cholesky: np.ndarray) -> np.ndarray:
        # Else rounding makes them drift, and the likelihood with them.
        covariances = structure.covariances(cholesky)
        covariances = self._restored(structure, covariances, cholesky)
        restored, failed = self.factored(structure, covariances)
        return cholesky if failed.any() else restored

    def _restored(
        self, structure: Structure, covariances: np.ndarray, cholesky: np.ndarray
    ) -> np.ndarray:
        return self._floored(covariances)


@dataclass(frozen=True)
class ScaleFreePenalty(BesideNull):
    """(ε/2) Σ_k [tr(Λ Σ_k⁻¹) + log|Σ_k|], after Chen & Tan (2009).

    The M-step becomes Σ_k = (W_k + εΛ) / (n_k + ε): ε pseudo-observations of
    covariance Λ. `target` is Λ as the structure's scatter, without component axis.

    Where all the data have one value, every component has the same `floor` of a
    variance: εΛ / (n_k + ε) would depend on the size of the component, and the
    likelihood on the number of components. `null` says where, as the target has it: a
    projector on these directions, or 1 for these features; None if there are none.
    """

    epsilon: float
    target: np.ndarray
    null: np.ndarray | None = None
    floor: float = 0.0
    least: float = 0.0
    """The floor of the target."""

    @property
    def repairs(self) -> bool:
        return True

    @classmethod
    def of_data(
        cls,
        scale: np.ndarray,
        total: Scatter,
        total_weight: float,
        parts: Scatter | None = None,
        squares: np.ndarray | None = None,
    ) -> ScaleFreePenalty:
        """ε = 2/√N and Λ from the scale of clusters.

        Directions in which that has no variance (constant or collinear columns, fewer
        rows than features) get `COLLINEAR` times the variance of a feature, or more
        where εΛ would drown in the rounding of W_k, which grows with N.

        `total` is the scatter of all the data, as one component, and `parts` are
        scatters of parts of them, such as the bulk beside outliers. They are of points
        where `squares` (d,) are the mean squares that features have from the widths of
        their values: in null directions all components have as much of these.
        """
        N = total_weight
        epsilon = max(2 / math.sqrt(N), LEAST_SHARE * N)
        least = min(1.0, max(COLLINEAR, LEAST_SHARE * N / epsilon))
        null = null_directions(total.values[0] / total.counts[0])
        if parts is not None:
            null = null_of_parts(null, parts)
        found = cls(epsilon, with_floor(scale, least), null, least, least)
        if squares is None or null is None:
            return found
        return replace(found, floor=floor_above(null, squares, least))

    def covariances(
        self,
        structure: Structure,
        scatter: Scatter,
        n_features: int,
        means: np.ndarray | None = None,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        prior = Scatter(self.epsilon * self.target, np.asarray(self.epsilon))
        if self.null is not None and structure.constraint is not None:
            return self._of_others(structure, scatter, prior, previous)
        covariances = structure.estimate(scatter, prior, n_features, previous)
        return covariances if self.null is None else self._floored(covariances)

    def _of_others(
        self,
        structure: Structure,
        scatter: Scatter,
        prior: Scatter,
        previous: np.ndarray | None,
    ) -> np.ndarray:
        """Constrain covariances in the directions that are not null alone."""
        assert self.null is not None
        basis = self._bases[0]
        if not basis.size:
            return self.floor * np.broadcast_to(self.null, scatter.values.shape)

        def within(values: np.ndarray) -> np.ndarray:
            return basis.T @ values @ basis if structure.matrices else values @ basis

        factors = None
        if previous is not None:
            factors, failed = structure.factor(within(structure.covariances(previous)))
            factors = None if failed.any() else factors
        found = structure.estimate(
            Scatter(within(scatter.values), scatter.counts),
            Scatter(within(prior.values), prior.counts),
            basis.shape[1],
            factors,
        )
        back = basis @ found @ basis.T if structure.matrices else found @ basis.T
        return back + self.floor * self.null

    def _restored(
        self, structure: Structure, covariances: np.ndarray, cholesky: np.ndarray
    ) -> np.ndarray:
        if structure.constraint is None:
            return self._floored(covariances)
        # They may be equal in volume with the null directions alone.
        ones = Scatter(covariances, np.ones(covariances.shape[:1]))
        nothing = Scatter(np.zeros_like(self.target), np.zeros(()))
        return self._of_others(structure, ones, nothing, cholesky)

    def scaled(self, share: float) -> ScaleFreePenalty:
        return replace(self, epsilon=self.epsilon * share)

    def rescaled(self, scale: np.ndarray) -> ScaleFreePenalty:
        return replace(self, target=with_floor(scale, self.least))

    def renewed(
        self,
        structure: Structure,
        within: Scatter,
        total: Scatter,
        total_weight: float,
        n_features: int,
    ) -> ScaleFreePenalty:
        if not within.counts.any():
            # Noise has all rows.
            return self
        scale = cluster_scale(structure, within, n_features)
        found = self.of_data(scale, total, total_weight, within)
        if not self.beneath(total, self.least):
            return found
        return replace(found, null=self.null, floor=self.floor)

    def penalty(self, structure: Structure, parameters: Parameters) -> Any:
        cholesky = parameters.precisions_cholesky
        log_det = structure.log_det(cholesky, parameters.means.shape[-1])
        trace = structure.trace_precision(cholesky, self.target)
        return self.epsilon * (0.5 * trace - log_det.sum(axis=-1))
