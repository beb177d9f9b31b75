"""The candidates of a model selection: found together, and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from skem._selection_table import Candidate
from skem._validation import computing_dtype
from skem.core.accelerate import ACCELERATORS
from skem.core.blocks import ArrayBlocks
from skem.core.coordinates import Coordinates
from skem.core.covariance import STRUCTURES, Structure
from skem.core.em import EMMap
from skem.core.initialize import INITIALIZERS, subsample
from skem.core.path import Found, Path, growing
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.sketch import Sketch
from skem.core.threads import Workers
from skem.core.totals import classified
from skem.gaussian_mixture import ILL_DEFINED, GaussianMixture, degeneracy


@dataclass(frozen=True)
class Problem:
    """The data, and how mixtures are fitted to them.

    `options` are the parameters that a `GaussianMixture` of each candidate has.
    """

    X: Any
    weight: np.ndarray | None
    components: Sequence[int]
    n_init: int
    seed: int
    options: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def stages(self, structure: Structure) -> Iterator[list[EMMap]]:
        """Open the data: samples of growing size, and all rows, as one component."""
        with Workers() as workers:
            blocks = ArrayBlocks(self.X, self.weight, workers, computing_dtype(self.X))
            em = EMMap.prepare(blocks, structure, 1, self.options["reg_covar"])
            # One seed: the same rows for every structure.
            rng = np.random.RandomState(self.seed)
            yield growing(em, max(self.components), rng)

    def path(self, em: EMMap, found: dict[int, Found] | None = None) -> Path:
        """Return the path over the candidates' numbers of components."""
        accelerate = ACCELERATORS[self.options["algorithm"]]
        max_iter = self.options["max_iter"]
        return Path(em, self.components, accelerate, max_iter, found)


@dataclass(frozen=True)
class Walked:
    """What the first walk over one structure's candidates has found."""

    found: dict[int, Found]
    coordinates: Coordinates
    seconds: dict[int, float]

    def sketches(self, there: Coordinates) -> dict[int, Sketch]:
        """Return the sketches in other coordinates."""
        return {
            K: found.sketch.moved(self.coordinates, there)
            for K, found in self.found.items()
        }


def candidates(
    problem: Problem, covariance_types: Sequence[str], n_jobs: int | None
) -> list[Candidate]:
    """Fit every candidate; structures in parallel.

    Structures exchange what they have found once, when all of them have walked up
    their path: so the result does not depend on how many walk at a time.
    """
    structures = [STRUCTURES[name] for name in covariance_types]
    fresh, coordinates = _fresh(problem)
    # Processes: on small data most of the time goes to Python, which threads would
    # share; on large ones a fit has threads of its own.
    with Parallel(n_jobs=n_jobs) as parallel:
        walked = parallel(
            delayed(_walk)(problem, structure, fresh, coordinates)
            for structure in structures
        )
        fitted = parallel(
            delayed(_finish)(problem, structure, walked, own)
            for own, structure in enumerate(structures)
        )
    rows = zip(*fitted, strict=True)
    return [candidate for row in rows for candidate in row]


def _fresh(problem: Problem) -> tuple[dict[int, list[Sketch]], Coordinates]:
    """Sketches of fresh clusterings, for all structures, and their coordinates.

    Distances are between standardised features and between features of one common
    scale, in turn: neither finds the clusters of all data.
    """
    method = INITIALIZERS[problem.options["init_params"]]
    rng = np.random.RandomState(problem.seed)
    scales = {structure.scales_features: structure for structure in STRUCTURES.values()}
    with ExitStack() as stack:
        maps = [
            stack.enter_context(problem.stages(structure))[0]
            for _, structure in sorted(scales.items(), reverse=True)
        ]
        coordinates = maps[0].coordinates
        fresh: dict[int, list[Sketch]] = {}
        for K in problem.components:
            fresh[K] = []
            # One component is the same wherever it starts.
            for em in islice(cycle(maps), problem.n_init if K > 1 else 1):
                Z, weight = subsample(em, K, rng)
                resp = method(Z, weight, K, rng) * weight
                sketch = Sketch.of_rows(Z, resp)
                fresh[K].append(sketch.moved(em.coordinates, coordinates))
        return fresh, coordinates


def _walk(
    problem: Problem,
    structure: Structure,
    fresh: dict[int, list[Sketch]],
    coordinates: Coordinates,
) -> Walked:
    """Walk up the path for the first time."""
    with problem.stages(structure) as (em, *_):
        path = problem.path(em)
        moved = {
            K: [sketch.moved(coordinates, em.coordinates) for sketch in sketches]
            for K, sketches in fresh.items()
        }
        path.walk_up(moved)
        return Walked(path.found, em.coordinates, dict(path.seconds))


def _finish(
    problem: Problem, structure: Structure, walked: Sequence[Walked], own: int
) -> list[Candidate]:
    """Walk down and up with what the others have found, and finish every candidate."""
    with problem.stages(structure) as stages:
        em = stages[0]
        path = problem.path(em, walked[own].found)
        path.seconds.update(walked[own].seconds)
        others = [
            other.sketches(em.coordinates) for i, other in enumerate(walked) if i != own
        ]
        path.walk_down(others)
        path.walk_up()
        return [_candidate(problem, path, stages, K) for K in problem.components]


def _candidate(
    problem: Problem, path: Path, stages: Sequence[EMMap], K: int
) -> Candidate:
    """Finish one candidate, and say what is wrong with it."""
    em = stages[-1]
    name, total = em.structure.name, em.blocks.total_weight
    try:
        solution = path.finish(K, stages, problem.options["tol"])
    except IllDefinedCovarianceError:
        return Candidate(K, name, warning=ILL_DEFINED, seconds=path.seconds[K])
    mixture = GaussianMixture(K, covariance_type=name, **problem.options)
    # Without its warnings, which are a column of the table.
    mixture._set_solution(solution)
    mixture.n_features_in_ = em.blocks.n_features
    parameters = solution.evaluation.parameters
    return Candidate(
        K,
        name,
        mixture,
        total,
        solution.evaluation.loglik + total * em.coordinates.log_slope,
        -classified(em.expectation(parameters), em.blocks).certainty,
        degeneracy(mixture.degenerate_components_),
        path.seconds[K],
    )
