"""The E-step of one block, in two forms of one computation.

Expanded: the joint log-density is linear in T(x) = [1, x, q(x)], so a block costs two
matrix products and one softmax. Centred: each component whitens x − μ_k, which loses
nothing to cancellation and is cheaper for many features.

Blocks are (features, samples), responsibilities (K, samples): the softmax over
components is then a sum of rows.

Values that rows share have a width (`ties`), and stand for all that it covers: with
w²/12 added to the squares in q(x), L is the mean log-density over it, and S has the
scatter within it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from skem.core.blocks import Block, Blocks
from skem.core.coordinates import Coordinates
from skem.core.covariance import Structure
from skem.core.parameters import Parameters
from skem.core.products import sum_over_columns, times_block
from skem.core.quadratic import Quadratic
from skem.core.statistics import Statistics
from skem.core.threads import Workspace
from skem.core.ties import weighted_squares

LOG_2PI = float(np.log(2 * np.pi))
FAR = {np.dtype(np.float64): 600.0, np.dtype(np.float32): 1000.0}
"""Nats below the mixture's highest peak at which a sample is evaluated by itself."""
MAX_EXPANDED_FEATURES = 32
"""Features of full covariances above which the centred form is cheaper."""
CONDITION = {np.dtype(np.float64): 1e7, np.dtype(np.float32): 4e3}
"""Largest `condition` at which the expanded form is precise enough."""
SINGLE = 1e5
"""Largest `condition` at which float32 data are computed in single precision: scatter
that is rounded would drown smaller eigenvalues."""
NEGLIGIBLE = 1e-16
"""Responsibilities that may be left out of the centred M-step product."""


