"""The candidates of a model selection: found together, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from typing import Any, cast

import numpy as np
from joblib import Parallel, delayed

from skem._fitting.fitting import ILL_DEFINED
from skem._fitting.likelihood import rows_of_scarce
from skem._report.text import UNDETERMINED
from skem._selection.alike import first_alike, kept_as, told
from skem._selection.grid import Candidate, worth_refining
from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import SHAPES, STRUCTURES, Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.scale import Clusterings
from skem.core.mixture.seeds import INITIALIZERS, starting_methods
from skem.core.search.initialize import subsample
from skem.core.search.many import best_end, many
from skem.core.search.mend import mend, neighbours
from skem.core.search.path import ROUGH, Found, Path, growing, swiftly, widened
from skem.core.search.search import Search, affordable, products
from skem.core.search.sketch import Sketch
from skem.core.solve.loop import Solution
from skem.core.solve.plain import Plain
from skem.core.solve.registry import ACCELERATORS
from skem.gaussian_mixture import GaussianMixture

SPARSE = 2
"""Fresh starts of candidates of which nothing is known yet."""
SHORT = 0.3
"""Nats, for each parameter, that a candidate may be short of its optimum."""
CLOSE = 8.0
"""Nats behind the best one within which candidates are searched with patience."""
PATIENCE = 3
BEHIND = 0.01
"""Nats by which a candidate may be behind one that its structure includes."""
MANY = 3
"""Starts for each that is asked for, where many steps are quick."""
CUTS = 24
"""Components that are cut, and pairs that are merged, where many steps are quick."""
LIGHT = 2**19
"""Products in a step up to which many steps are quick."""
SPURIOUS = f"Some components {UNDETERMINED}"
"""One text for all such candidates, so that a report can tell it once."""

Scales = dict[int, np.ndarray]
"""The scale of so many clusters, for the penalty."""


@dataclass(frozen=True)
class Problem:
    """The data, and how mixtures are fitted to them.

    `opened` holds the data ready, in whatever process it is called. Candidates that
    are at most `margin` nats behind the best one by the criterion are followed to the
    end. `options` are the parameters that a `GaussianMixture` of each of them has.
    """

    opened: Callable[[], AbstractContextManager[Blocks]]
    components: Sequence[int]
    n_init: int
    criterion: str
    margin: float
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    clusterings: Clusterings = field(default_factory=Clusterings)
    prepared: dict[str, EMMap] = field(default_factory=dict)
    """Problems without their data, by structure: of this process."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what another process finds by itself."""
        return vars(self) | {"clusterings": Clusterings(), "prepared": {}}

    @contextmanager
    def stages(
        self, structure: Structure, scales: Scales | None = None
    ) -> Iterator[list[EMMap]]:
        """Open the data: samples of growing size, and all rows, as one component.

        `scales` of clusters are those that are known.
        """
        with self.opened() as blocks:
            known = self.prepared.get(structure.name)
            if known is not None and isinstance(blocks, ArrayBlocks):
                em = known.reopened(blocks)
            else:
                em = EMMap.prepare(
                    blocks,
                    structure,
                    1,
                    self.options["reg_covar"],
                    self.options.get("noise"),
                    self.clusterings,
                )
                self.prepared[structure.name] = replace(em, blocks=cast(Any, None))
            em.scales.update(scales or {})
            if self.options.get("fixed") is not None:
                em = em.with_equal_weights(1)
            # One seed: the same rows for every structure.
            rng = np.random.RandomState(self.seed)
            yield growing(em, max(self.components), rng)

    def search(self, K: int, known: Sequence[Parameters], effort: Effort) -> Search:
        """Return the search of a single fit."""
        accelerate = ACCELERATORS[self.options["algorithm"]]
        tol, max_iter = self.options["tol"], self.options["max_iter"]
        return Search(
            starting_methods(self.options["init_params"]),
            K,
            np.random.RandomState([self.seed, effort.turn, K]),
            partial(swiftly, accelerate, tol, max_iter),
            accelerate,
            known,
            effort.n_starts,
            effort.patience,
        )

    def many(self, em: EMMap) -> bool:
        """Whether many starts are to be tried at once."""
        light = products(em, max(self.components)) <= LIGHT
        return light and em.quick and self.options["init_params"] == "kmeans"

    def path(self, em: EMMap, found: dict[int, Found] | None = None) -> Path:
        """Return the path over the candidates' numbers of components."""
        accelerate = ACCELERATORS[self.options["algorithm"]]
        tol, max_iter = self.options["tol"], self.options["max_iter"]
        return Path(em, self.components, accelerate, tol, max_iter, found)


