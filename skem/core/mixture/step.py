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
from skem.core.blocks.threads import Workers
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import Posterior
from skem.core.gaussian.regularization import (
    COLLINEAR,
    POOLINGS,
    VANISHING,
    Regularization,
    ScaleFreePenalty,
    pseudo_rows,
)
from skem.core.mixture.plan import Outcome, Plan, Samples
from skem.core.mixture.rows import Rows
from skem.kernels.native import FOLLOW, MOVES, SAMPLES, address


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


@dataclass(frozen=True)
class Stepper:
    """Steps on samples that are few enough; threads share long ones."""

    samples: Samples
    workers: Workers

    @classmethod
    def of(cls, blocks: Blocks, *data: Any) -> Stepper | None:
        """Return None if that is not for these data, which `Samples.of` describes."""
        return cls.on(blocks, Samples.of(blocks, *data))

    @classmethod
    def on(cls, blocks: Blocks, samples: Samples | None) -> Stepper | None:
        """Return steps on samples of blocks, if there are any."""
        if samples is None or not isinstance(blocks, ArrayBlocks):
            return None
        return cls(samples, blocks.workers)

    @cached_property
    def _plans(self) -> dict[tuple[int, ...], Plan | None]:
        return {}

    def __call__(
        self, parameters: Parameters, regularization: Regularization, steps: int = 1
    ) -> Outcome | None:
        """Return the last of so many steps; None if it must be done in another way."""
        plan = self.loaded(parameters, regularization)
        if plan is None:
            return None
        if self.samples.library.step(plan.packed, steps):
            return None
        return plan.outcome(parameters if steps == 1 else plan.reached())

    def cluster(
        self, rows: Rows, resp: np.ndarray, steps: int, little: float
    ) -> tuple[np.ndarray, Parameters] | None:
        """Return the scale of clusters, and where its steps lead, in one call.

        Of labellings with responsibilities (views, K, n), as `Sample` in `scale` says:
        at most so many steps, until the logarithm of its volume moves by little. None
        if that must be done in another way.
        """
        *_, K, _ = resp.shape
        d, structure = rows.Z.shape[1], self.samples.structure
        second = np.empty_like(self.samples.arrays[2])
        penalty = ScaleFreePenalty(float(pseudo_rows(structure, d)), second)
        plan = self._ready((K, d), penalty)
        if plan is None or structure.constraint is not None:
            return None
        (target,) = plan.held
        _held, samples = self._rows(plan, rows)
        resp = np.ascontiguousarray(resp, dtype=float)
        floor = (COLLINEAR, VANISHING, POOLINGS)
        how = (address(resp), len(resp), steps, little, *floor)
        done = self.samples.library.cluster(plan.packed, samples, *how)
        return (target, plan.successor()) if done else None

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
        if plan is None or isinstance(parameters, Posterior) or plan.is_long(steps):
            return None
        values = np.empty((steps + 1, 2, *parameters.shape[:-2]))
        taken = self.samples.library.climb(plan.packed, steps, least, address(values))
        if taken < 0:
            return None
        found = plan.outcome(plan.reached())
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
        bound = self.samples.structure.constraint is not None
        free = not bound and not isinstance(start, Posterior)
        if plan is None or not free or plan.is_long(limits.max_iter):
            return None
        longest = int(lbfgs[1]) + 1
        size = sum(array.size for array in start.arrays)
        room = np.empty((longest, 2, size))
        values, found = np.empty((limits.max_iter + 1, 2)), np.empty(4)
        n_path = 0 if path is None else len(path)
        if path is not None:
            room[:n_path] = path
        ends = [address(room), address(values), address(found)]
        how = (*limits, *lbfgs, n_path, *ends)
        if plan.follow_scratch is None:
            needed = self.samples.library.follow_room(plan.packed, FOLLOW.pack(*how, 0))
            plan.follow_scratch = np.empty(needed)
        packed = FOLLOW.pack(*how, address(plan.follow_scratch))
        taken = self.samples.library.follow(plan.packed, packed)
        if taken < 0:
            return None
        outcome = plan.outcome(plan.reached())
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
        *terms: float,
    ) -> tuple[Parameters, np.ndarray] | None:
        """Take steps from all mixtures of a stack, and give up the worse on the way.

        As `climb` says, on terms of `HOPE`, `ALIKE` and `least`. Return those that are
        left, with their objectives and last gains, (2, …); None if that must be done
        otherwise.
        """
        plan = self.loaded(stack, regularization)
        if plan is None or isinstance(stack, Posterior):
            return None
        found = np.empty((2, *stack.shape[:-2]))
        ends = map(address, found)
        left = self.samples.library.contest(plan.packed, steps, *terms, *ends)
        if left < 0:
            return None
        return plan.first(left), found[:, :left]

    def responsibilities(
        self, parameters: Parameters, regularization: Regularization
    ) -> np.ndarray | None:
        """Return posterior probabilities (K, n); None if there must be another way."""
        plan = self.loaded(parameters, regularization)
        resp = np.empty((parameters.shape[0], self.samples.job[0]))
        if plan is None:
            return None
        done = self.samples.library.responsibilities(plan.packed, address(resp))
        return resp if done else None

    def sketch(
        self,
        parameters: Parameters,
        regularization: Regularization,
        rows: Rows,
        no_account: float,
    ) -> list[np.ndarray] | None:
        """Return moments of rows labelled by a mixture, as a `Sketch` has them.

        None if they must be found in another way.
        """
        plan = self.loaded(parameters, regularization)
        if plan is None:
            return None
        _held, samples = self._rows(plan, rows)
        (n, d), K = rows.Z.shape, len(parameters.weights)
        weight = np.ascontiguousarray(rows.weight, dtype=float)
        shapes = [(K,), (K, d), (K, d, d), (K, K)]
        ends = list(accumulate(map(math.prod, shapes)))
        resp, found = np.empty((K, n)), np.empty(ends[-1])
        how = (address(weight), no_account, address(resp), address(found))
        if not self.samples.library.sketch(plan.packed, samples, *how):
            return None
        parts = np.split(found, ends[:-1])
        return [part.reshape(own) for part, own in zip(parts, shapes, strict=True)]

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
        if plan is None or self.samples.structure.constraint is not None:
            return None
        _held, samples = self._rows(plan, rows)
        resp = np.ascontiguousarray(resp, dtype=float)
        done = self.samples.library.label(plan.packed, samples, address(resp))
        return plan.successor() if done else None

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
        if plan is None or self.samples.structure.constraint is not None:
            return None
        for array, present in zip(plan.given, parameters.arrays, strict=False):
            array[0] = present
        _held, samples = self._rows(plan, rows)
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
        done = self.samples.library.move(plan.packed, samples, moves)
        return plan.successor() if done else None

    def _rows(
        self, plan: Plan, rows: Rows
    ) -> tuple[tuple[np.ndarray | None, ...], bytes]:
        """Return what says where samples in coordinates are, and what it points to."""
        if plan.rows is not rows:
            (n, d), squares = rows.Z.shape, rows.squares
            columns = np.ascontiguousarray(rows.Z.T, dtype=float)
            if squares is not None:
                squares = np.ascontiguousarray(np.broadcast_to(squares, (d, n)))
            memory = np.empty((d + 11) * n + plan.shape[-2])
            held = (columns, squares, memory)
            plan.placed = held, SAMPLES.pack(n, *map(address, held))
            plan.rows = rows
        return plan.placed

    def _ready(
        self, shape: tuple[int, ...], regularization: Regularization | None
    ) -> Plan | None:
        """Return a plan for parameters of a shape; None if there is none."""
        # Threads may share a map, but not the memory that a step works in.
        key = (get_ident(), *shape)
        if key not in self._plans:
            self._plans[key] = self.samples.plan(shape, self.workers.n_threads)
        plan = self._plans[key]
        return plan if plan and plan.prepare(regularization) else None

    def loaded(
        self, parameters: Parameters, regularization: Regularization | None
    ) -> Plan | None:
        """Return a plan that has read parameters; None if there is none.

        Without a regularization it is for the log-likelihood alone.
        """
        plan = self._ready(parameters.means.shape, regularization)
        if plan is None:
            return None
        plan.load(parameters)
        return plan
