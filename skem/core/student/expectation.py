"""The E-step of mixtures of multivariate t components.

The forms of Gaussian mixtures give squared Mahalanobis distances δ, at the cost of
their logits; what is of the t is in few operations on the (K, b) of a block, and the
sums are those of Gaussians with weights r u in place of r.

In a fit, a component's density is level from the distance `reach` on: rows beyond have
u = 0, so that one value that is wrong by any factor has no more say than a remote one.
The log-density falls with δ and is convex, and so it is if it is level from some point
on: EM stays monotone. What users are told of rows has no such limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.nullspace import NullSpace
from skem.core.incomplete.completed import Completed, Whitened
from skem.core.incomplete.expectation import Incomplete
from skem.core.incomplete.patterns import Piece
from skem.core.passes.forms import (
    ONE_BY_ONE,
    Centred,
    Form,
    Loaded,
    choose_form,
    uncancelled,
)
from skem.core.passes.softmax import responsibilities
from skem.core.student.heavy import Heavy
from skem.core.student.parameters import (
    GAUSSIAN,
    StudentParameters,
    StudentStatistics,
    correction,
)

AS_FAR = 1e6
"""Distance, in units of a component, from which on all rows of a fit are as far."""
LARGEST = 1e70
"""Size of a coordinate beyond which the row is scaled: squares stay in range."""
LONGEST_STRETCH = 340.0
"""Logarithm of what such a distance may be stretched by, of a Gaussian component."""


def within_range(
    z: np.ndarray, largest: float = LARGEST
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows (d, b) scaled to the size `largest`, and the logarithm of what by, (b,).

    None if all of them are within it. What is missing, NaN, stays so.
    """
    size = np.fmax.reduce(np.abs(z), axis=0, initial=0.0)
    if size.max(initial=0.0) <= largest:
        return None
    stretch = np.log(np.clip(size / largest, 1.0, np.finfo(float).max))
    z = np.clip(z, -np.finfo(float).max, np.finfo(float).max)
    return z * np.exp(-stretch), stretch


class Weighed(NamedTuple):
    """What a t mixture says of rows, (…, b) and (…, K, b).

    - `log_norm`: log p, in coordinates
    - `resp`: r
    - `scale`: u, and `log_ratio`: log(1 + δ/ν)
    - `beyond`: whether δ is beyond the reach; None if no row is
    """

    log_norm: np.ndarray
    resp: np.ndarray
    scale: np.ndarray
    log_ratio: np.ndarray
    beyond: np.ndarray | None


class Part(NamedTuple):
    """Rows that are evaluated together, and the `order` that they have in the block.

    `n_observed` are the dimensions of all rows, or those of each, `noise` is the
    log-density of noise there with its weight, and `known` the component that a row is
    known to be of, or −1.
    """

    order: Any
    n_observed: Any
    peaks: np.ndarray
    distances: np.ndarray
    stretch: np.ndarray | None
    unit: Any
    weight: np.ndarray | None
    of: Loaded | Completed
    noise: np.ndarray | None
    known: np.ndarray | None


