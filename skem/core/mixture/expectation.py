"""The E-step of one block: statistics, log-densities, responsibilities, labels.

The compiled pass computes them where there is one (`fused`); its NumPy twin is here.
What is incomplete is computed in a room of its own (`incomplete`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import common_term
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.ties import weighted_squares
from skem.core.incomplete.completed import Whitened
from skem.core.incomplete.expectation import Incomplete
from skem.core.passes.forms import ONE_BY_ONE, Centred, Form, Loaded
from skem.core.passes.fused import Fused, totals
from skem.core.passes.softmax import Softmax, softmax

MAX_EXPONENT = 50
"""Powers of two of weights whose sums single precision has room for."""


def weight_exponent(weight: np.ndarray) -> int:
    """Power of two of the largest weight; 0 if there is room for sums and products."""
    exponent = int(np.frexp(weight.max(initial=0.0))[1])
    return exponent if abs(exponent) > MAX_EXPONENT else 0


@dataclass(frozen=True)
class Expectation:
    """What is computed of a block of data at fixed parameters."""

    form: Form
    coordinates: Coordinates

    @property
    def parameters(self) -> Parameters:
        """The parameters, in coordinates."""
        return self.form.parameters

    @property
    def background(self) -> np.ndarray | None:
        """Logarithms of the widths of noise, the last of the responsibilities."""
        return self.form.background

    @cached_property
    def _fused(self) -> Fused | None:
        return Fused.of(self.form, self.coordinates)

    def _compiled(self, block: Block) -> Fused | None:
        """Return the pass, unless few samples take less than its preparation."""
        few = block.data.shape[1] <= ONE_BY_ONE
        return None if few and self._packs else self._fused

    @cached_property
    def _packs(self) -> bool:
        return self._fused is not None and self._fused.packs

    def alone(self, n_samples: int) -> bool:
        """Whether so few complete samples need no product that BLAS would share."""
        return n_samples <= ONE_BY_ONE and self._fused is not None

    @cached_property
    def _incomplete(self) -> Incomplete:
        form = self.form
        return Incomplete(
            form.structure, form.parameters, self.coordinates, form.background
        )

    @cached_property
    def _each(self) -> list[Expectation]:
        """Those of each component by itself, with its weight, in the same form."""
        form, K = self.form, self.form.parameters.shape[-2]
        return [
            replace(
                self,
                form=replace(form, parameters=form.of_component(k), background=None),
            )
            for k in range(K)
        ]

    def _parts(self, block: Block) -> Iterator[tuple[int, np.ndarray, Block]]:
        """Cut a block by what is known: component or −1, mask, and its samples."""
        assert block.known is not None
        for k in np.unique(block.known).tolist():
            chosen = block.known == k
            yield k, chosen, block.only(chosen)._replace(known=None)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the compiled pass: it is of this process."""
        return {"form": self.form, "coordinates": self.coordinates}

    @property
    def values_per_sample(self) -> int:
        """Size of the work on one sample, in numbers."""
        return self.form.n_rows() + math.prod(self.form.shape)

    @property
    def multiplications_per_sample(self) -> int:
        """At least as many as any product of the work on one sample has."""
        return self.values_per_sample * max(self.form.parameters.shape)

    def _logits(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Return room for them."""
        shape = (*self.form.shape, block.data.shape[1])
        return workspace.array("logits", shape, self.form.dtype)

    def _softmax(
        self, block: Block, workspace: Workspace
    ) -> tuple[Loaded, np.ndarray, Softmax]:
        logits = self._logits(block, workspace)
        # What overflows for far samples is evaluated once more in `softmax`.
        with np.errstate(all="ignore"):
            loaded = self.form.load(self.coordinates, block.data, workspace)
            self.form.logits(loaded, logits, workspace)
        return loaded, logits, softmax(self.form, loaded, logits, workspace)

    def statistics(self, block: Block, workspace: Workspace) -> Statistics:
        """Fold one block into sufficient statistics.

        The log-likelihood is without the form's common term. Incomplete blocks have
        all that they contribute, in their log-likelihood and statistics.
        """
        if block.known is not None:
            return self._statistics_of_known(block, workspace)
        if block.incomplete:
            return self._incomplete.statistics(block, workspace)
        weight = block.weight
        if weight is not None:
            # Products with them may be beyond the range of the type.
            exponent = weight_exponent(weight)
            if exponent:
                block = block._replace(weight=np.ldexp(weight, -exponent))
                return self.statistics(block, workspace) * 2.0**exponent
        if self._fused is not None:
            return self._fused.statistics(block, workspace)
        loaded, resp, (log_norm, factor) = self._softmax(block, workspace)
        if weight is None:
            n = log_norm.shape[-1]
            loglik = log_norm.sum(axis=-1, dtype=float) + n * self.form.peak
        else:
            loglik = log_norm.astype(float) @ weight + self.form.peak * weight.sum()
            factor *= weight
        resp *= factor[..., None, :]
        return self.form.statistics(loglik, self.form.sums(resp, loaded, workspace))

    def _statistics_of_known(self, block: Block, workspace: Workspace) -> Statistics:
        """Fold a block in which some samples belong to a known component.

        The log-likelihood of these is log w_k N(x | μ_k, Σ_k), and they have all of the
        responsibility.
        """
        unknown = np.flatnonzero(block.known == -1)
        rest = block.only(unknown)._replace(known=None)
        total = self.statistics(rest, workspace)
        loglik, sums = np.asarray(total.loglik).copy(), total.sums
        for k, _, own in self._parts(block):
            if k >= 0:
                found = self._each[k].statistics(own, workspace)
                sums[..., k, :] += found.sums[..., 0, :]
                loglik += found.loglik
        return replace(total, loglik=loglik[()], sums=sums)

    def log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log p(x) in the units of the data, shape (b,), float64.

        Of a sample of a known component, log w_k N(x | μ_k, Σ_k).
        """
        if block.known is not None:
            out = np.empty(len(block.known))
            for k, chosen, own in self._parts(block):
                by = self if k < 0 else self._each[k]
                out[chosen] = by.log_density(own, Workspace())
            return out
        if block.incomplete:
            return self._finite(self._incomplete.evaluate(block, workspace)[0])
        fused = self._compiled(block)
        if fused is not None:
            return self._in_units(fused.log_norm(block, workspace))
        loaded, _, (log_norm, _) = self._softmax(block, workspace)
        return self._in_units(self._with_common(loaded, log_norm))

    def component_log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log N(x | μ_k, Σ_k) in the units of the data, (K, b), float64, maybe −∞."""
        if block.incomplete:
            return self._incomplete.component_log_density(block, workspace)
        form = self.form
        # Centred, as each value counts by itself, and not beside the largest.
        means, cholesky = form.parameters.means, form.parameters.precisions_cholesky
        parameters = Parameters(np.ones(len(means)), means, cholesky)
        centred = Centred(form.structure, parameters, form.dtype)
        shape = (len(means), block.data.shape[1])
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
        if block.known is not None:
            log_density = self.log_density(block, workspace)
            resp = self.responsibilities(block, workspace)
            return log_density, np.log(resp.max(axis=0).astype(float)), resp
        if block.incomplete:
            log_density, resp = self._incomplete.evaluate(block, workspace)
            return self._finite(log_density), np.log(resp.max(axis=0)), resp
        if self._fused is not None:
            resp = self._logits(block, workspace)
            log_norm = self._fused.log_norm(block, workspace, resp)
        else:
            loaded, resp, (norm, factor) = self._softmax(block, workspace)
            resp *= factor
            log_norm = self._with_common(loaded, norm)
        largest = np.log(resp.max(axis=0).astype(float))
        return self._in_units(log_norm), largest, resp

    def _with_common(self, loaded: Loaded, log_norm: np.ndarray) -> np.ndarray:
        """Add what all components have in common, in float64."""
        form, log_norm = self.form, log_norm.astype(float)
        if not form.bounded:
            with np.errstate(all="ignore"):
                z = loaded.z.astype(float, copy=False)
                log_norm += common_term(form.structure, form.parameters, z)
        return log_norm

    def _in_units(self, log_norm: np.ndarray) -> np.ndarray:
        return self._finite(log_norm + (self.form.peak + self.coordinates.log_slope))

    @staticmethod
    def _finite(log_density: np.ndarray) -> np.ndarray:
        if not np.isfinite(log_density).all():
            limit = np.finfo(float).max
            log_density = np.nan_to_num(log_density, nan=-limit)
        return log_density

    def responsibilities(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Posterior probabilities, shape (K, b), perhaps in the workspace."""
        if block.known is not None:
            free = block._replace(known=None)
            resp = self.responsibilities(free, workspace).copy()
            resp[..., block.known >= 0] = 0
            for k, chosen, _ in self._parts(block):
                if k >= 0:
                    resp[..., k, chosen] = 1
            return resp
        if block.incomplete:
            return self._incomplete.responsibilities(block, workspace)
        fused = self._compiled(block)
        if fused is not None:
            resp = self._logits(block, workspace)
            fused.responsibilities(block, workspace, resp)
            return resp
        _, resp, (_, factor) = self._softmax(block, workspace)
        resp *= factor[..., None, :]
        return resp

    def whitened(self, block: Block, workspace: Workspace) -> Iterator[Whitened]:
        """Yield the rows of an incomplete block, as each component completes them."""
        return self._incomplete.whitened(block, workspace)

    def weights(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """Posterior probabilities (K, b), and what rows count for: 1."""
        return self.responsibilities(block, workspace).astype(float), 1.0

    def write_responsibilities(
        self, block: Block, workspace: Workspace, out: np.ndarray
    ) -> None:
        """Write posterior probabilities, as (b, K)."""
        direct = out.dtype == self.form.dtype and not block.incomplete
        fused = self._compiled(block)
        if fused is not None and direct:
            fused.responsibilities(block, workspace, out.T)
        else:
            out[:] = self.responsibilities(block, workspace).T

    def labels(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Return the most probable component of each sample, (b,)."""
        if block.known is not None:
            free = block._replace(known=None)
            labels = self.labels(free, workspace)
            return np.where(block.known >= 0, block.known, labels)
        if block.incomplete:
            return self._incomplete.responsibilities(block, workspace).argmax(axis=0)
        fused = self._compiled(block)
        if fused is not None:
            return fused.labels(block, workspace)
        return self._softmax(block, workspace)[1].argmax(axis=0)


def filled_rows(
    data: np.ndarray,
    coordinates: Coordinates,
    structure: Structure,
    whole: Parameters | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Raw data (d, n) in coordinates, in float64, and w²/12 of shared values, or None.

    Incomplete rows are completed by the conditional means of one component, `whole`;
    these have their variances for squares.
    """
    if whole is not None:
        block = Block(0, data.shape[1], data, None, incomplete=True)
        return Incomplete(structure, whole, coordinates).filled(block, Workspace())
    return coordinates.load(data, np.empty(data.shape)), coordinates.squares(data)


def total_statistics(
    blocks: Blocks,
    coordinates: Coordinates,
    structure: Structure,
    whole: Parameters | None = None,
) -> Statistics:
    """Statistics of all the data as one component, about zero, in float64.

    Of incomplete data, those expected under one component, `whole`; without it those of
    the rows that are complete.
    """
    quadratic = structure.quadratic
    d = blocks.n_features
    if whole is not None:
        expectation = Expectation(
            Centred(structure, whole, np.dtype(float)), coordinates
        )

        def completed(block: Block, workspace: Workspace) -> Statistics:
            return expectation.statistics(block._replace(known=None), workspace)

        found = blocks.fold(completed, expectation.values_per_sample)
        return replace(found, loglik=0.0).about(np.zeros((1, d)))

    def kernel(block: Block, workspace: Workspace) -> Statistics:
        if block.incomplete:
            complete = ~np.isnan(block.data).any(axis=0)
            block = block.only(complete)._replace(incomplete=False)
            if not complete.any():
                nothing = np.zeros((1, 1 + d + quadratic.size(d)))
                return Statistics(0.0, nothing, np.zeros((1, d)), quadratic)
        sums = totals(block, coordinates, quadratic, workspace)
        if sums is None:
            sums = sums_of(block, workspace)[None]
        return Statistics(0.0, sums, np.zeros((1, d)), quadratic)

    def sums_of(block: Block, workspace: Workspace) -> np.ndarray:
        shape = block.data.shape
        z = coordinates.load(block.data, workspace.array("z", shape, np.float64))
        v = block.weight_of_each.astype(float, copy=False)
        second = quadratic.weighted_sum(z, v)
        squares = coordinates.squares(block.data)
        if squares is not None:
            quadratic.add_squares(second, weighted_squares(squares, v))
        return np.concatenate([[v.sum()], z @ v, second])

    return blocks.fold(kernel, 2 * d + 1)
