"""Laws of some features given others: rows that are not complete.

Of a component, with the features in the order observed, wanted: Σ = L Lᵀ, and

    z = L_OO⁻¹ (x_O − μ_O),  E[x_W | x_O] = μ_W + L_WO z,  Cov[x_W | x_O] = L_WW L_WWᵀ.

Where features are in even steps, Σ_OO has w²/12 from their width w on its diagonal, as
if values were spread over it. By that slopes would be too small, as in a regression on
features with errors. So it is subtracted there.

All in standard deviations of the component, so that units are of no matter. L comes
from a QR decomposition of the rows of a root of Σ: no covariance is ever subtracted
from another one, and what is nearly collinear keeps half of its digits at worst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg.lapack import dtrtri

from skem._fitted.laws import SQRT12, Laws, within_range
from skem._fitted.noise import noise_along_features
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.far import LOG_2PI, ROOT_OF_LARGEST, evaluate_far, without_empty
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import TINY, Parameters
from skem.core.gaussian.ties import root_without
from skem.core.incomplete.patterns import Patterns
from skem.core.mixture.noise import LOG_LIMIT, Background

LOSES_DIGITS = 1e5
"""Standard deviations beyond which differences of squares lose half of their digits."""
NUMBERS_TOGETHER = 2**18
"""Numbers in a temporary array."""


def inverted(lower: np.ndarray) -> np.ndarray:
    """Inverses of lower triangular matrices."""
    if not lower.size:
        return lower
    return np.stack([dtrtri(factor, lower=1)[0] for factor in lower])


def distances(
    x: np.ndarray, means: np.ndarray, sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (x − μ)/σ, of shape (K, n, o), with squares that are in range.

    They are to be multiplied by two to the powers (K, n, 1); None if no row is so far.
    """
    y = (x - means) / sd
    if not y.size or np.abs(y).max() <= ROOT_OF_LARGEST:
        return y, None
    # Halves, as a difference may overflow, too.
    half = 0.5 * x - 0.5 * means
    size = np.log2(np.maximum(np.abs(half), TINY)) - np.log2(sd)
    size = size.max(axis=-1, keepdims=True) + 1
    powers = np.ceil(np.maximum(size - np.log2(ROOT_OF_LARGEST), 0)).astype(int)
    return np.where(powers, np.ldexp(half, 1 - powers) / sd, y), powers


def lower_factor(rows: np.ndarray) -> np.ndarray:
    """Return lower triangular L with L Lᵀ = A Aᵀ, and a positive diagonal."""
    upper = np.asarray(np.linalg.qr(np.swapaxes(rows, -1, -2), mode="r"))
    diagonal = np.einsum("...ii->...i", upper)
    upper *= np.where(diagonal < 0, -1.0, 1.0)[..., None]
    # By rounding a correlation may be one.
    diagonal = np.einsum("...ii->...i", upper)
    diagonal[diagonal == 0] = np.finfo(float).eps
    return np.swapaxes(upper, -1, -2)


@dataclass(frozen=True)
class Split:
    """What is wanted of the components, given what is observed.

    Arrays have a component axis, of length 1 where all share a covariance. `whiten` is
    L_OO⁻¹, `slope` L_WO L_OO⁻¹ and `root` L_WW; None where features are independent.
    """

    observed: np.ndarray
    wanted: np.ndarray
    log_det: np.ndarray
    whiten: np.ndarray | None = None
    slope: np.ndarray | None = None
    root: np.ndarray | None = None