@dataclass(frozen=True)
class Fresh:
    """Sketches of fresh clusterings for each number of components."""

    sketches: dict[int, list[Sketch]]
    coordinates: Coordinates

    def seen_from(self, there: Coordinates) -> dict[int, list[Sketch]]:
        """Return the sketches in other coordinates."""
        return {
            K: [sketch.moved(self.coordinates, there) for sketch in sketches]
            for K, sketches in self.sketches.items()
        }


@dataclass(frozen=True)
class Walked:
    """What is known of one structure's candidates, and the time that each took."""

    found: dict[int, Found]
    coordinates: Coordinates
    scales: Scales
    seconds: dict[int, float]

    def sketches(self, there: Coordinates) -> dict[int, Sketch]:
        """Return the sketches in other coordinates."""
        return {
            K: found.sketch.moved(self.coordinates, there)
            for K, found in self.found.items()
        }


@dataclass(frozen=True)
class Settled:
    """One structure's candidates, and the parameters of each for all rows."""

    walked: Walked
    candidates: list[Candidate]
    parameters: dict[int, Parameters]

    def no_better_than(self, before: Settled) -> set[int]:
        """Return the numbers of components that have hardly gained since then."""
        pairs = zip(self.candidates, before.candidates, strict=True)
        return {
            now.n_components
            for now, then in pairs
            if not now.log_likelihood > then.log_likelihood + 2 * ROUGH
        }

    def updated(self, found: dict[int, tuple[Candidate, Parameters]]) -> Settled:
        """Return the same with other mixtures of some numbers of components."""
        candidates = [
            found[c.n_components][0] if c.n_components in found else c
            for c in self.candidates
        ]
        parameters = {K: parameters for K, (_, parameters) in found.items()}
        return replace(
            self, candidates=candidates, parameters=self.parameters | parameters
        )


@dataclass(frozen=True)
class Effort:
    """How far behind the best a candidate may be, and how it is searched then.

    By `margin` nats by the criterion, and `short` for each of its parameters; from so
    many fresh starts, and with so much patience. Each `turn` has other random numbers.
    """

    turn: int
    margin: float
    short: float
    n_starts: int
    patience: int


def candidates(
    problem: Problem, covariance_types: Sequence[str], n_jobs: int | None
) -> list[Candidate]:
    """Fit every candidate; structures in parallel.

    Structures exchange what they have found when some of them have scouted their path,
    and what it is worth when all are settled: then those near the best candidate are
    searched as a single fit is, with what was found for one more start, and those close
    to it with more patience; and others, should they now be as near. So the result does
    not depend on how many structures are worked on at a time.
    """
    rng = np.random.RandomState(problem.seed)
    fresh = _fresh(problem, min(SPARSE, problem.n_init), rng)
    asked = [SHAPES[name] for name in covariance_types]
    first = first_alike(asked, len(fresh.coordinates.shift))
    places = sorted(set(first))
    structures = [asked[place] for place in places]
    # Processes: on small data most of the time goes to Python, which threads would
    # share; on large ones a fit has threads of its own.
    with Parallel(n_jobs=n_jobs) as parallel:
        settled = _walked_down(parallel, problem, structures, fresh)
        walked_down = settled
        for effort in (
            Effort(0, problem.margin, SHORT, problem.n_init, 1),
            Effort(1, 2 * CLOSE, 0.0, problem.n_init, 1),
            Effort(2, CLOSE, 0.0, 0, PATIENCE),
        ):
            done: list[set[int]] = [set() for _ in structures]
            if effort.turn == 1:
                # There is more where there was more than what the path leaves.
                done = [
                    each.no_better_than(before)
                    for each, before in zip(settled, walked_down, strict=True)
                ]
            while True:
                fitted = [each.candidates for each in settled]
                near = worth_refining(
                    fitted, problem.criterion, effort.margin, effort.short
                )
                near = [those - known for those, known in zip(near, done, strict=True)]
                if not any(near):
                    break
                settled = parallel(
                    delayed(_refine)(problem, structure, each, sorted(those), effort)
                    for structure, each, those in zip(
                        structures, settled, near, strict=True
                    )
                )
                for those, known in zip(near, done, strict=True):
                    known |= those
    settled = _nested(problem, structures, settled)
    fitted = [each.candidates for each in settled]
    by_place = dict(zip(places, fitted, strict=True))
    columns = [
        by_place[place]
        if place == own
        else _alike(problem, asked[own], by_place[place])
        for own, place in enumerate(first)
    ]
    rows = zip(*columns, strict=True)
    return [candidate for row in rows for candidate in row]


