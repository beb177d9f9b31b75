"""What compiled steps are told, and the memory that they work in.

All that does not change from step to step is packed once: where the samples are, and
for each shape of parameters where these are read, and where what is found is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS, Posterior
from skem.core.gaussian.prior import Prior
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.regularization import Regularization, ScaleFreePenalty
from skem.core.gaussian.ridge import ADDED, Ridge
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import variances_of
from skem.core.mixture.expectation import weight_exponent
from skem.core.mixture.rows import Rows
from skem.core.passes.forms import CONDITION, FAR, NEGLIGIBLE
from skem.core.passes.fused import as_job
from skem.kernels import native
from skem.kernels.native import MOST_FEATURES, STEP, Library, address

NAMES = "VVV EEE VVI VII EII EEI VEI EVI VEE EVE VVE EEV VEV EVV".split()
"""Of structures, in the order that fold.cpp numbers them in."""
NO_PRIOR: tuple[Any, ...] = (0,) * 15
NO_FREEDOM: tuple[Any, ...] = (0,) * 10
WEIGHTS: dict[type, int] = {
    WEIGHT_PRIORS["dirichlet_process"]: 1,
    WEIGHT_PRIORS["dirichlet_distribution"]: 2,
}
"""Numbers in fold.cpp."""
MOST_VALUES = 2**18
"""Values of the samples, and of work on a light step from one mixture, at most."""
MOST_STACKED = 2**20
"""Of work on each mixture of a stack, in a light step, at most."""
MOST_WORK = 2**21
"""Values of work on a mixture beyond which blocks are worth it."""
LONGEST_CALL = 2**34
"""Products of a call, at most: a second or two, in which nothing interrupts it."""
EXPONENTIAL = 10
"""Products that take as long as an exponential."""
MOST_TOGETHER = 64
"""Components whose volumes are found together, beyond which LAPACK is faster."""


class Outcome(NamedTuple):
    """What a step has found at parameters, and where it leads."""

    parameters: Parameters
    statistics: Statistics
    loglik: np.ndarray
    penalty: np.ndarray
    successor: Parameters


def is_light(
    blocks: Blocks,
    coordinates: Coordinates,
    structure: Structure,
    shape: tuple[int, ...],
) -> bool:
    """Whether steps from parameters of a shape, (…, K, d), take little time.

    Wherever the rows are, and whether there is compiled code or not.
    """
    *stack, _, _ = shape
    most = MOST_STACKED if stack else MOST_VALUES
    are_few = _are_few(structure, blocks.n_samples, shape, most)
    return are_few and _are_plain(blocks, coordinates, structure)


def _are_plain(blocks: Blocks, coordinates: Coordinates, structure: Structure) -> bool:
    """Whether all samples are in one block, and none needs care."""
    d = blocks.n_features
    return (
        structure.shape_name in NAMES
        and not blocks.incomplete
        and coordinates.unit is None
        and d <= MOST_FEATURES
        and blocks.n_samples * d <= MOST_VALUES
    )


def _are_few(structure: Structure, n: int, shape: tuple[int, ...], most: int) -> bool:
    """Whether so many samples are at most so much work for a mixture of a shape."""
    *_, K, d = shape
    width = 1 + d + structure.logit_quadratic.size(d)
    together = structure.constraint is not None and structure.constraint.iterates
    if together and K > MOST_TOGETHER:
        return False
    return n * (width + K) <= most


@dataclass(frozen=True)
class Samples:
    """The samples of one block, whose address is known.

    `arrays` are shift, scale and Σ v z zᵀ of all samples, for a covariance that all
    components share, and then what `job` points to.
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
    ) -> Samples | None:
        """Return None if that is not for these data."""
        library = native.library()
        if (
            library is None
            or not isinstance(blocks, ArrayBlocks)
            or blocks.known is not None
            or not _are_plain(blocks, coordinates, structure)
        ):
            return None
        block = blocks.block(0, blocks.n_samples).observed()
        weight = block.weight
        if weight is not None and weight_exponent(weight):
            return None
        samples, job = as_job(block, coordinates.ties, blocks.dtype)
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
    def addresses(self) -> list[int]:
        """Those of shift, scale and second moments."""
        return [address(array) for array in self.arrays[:3]]

    @property
    def quadratic(self) -> Quadratic:
        """What sums have beside counts and first moments."""
        return self.structure.logit_quadratic

    def width(self, d: int) -> int:
        """Numbers in the sums of a component."""
        return 1 + d + self.quadratic.size(d)

    def plan(self, shape: tuple[int, ...], n_threads: int) -> Plan | None:
        """Return a plan for parameters of a shape; None if there is none."""
        return Plan.of(self, shape, n_threads)