@dataclass(frozen=True)
class Conditioner:
    """A mixture, ready to be cut in two in any way."""

    structure: Structure
    parameters: Parameters
    background: Background | None = None
    """Where noise is, the last component of laws."""
    null: NullSpace | None = None
    """Where the data of the fit have no variance."""
    steps: np.ndarray | None = None
    """Roots of what variances have of the width of steps, (K, d)."""

    @classmethod
    def of(cls, mixture: Any) -> Conditioner:
        """Return that of a fitted mixture.

        Raises `NotImplementedError` if there is noise in a box along principal axes.
        """
        structure, noise = (
            SHAPES[mixture.covariance_type],
            noise_along_features(mixture),
        )
        parameters = mixture._parameters()
        return cls(structure, parameters, noise, mixture._null, mixture._steps)

    @classmethod
    def of_one(cls, mean: np.ndarray, cholesky: np.ndarray) -> Conditioner:
        """Return that of one Gaussian."""
        parameters = Parameters(np.ones(1), mean[None], cholesky[None])
        return cls(SHAPES["full"], parameters)

    @property
    def structure_given(self) -> Structure:
        """The structure of conditionals."""
        return self.structure.of_parts

    @cached_property
    def log_weights(self) -> np.ndarray:
        """Log w, so low without a weight that no distance makes up for it."""
        weights = self.parameters.weights
        return np.where(weights > 0, self.parameters.log_weights, -(ROOT_OF_LARGEST**2))

    def tails(self, rng: np.random.RandomState, n: int) -> np.ndarray | None:
        """Draw what decides how far out rows are: of Gaussians nothing does."""
        return None

    @cached_property
    def sd(self) -> np.ndarray:
        """Standard deviations (K, d) of the components."""
        return self.structure.standard_deviations(
            self.parameters.precisions_cholesky, self.parameters.shape
        )

    @cached_property
    def _rows(self) -> np.ndarray:
        """Roots of the correlations, (K or 1, d, d)."""
        K, d = self.parameters.shape
        cholesky = self.parameters.precisions_cholesky
        K = 1 if self.structure.shared else K
        roots = [self.structure.color(cholesky, k, np.eye(d)) for k in range(K)]
        return np.stack(roots) / self.sd[:K, :, None]

    def marginal(self, features: np.ndarray) -> Parameters:
        """Return the parameters of some features, in the order given."""
        weights, means = self.parameters.weights, self.parameters.means[:, features]
        if not self.structure.matrices:
            cholesky = self.parameters.precisions_cholesky
            if self.structure.scales_features:
                cholesky = cholesky[:, features]
            return Parameters(weights, means, cholesky)
        lower = lower_factor(self._rows[:, features])
        sd = self.sd[: len(lower), features]
        cholesky = np.swapaxes(inverted(lower), 1, 2) / sd[:, :, None]
        cholesky = within_range(cholesky)
        return Parameters(
            weights, means, cholesky[0] if self.structure.shared else cholesky
        )

    def given(self, row: np.ndarray) -> Parameters:
        """Return the parameters of the features that are NaN, given the others."""
        observed = ~np.isnan(row)
        (laws,) = self.laws(row[None])
        cholesky = self.parameters.precisions_cholesky
        if self.structure.matrices:
            # Permuted rows of a root of the precision are a root of the permuted one;
            # and its factor's last part is the factor of the conditional precision.
            order = np.r_[np.flatnonzero(observed), laws.wanted]
            o = observed.sum()
            factor = self.structure.upper_factor(cholesky[..., order, :])
            cholesky = factor[..., o:, o:]
            if self._in_steps(np.flatnonzero(observed)):
                roots = laws.roots[: len(self._rows)]
                cholesky = within_range(np.swapaxes(inverted(roots), 1, 2))
                cholesky = cholesky[0] if self.structure.shared else cholesky
        elif self.structure.scales_features:
            cholesky = cholesky[:, laws.wanted]
        K = len(self.parameters.weights)
        return Parameters(laws.weights[0, :K], laws.means[0, :K], cholesky)

    def split(self, observed: np.ndarray, wanted: np.ndarray) -> Split:
        """Cut the components in two; features that are in neither are left out."""
        log_det = np.log(self.sd[:, observed]).sum(axis=1)
        if not self.structure.matrices:
            return Split(observed, wanted, log_det)
        o = len(observed)
        lower = lower_factor(self._rows[:, np.r_[observed, wanted]])
        within = lower[:, :o, :o]
        log_det = log_det + np.log(np.einsum("kii->ki", within)).sum(axis=1)
        whiten = inverted(within)
        slope, root = lower[:, o:, :o], lower[:, o:, o:]
        if len(wanted) and self._in_steps(observed):
            slope, root = self._beside_steps(lower, observed)
        return Split(observed, wanted, log_det, whiten, slope, root)

    @cached_property
    def _roots_of_steps(self) -> np.ndarray:
        """Roots (K, d, d) of what covariances have of steps, but in null directions."""
        assert self.steps is not None
        roots = self.steps[:, None] * np.eye(self.steps.shape[1])
        if self.null is None:
            return roots
        basis, slope = self.null.basis, self.null.relative_slope
        return np.asarray(roots - basis.T @ (basis * slope) @ roots / slope[:, None])

    def _in_steps(self, observed: np.ndarray) -> bool:
        """Whether some of these features are in steps."""
        return self.steps is not None and bool(self.steps[:, observed].any())

    def _beside_steps(
        self, lower: np.ndarray, observed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return slopes and roots without the width of steps of what is observed."""
        K, o = len(lower), len(observed)
        roots = self._roots_of_steps[:K, observed] / self.sd[:K, observed, None]
        rest = lower @ root_without(inverted(lower)[:, :, :o] @ roots)
        slope = rest[:, o:, :o] @ inverted(rest[:, :o, :o]) @ lower[:, :o, :o]
        return slope, rest[:, o:, o:]

    def laws(self, X: np.ndarray, wanted: np.ndarray | None = None) -> Iterator[Laws]:
        """Yield the laws of `wanted`, given what is observed, for groups of rows.

        `wanted` is a mask of features; it is what is missing unless it is given. What
        is observed of the wanted is not looked at.
        """
        K, d = self.parameters.shape
        missing = np.isnan(X.T)
        if wanted is not None:
            missing[wanted] = True
        for pattern, rows in Patterns.of(missing):
            asked = ~pattern if wanted is None else wanted
            split = self.split(np.flatnonzero(pattern), np.flatnonzero(asked))
            step = max(1, NUMBERS_TOGETHER // (K * d))
            for start in range(0, len(rows), step):
                yield self._of_block(split, X, rows[start : start + step])

    def _of_block(self, split: Split, X: np.ndarray, rows: np.ndarray) -> Laws:
        observed, wanted = split.observed, split.wanted
        K, _ = self.parameters.shape
        means, sd = self.parameters.means, self.sd
        x = X[rows][:, observed].astype(float, copy=False)
        with np.errstate(over="ignore", under="ignore"):
            y, powers = distances(x, means[:, None, observed], sd[:, None, observed])
            z = y if split.whiten is None else y @ np.swapaxes(split.whiten, 1, 2)
            centres = np.broadcast_to(
                means[:, None, wanted], (K, len(rows), len(wanted))
            )
            roots = sd[:, :, None][:, wanted] * np.eye(len(wanted))
            if split.slope is not None and split.root is not None:
                away = z @ np.swapaxes(split.slope, 1, 2)
                away = sd[:, None, wanted] * away
                centres = centres + (away if powers is None else np.ldexp(away, powers))
                roots = sd[:, wanted, None] * split.root
            log_density, log_weights, stretch, df = self._weights(split, x, z, powers)
        centres = within_range(np.swapaxes(centres, 0, 1))
        laws = Laws(rows, wanted, log_density, log_weights, centres, roots, stretch, df)
        return laws if self.background is None else self._with_noise(laws, observed)

    def _with_noise(self, laws: Laws, observed: np.ndarray) -> Laws:
        """Add noise, whose density is the same everywhere, as one more component."""
        assert self.background is not None
        log_widths, n = self.background.log_widths, len(laws.rows)
        with np.errstate(divide="ignore"):
            joint = np.log(self.parameters.noise_weight) - log_widths[observed].sum()
        log_density = np.logaddexp(laws.log_density, joint)
        shift = (laws.log_density - log_density)[:, None]
        log_weights = np.hstack(
            [laws.log_weights + shift, joint - log_density[:, None]]
        )
        centre = np.broadcast_to(
            self.background.centre[laws.wanted], (n, 1, len(laws.wanted))
        )
        sd = np.exp(np.minimum(log_widths[laws.wanted], LOG_LIMIT)) / SQRT12
        stretch, df = laws.stretch, laws.df
        if stretch is not None and df is not None:
            stretch, df = np.hstack([stretch, np.ones((n, 1))]), np.append(df, np.inf)
        return replace(
            laws,
            log_density=log_density,
            log_weights=log_weights,
            means=np.concatenate([laws.means, centre], axis=1),
            roots=np.concatenate([laws.roots, np.diag(sd)[None]]),
            stretch=stretch,
            df=df,
            even=True,
        )

    def _weights(
        self, split: Split, x: np.ndarray, z: np.ndarray, powers: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return the log-density of x_O, (n,), and log weights given it, (n, K).

        And the `stretch` and the `df` of laws given it. `z` (K, n, o) are to be
        multiplied by two to the `powers` (K, n, 1).
        """
        squares = np.einsum("kno,kno->nk", z, z)
        peaks = self.log_weights - split.log_det
        joint = peaks - 0.5 * x.shape[1] * LOG_2PI - 0.5 * squares
        # By hand, as there may be as many patterns as rows.
        top = joint.max(axis=1)
        log_density = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
        log_weights = joint - log_density[:, None]
        far = squares.min(axis=1, initial=np.inf) > LOSES_DIGITS**2
        if far.any():
            log_density[far], weights = self._far(split.observed, x[far])
            # No tiny share is added to them: what it is of may be of any size.
            logs = np.log(np.maximum(weights, TINY))
            log_weights[far] = np.where(weights > 0, logs, -(ROOT_OF_LARGEST**2))
        return within_range(log_density), log_weights, None, None

    def _far(
        self, observed: np.ndarray, x: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-density (n,) and weights (n, K), at any distance."""
        marginal = without_empty(self.structure, self.marginal(observed))
        coordinates = scoring_coordinates(self.structure, marginal, np.dtype(float))
        inward = coordinates.inward(self.structure, marginal)
        z = coordinates.load(np.ascontiguousarray(x.T), np.empty(x.T.shape))
        log_density, weights = evaluate_far(self.structure, inward, z)
        return log_density + coordinates.log_slope, weights.T


def log_weights(conditioner: Conditioner, X: np.ndarray) -> np.ndarray:
    """Log weights (n, K) of the components, given what is observed of each row."""
    K = len(conditioner.parameters.weights) + (conditioner.background is not None)
    out = np.empty((len(X), K))
    for laws in conditioner.laws(X, np.zeros(X.shape[1], dtype=bool)):
        out[laws.rows] = laws.log_weights
    return out


def impute(
    conditioner: Conditioner, X: np.ndarray, rng: np.random.RandomState | None = None
) -> np.ndarray:
    """Return X with missing values at their means, or drawn if there is a generator."""
    X = X.copy()
    missing = np.isnan(X)
    rows = np.flatnonzero(missing.any(axis=1))
    incomplete = X[rows]
    if rng is not None:
        uniform, noise = rng.random_sample(len(rows)), rng.normal(size=incomplete.shape)
        tails = conditioner.tails(rng, len(rows))
    info = np.finfo(X.dtype)
    for laws in conditioner.laws(incomplete):
        at = np.ix_(laws.rows, laws.wanted)
        if rng is None:
            values = laws.mean
        else:
            far = None if tails is None else tails[laws.rows]
            values, _ = laws.draw(uniform[laws.rows], noise[at], far)
        X[np.ix_(rows[laws.rows], laws.wanted)] = np.clip(values, info.min, info.max)
    return X