def log_constants(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Log w_k + log|U_k| − (d/2) log 2π: the log-density's peaks, shape (K,)."""
    n_features = parameters.means.shape[-1]
    log_det = structure.log_det(parameters.precisions_cholesky, n_features)
    return parameters.log_weights + log_det - 0.5 * n_features * LOG_2PI


def condition(structure: Structure, parameters: Parameters) -> float:
    """max_k Σ_i (Σ_k⁻¹)_ii (μ_ki² + (Σ_k)_ii): what cancels in the expanded form.

    The terms of a quadratic form that is d on average: means far from zero in units
    of the component, and collinear features, both make them large.
    """
    cholesky = parameters.precisions_cholesky
    shape = parameters.shape
    spread = structure.standard_deviations(cholesky, shape)
    with np.errstate(over="ignore", invalid="ignore"):
        precisions = structure.precision_diagonals(cholesky, shape)
        terms = precisions * (parameters.means**2 + spread**2)
        largest = terms.sum(axis=-1).max()
    return float(largest) if np.isfinite(largest) else np.inf


def within_widths(
    structure: Structure, parameters: Parameters, squares: np.ndarray
) -> np.ndarray:
    """−½ Σ_j P_jj w_j²/12, what widths take from the log-density: (…, K, b)."""
    cholesky = parameters.precisions_cholesky
    return -0.5 * structure.precision_diagonals(cholesky, parameters.shape) @ squares


class Loaded(NamedTuple):
    """A block as a form needs it: its rows, of which z is a part or all, and w²/12.

    `squares` are (d, b), or (d, 1) if they are the same for all samples.
    """

    rows: np.ndarray
    z: np.ndarray
    squares: np.ndarray | None


@dataclass(frozen=True)
class Form(ABC):
    """How the E-step of a block is computed."""

    structure: Structure
    parameters: Parameters
    dtype: np.dtype

    @cached_property
    def _peaks(self) -> np.ndarray:
        return log_constants(self.structure, self.parameters)

    @cached_property
    def constants(self) -> np.ndarray:
        """Log-densities of the components at their means, less `peak`, (K,)."""
        return self._peaks - self.peak[..., None]

    @cached_property
    def peak(self) -> np.ndarray:
        """Logits are log-densities less this and the common term; one per mixture."""
        return np.asarray(self._peaks.max(axis=-1))

    @property
    @abstractmethod
    def quadratic(self) -> Quadratic:
        """The quadratic statistic that `sums` has."""

    @abstractmethod
    def n_rows(self) -> int:
        """Values that `load` keeps per sample."""

    @abstractmethod
    def load(
        self, coordinates: Coordinates, data: np.ndarray, workspace: Workspace
    ) -> Loaded:
        """Return what is computed once per sample."""

    @abstractmethod
    def logits(self, block: Loaded, out: np.ndarray, workspace: Workspace) -> None:
        """Write the logits, shape (…, K, b)."""

    @abstractmethod
    def sums(self, resp: np.ndarray, block: Loaded, workspace: Workspace) -> np.ndarray:
        """Σ r T(z − reference), float64, shape (…, K, 1 + d + size)."""

    @property
    @abstractmethod
    def reference(self) -> np.ndarray:
        """Point that the sums are about, shape (K, d)."""


@dataclass(frozen=True)
class Expanded(Form):
    """L = Θ T and S = R Tᵀ."""

    @property
    def quadratic(self) -> Quadratic:
        return self.structure.logit_quadratic

    @cached_property
    def theta(self) -> np.ndarray:
        """Natural parameters, shape (…, K, 1 + d + size)."""
        means = self.parameters.means
        natural = self.structure.natural(self.parameters.precisions_cholesky, means)
        linear = natural[..., : means.shape[-1]]
        constant = self.constants - 0.5 * (means * linear).sum(axis=-1)
        theta = np.concatenate([constant[..., None], natural], axis=-1)
        return theta.astype(self.dtype, copy=False)

    def n_rows(self) -> int:
        return self.theta.shape[-1]

    def load(
        self, coordinates: Coordinates, data: np.ndarray, workspace: Workspace
    ) -> Loaded:
        d, b = data.shape
        features = workspace.array("features", (self.n_rows(), b), self.dtype)
        features[0] = 1
        z = coordinates.load(data, features[1 : 1 + d])
        self.quadratic.expand(z, features[1 + d :])
        squares = coordinates.squares(data)
        if squares is not None:
            self.quadratic.add_squares(features[1 + d :], squares)
        return Loaded(features, z, squares)

    def logits(self, block: Loaded, out: np.ndarray, workspace: Workspace) -> None:
        rows, b = block.rows.shape
        theta = self.theta.reshape(-1, rows)
        times_block(theta, block.rows, out.reshape(len(theta), b))

    def sums(self, resp: np.ndarray, block: Loaded, workspace: Workspace) -> np.ndarray:
        rows, b = block.rows.shape
        flat = resp.reshape(self.parameters.weights.size, b)
        return sum_over_columns(flat, block.rows).reshape(*resp.shape[:-1], rows)

    @property
    def reference(self) -> np.ndarray:
        return np.zeros_like(self.parameters.means)


@dataclass(frozen=True)
class Centred(Form):
    """Per component y = Uᵀ(z − μ), −½|y|², and the scatter about μ."""

    @property
    def quadratic(self) -> Quadratic:
        return self.structure.quadratic

    @cached_property
    def _cholesky(self) -> np.ndarray:
        return self.parameters.precisions_cholesky.astype(self.dtype)

    @cached_property
    def _means(self) -> np.ndarray:
        return self.parameters.means.astype(self.dtype)

    def n_rows(self) -> int:
        return 3 * self.parameters.means.shape[1]

    def load(
        self, coordinates: Coordinates, data: np.ndarray, workspace: Workspace
    ) -> Loaded:
        z = workspace.array("features", data.shape, self.dtype)
        coordinates.load(data, z)
        return Loaded(z, z, coordinates.squares(data))

    def logits(self, block: Loaded, out: np.ndarray, workspace: Workspace) -> None:
        centred = workspace.array("centred", block.z.shape, self.dtype)
        for mixture in np.ndindex(out.shape[:-2]):
            means, cholesky = self._means[mixture], self._cholesky[mixture]
            for k, row in enumerate(out[mixture]):
                np.subtract(block.z, means[k, :, None], out=centred)
                white = self.structure.whiten(cholesky, k, centred)
                np.einsum("db,db->b", white, white, out=row)
        out *= -0.5
        out += self.constants[..., None].astype(self.dtype)
        if block.squares is not None:
            out += within_widths(self.structure, self.parameters, block.squares)

    def sums(self, resp: np.ndarray, block: Loaded, workspace: Workspace) -> np.ndarray:
        d = len(block.z)
        sums = np.empty((*resp.shape[:-1], 1 + d + self.quadratic.size(d)))
        for k in np.ndindex(resp.shape[:-1]):
            r = resp[k]
            kept = np.flatnonzero(r > NEGLIGIBLE)
            if 2 * len(kept) < len(r):
                r, z = r[kept], block.z[:, kept]
            else:
                z = block.z
            centred = workspace.array("centred", z.shape, self.dtype)
            np.subtract(z, self._means[k][:, None], out=centred)
            sums[k][0] = r.sum(dtype=float)
            sums[k][1 : 1 + d] = centred @ r
            sums[k][1 + d :] = self.quadratic.weighted_sum(centred, r)
        if block.squares is not None:
            within = np.moveaxis(weighted_squares(block.squares, resp), -1, 0)
            self.quadratic.add_squares(np.moveaxis(sums[..., 1 + d :], -1, 0), within)
        return sums

    @property
    def reference(self) -> np.ndarray:
        return self._means.astype(float)


def choose_form(structure: Structure, parameters: Parameters, dtype: np.dtype) -> Form:
    """Return the cheaper form that is precise enough, in `dtype` or float64."""
    d = parameters.means.shape[-1]
    size = structure.logit_quadratic.size(d)
    cheap = size <= MAX_EXPANDED_FEATURES * (MAX_EXPANDED_FEATURES + 1) // 2
    if cheap or dtype == np.float32:
        worst = condition(structure, parameters)
        if worst > SINGLE:
            dtype = np.dtype(np.float64)
        if cheap and worst <= CONDITION[dtype]:
            return Expanded(structure, parameters, dtype)
    return Centred(structure, parameters, dtype)


class Softmax(NamedTuple):
    """What is left of a block's logits: responsibilities are logits · inverse.

    Both are of shape (…, b).
    """

    log_norm: np.ndarray
    inverse: np.ndarray


def softmax(
    form: Form, block: Loaded, logits: np.ndarray, workspace: Workspace
) -> Softmax:
    """Turn logits, in place, into unnormalised responsibilities.

    float64 logits of a structure with its quadratic part are at most 0, so that one
    exponential without a search for the maximum will do; the few samples for which
    the sum underflows are evaluated by themselves. `log_norm` is the log-density less
    the form's `peak` and the common term.
    """
    bounded = form.quadratic == form.structure.quadratic
    far = FAR[form.dtype]
    shape = (*logits.shape[:-2], logits.shape[-1])
    log_norm = workspace.array("log_norm", shape, form.dtype)
    total = workspace.array("total", shape, form.dtype)
    with np.errstate(all="ignore"):
        if bounded and form.dtype == np.float64:
            np.exp(logits, out=logits)
            np.add.reduce(logits, axis=-2, out=total)
            np.log(total, out=log_norm)
            # Also where one term overflowed before another of the other sign.
            lost = ~(np.abs(log_norm) < far)
        else:
            maximum = workspace.array("maximum", shape, form.dtype)
            np.maximum.reduce(logits, axis=-2, out=maximum)
            logits -= maximum[..., None, :]
            np.exp(logits, out=logits)
            np.add.reduce(logits, axis=-2, out=total)
            np.log(total, out=log_norm)
            log_norm += maximum
            lost = ~np.isfinite(log_norm)
            if bounded:
                lost |= ~(np.abs(log_norm) < far)
        np.divide(1, total, out=total)
        if lost.any():
            for mixture in np.ndindex(shape[:-1]):
                found = lost[mixture]
                z = block.z[:, found].astype(float)
                parameters = form.parameters[mixture]
                # What widths take is common to all components if the rest is.
                squares = None
                if bounded and block.squares is not None:
                    squares = np.broadcast_to(block.squares, block.z.shape)[:, found]
                log_density, resp = evaluate_far(form.structure, parameters, z, squares)
                if not bounded:
                    log_density = log_density - common_term(
                        form.structure, parameters, z
                    )
                limit = np.finfo(form.dtype).max
                log_norm[mixture][found] = np.clip(
                    log_density - form.peak[mixture], -limit, limit
                )
                logits[mixture][:, found] = resp
                total[mixture][found] = 1
    return Softmax(log_norm, total)


def common_term(
    structure: Structure, parameters: Parameters, z: np.ndarray
) -> np.ndarray:
    """−½ zᵀΣ⁻¹z, of a covariance that all components share."""
    cholesky = parameters.precisions_cholesky.astype(z.dtype)
    white = structure.whiten(cholesky, 0, z)
    return -0.5 * np.einsum("db,db->b", white, white)


def evaluate_far(
    structure: Structure,
    parameters: Parameters,
    z: np.ndarray,
    squares: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Log-density (b,) and responsibilities (K, b) at any distance, never NaN.

    With z = t u, |u| ≤ 1: log w_k N = −½ A_k t² + B_k t + C_k. Differences between
    components are taken coefficient by coefficient, before t can overflow them.
    """
    z = np.nan_to_num(z, nan=0.0)
    z = z / np.maximum(np.abs(z).max(axis=0, initial=0.0) / 1e300, 1.0)
    cholesky = parameters.precisions_cholesky
    n_components = len(parameters.means)
    t = np.maximum(np.abs(z).max(axis=0), 1.0)
    # Not beyond the components, where the expansion would cancel.
    near = t < max(1e8, 1e3 * float(np.abs(parameters.means).max()))
    t = np.where(near, 1.0, t)
    u = z / t
    A, B = np.empty((2, n_components, z.shape[1]))
    constants = log_constants(structure, parameters)
    C = np.repeat(constants[:, None], z.shape[1], axis=1)
    if squares is not None:
        C += within_widths(structure, parameters, squares)
    for k in range(n_components):
        mean = parameters.means[k, :, None]
        offset = structure.whiten(cholesky, k, mean)
        white = structure.whiten(cholesky, k, u)
        A[k] = np.einsum("db,db->b", white, white)
        B[k] = np.einsum("db,db->b", white, np.broadcast_to(offset, white.shape))
        C[k, ~near] -= 0.5 * np.sum(offset**2)
        # Nearby, centring first loses nothing to cancellation.
        exact = structure.whiten(cholesky, k, u[:, near] - mean)
        A[k, near] = B[k, near] = 0
        C[k, near] -= 0.5 * np.einsum("db,db->b", exact, exact)
    order = np.lexsort((-C, -B, A), axis=0)[0]
    columns = np.arange(z.shape[1])
    a, b, c = A[order, columns], B[order, columns], C[order, columns]
    with np.errstate(all="ignore"):
        logits = -0.5 * (A - a) * t * t + (B - b) * t + (C - c)
        logits = np.nan_to_num(logits, nan=-np.inf, posinf=np.finfo(float).max)
        top = logits.max(axis=0)
        resp = np.exp(logits - top)
        total = resp.sum(axis=0)
        log_density = -0.5 * a * t * t + b * t + c
        log_density = np.nan_to_num(log_density, nan=-np.inf) + top + np.log(total)
    limit = np.finfo(float).max
    return np.clip(log_density, -limit, limit), resp / total


@dataclass(frozen=True)
class Expectation:
    """Kernels that evaluate a block of data at fixed parameters."""

    form: Form
    coordinates: Coordinates

    @property
    def values_per_sample(self) -> int:
        """Size of the work on one sample, in numbers."""
        return self.form.n_rows() + self.form.parameters.weights.size

    @property
    def multiplications_per_sample(self) -> int:
        """At least as many as any product of the work on one sample has."""
        return self.values_per_sample * max(self.form.parameters.shape)

    def _softmax(
        self, block: Block, workspace: Workspace
    ) -> tuple[Loaded, np.ndarray, Softmax]:
        shape = (*self.form.parameters.weights.shape, block.data.shape[1])
        logits = workspace.array("logits", shape, self.form.dtype)
        # What overflows for far samples is evaluated once more in `softmax`.
        with np.errstate(all="ignore"):
            loaded = self.form.load(self.coordinates, block.data, workspace)
            self.form.logits(loaded, logits, workspace)
        return loaded, logits, softmax(self.form, loaded, logits, workspace)

    def statistics(self, block: Block, workspace: Workspace) -> Statistics:
        """Fold one block into sufficient statistics.

        The log-likelihood is without the form's common term.
        """
        loaded, resp, (log_norm, factor) = self._softmax(block, workspace)
        if block.weight is None:
            n = log_norm.shape[-1]
            loglik = log_norm.sum(axis=-1, dtype=float) + n * self.form.peak
        else:
            weight = block.weight
            loglik = log_norm.astype(float) @ weight + self.form.peak * weight.sum()
            factor *= weight
        resp *= factor[..., None, :]
        sums = self.form.sums(resp, loaded, workspace)
        return Statistics(loglik, sums, self.form.reference, self.form.quadratic)

    def log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log p(x) in the units of the data, shape (b,), float64."""
        loaded, _, (log_norm, _) = self._softmax(block, workspace)
        return self._log_density(loaded, log_norm)

    def component_log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log N(x | μ_k, Σ_k) in the units of the data, (K, b), float64, maybe −∞."""
        form = self.form
        # Centred, as each value counts by itself, and not beside the largest.
        parameters = replace(form.parameters, weights=np.ones(len(form.constants)))
        centred = Centred(form.structure, parameters, form.dtype)
        shape = (len(parameters.weights), block.data.shape[1])
        logits = workspace.array("logits", shape, form.dtype)
        with np.errstate(all="ignore"):
            loaded = centred.load(self.coordinates, block.data, workspace)
            centred.logits(loaded, logits, workspace)
        constant = centred.peak + self.coordinates.log_slope
        log_density = logits.astype(float) + constant
        return np.nan_to_num(log_density, nan=-np.inf, neginf=-np.inf)

    def classified(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log p(x) and log max_k r_k, shape (b,), float64, and `responsibilities`."""
        loaded, resp, (log_norm, factor) = self._softmax(block, workspace)
        largest = resp.max(axis=0).astype(float) * factor
        resp *= factor
        return self._log_density(loaded, log_norm), np.log(largest), resp

    def _log_density(self, loaded: Loaded, log_norm: np.ndarray) -> np.ndarray:
        constant = self.form.peak + self.coordinates.log_slope
        log_density = log_norm.astype(float) + constant
        form = self.form
        if form.quadratic != form.structure.quadratic:
            with np.errstate(all="ignore"):
                log_density += common_term(form.structure, form.parameters, loaded.z)
        if not np.isfinite(log_density).all():
            limit = np.finfo(float).max
            log_density = np.nan_to_num(log_density, nan=-limit)
        return log_density

    def responsibilities(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Posterior probabilities, shape (K, b), in the workspace."""
        _, resp, (_, factor) = self._softmax(block, workspace)
        resp *= factor
        return resp


def total_statistics(
    blocks: Blocks, coordinates: Coordinates, structure: Structure
) -> Statistics:
    """Statistics of all the data as one component, about zero, in float64."""
    quadratic = structure.quadratic
    d = blocks.n_features

    def kernel(block: Block, workspace: Workspace) -> Statistics:
        shape = block.data.shape
        z = coordinates.load(block.data, workspace.array("z", shape, np.float64))
        v = np.ones(shape[1]) if block.weight is None else block.weight.astype(float)
        second = quadratic.weighted_sum(z, v)
        squares = coordinates.squares(block.data)
        if squares is not None:
            quadratic.add_squares(second, weighted_squares(squares, v))
        sums = np.concatenate([[v.sum()], z @ v, second])
        return Statistics(0.0, sums[None], np.zeros((1, d)), quadratic)

    return blocks.fold(kernel, 2 * d + 1)
