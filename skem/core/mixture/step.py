"""A whole step of EM on few samples in one call of compiled code.

On few samples the interpreter takes longer than the arithmetic. Where all samples are
in one block, and no sample or covariance needs care, one call goes from parameters to
the next ones: natural parameters, the pass, the M-step, and what the objective needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS, Posterior
from skem.core.gaussian.prior import Prior
from skem.core.gaussian.regularization import (
    COLLINEAR,
    POOLINGS,
    VANISHING,
    Regularization,
    ScaleFreePenalty,
    pseudo_rows,
)
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.expectation import weight_exponent
from skem.core.mixture.rows import Rows
from skem.core.passes.forms import CONDITION, FAR, NEGLIGIBLE
from skem.core.passes.fused import as_job
from skem.kernels import native
from skem.kernels.native import FOLLOW, MOVES, SAMPLES, STEP, Library, address

NAMES = "VVV EEE VVI VII EII EEI VEI EVI VEE EVE VVE EEV VEV EVV".split()
"""Of structures, in the order that fold.cpp numbers them in."""
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
MOST_TOGETHER = 64
"""Components whose volumes are found together, beyond which LAPACK is faster."""


class Outcome(NamedTuple):
    """What a step has found at parameters, and where it leads."""

    parameters: Parameters
    statistics: Statistics
    loglik: np.ndarray
    penalty: np.ndarray
    successor: Parameters


class Limits(NamedTuple):
    """How far to follow the map.

    It is given up where twice the gain of a step, for each that is left, would not
    reach `value`, from `look` steps on.
    """

    max_iter: int
    tol: float
    value: float = -math.inf
    look: int = 0


class Run(NamedTuple):
    """Where following the map has led, and what is known of the way.

    `values` are log-likelihoods and objectives, (steps + 1, 2), and `path` the last
    mixtures, each with where it leads, (…, 2, size).
    """

    outcome: Outcome
    values: np.ndarray
    path: np.ndarray
    converged: bool
    remaining: float
    steps: int


@dataclass
class Plan:
    """What is the same for all parameters of a shape, and memory to work in.

    A step reads parameters from `given`, and writes what it finds to `out`; `addresses`
    are those of what is found, and then of what is given. `packed` is what it is called
    with, for a regularization, and `samples` say where `rows` in coordinates are.
    """

    shape: tuple[int, ...]
    given: list[np.ndarray]
    out: np.ndarray
    slices: list[tuple[int, int, tuple[int, ...]]]
    addresses: list[int]
    reference: np.ndarray
    scratch: np.ndarray | None = None
    follow_scratch: np.ndarray | None = None
    regularization: Regularization | None = None
    held: tuple[np.ndarray, ...] = ()
    packed: bytes = b""
    rows: Rows | None = None
    samples: tuple[tuple[np.ndarray | None, ...], bytes] = ((), b"")

    @property
    def sums(self) -> np.ndarray:
        """Of a pass: what it finds, in the memory of the step."""
        return self._part(0)

    @property
    def loglik(self) -> np.ndarray:
        """Of a pass: the log-likelihoods that it finds."""
        return self._part(1)

    def _part(self, i: int) -> np.ndarray:
        begin, end, _ = self.slices[i]
        return self.out[begin:end]


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
            or structure.shape_name not in NAMES
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
    def _addresses(self) -> list[int]:
        return [address(array) for array in self.arrays[:3]]

    @cached_property
    def _plans(self) -> dict[tuple[int, ...], Plan | None]:
        return {}

    def _plan(self, shape: tuple[int, ...]) -> Plan | None:
        """Return what is the same for all parameters of a shape; None if too large."""
        *stack, K, d = shape
        structure, n, M = self.structure, self.job[0], math.prod(stack)
        width = 1 + d + structure.logit_quadratic.size(d)
        together = structure.constraint is not None and structure.constraint.iterates
        if n * (width + M * K) > MOST_VALUES or (together and K > MOST_TOGETHER):
            return None
        own = structure.shape(K, d)
        shapes = [(K, width), (), (), (K,), (K, d), own, (K,), (K,)]
        sizes = [M * math.prod(each) for each in shapes]
        ends = list(accumulate([*sizes, *sizes[3:]]))
        slices = [
            (end - size, end, (*stack, *each))
            for end, size, each in zip(ends, sizes, shapes, strict=False)
        ]
        # What is found, and after it what is given.
        memory = np.empty(ends[-1])
        begin = address(memory)
        out = memory[: ends[7]]
        given = [memory[i:j] for i, j in pairwise(ends[7:])]
        plan = Plan(
            shape,
            [
                part.reshape(*stack, *each)
                for part, each in zip(given, shapes[3:], strict=True)
            ],
            out,
            slices,
            [begin + 8 * end for end in (0, *ends[:-1])],
            np.zeros(shape),
        )
        scratch = self.library.step_scratch_bytes(self._packed(plan, 0, 0.0, NO_PRIOR))
        # Room for the numbers of lost samples comes first.
        plan.scratch = np.empty(8 * M * n + scratch, np.uint8)
        return plan

    def _packed(
        self, plan: Plan, target: int, epsilon: float, prior: tuple[Any, ...]
    ) -> bytes:
        *stack, K, d = plan.shape
        shift, scale, second = self._addresses
        at, lost = plan.addresses, address(plan.scratch)
        scratch = lost + 8 * math.prod(stack) * self.job[0]
        number = NAMES.index(self.structure.shape_name)
        return STEP.pack(
            number, self.itemsize, d, K, math.prod(stack),
            self.total_weight, epsilon, CONDITION[np.dtype(np.float32)],
            CONDITION[np.dtype(float)], FAR[np.dtype(float)], NEGLIGIBLE,
            shift, scale, target, second, *at[8:11],
            *at[2:6], *self.job, at[0], at[1], 0, 0, 0, 0, 0, lost, 0, 0,
            scratch, *prior,
        )  # fmt: skip

    def _prepared(self, plan: Plan, regularization: Regularization | None) -> bool:
        """Make a plan ready for a regularization; return whether that can be."""
        if plan.packed and plan.regularization is regularization:
            return True
        prior: tuple[Any, ...] = NO_PRIOR
        arrays: tuple[np.ndarray, ...] = ()
        if isinstance(regularization, Prior):
            target, epsilon = regularization.scatter, 0.0
            arrays = tuple(
                np.ascontiguousarray(array, dtype=float)
                for array in (regularization.mean, regularization.row)
            )
            prior = (
                WEIGHTS[type(regularization.weights)],
                regularization.size(plan.given[4]),
                regularization.weights.concentration,
                regularization.mean_precision,
                regularization.degrees_of_freedom,
                regularization.log_norm,
                *map(address, arrays),
                *plan.addresses[11:],
                *plan.addresses[6:8],
            )
        elif isinstance(regularization, ScaleFreePenalty):
            if regularization.null is not None:
                return False
            target, epsilon = regularization.target, regularization.epsilon
        elif regularization is None:
            target, epsilon = np.zeros(2 * plan.shape[-1:]), 0.0
        else:
            return False
        target = np.ascontiguousarray(target, dtype=float)
        plan.packed = self._packed(plan, address(target), epsilon, prior)
        plan.regularization, plan.held = regularization, (target, *arrays)
        return True

    def __call__(
        self, parameters: Parameters, regularization: Regularization, steps: int = 1
    ) -> Outcome | None:
        """Return the last of so many steps; None if it must be done in another way."""
        plan = self.loaded(parameters, regularization)
        if plan is None or self.library.step(plan.packed, steps):
            return None
        return self.outcome(plan, parameters if steps == 1 else self._reached(plan))

    def cluster(
        self, rows: Rows, resp: np.ndarray, steps: int, little: float
    ) -> tuple[np.ndarray, Parameters] | None:
        """Return the scale of clusters, and where its steps lead, in one call.

        Of labellings with responsibilities (views, K, n), as `Sample` in `scale` says:
        at most so many steps, until the logarithm of its volume moves by little. None
        if that must be done in another way.
        """
        *_, K, _ = resp.shape
        d, structure = rows.Z.shape[1], self.structure
        second = np.empty_like(self.arrays[2])
        penalty = ScaleFreePenalty(float(pseudo_rows(structure, d)), second)
        plan = self._ready((K, d), penalty)
        if plan is None or structure.constraint is not None:
            return None
        (target,) = plan.held
        _held, samples = self._samples(plan, rows)
        resp = np.ascontiguousarray(resp, dtype=float)
        floor = (COLLINEAR, VANISHING, POOLINGS)
        how = (address(resp), len(resp), steps, little, *floor)
        done = self.library.cluster(plan.packed, samples, *how)
        return (target, self._next(plan)) if done else None

    def climb(
        self,
        parameters: Parameters,
        regularization: Regularization,
        steps: int,
        least: float,
    ) -> tuple[Outcome, np.ndarray] | None:
        """Take steps, as long as one of the mixtures gains more than `least` in one.

        Return what is found where they lead, and the log-likelihoods and
        objectives on the way, (steps + 1, 2, …); None if that must be done otherwise.
        """
        plan = self.loaded(parameters, regularization)
        if plan is None or isinstance(parameters, Posterior):
            return None
        values = np.empty((steps + 1, 2, *parameters.shape[:-2]))
        taken = self.library.climb(plan.packed, steps, least, address(values))
        if taken < 0:
            return None
        found = self.outcome(plan, self._reached(plan))
        return found, values[: taken + 1]

    def follow(
        self,
        start: Parameters,
        regularization: Regularization,
        limits: Limits,
        lbfgs: tuple[float, ...],
        path: np.ndarray | None,
    ) -> Run | None:
        """Follow the map from a start by L-BFGS, with the path of an earlier run.

        `lbfgs` are constants, as `Follow` in fold.cpp has them. None if it must be done
        in another way.
        """
        plan = self.loaded(start, regularization)
        free = self.structure.constraint is None and type(start) is Parameters
        if plan is None or not free:
            return None
        hindsight = int(lbfgs[2])
        size = sum(array.size for array in start.arrays)
        room = np.empty((hindsight, 2, size))
        values, found = np.empty((limits.max_iter + 1, 2)), np.empty(4)
        n_path = 0 if path is None else len(path)
        if path is not None:
            room[:n_path] = path
        ends = [address(room), address(values), address(found)]
        how = (*limits, *lbfgs, n_path, *ends)
        if plan.follow_scratch is None:
            needed = self.library.follow_room(plan.packed, FOLLOW.pack(*how, 0))
            plan.follow_scratch = np.empty(needed)
        packed = FOLLOW.pack(*how, address(plan.follow_scratch))
        taken = self.library.follow(plan.packed, packed)
        if taken < 0:
            return None
        outcome = self.outcome(plan, self._reached(plan))
        converged, left, steps, length = found.tolist()
        return Run(
            outcome,
            values[: taken + 1],
            room[: int(length)],
            bool(converged),
            left,
            int(steps),
        )

    def contest(
        self,
        stack: Parameters,
        regularization: Regularization,
        steps: int,
        hope: float,
        least: float,
    ) -> tuple[Parameters, np.ndarray] | None:
        """Take steps from all mixtures of a stack, and give up the worse on the way.

        As `climb` says. Return those that are left, with their objectives and last
        gains, (2, …); None if that must be done otherwise.
        """
        plain = not isinstance(stack, Posterior)
        plan = self.loaded(stack, regularization) if plain else None
        if plan is None:
            return None
        found = np.empty((2, *stack.shape[:-2]))
        ends = map(address, found)
        left = self.library.contest(plan.packed, steps, hope, least, *ends)
        if left < 0:
            return None
        kept = Parameters(*(array[:left].copy() for array in plan.given[:3]))
        return kept, found[:, :left]

    def responsibilities(
        self, parameters: Parameters, regularization: Regularization
    ) -> np.ndarray | None:
        """Return posterior probabilities (K, n); None if there must be another way."""
        plan = self.loaded(parameters, regularization)
        resp = np.empty((parameters.shape[0], self.job[0]))
        if plan is None:
            return None
        done = self.library.responsibilities(plan.packed, address(resp))
        return resp if done else None

    def label(
        self,
        regularization: Regularization,
        rows: Rows,
        resp: np.ndarray,
    ) -> Parameters | None:
        """Return the M-step of rows with responsibilities (M, K, n).

        None if it must be done in another way.
        """
        plan = self._ready((*resp.shape[:2], rows.Z.shape[1]), regularization)
        if plan is None or self.structure.constraint is not None:
            return None
        _held, samples = self._samples(plan, rows)
        resp = np.ascontiguousarray(resp, dtype=float)
        done = self.library.label(plan.packed, samples, address(resp))
        return self._next(plan) if done else None

    def move(
        self,
        parameters: Parameters,
        regularization: Regularization,
        rows: Rows,
        resp: np.ndarray,
        gone: np.ndarray,
        random: np.ndarray,
        certain: float,
    ) -> Parameters | None:
        """Return a stack of mixtures, each with another component moved: see `Moves`.

        None if they must be made in another way.
        """
        plan = self._ready((len(gone), *parameters.shape), regularization)
        if plan is None or self.structure.constraint is not None:
            return None
        for array, present in zip(plan.given, parameters.arrays, strict=False):
            array[0] = present
        _held, samples = self._samples(plan, rows)
        arrays = [
            np.ascontiguousarray(array, dtype=dtype)
            for array, dtype in (
                (np.stack([each.T for each in rows.seen]), float),
                (rows.weight, float),
                (resp, float),
                (gone, np.int64),
                (random, float),
            )
        ]
        moves = MOVES.pack(len(rows.seen), *map(address, arrays), certain)
        done = self.library.move(plan.packed, samples, moves)
        return self._next(plan) if done else None

    def _samples(
        self, plan: Plan, rows: Rows
    ) -> tuple[tuple[np.ndarray | None, ...], bytes]:
        """Return what says where samples in coordinates are, and what it points to."""
        if plan.rows is not rows:
            (n, d), squares = rows.Z.shape, rows.squares
            columns = np.ascontiguousarray(rows.Z.T, dtype=float)
            if squares is not None:
                squares = np.ascontiguousarray(np.broadcast_to(squares, (d, n)))
            memory = np.empty((d + 5) * n + plan.shape[-2])
            held = (columns, squares, memory)
            plan.samples = held, SAMPLES.pack(n, *map(address, held))
            plan.rows = rows
        return plan.samples

    def _next(self, plan: Plan) -> Parameters:
        """Return the parameters that a step has led to."""
        return Parameters(
            *(
                plan.out[begin:end].reshape(shape).copy()
                for begin, end, shape in plan.slices[3:6]
            )
        )

    def _ready(
        self, shape: tuple[int, ...], regularization: Regularization | None
    ) -> Plan | None:
        """Return a plan for parameters of a shape; None if there is none."""
        # Threads may share a map, but not the memory that a step works in.
        key = (get_ident(), *shape)
        if key not in self._plans:
            self._plans[key] = self._plan(shape)
        plan = self._plans[key]
        return plan if plan and self._prepared(plan, regularization) else None

    def loaded(
        self, parameters: Parameters, regularization: Regularization | None
    ) -> Plan | None:
        """Return a plan that has read parameters; None if there is none.

        Without a regularization it is for the log-likelihood alone.
        """
        plan = self._ready(parameters.means.shape, regularization)
        if plan is None:
            return None
        weights, means, cholesky, effective, counts = plan.given
        weights[...] = parameters.weights
        means[...] = parameters.means
        cholesky[...] = parameters.precisions_cholesky
        if isinstance(parameters, Posterior):
            effective[...], counts[...] = parameters.log_effective, parameters.counts
        return plan

    def _reached(self, plan: Plan) -> Parameters:
        """Return the parameters that the last step was taken from."""
        arrays = [array.copy() for array in plan.given]
        bayesian = isinstance(plan.regularization, Prior)
        return Posterior(*arrays) if bayesian else Parameters(*arrays[:3])

    def outcome(self, plan: Plan, parameters: Parameters) -> Outcome:
        """Return what a step has found."""
        out = plan.out.copy()
        sums, loglik, penalty, *arrays = [
            out[begin:end].reshape(shape) for begin, end, shape in plan.slices
        ]
        quadratic = self.structure.logit_quadratic
        statistics = Statistics(loglik[()], sums, plan.reference, quadratic)
        bayesian = isinstance(parameters, Posterior)
        successor = Posterior(*arrays) if bayesian else Parameters(*arrays[:3])
        return Outcome(parameters, statistics, loglik[()], penalty[()], successor)