@dataclass(frozen=True)
class StudentExpectation:
    """What is computed of a block of data at fixed parameters, in float64."""

    structure: Structure
    parameters: StudentParameters
    coordinates: Coordinates
    reach: float = np.inf
    background: np.ndarray | None = None
    """Logarithms of the widths of noise, the last of the responsibilities."""
    null: NullSpace | None = None
    """Where the data have no variance: these are no dimensions of a t."""

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions in which data vary."""
        d = self.parameters.shape[-1]
        return d if self.null is None else d - self.null.size

    @cached_property
    def form(self) -> Form:
        """How distances and sums are computed: with all that is quadratic."""
        return self._form_with(None)

    def _form_with(self, background: np.ndarray | None) -> Form:
        twin = uncancelled(self.structure, self.parameters)
        return choose_form(*twin, np.dtype(float), background)

    @cached_property
    def _largest(self) -> float:
        """Size of a coordinate beyond all components, whose squares stay in range."""
        factor = float(np.abs(self.parameters.precisions_cholesky).max())
        means = float(np.abs(self.parameters.means).max())
        return min(max(LARGEST, 1e8 * means), 1e140 / factor)

    @cached_property
    def _compiled(self) -> Heavy | None:
        """The compiled pass, if there is one."""
        return Heavy.of(
            self.structure,
            self.parameters,
            self.coordinates,
            self.reach,
            self.n_dimensions,
            self.form if self.background is None else self._form_with(self.background),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is prepared: the compiled pass is of this process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _incomplete(self) -> Incomplete:
        return Incomplete(self.structure, self.parameters, self.coordinates)

    @property
    def values_per_sample(self) -> int:
        """Size of the work on one sample, in numbers."""
        return self.form.n_rows() + 4 * self.parameters.weights.size

    @property
    def multiplications_per_sample(self) -> int:
        """At least as many as any product of the work on one sample has."""
        return self.values_per_sample * max(self.parameters.shape)

    def _parts(self, block: Block, workspace: Workspace) -> Iterator[Part]:
        """Yield the rows of a block with their distances from all components."""
        if block.incomplete:
            for piece in self._incomplete.pieces(block._replace(known=None), workspace):
                yield self._of_piece(piece, block.known)
            return
        form, shape = self.form, self.parameters.weights.shape
        out = workspace.array("logits", (*shape, block.data.shape[1]), np.float64)
        with np.errstate(all="ignore"):
            loaded = form.load(self.coordinates, block.data, workspace)
            scaled = within_range(loaded.z, self._largest)
            if scaled is not None:
                d = len(loaded.z)
                plain = Coordinates(np.zeros(d), np.ones(d))
                squares = loaded.squares
                loaded = form.load(plain, scaled[0], workspace)._replace(
                    squares=squares
                )
            form.logits(loaded, out, workspace)
            out -= form.constants[..., None]
            out *= -2
        peaks = (form.constants + form.peak[..., None])[..., None]
        stretch = None if scaled is None else scaled[1]
        slope = self.coordinates.log_slope
        rows = slice(None)
        d = len(block.data)
        yield Part(
            rows,
            self.n_dimensions,
            peaks,
            out,
            stretch,
            slope,
            block.weight,
            loaded,
            self._noise(np.ones((1, d))),
            block.known,
        )

    def _noise(self, observed: np.ndarray) -> np.ndarray | None:
        """Log w_0 p_0 of rows by what is observed of them, (…, n)."""
        if self.background is None:
            return None
        return self.parameters.log_noise_weight[..., None] - observed @ self.background

    def _of_piece(self, piece: Piece, known: np.ndarray | None) -> Part:
        shape = (*self.parameters.weights.shape, piece.z.shape[1])
        scaled = within_range(piece.z, self._largest)
        if scaled is not None:
            piece = piece._replace(z=scaled[0])
        completed = self._incomplete.completed(piece)
        with np.errstate(all="ignore"):
            distances = 2 * (completed.peaks - completed.log_density)
        peaks = completed.peaks.reshape(shape) + self.parameters.log_weights[..., None]
        patterns, order = piece.patterns, piece.patterns.order
        observed = patterns.observed[patterns.of_row]
        return Part(
            order,
            self.observed_dimensions(patterns.observed)[patterns.of_row],
            peaks,
            distances.reshape(shape),
            None if scaled is None else scaled[1],
            self._incomplete.unit(piece.patterns),
            piece.weight,
            completed,
            self._noise(observed),
            None if known is None else known[order],
        )

    def observed_dimensions(self, observed: np.ndarray) -> np.ndarray:
        """Return the number of dimensions that masks of features have, (…, d)."""
        found = observed.sum(axis=-1)
        return found if self.null is None else found - self.null.within(observed)

    def _log_density(
        self, part: Part
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Log w t(x) of all components, with u, log(1 + δ/ν), and what is beyond."""
        df = self.parameters.df[..., None]
        d = part.n_observed
        normal = np.minimum(df, GAUSSIAN)
        distances, beyond = part.distances, None
        with np.errstate(all="ignore"):
            most = min(self.reach**2, float(np.finfo(float).max))
            far = ~(distances <= most)
            if far.any():
                # Also what has overflowed.
                beyond = far if np.isfinite(self.reach) else None
                distances = np.fmin(distances, most)
            np.maximum(distances, 0, out=distances)
            scale = distances / normal
            scale += 1
            log_ratio = np.log(scale)
            np.divide((normal + d) / normal, scale, out=scale)
            log_ratio_far = log_ratio
            if part.stretch is not None and beyond is None:
                log_ratio_far = log_ratio + 2 * part.stretch
            logits = log_ratio_far * (-0.5 * (normal + d))
            gaussian = df >= GAUSSIAN
            if gaussian.any():
                own = -0.5 * distances
                if part.stretch is not None and beyond is None:
                    own = own * np.exp(2 * np.minimum(part.stretch, LONGEST_STRETCH))
                logits = np.where(gaussian, own, logits)
                scale = np.where(gaussian, 1.0, scale)
            logits += part.peaks + correction(df, d)
        np.maximum(logits, -np.finfo(float).max, out=logits)
        return logits, scale, log_ratio, beyond

    def _weighed(self, part: Part) -> Weighed:
        logits, scale, log_ratio, beyond = self._log_density(part)
        if part.noise is not None:
            shape = (*logits.shape[:-2], 1, logits.shape[-1])
            noise = np.broadcast_to(part.noise[..., None, :], shape)
            logits = np.concatenate([logits, noise], axis=-2)
        if part.known is not None:
            # All of the responsibility is of what is known.
            other = (part.known >= 0) & (
                part.known != np.arange(logits.shape[-2])[:, None]
            )
            logits[..., other] = -np.inf
        return Weighed(*responsibilities(logits), scale, log_ratio, beyond)

    def statistics(self, block: Block, workspace: Workspace) -> StudentStatistics:
        """Fold one block into sufficient statistics.

        Of structures with one matrix, the scatter is shared out.
        """
        found = self._folded(block, workspace)
        return found.shared_out() if self.structure.shared else found

    def _folded(self, block: Block, workspace: Workspace) -> StudentStatistics:
        if self._compiled is None or block.incomplete:
            return self._in_numpy(block, workspace)
        if block.known is not None:
            free = block.known < 0
            found = self._folded(block.only(free)._replace(known=None), workspace)
            return found + self._in_numpy(block.only(~free), workspace)
        found, left = self._compiled.statistics(block, workspace)
        for mixture, rows in left:
            one = replace(self, parameters=self.parameters[mixture])
            few = one._in_numpy(block.only(rows), Workspace())
            found = found.with_mixture(mixture, few.about(found.reference[mixture]))
        return found

    def _in_numpy(self, block: Block, workspace: Workspace) -> StudentStatistics:
        """Fold one block into sufficient statistics, in NumPy."""
        found = [
            self._of_part(part, workspace) for part in self._parts(block, workspace)
        ]
        first, *others = found
        for other in others:
            first = first + other
        return first

    def _of_part(self, part: Part, workspace: Workspace) -> StudentStatistics:
        log_norm, resp, scale, log_ratio, beyond = self._weighed(part)
        quadratic, shape = self.structure.quadratic, self.parameters.shape
        # Log-densities in coordinates; a value that is missing has density one.
        log_norm = log_norm + (part.unit - self.coordinates.log_slope)
        if part.weight is None:
            loglik = log_norm.sum(axis=-1)
        else:
            loglik = log_norm @ part.weight
            resp *= part.weight
        noise: Any = 0.0
        if part.noise is not None:
            noise, resp = resp[..., -1, :].sum(axis=-1), resp[..., :-1, :]
        df = np.minimum(self.parameters.df, GAUSSIAN)[..., None]
        # log u − u + ψ((ν + d)/2) − log((ν + d)/2), u itself being without a limit.
        constant = digamma((df + part.n_observed) / 2) - np.log(df / 2)
        log_ratio += scale
        np.subtract(constant, log_ratio, out=log_ratio)
        owned = np.empty((*shape[:-1], 3))
        owned[..., 0] = resp.sum(axis=-1)
        owned[..., 1] = np.einsum("...b,...b->...", resp, log_ratio)
        owned[..., 2] = 0.0
        if beyond is not None:
            owned[..., 2] = np.where(beyond, resp, 0).sum(axis=-1)
            scale[beyond] = 0
        scale *= resp
        with np.errstate(all="ignore"):
            if isinstance(part.of, Completed):
                b = resp.shape[-1]
                weights, unknown = scale.reshape(-1, b), resp.reshape(-1, b)
                sums = part.of.sums(weights, quadratic, unknown)
                sums, reference = sums.reshape(*shape[:-1], -1), self.parameters.means
            else:
                sums = self.form.sums(scale, part.of, workspace)
                reference = self.form.reference
        return StudentStatistics(
            loglik[()], sums, reference, quadratic, noise, owned=owned
        )

    def alone(self, n_samples: int) -> bool:
        """Whether so few complete samples need no product that BLAS would share."""
        return n_samples <= ONE_BY_ONE and self._compiled is not None

    def log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log p(x) in the units of the data, shape (b,), float64."""
        return self._evaluated(block, workspace)[0]

    def _evaluated(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log p(x) in the units of the data, (b,), and responsibilities, (K, b)."""
        whole = not block.incomplete and block.known is None
        single = self.parameters.weights.ndim == 1
        if self._compiled is None or not (whole and single):
            return self._in_parts(block, workspace)
        log_density, resp, left = self._compiled.evaluated(block, workspace)
        if len(left):
            few = self._in_parts(block.only(left), Workspace())
            log_density[left], resp[:, left] = few
        return log_density, resp

    def _in_parts(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate a block in NumPy."""
        b = block.data.shape[1]
        log_density = np.empty(b)
        *stack, K = self.parameters.weights.shape
        resp = np.empty((*stack, K + (self.background is not None), b))
        for part in self._parts(block, workspace):
            found = self._weighed(part)
            log_density[part.order] = found.log_norm + part.unit
            resp[..., part.order] = found.resp
        return log_density, resp

    def component_log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log t of each component in the units of the data, (K, b), float64."""
        out = np.empty((len(self.parameters.weights), block.data.shape[1]))
        centred = Centred(self.structure, self.parameters, np.dtype(float))
        twin = replace(self)
        twin.__dict__["form"] = centred
        for part in twin._parts(block, workspace):
            found, *_ = twin._log_density(part)
            out[:, part.order] = found + part.unit
        return out - self.parameters.log_weights[:, None]

    def classified(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log p(x) and log max_k r_k, shape (b,), and `responsibilities`."""
        log_density, resp = self._evaluated(block, workspace)
        return log_density, np.log(resp.max(axis=0)), resp

    def responsibilities(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Posterior probabilities, (…, K, b)."""
        return self._evaluated(block, workspace)[1]

    def write_responsibilities(
        self, block: Block, workspace: Workspace, out: np.ndarray
    ) -> None:
        """Write posterior probabilities, as (b, K)."""
        out[:] = self.responsibilities(block, workspace).T

    def labels(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Return the most probable component of each sample, (b,)."""
        return self.responsibilities(block, workspace).argmax(axis=0)

    def weights(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Responsibilities, and the expected scales u of each component, (K, b)."""
        b = block.data.shape[1]
        K = len(self.parameters.weights)
        resp = np.empty((K + (self.background is not None), b))
        scales = np.empty((K, b))
        for part in self._parts(block, workspace):
            found = self._weighed(part)
            scale = found.scale
            if part.stretch is not None:
                scale = scale * np.exp(-2 * np.minimum(part.stretch, LONGEST_STRETCH))
            if found.beyond is not None:
                scale = np.where(found.beyond, 0.0, scale)
            resp[:, part.order], scales[:, part.order] = found.resp, scale
        return resp, scales

    def whitened(self, block: Block, workspace: Workspace) -> Iterator[Whitened]:
        """Yield the rows of an incomplete block, as each component completes them."""
        return self._incomplete.whitened(block, workspace)
