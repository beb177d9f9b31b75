"""What shapes of covariances allow: Σ_k = λ_k D_k A_k D_kᵀ, |A_k| = 1.

λ is the volume (to the power 1/d), A the shape and D the orientation of a covariance.
A name of three letters says of each whether it is equal in all components (E), varies
(V), or is the identity (I), after Banfield & Raftery (1993) and Celeux & Govaert (1995,
Pattern Recognition 28(5)), whose M-steps these are; those of common axes (EVE, VVE) are
by Newton's method instead.

Scatters W are matrices (…, K, d, d) or diagonals (…, K, d), with counts n (…, K).
`previous` are covariances to start from, where there is no closed form: what is
returned has at least their likelihood.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import ClassVar

import numpy as np

from skem.core.gaussian.storage import diagonals, transposed

NEWTON_STEPS = 30
ROTATIONS = 200
HALVINGS = 30
LEFT = 1e-14
"""Share of N d nats that an iteration may leave to be gained."""
SHARE = 1e-4
"""Share of what a step gains that axes which are near already may leave."""
FLAT = 1e-10
"""Information of an angle, for each row, below which it is as good as unknown."""
WIDEST = 0.5
"""Radians that axes are turned by at once, at most."""
TINY = float(np.finfo(float).tiny)
LONGEST = 50.0
"""Longest step of log-volumes, so that no trial overflows."""
GOLDEN = 0.6180339887498949


def scaled(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiply matrices or diagonals of components by factors (…, K)."""
    return values * factors.reshape(
        factors.shape + (1,) * (np.ndim(values) - factors.ndim)
    )