def _walked_down(
    parallel: Parallel, problem: Problem, structures: Sequence[Structure], fresh: Fresh
) -> list[Settled]:
    """Scout the path with some structures, and walk it down with all of them.

    Others than the scouts begin with what these have seen, and where they have come to.
    """
    scouts = [each for each in structures if _scouts(each, structures)]
    rest = [each for each in structures if each not in scouts]
    seen = parallel(delayed(_walk)(problem, each, fresh) for each in scouts)
    jobs = [
        (each, own, [other for other in seen if other is not own])
        for each, own in zip(scouts, seen, strict=True)
    ]
    settled: list[Settled] = []
    for _ in range(2):
        settled += parallel(
            delayed(_settle)(problem, structures.index(each), each, own, others)
            for each, own, others in jobs
        )
        seen = [*seen, *(each.walked for each in settled)]
        jobs = [(each, None, seen) for each in rest]
    order = [[*scouts, *rest].index(each) for each in structures]
    return [settled[place] for place in order]


def _fresh(problem: Problem, n_init: int, rng: np.random.RandomState) -> Fresh:
    """Make so many fresh clusterings for each number of components.

    Distances are between standardised features and between features of one common
    scale, in turn: neither finds the clusters of all data.
    """
    method = INITIALIZERS[problem.options["init_params"]]
    scales = {each.scales_features: each for each in STRUCTURES.values()}
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
            for em in islice(cycle(maps), n_init if K > 1 else min(n_init, 1)):
                rows = subsample(em, K, rng)
                resp = method(rows.Z, rows.weight, K, rng) * rows.weight
                sketch = Sketch.of_rows(rows, resp)
                fresh[K].append(sketch.moved(em.coordinates, coordinates))
        return Fresh(fresh, coordinates)


def _scouts(structure: Structure, structures: Sequence[Structure]) -> bool:
    """Whether it scouts the path: not if it is one with more freedom that does so.

    Shapes of covariances have clusters where the same covariances without that shape
    have theirs, or near by.
    """
    return structure.constraint is None or structure.free not in structures


def _walk(problem: Problem, structure: Structure, fresh: Fresh) -> Walked:
    """Scout the path."""
    with problem.stages(structure) as (em, *_):
        path = problem.path(em)
        path.scout(fresh.seen_from(em.coordinates))
        return Walked(path.found, em.coordinates, em.scales, dict(path.seconds))


def _settle(
    problem: Problem,
    place: int,
    structure: Structure,
    own: Walked | None,
    others: Sequence[Walked],
) -> Settled:
    """Walk down with what others have found, and go on to all rows."""
    with problem.stages(structure, own and own.scales) as stages:
        em = stages[0]
        path = problem.path(em, own and own.found)
        path.seconds.update(own.seconds if own else {})
        path.walk_down([other.sketches(em.coordinates) for other in others])
        mend(path, np.random.RandomState([problem.seed, place]))
        solutions = {
            K: _unless_ill_defined(path.settle, K, stages) for K in problem.components
        }
        return Settled(
            Walked(path.found, em.coordinates, em.scales, dict(path.seconds)),
            [
                _candidate(problem, structure, K, solution, path.seconds[K])
                for K, solution in solutions.items()
            ],
            {
                K: solution.evaluation.parameters
                for K, solution in solutions.items()
                if solution is not None
            },
        )


def _refine(
    problem: Problem,
    structure: Structure,
    settled: Settled,
    near: Sequence[int],
    effort: Effort,
) -> Settled:
    """Search some of the candidates as a single fit is.

    Each starts from what was found, from splits of the optimum of fewer components, and
    afresh.
    """
    if not near:
        return settled
    with problem.stages(structure, settled.walked.scales) as stages:
        sample, whole = stages[0], stages[-1]
        light = problem.many(whole)
        found: dict[int, tuple[Candidate, Parameters]] = {}
        for K in near:
            begin = time.perf_counter()
            em = whole.for_components(K)
            known = [settled.parameters[K]]
            search = problem.search(K, known, effort)
            if found:
                _, fewer = found[max(found)]
                splits = widened(Sketch.of_mixture(sample, fewer), K)
                known += Path.starts(sample.for_components(K), splits)
            if light:
                present = {k: end for k, (_, end) in found.items()}
                present = settled.parameters | present
                known += neighbours(em, K, present, CUTS, search.rng)
            optimum = among_many if light else Search.optimum
            solution = _unless_ill_defined(optimum, search, em)
            seconds = settled.walked.seconds[K] + time.perf_counter() - begin
            candidate = _candidate(problem, structure, K, solution, seconds)
            end = known[0] if solution is None else solution.evaluation.parameters
            found[K] = candidate, end
        return settled.updated(found)


def among_many(search: Search, em: EMMap) -> Solution:
    """Search from many starts, where steps are quick."""
    K, n_starts = search.n_components, MANY * search.n_starts
    fresh = many(em, K, affordable(em, K, n_starts), search.rng)
    # What was found already is the least that is asked of the others.
    present, *others = search.known
    best = _unless_ill_defined(search.finish, em, present)
    return search.improved(em, best_end(em, [*others, *fresh], search.finish, best))


