"""The two forms of an E-step: what they compute of a block, in NumPy.

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

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import evaluate_far, log_constants, within_widths
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.products import sum_over_columns, times_block
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.ties import weighted_squares

FAR = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}
"""Nats below the mixture's highest peak at which a sample is evaluated by itself, as
logits have lost too many digits."""
FAR_PER_FEATURE = 10.0
"""The same for each of many features: half a nat is what each takes on average."""
UNDERFLOW = 600.0
"""Nats below it at which exponentials underflow if they are not shifted."""
MAX_EXPANDED_FEATURES = 32
"""Features of full covariances above which the centred form is cheaper."""
CONDITION = {np.dtype(np.float64): 1e7, np.dtype(np.float32): 4e3}
"""Largest `condition` at which the expanded form is precise enough."""
SINGLE_CONDITION = 1e5
"""Largest `condition` at which float32 data are computed in single precision: scatter
that is rounded would drown smaller eigenvalues."""
ONE_BY_ONE = 3
"""Samples that are whitened one by one: a copy of the matrices takes longer."""
NEGLIGIBLE = 1e-16
"""Responsibilities that may be left out of the sums, beside the largest weight."""


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


class Loaded(NamedTuple):
    """A block as a form needs it: its rows, of which z is a part or all, and w²/12.

    `squares` are (d, b), or (d, 1) if they are the same for all samples.
    """

    rows: np.ndarray
    z: np.ndarray
    squares: np.ndarray | None

    def only(self, chosen: np.ndarray) -> Loaded:
        """Return some of the samples."""
        squares = self.squares
        if squares is not None and squares.shape[1] > 1:
            squares = squares[:, chosen]
        return Loaded(self.rows[:, chosen], self.z[:, chosen], squares)


@dataclass(frozen=True)
class Form(ABC):
    """How the E-step of a block is computed."""

    structure: Structure
    parameters: Parameters
    dtype: np.dtype
    background: np.ndarray | None = None
    """Logarithms of the widths of noise, (d,): it is the last row of the logits."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(…, K), the shape of the logits of a sample, noise among them."""
        *stack, K = self.parameters.weights.shape
        return (*stack, K + (self.background is not None))

    @property
    def far(self) -> float:
        """Nats below the highest peak at which samples are evaluated by themselves."""
        return max(FAR[self.dtype], FAR_PER_FEATURE * self.parameters.shape[-1])

    @cached_property
    def _peaks(self) -> np.ndarray:
        peaks = log_constants(self.structure, self.parameters)
        if self.background is None:
            return peaks
        noise = self.parameters.log_noise_weight - self.background.sum()
        return np.concatenate([peaks, noise[..., None]], axis=-1)

    def statistics(self, loglik: Any, sums: np.ndarray) -> Statistics:
        """Return the sums of all rows of the logits as statistics."""
        noise: Any = 0.0
        if self.background is not None:
            sums, noise = sums[..., :-1, :], sums[..., -1, 0]
        return Statistics(loglik, sums, self.reference, self.quadratic, noise)

    def with_noise(
        self, log_density: np.ndarray, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add noise to log-densities (b,) and responsibilities (K, b), if there is."""
        if self.background is None:
            return log_density, resp
        noise = float(self.parameters.log_noise_weight - self.background.sum())
        return joined_by_noise(log_density, resp, np.full(len(log_density), noise))

    @cached_property
    def constants(self) -> np.ndarray:
        """Log-densities of the components at their means, less `peak`, (K,)."""
        return self._peaks - self.peak[..., None]

    @cached_property
    def peak(self) -> np.ndarray:
        """Logits are log-densities less this and the common term; one per mixture."""
        return np.asarray(self._peaks.max(axis=-1))

    @property
    def bounded(self) -> bool:
        """Whether logits have all of the log-density, and so are at most 0."""
        return self.quadratic == self.structure.quadratic

    def of_mixture(self, index: Any) -> Form:
        """Return the form of one mixture of a stack."""
        return replace(self, parameters=self.parameters[index])

    def of_component(self, k: int) -> Parameters:
        """Return the parameters of one component alone, with its weight."""
        parameters, one = self.parameters, slice(k, k + 1)
        cholesky = parameters.precisions_cholesky
        if not self.structure.shared:
            *stack, _, _ = parameters.means.shape
            cholesky = cholesky[(slice(None),) * len(stack) + (one,)]
        return Parameters(
            parameters.weights[..., one], parameters.means[..., one, :], cholesky
        )

    def careful(self, block: Loaded) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate samples at any distance: `log_norm` and responsibilities.

        Of a single mixture. In float64, in the range of the form's type.
        """
        z = block.z.astype(float)
        squares = None
        # What widths take is common to all components if the rest is.
        if self.bounded and block.squares is not None:
            squares = np.broadcast_to(block.squares, z.shape)
        far = evaluate_far(self.structure, self.parameters, z, squares)
        log_density, resp = self.with_noise(*far)
        limit = float(np.finfo(self.dtype).max)
        if self.bounded:
            log_norm = log_density - self.peak
        else:
            # What is common may be beyond the range, and the rest in it.
            log_norm = self._linear_log_norm(block.rows.astype(float))
        return np.clip(np.nan_to_num(log_norm, nan=-limit), -limit, limit), resp

    def _linear_log_norm(self, rows: np.ndarray) -> np.ndarray:
        """`log_norm` of logits that lack the common term."""
        raise NotImplementedError

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
        constants = self.constants.copy()
        constants[..., : means.shape[-2]] -= 0.5 * (means * linear).sum(axis=-1)
        theta = np.concatenate(
            [constants[..., None], with_row_of_noise(self, natural)], axis=-1
        )
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
        flat = resp.reshape(math.prod(resp.shape[:-1]), b)
        return sum_over_columns(flat, block.rows).reshape(*resp.shape[:-1], rows)

    def _linear_log_norm(self, rows: np.ndarray) -> np.ndarray:
        logits = self.theta.astype(float) @ rows
        top = logits.max(axis=0)
        return top + np.log(np.exp(logits - top).sum(axis=0))

    @cached_property
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
            if block.z.shape[1] <= ONE_BY_ONE:
                self._squared_norms(block.z, means, cholesky, out[mixture])
                continue
            for k, row in enumerate(out[mixture]):
                if k == len(means):
                    row[:] = 0
                    continue
                np.subtract(block.z, means[k, :, None], out=centred)
                white = self.structure.whiten(cholesky, k, centred)
                np.einsum("db,db->b", white, white, out=row)
        out *= -0.5
        out += self.constants[..., None].astype(self.dtype)
        if block.squares is not None:
            within = within_widths(self.structure, self.parameters, block.squares)
            out[..., : within.shape[-2], :] += within

    def _squared_norms(
        self, z: np.ndarray, means: np.ndarray, cholesky: np.ndarray, out: np.ndarray
    ) -> None:
        """Write |Uᵀ(z − μ)|² sample by sample, of all components at once."""
        out[len(means) :] = 0
        for sample, column in zip(z.T, out.T, strict=True):
            white = self.structure.whiten_rows(cholesky, sample - means)
            np.einsum("kd,kd->k", white, white, out=column[: len(means)])

    def sums(self, resp: np.ndarray, block: Loaded, workspace: Workspace) -> np.ndarray:
        d = len(block.z)
        sums = np.empty((*resp.shape[:-1], 1 + d + self.quadratic.size(d)))
        means = with_row_of_noise(self, self._means)
        for k in np.ndindex(resp.shape[:-1]):
            r = resp[k]
            kept = np.flatnonzero(r > NEGLIGIBLE * r.max(initial=0.0))
            if 2 * len(kept) < len(r):
                r, z = r[kept], block.z[:, kept]
            else:
                z = block.z
            centred = workspace.array("centred", z.shape, self.dtype)
            np.subtract(z, means[k][:, None], out=centred)
            sums[k][0] = r.sum(dtype=float)
            sums[k][1 : 1 + d] = centred @ r
            sums[k][1 + d :] = self.quadratic.weighted_sum(centred, r)
        if block.squares is not None:
            within = np.moveaxis(weighted_squares(block.squares, resp), -1, 0)
            self.quadratic.add_squares(np.moveaxis(sums[..., 1 + d :], -1, 0), within)
        return sums

    @cached_property
    def reference(self) -> np.ndarray:
        return self._means.astype(float)


def with_row_of_noise(form: Form, values: np.ndarray, axis: int = -2) -> np.ndarray:
    """Append zeros along the axis of components, if there is noise: it has no place."""
    if form.background is None:
        return values
    row = np.zeros_like(np.take(values, [0], axis=axis))
    return np.concatenate([values, row], axis=axis)


def joined_by_noise(
    log_density: np.ndarray, resp: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add a component's log w_0 p_0 (…, b) to log-densities and responsibilities."""
    total = np.logaddexp(log_density, noise)
    share = np.exp(log_density - total)
    own = np.exp(noise - total)
    return total, np.concatenate(
        [resp * share[..., None, :], own[..., None, :]], axis=-2
    )


def uncancelled(
    structure: Structure, parameters: Parameters
) -> tuple[Structure, Parameters]:
    """Return the same mixture with each component's covariance by itself.

    Beside noise, what components share does not cancel in the responsibilities.
    """
    quadratic = structure.quadratic
    if structure.logit_quadratic == quadratic:
        return structure, parameters
    twin = structure.free
    *stack, K, d = parameters.means.shape
    cholesky = parameters.precisions_cholesky
    shape = (*stack, *twin.shape(K, d))
    if cholesky.shape != shape:
        cholesky = np.broadcast_to(np.expand_dims(cholesky, len(stack)), shape)
    return twin, replace(parameters, precisions_cholesky=cholesky)


def choose_form(
    structure: Structure,
    parameters: Parameters,
    dtype: np.dtype,
    background: np.ndarray | None = None,
) -> Form:
    """Return the cheaper form that is precise enough, in `dtype` or float64.

    `background` are the logarithms of the widths of noise, if there is any.
    """
    if background is not None:
        structure, parameters = uncancelled(structure, parameters)
    d = parameters.means.shape[-1]
    size = structure.logit_quadratic.size(d)
    cheap = size <= max(MAX_EXPANDED_FEATURES * (MAX_EXPANDED_FEATURES + 1) // 2, d)
    if cheap or dtype == np.float32:
        worst = condition(structure, parameters)
        if worst > SINGLE_CONDITION:
            dtype = np.dtype(np.float64)
        if cheap and worst <= CONDITION[dtype]:
            return Expanded(structure, parameters, dtype, background)
    return Centred(structure, parameters, dtype, background)
