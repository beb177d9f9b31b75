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
from typing import Any, NamedTuple

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Diag, Full, Spherical, Structure, Tied
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS, Posterior
from skem.core.gaussian.prior import Prior
from skem.core.gaussian.regularization import Regularization, ScaleFreePenalty
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.expectation import weight_exponent
from skem.core.passes.forms import CONDITION, FAR, NEGLIGIBLE
from skem.core.passes.fused import as_job
from skem.kernels import native
from skem.kernels.native import STEP, Library, address

STRUCTURES: dict[type, int] = {Full: 0, Tied: 1, Diag: 2, Spherical: 3}
NO_PRIOR: tuple[Any, ...] = (0,) * 12
WEIGHTS: dict[type, int] = {
    WEIGHT_PRIORS["dirichlet_process"]: 1,
    WEIGHT_PRIORS["dirichlet_distribution"]: 2,
}
"""Numbers in fold.cpp."""
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


@dataclass
class Plan:
    """What is the same for all parameters of a shape, and memory to work in.

    A step reads parameters from `given`, and writes what it finds to `out`. `packed` is
    what it is called with, for a regularization.
    """

    shape: tuple[int, ...]
    given: list[np.ndarray]
    out: np.ndarray
    slices: list[tuple[int, int, tuple[int, ...]]]
    lost: np.ndarray
    reference: np.ndarray
    scratch: np.ndarray
    regularization: Regularization | None = None
    held: tuple[np.ndarray, ...] = ()
    packed: bytes = b""


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
        shapes = [(K, width), (), (), (K,), (K, d), own, (K,), (K,)]
        sizes = [M * math.prod(each) for each in shapes]
        ends = list(accumulate(sizes))
        slices = [
            (end - size, end, (*stack, *each))
            for end, size, each in zip(ends, sizes, shapes, strict=True)
        ]
        plan = Plan(
            shape,
            [np.empty((*stack, *each)) for each in shapes[3:]],
            np.empty(ends[-1]),
            slices,
            np.empty(M * n, np.int64),
            np.zeros(shape),
            np.empty(0, np.uint8),
        )
        size = self.library.step_scratch_bytes(
            self._packed(plan, np.empty(0), 0.0, NO_PRIOR)
        )
        plan.scratch = np.empty(size, np.uint8)
        return plan

    def _packed(
        self, plan: Plan, target: np.ndarray, epsilon: float, prior: tuple[Any, ...]
    ) -> bytes:
        *stack, K, d = plan.shape
        shift, scale, second, *_ = self.arrays
        at = [address(plan.out) + 8 * begin for begin, _, _ in plan.slices]
        return STEP.pack(
            STRUCTURES[type(self.structure)], self.itemsize, d, K, math.prod(stack),
            self.total_weight, epsilon, CONDITION[np.dtype(np.float32)],
            CONDITION[np.dtype(float)], FAR[np.dtype(float)], NEGLIGIBLE,
            *map(address, (shift, scale, target, second, *plan.given[:3])),
            *at[2:6], *self.job, at[0], at[1], 0, 0, 0, 0, 0, address(plan.lost), 0, 0,
            address(plan.scratch), *prior,
        )  # fmt: skip

    def _prepared(self, plan: Plan, regularization: Regularization) -> bool:
        """Make a plan ready for a regularization; return whether that can be."""
        if plan.regularization is regularization:
            return True
        prior: tuple[Any, ...] = NO_PRIOR
        arrays: tuple[np.ndarray, ...] = ()
        if isinstance(regularization, Prior):
            target, epsilon = regularization.scatter, 0.0
            arrays = tuple(
                np.ascontiguousarray(array, dtype=float)
                for array in (regularization.mean, regularization.row)
            )
            out = [address(plan.out) + 8 * begin for begin, _, _ in plan.slices[6:]]
            prior = (
                WEIGHTS[type(regularization.weights)],
                regularization.size(plan.given[4]),
                regularization.weights.concentration,
                regularization.mean_precision,
                regularization.degrees_of_freedom,
                regularization.log_norm,
                *map(address, (*arrays, *plan.given[3:])),
                *out,
            )
        elif isinstance(regularization, ScaleFreePenalty):
            if regularization.null is not None:
                return False
            target, epsilon = regularization.target, regularization.epsilon
        else:
            return False
        target = np.ascontiguousarray(target, dtype=float)
        plan.packed = self._packed(plan, target, epsilon, prior)
        plan.regularization, plan.held = regularization, (target, *arrays)
        return True

    def __call__(
        self, parameters: Parameters, regularization: Regularization
    ) -> Outcome | None:
        """Return None if the step must be done in another way."""
        # Threads may share a map, but not the memory that a step works in.
        key = (get_ident(), *parameters.means.shape)
        if key not in self._plans:
            self._plans[key] = self._plan(parameters.means.shape)
        plan = self._plans[key]
        if plan is None or not self._prepared(plan, regularization):
            return None
        weights, means, cholesky, effective, counts = plan.given
        weights[...] = parameters.weights
        means[...] = parameters.means
        cholesky[...] = parameters.precisions_cholesky
        if isinstance(parameters, Posterior):
            effective[...], counts[...] = parameters.log_effective, parameters.counts
        if self.library.step(plan.packed):
            return None
        out = plan.out.copy()
        sums, loglik, penalty, *arrays = [
            out[begin:end].reshape(shape) for begin, end, shape in plan.slices
        ]
        quadratic = self.structure.logit_quadratic
        statistics = Statistics(loglik[()], sums, plan.reference, quadratic)
        bayesian = isinstance(parameters, Posterior)
        successor = Posterior(*arrays) if bayesian else Parameters(*arrays[:3])
        return Outcome(statistics, loglik[()], penalty[()], successor)