def with_eigenvalues(axes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """D diag(a) Dᵀ."""
    return (axes * values[..., None, :]) @ transposed(axes)


def above_rounding(eigenvalues: np.ndarray) -> np.ndarray:
    """Raise eigenvalues (…, d) to what rounding leaves of them beside the largest."""
    largest = eigenvalues.max(axis=-1, keepdims=True)
    return np.maximum(eigenvalues, np.finfo(float).eps * largest)


def geometric_means(values: np.ndarray) -> np.ndarray:
    """Geometric means along the last axis."""
    return np.exp(np.log(values).mean(axis=-1))


def volumes(covariances: np.ndarray, n_axes: int) -> np.ndarray:
    """|Σ|^{1/d} of matrices (n_axes = 2) or diagonals (1)."""
    if n_axes == 1:
        return geometric_means(covariances)
    d = covariances.shape[-1]
    return np.exp(np.linalg.slogdet(covariances)[1] / d)


class Constraint(ABC):
    """One of the fourteen shapes."""

    name: ClassVar[str]
    scales_features: ClassVar[bool]
    """Whether each feature may be scaled by itself, or else all by one factor."""
    has_marginals: ClassVar[bool] = False
    """Whether marginals and conditionals have the shape as well."""
    iterates: ClassVar[bool] = False
    """Whether the M-step has no closed form."""

    @property
    def rough(self) -> Constraint:
        """The same, but that axes in common are not turned."""
        return self

    @abstractmethod
    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        """Return the covariances that maximise Σ_k −½ [n_k log|Σ_k| + tr(W_k Σ_k⁻¹)].

        Undefined where there are none.
        """

    def n_parameters(self, K: int, d: int) -> int:
        """Return the number of free covariance parameters."""
        volume, shape, orientation = (
            {"E": 1, "V": K, "I": 0}[letter] for letter in self.name
        )
        return volume + shape * (d - 1) + orientation * d * (d - 1) // 2

    def least_points(self, d: int) -> int:
        """Return how many points it takes to determine what a component has alone."""
        if self.name[1:] in ("EV", "VV"):
            return d + (self.name[1] == "V")
        return 2 if "V" in self.name else 1


class EII(Constraint):
    """One variance for all features of all components; W are traces (…, K)."""

    name = "EII"
    scales_features = False
    has_marginals = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        total = n.sum(axis=-1, keepdims=True)
        return np.broadcast_to(W.sum(axis=-1, keepdims=True) / (d * total), W.shape)


class EEI(Constraint):
    """One variance of each feature for all components."""

    name = "EEI"
    scales_features = True
    has_marginals = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        total = n.sum(axis=-1)[..., None, None]
        return np.broadcast_to(W.sum(axis=-2, keepdims=True) / total, W.shape)


class VEI(Constraint):
    """Variances that are proportional: λ_k A."""

    name = "VEI"
    scales_features = True
    has_marginals = True
    iterates = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        before = None if previous is None else volumes(previous, 1)
        return proportional_diagonals(W, n, before)


class EVI(Constraint):
    """Variances of equal product: λ A_k."""

    name = "EVI"
    scales_features = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        return of_equal_volume(W, n, geometric_means(W))


class VEE(Constraint):
    """Matrices that are proportional: λ_k C."""

    name = "VEE"
    scales_features = True
    has_marginals = True
    iterates = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        before = None if previous is None else volumes(previous, 2)
        return proportional_matrices(W, n, before)


class EVV(Constraint):
    """Matrices of equal determinant: λ C_k."""

    name = "EVV"
    scales_features = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        least = np.finfo(float).eps * diagonals(W).max(axis=-1)
        return of_equal_volume(W, n, np.maximum(volumes(W, 2), least))


class EEV(Constraint):
    """The same eigenvalues, each component with axes of its own: λ D_k A D_kᵀ."""

    name = "EEV"
    scales_features = False

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        eigenvalues, axes = np.linalg.eigh(W)
        eigenvalues = above_rounding(eigenvalues)
        total = n.sum(axis=-1)[..., None, None]
        common = eigenvalues.sum(axis=-2, keepdims=True) / total
        return with_eigenvalues(axes, common)


class VEV(Constraint):
    """Proportional eigenvalues, each component with axes of its own: λ_k D_k A D_kᵀ."""

    name = "VEV"
    scales_features = False
    iterates = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        # In the order of their sizes they fit best, whatever the volumes are.
        eigenvalues, axes = np.linalg.eigh(W)
        eigenvalues = above_rounding(eigenvalues)
        before = None if previous is None else volumes(previous, 2)
        found = proportional_diagonals(eigenvalues, n, before)
        return with_eigenvalues(axes, found)


class VVE(Constraint):
    """Common axes, each component with eigenvalues of its own: λ_k D A_k Dᵀ."""

    name = "VVE"
    scales_features = False
    iterates = True
    equal_volumes: ClassVar[bool] = False
    rotations = ROTATIONS

    @property
    def rough(self) -> Constraint:
        found = copy(self)
        found.rotations = 0
        return found

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        before = None if previous is None else common_axes(previous)
        axes = rotated(W, n, self.equal_volumes, before, self.rotations)
        variances = above_rounding(diagonals(turned(W, axes)))
        if self.equal_volumes:
            variances = of_equal_volume(variances, n, geometric_means(variances))
        else:
            variances = variances / n[..., None]
        return with_eigenvalues(axes[..., None, :, :], variances)


class EVE(VVE):
    """Common axes and equal volumes: λ D A_k Dᵀ."""

    name = "EVE"
    equal_volumes = True


CONSTRAINTS: dict[str, Constraint] = {
    each.name: each
    for each in (
        EII(), EEI(), VEI(), EVI(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV()
    )
}  # fmt: skip


def of_equal_volume(W: np.ndarray, n: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """λ W_k / |W_k|^{1/d} with λ = Σ |W_k|^{1/d} / N; sizes are |W_k|^{1/d}."""
    common = sizes.sum(axis=-1, keepdims=True) / n.sum(axis=-1, keepdims=True)
    return scaled(W, common / sizes)


def proportional_diagonals(
    W: np.ndarray, n: np.ndarray, before: np.ndarray | None
) -> np.ndarray:
    """λ_k B with B = Σ W_k / λ_k / N and λ_k = Σ_j W_kj / B_j / (n_k d)."""

    def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = scaled(W, np.exp(x))
        whole = parts.sum(axis=-2, keepdims=True)
        shares = parts / whole
        log_det = np.log(whole[..., 0, :]).sum(axis=-1)
        return log_det, shares.sum(axis=-1), shares @ transposed(shares)

    d = W.shape[-1]
    if before is None:
        before = W.sum(axis=-1) / (n * d)
    x = inverse_volumes(terms, n, d, before)
    common = scaled(W, np.exp(x)).sum(axis=-2, keepdims=True)
    common = common / n.sum(axis=-1)[..., None, None]
    return common * ((W / common).sum(axis=-1) / (n * d))[..., None]


def proportional_matrices(
    W: np.ndarray, n: np.ndarray, before: np.ndarray | None
) -> np.ndarray:
    """λ_k C with C = Σ W_k / λ_k / N and λ_k = tr(W_k C⁻¹) / (n_k d)."""
    d = W.shape[-1]

    def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = scaled(W, np.exp(x))
        lower = np.linalg.cholesky(parts.sum(axis=-3))
        root = np.linalg.inv(lower)[..., None, :, :]
        shares = root @ parts @ transposed(root)
        flat = shares.reshape(*shares.shape[:-2], d * d)
        log_det = 2 * np.log(diagonals(lower)).sum(axis=-1)
        return log_det, diagonals(shares).sum(axis=-1), flat @ transposed(flat)

    if before is None:
        before = diagonals(W).sum(axis=-1) / (n * d)
    try:
        x = inverse_volumes(terms, n, d, before)
        common = scaled(W, np.exp(x)).sum(axis=-3, keepdims=True)
        common = common / n.sum(axis=-1)[..., None, None, None]
        ratios = diagonals(np.linalg.solve(common, W)).sum(axis=-1) / (n * d)
    except np.linalg.LinAlgError:
        return np.full_like(W, np.nan)
    return scaled(np.broadcast_to(common, W.shape), ratios)


def inverse_volumes(
    terms: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    n: np.ndarray,
    d: int,
    before: np.ndarray,
) -> np.ndarray:
    """Minimise F(x) = N log|Σ_k exp(x_k) W_k| − d Σ_k n_k x_k, −x the log-volumes.

    F is convex, by Newton's method in a few steps. `terms` returns log|V|,
    p_k = exp(x_k) tr(V⁻¹ W_k), and tr(V⁻¹ W_k V⁻¹ W_l) exp(x_k + x_l).
    """
    total = n.sum(axis=-1, keepdims=True)
    share = n / total

    def objective(x: np.ndarray, log_det: np.ndarray) -> np.ndarray:
        return log_det - d * (share * x).sum(axis=-1)

    x = -np.log(np.maximum(before, TINY))
    x -= x.mean(axis=-1, keepdims=True)
    log_det, p, products = terms(x)
    value = objective(x, log_det)
    K = n.shape[-1]
    # A common factor has no effect.
    eye, ones = 1e-13 * d * np.eye(K), np.full((K, K), d / K**2)
    for _ in range(NEWTON_STEPS):
        gradient = p - d * share
        hessian = p[..., None] * np.eye(K) - products + ones + eye
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        decrement = -(step * gradient).sum(axis=-1)
        going = decrement > LEFT * d
        if not going.any():
            # What is left is in the rounding of F, but not of x.
            return x + step
        step /= np.maximum(np.abs(step).max(axis=-1, keepdims=True) / LONGEST, 1)
        length = np.where(going, 1.0, 0.0)
        for _ in range(HALVINGS):
            trial = x + length[..., None] * step
            log_det, p, products = terms(trial)
            after = objective(trial, log_det)
            worse = going & ~(after <= value + LEFT)
            if not worse.any():
                break
            length = np.where(worse, length / 2, length)
        else:
            break
        x, value = trial, after
    return x


def common_axes(covariances: np.ndarray) -> np.ndarray:
    """Return the axes (…, d, d) of matrices (…, K, d, d) that have them in common.

    Of a combination in which no two of them have the same variance, but by chance.
    """
    K, d = covariances.shape[-3], covariances.shape[-1]
    sizes = diagonals(covariances).sum(axis=-1) / d
    weights = 1 + (np.arange(1, K + 1) * GOLDEN) % 1
    combined = scaled(covariances, weights / sizes).sum(axis=-3)
    return np.asarray(np.linalg.eigh(combined)[1])


def rotation(skew: np.ndarray) -> np.ndarray:
    """Cayley's map of skew matrices S: (I − S/2)⁻¹ (I + S/2), I + S to first order."""
    eye = np.eye(skew.shape[-1])
    return np.linalg.solve(eye - skew / 2, eye + skew / 2)


def rotated(
    W: np.ndarray,
    n: np.ndarray,
    equal_volumes: bool,
    before: np.ndarray | None,
    rotations: int = ROTATIONS,
) -> np.ndarray:
    """Return the common axes that fit best, from those before, in so many turns.

    With m_k the diagonal of Dᵀ W_k D, they minimise Σ n_k Σ_j log m_kj; or, where
    volumes are equal, N d log Σ_k g_k with g_k the geometric mean of m_k: the same to
    first order, with N g_k / Σ g for n_k. D is turned about all pairs of axes at once,
    by Newton steps for matrices that have the axes nearly in common (Fisher scoring),
    in conjugate directions.
    """
    d = W.shape[-1]
    total = n.sum(axis=-1)

    def look(M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the objective, for each of the rows, and the weights."""
        logs = np.log(np.maximum(diagonals(M), TINY))
        if not equal_volumes:
            share = n / total[..., None]
            return (share * logs.sum(axis=-1)).sum(axis=-1), share
        means = logs.mean(axis=-1)
        top = means.max(axis=-1, keepdims=True)
        sizes = np.exp(means - top)
        whole = sizes.sum(axis=-1, keepdims=True)
        return d * (np.log(whole) + top)[..., 0], sizes / whole

    axes = _best_start(W, n, look) if before is None else before
    M = turned(W, axes)
    value, weights = look(M)
    last = direction = None
    for _ in range(rotations):
        gradient, information = slopes(M, weights)
        scoring = gradient / np.maximum(information, FLAT)
        # Over the pairs, each of which is there twice.
        decrement = 0.5 * (scoring * gradient).sum(axis=(-2, -1))
        if last is None:
            least = LEFT * d
            if before is not None:
                least = np.maximum(least, SHARE * decrement)
        going = decrement > least
        if not going.any():
            break
        conjugate = -scoring
        if last is not None:
            # Polak & Ribière's, from the scoring steps; never uphill.
            change = 0.5 * (scoring * (gradient - last[0])).sum(axis=(-2, -1))
            beta = np.maximum(change / np.maximum(last[1], TINY), 0.0)
            conjugate = conjugate + beta[..., None, None] * direction
            slope = (conjugate * gradient).sum(axis=(-2, -1))
            conjugate = np.where((slope < 0)[..., None, None], conjugate, -scoring)
        last, direction = (gradient, decrement), conjugate
        length = WIDEST / np.maximum(np.abs(conjugate).max(axis=(-2, -1)), WIDEST)
        length = np.where(going, length, 0.0)
        for _ in range(HALVINGS):
            turn = rotation(length[..., None, None] * conjugate)
            trial = turned(M, turn)
            after, its_weights = look(trial)
            worse = going & ~(after <= value)
            if not worse.any():
                break
            length = np.where(worse, length / 4, length)
        else:
            break
        axes = axes @ turn
        M, value, weights = trial, after, its_weights
    # Products of many rotations are not quite one.
    return np.asarray(np.linalg.qr(axes)[0])


def turned(matrices: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Dᵀ M_k D."""
    axes = axes[..., None, :, :]
    return transposed(axes) @ matrices @ axes


def slopes(M: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of Σ w_k Σ_j log M_kjj in the angles of all pairs, and its information.

    The slope is skew, (…, d, d): that of S_ij, for i before j, is in place (i, j).
    """
    variances = diagonals(M)
    first, second = variances[..., :, None], variances[..., None, :]
    apart = scaled(first - second, 2 * weights) / (first * second)
    return (M * apart).sum(axis=-3), ((first - second) * apart).sum(axis=-3)


def _best_start(
    W: np.ndarray,
    n: np.ndarray,
    look: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return the best of the axes of each matrix, and of all together."""
    each = np.moveaxis(np.linalg.eigh(W)[1], -3, 0)
    sizes = np.maximum(diagonals(W).sum(axis=-1), TINY)
    together = [W.sum(axis=-3), scaled(W, n / sizes).sum(axis=-3)]
    candidates = [*each, *(np.linalg.eigh(matrix)[1] for matrix in together)]
    values = np.stack([look(turned(W, axes))[0] for axes in candidates])
    best = values.argmin(axis=0)[None, ..., None, None]
    return np.take_along_axis(np.stack(candidates), best, axis=0)[0]