def _nested(
    problem: Problem, structures: Sequence[Structure], settled: Sequence[Settled]
) -> list[Settled]:
    """Let no candidate be less likely than one of a structure that its own includes.

    Such a candidate goes on from there. That takes the rows as they are, and so is done
    where they are few.
    """
    improved = list(settled)
    order = sorted(range(len(structures)), key=lambda i: sum(structures[i].freedom))
    for own in order:
        better: dict[int, tuple[Structure, Candidate]] = {}
        for i in order:
            if i == own or not structures[own].includes(structures[i]):
                continue
            pairs = zip(improved[own].candidates, improved[i].candidates, strict=True)
            for candidate, other in pairs:
                K = candidate.n_components
                least = candidate if K not in better else better[K][1]
                if None in (candidate.mixture, other.mixture) or other.warning:
                    continue
                if other.log_likelihood > least.log_likelihood + BEHIND:
                    better[K] = structures[i], other
        if better:
            improved[own] = _continued(problem, structures[own], improved[own], better)
    return improved


def _continued(
    problem: Problem,
    structure: Structure,
    settled: Settled,
    better: dict[int, tuple[Structure, Candidate]],
) -> Settled:
    """Fit some of the candidates from those of other structures."""
    accelerate = ACCELERATORS[problem.options["algorithm"]]
    tol, max_iter = problem.options["tol"], problem.options["max_iter"]
    before = {c.n_components: c for c in settled.candidates}
    found: dict[int, tuple[Candidate, Parameters]] = {}
    with problem.stages(structure, settled.walked.scales) as stages:
        if len(stages) > 1:
            return settled
        for K, (smaller, other) in better.items():
            begin = time.perf_counter()
            assert other.mixture is not None
            start = other.mixture._parameters()
            cholesky = structure.adopted(
                smaller, start.precisions_cholesky, start.shape
            )
            start = replace(start, precisions_cholesky=cholesky)
            em = stages[-1].for_components(K)
            start = em.coordinates.inward(structure, start)
            solution = _unless_ill_defined(
                swiftly, accelerate, tol, max_iter, em, start
            )
            seconds = before[K].seconds + time.perf_counter() - begin
            candidate = _candidate(problem, structure, K, solution, seconds)
            worse = candidate.warning and not before[K].warning
            if solution is not None and not worse:
                if candidate.log_likelihood > before[K].log_likelihood:
                    found[K] = candidate, solution.evaluation.parameters
    return settled.updated(found)


def _alike(
    problem: Problem, structure: Structure, others: Sequence[Candidate]
) -> list[Candidate]:
    """Return the candidates of a structure that is the same model as another one."""
    found = []
    with problem.stages(structure) as stages:
        for other in others:
            begin = time.perf_counter()
            if other.mixture is None:
                found.append(replace(other, covariance_type=structure.name))
                continue
            em = stages[-1].for_components(other.n_components)
            start = kept_as(structure, other.mixture._parameters())
            start = em.coordinates.inward(structure, start)
            here = Solution(em.evaluate(start), [], 0, True, Plain(em.chart))
            seconds = time.perf_counter() - begin
            candidate = _candidate(
                problem, structure, other.n_components, here, seconds
            )
            found.append(told(candidate, other))
    return found


def _unless_ill_defined(
    solution_of: Callable[..., Solution], *args: Any
) -> Solution | None:
    try:
        return solution_of(*args)
    except IllDefinedCovarianceError:
        return None


def _candidate(
    problem: Problem,
    structure: Structure,
    K: int,
    solution: Solution | None,
    seconds: float,
) -> Candidate:
    """Say what there is to be said of a solution, or that there is none."""
    name = structure.name
    if solution is None:
        return Candidate(K, name, warning=ILL_DEFINED, seconds=seconds)
    named: Any = name
    mixture = GaussianMixture(K, covariance_type=named, **problem.options)
    # Without its warnings, which are a column of the table.
    best = mixture._ordered(solution)
    # It looks at the rows once for all that is asked of it.
    _ = best.evaluation.certainty
    mixture._set_solution(best)
    return judged(mixture, best, seconds)


def judged(mixture: Any, solution: Solution, seconds: float) -> Candidate:
    """Say what a fitted mixture is worth, and what is wrong with it."""
    em, blocks = solution.evaluation.em, solution.evaluation.em.blocks
    mixture.n_features_in_ = blocks.n_features
    climbed = solution.evaluation.loglik
    climbed += blocks.total_weight * em.coordinates.log_slope
    return Candidate(
        mixture.n_components,
        mixture.covariance_type,
        mixture,
        blocks.total_weight + blocks.empty_weight,
        solution.evaluation.score,
        -solution.evaluation.certainty,
        solution.evaluation.score - climbed,
        SPURIOUS if len(mixture.degenerate_components_) else "",
        seconds,
        rows_of_scarce(solution.evaluation),
    )