@dataclass
class Plan:
    """What is the same for all parameters of a shape, and memory to work in.

    A step reads parameters from `given`, and writes what it finds to `out`; `places`
    are the addresses of what is found, and then of what is given. Sums are about zero,
    or `about_means`. `packed` is what it is called with, for a regularization, and
    `n_threads` share it. `placed` says where `rows` in coordinates are.
    """

    samples: Samples
    shape: tuple[int, ...]
    given: list[np.ndarray]
    out: np.ndarray
    slices: list[tuple[int, int, tuple[int, ...]]]
    places: list[int]
    about_means: np.ndarray
    n_threads: int
    scratch: np.ndarray = field(init=False)
    follow_scratch: np.ndarray | None = None
    regularization: Regularization | None = None
    held: tuple[np.ndarray, ...] = ()
    packed: bytes = b""
    rows: Rows | None = None
    placed: tuple[tuple[np.ndarray | None, ...], bytes] = ((), b"")

    @classmethod
    def of(
        cls, samples: Samples, shape: tuple[int, ...], n_threads: int = 1
    ) -> Plan | None:
        """Return None if a step would be too large."""
        *stack, K, d = shape
        structure, n, M = samples.structure, samples.job[0], math.prod(stack)
        if not _are_few(structure, n, shape, MOST_WORK):
            return None
        found = [(K, samples.width(d)), (), (), *cls._beside_sums(K)]
        mixture = [(K,), (K, d), structure.shape(K, d), *cls._beside_factors(K)]
        shapes = [*found, *mixture]
        sizes = [M * math.prod(each) for each in shapes]
        ends = list(accumulate([*sizes, *sizes[len(found) :]]))
        slices = [
            (end - size, end, (*stack, *each))
            for end, size, each in zip(ends, sizes, shapes, strict=False)
        ]
        # What is found, and after it what is given.
        memory, last = np.empty(ends[-1]), len(shapes) - 1
        begin = address(memory)
        given = [
            memory[i:j].reshape(*stack, *each)
            for (i, j), each in zip(pairwise(ends[last:]), mixture, strict=True)
        ]
        places = [begin + 8 * end for end in (0, *ends[:-1])]
        out, about_means = memory[: ends[last]], np.zeros(stack, np.int64)
        plan = cls(samples, shape, given, out, slices, places, about_means, n_threads)
        # Room for the numbers of lost samples comes first.
        needed = samples.library.step_scratch_bytes(plan._packed(0, 0, 0.0))
        plan.scratch = np.empty(8 * M * n + needed, np.uint8)
        return plan

    @staticmethod
    def _beside_sums(K: int) -> list[tuple[int, ...]]:
        """Shapes of what is found beside sums, log-likelihood and penalty."""
        return []

    @staticmethod
    def _beside_factors(K: int) -> list[tuple[int, ...]]:
        """Shapes of what a mixture has beside weights, means and factors."""
        # Of Bayesian ones.
        return [(K,), (K,)]

    def _laws(
        self,
        prior: tuple[Any, ...] | None,
        given: list[int],
        successors: list[int],
    ) -> tuple[Any, ...]:
        """Return what a step is told of a prior, and of degrees of freedom."""
        own = NO_PRIOR if prior is None else (*prior, *given, *successors)
        return (*own, *NO_FREEDOM)

    def _mixture(self, arrays: list[np.ndarray]) -> Parameters:
        """Return the mixture of arrays as they are `given`."""
        if isinstance(self.regularization, Prior):
            return Posterior(*arrays)
        return Parameters(*arrays[:3])

    def _statistics(
        self, loglik: Any, sums: np.ndarray, reference: np.ndarray
    ) -> Statistics:
        """Return the statistics of what is found."""
        return Statistics(loglik, sums, reference, self.samples.quadratic)

    def is_long(self, steps: int) -> bool:
        """Whether so many steps are too many for a call that cannot be interrupted."""
        *stack, K, d = self.shape
        products = math.prod(stack) * K * (self.samples.width(d) + EXPONENTIAL)
        return steps * self.samples.job[0] * products > LONGEST_CALL

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

    def _packed(
        self,
        lost: int,
        target: int,
        epsilon: float,
        ridge: int = 0,
        constants: int = 0,
        prior: tuple[Any, ...] | None = None,
    ) -> bytes:
        """Return what a step is called with."""
        samples, (*stack, K, d), at = self.samples, self.shape, self.places
        M = math.prod(stack)
        shift, scale, second = samples.addresses
        scratch = lost + 8 * M * samples.job[0]
        number = NAMES.index(samples.structure.shape_name)
        size = len(self.given)
        *found, penalty = at[:3]
        owned, successors, given = at[3 : -2 * size], at[-2 * size : -size], at[-size:]
        laws = self._laws(prior, given[3:], successors[3:])
        return STEP.pack(
            number, samples.itemsize, d, K, M, self.n_threads,
            samples.total_weight, epsilon, CONDITION[np.dtype(np.float32)],
            CONDITION[np.dtype(float)], FAR[np.dtype(float)], NEGLIGIBLE,
            shift, scale, target, second, ridge, constants, *given[:3],
            penalty, *successors[:3], address(self.about_means),
            *samples.job, *found, 0, 0, 0, 0, 0, lost, 0, *(owned or [0]), scratch,
            *laws,
        )  # fmt: skip

    def prepare(self, regularization: Regularization | None) -> bool:
        """Make ready for a regularization; return whether that can be.

        Without one, for the log-likelihood alone.
        """
        if self.packed and self.regularization is regularization:
            return True
        prior: tuple[Any, ...] | None = None
        arrays: tuple[np.ndarray, ...] = ()
        target, epsilon = np.zeros(2 * self.shape[-1:]), 0.0
        ridge: np.ndarray | None = None
        constants: np.ndarray | None = None
        if isinstance(regularization, Prior):
            target = regularization.scatter
            arrays = tuple(
                np.ascontiguousarray(array, dtype=float)
                for array in (regularization.mean, regularization.row)
            )
            prior = self._prior(regularization, arrays)
        elif isinstance(regularization, ScaleFreePenalty):
            constants = regularization.constants
            if regularization.null is not None:
                if constants is None or self.samples.structure.constraint is not None:
                    return False
                arrays = (constants,)
            target, epsilon = regularization.target, regularization.epsilon
        elif isinstance(regularization, Ridge):
            add = self.samples.structure.add_to_diagonal
            added = variances_of(add(np.zeros(()), regularization.variances))
            ridge, epsilon = np.ascontiguousarray(added, dtype=float), ADDED
            arrays = (ridge,)
        elif regularization is not None:
            return False
        target = np.ascontiguousarray(target, dtype=float)
        how = address(target), epsilon, address(ridge), address(constants), prior
        self.packed = self._packed(address(self.scratch), *how)
        self.regularization, self.held = regularization, (target, *arrays)
        return True

    def _prior(self, prior: Prior, arrays: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
        return (
            WEIGHTS[type(prior.weights)],
            prior.size(self.given[4]),
            prior.weights.concentration,
            prior.mean_precision,
            prior.degrees_of_freedom,
            float(prior.dimensions),
            float(prior.n_null),
            prior.log_null,
            prior.log_norm,
            *map(address, arrays),
        )

    def load(self, parameters: Parameters) -> None:
        """Write parameters where a step reads them."""
        for given, own in zip(self.given, parameters.arrays, strict=False):
            given[...] = own

    def reached(self) -> Parameters:
        """Return the parameters that the last step was taken from."""
        return self._mixture([array.copy() for array in self.given])

    def first(self, count: int) -> Parameters:
        """Return so many mixtures that the last step was taken from."""
        return self._mixture([array[:count].copy() for array in self.given])

    def successor(self) -> Parameters:
        """Return the parameters that a step has led to."""
        return self._mixture(
            [
                self.out[begin:end].reshape(shape).copy()
                for begin, end, shape in self.slices[-len(self.given) :]
            ]
        )

    def outcome(self, parameters: Parameters) -> Outcome:
        """Return what a step has found."""
        out = self.out.copy()
        sums, loglik, penalty, *arrays = [
            out[begin:end].reshape(shape) for begin, end, shape in self.slices
        ]
        about_means = self.about_means[..., None, None] != 0
        reference = np.where(about_means, parameters.means, 0.0)
        size = len(self.given)
        statistics = self._statistics(loglik[()], sums, reference, *arrays[:-size])
        successor = self._mixture(arrays[-size:])
        return Outcome(parameters, statistics, loglik[()], penalty[()], successor)
