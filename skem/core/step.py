"""A whole step of EM on few samples in one call of compiled code.

On few samples the interpreter takes longer than the arithmetic. Where all samples are
in one block, and no sample or covariance needs care, one call goes from parameters to
the next ones: natural parameters, the pass, the M-step, and what the objective needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from threading import get_ident
from typing import NamedTuple

import numpy as np

from skem.core.blocks import ArrayBlocks, Blocks
from skem.core.coordinates import Coordinates
from skem.core.covariance import Diag, Full, Spherical, Structure, Tied
from skem.core.expectation import weight_exponent
from skem.core.forms import CONDITION, FAR, NEGLIGIBLE
from skem.core.fused import as_job
from skem.core.parameters import Parameters
from skem.core.regularization import Regularization, ScaleFreePenalty
from skem.core.statistics import Statistics
from skem.kernels import native
from skem.kernels.native import STEP, Library, address

STRUCTURES: dict[type, int] = {Full: 0, Tied: 1, Diag: 2, Spherical: 3}
MOST_FEATURES = 16
"""Features beyond which LAPACK is faster."""
MOST_VALUES = 2**18
"""Values of work on all samples beyond which blocks and threads are worth it."""


class Outcome(NamedTuple):
    """What a step has found at parameters, and where it leads."""

    statistics: Statistics
    loglik: np.ndarray
    penalty: np.ndarray
    successor: Parameters


class Plan(NamedTuple):
    """What is the same for all parameters of a shape."""

    size: int
    slices: list[tuple[int, int, tuple[int, ...]]]
    lost: np.ndarray
    scratch: np.ndarray
    reference: np.ndarray
    before: tuple[float, ...]
    between: tuple[float, ...]
    second: int


@dataclass(frozen=True)
class Stepper:
    """Steps on the samples of one block, whose address is known.

    `second` is Σ v z zᵀ of all samples, for a covariance that all components share.
    """

    library: Library
    structure: Structure
    itemsize: int
    total_weight: float
    arrays: tuple[np.ndarray | None, ...]
    job: tuple[int, ...]

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        coordinates: Coordinates,
        structure: Structure,
        second: np.ndarray,
    ) -> Stepper | None:
        """Return None if that is not for these data."""
        library = native.library()
        if (
            library is None
            or type(structure) not in STRUCTURES
            or not isinstance(blocks, ArrayBlocks)
            or blocks.incomplete
            or blocks.known is not None
            or coordinates.unit is not None
            or blocks.n_features > MOST_FEATURES
            or blocks.n_samples * blocks.n_features > MOST_VALUES
        ):
            return None
        block = blocks.block(0, blocks.n_samples).observed()
        weight = block.weight
        if weight is not None and weight_exponent(weight):
            return None
        samples, job = as_job(block, coordinates.squares(block.data), blocks.dtype)
        shift = np.ascontiguousarray(coordinates.shift, dtype=float)
        scale = np.ascontiguousarray(coordinates.scale, dtype=float)
        second = np.ascontiguousarray(second, dtype=float)
        arrays = (shift, scale, second, *samples)
        return cls(
            library,
            structure,
            blocks.dtype.itemsize,
            blocks.total_weight,
            arrays,
            job,
        )

    @cached_property
    def _plans(self) -> dict[tuple[int, ...], Plan | None]:
        return {}

    def _plan(self, shape: tuple[int, ...]) -> Plan | None:
        """Return what is the same for all parameters of a shape; None if too large."""
        *stack, K, d = shape
        structure, n, M = self.structure, self.job[0], math.prod(stack)
        width = 1 + d + structure.logit_quadratic.size(d)
        if n * (width + M * K) > MOST_VALUES:
            return None
        own = structure.shape(K, d)
        shapes = [(K, width), (), (), (K,), (K, d), own]
        sizes = [M * math.prod(each) for each in shapes]
        ends = list(accumulate(sizes))
        slices = [
            (end - size, end, (*stack, *each))
            for end, size, each in zip(ends, sizes, shapes, strict=True)
        ]
        lost, scratch = np.empty(M * n, np.int64), np.empty(0, np.uint8)
        shift, scale, second, *_ = self.arrays
        plan = Plan(
            ends[-1], slices, lost, scratch, np.zeros(shape),
            (STRUCTURES[type(structure)], self.itemsize, d, K, M, self.total_weight),
            (
                CONDITION[np.dtype(np.float32)], CONDITION[np.dtype(float)],
                FAR[np.dtype(float)], NEGLIGIBLE, address(shift), address(scale),
            ),
            address(second),
        )  # fmt: skip
        size = self.library.step_scratch_bytes(self._packed(plan, 0, (0,) * 4, 0.0))
        return plan._replace(scratch=np.empty(size, np.uint8))

    def _packed(
        self, plan: Plan, out: int, given: tuple[int, ...], epsilon: float
    ) -> bytes:
        at = [out + 8 * begin for begin, _, _ in plan.slices]
        return STEP.pack(
            *plan.before, epsilon, *plan.between, given[0], plan.second, *given[1:],
            *at[2:], *self.job, at[0], at[1], 0, 0, 0, 0, 0, address(plan.lost), 0, 0,
            address(plan.scratch),
        )  # fmt: skip

    def __call__(
        self, parameters: Parameters, regularization: Regularization
    ) -> Outcome | None:
        """Return None if the step must be done in another way."""
        penalty = regularization
        if not isinstance(penalty, ScaleFreePenalty) or penalty.null is not None:
            return None
        # Threads may share a map, but not the memory that a step works in.
        key = (get_ident(), *parameters.means.shape)
        if key not in self._plans:
            self._plans[key] = self._plan(parameters.means.shape)
        plan = self._plans[key]
        if plan is None:
            return None
        given = [
            np.ascontiguousarray(array)
            for array in (
                penalty.target,
                parameters.weights,
                parameters.means,
                parameters.precisions_cholesky,
            )
        ]
        out = np.empty(plan.size)
        packed = self._packed(
            plan, address(out), tuple(map(address, given)), penalty.epsilon
        )
        if self.library.step(packed):
            return None
        sums, loglik, lost, weights, means, cholesky = [
            out[begin:end].reshape(shape) for begin, end, shape in plan.slices
        ]
        quadratic = self.structure.logit_quadratic
        statistics = Statistics(loglik[()], sums, plan.reference, quadratic)
        successor = Parameters(weights, means, cholesky)
        return Outcome(statistics, loglik[()], lost[()], successor)
