"""Look for a good optimum: diverse starts, then moves of components, then all the data.

No initialiser wins everywhere, and the likelihood after a few steps predicts the final
one poorly: so starts are diverse, and the optimum that the best of them leads to is
left again by moves of single components. The optimum of a subsample is a start that
leaves only a handful of passes over all the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from skem.core.gaussian.chart import Chart
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import (
    DIVERSE,
    Initializer,
    kmeans,
    nearest_random_row,
)
from skem.core.mixture.step import Limits
from skem.core.search.cells import finer_cells
from skem.core.search.climb import Trial, climb, height, highest
from skem.core.search.effort import (
    GROWTH,
    affordable,
    affordable_rounds,
    largest_part,
    lightened,
    pool_rows,
    rounding,
)
from skem.core.search.follow import raced
from skem.core.search.initialize import of_known, seeded, subsample, without_noise
from skem.core.search.move import Attempts, Moves
from skem.core.search.onward import GAIN, ROUNDS, onward
from skem.core.search.remote import beside_remote
from skem.core.solve.accelerator import Accelerator
from skem.core.solve.loop import Solution

STARTS = 6
"""Starts that are screened, at most; the best is finished."""
EACH = 3
"""Starts for each component: few components have few optima."""
FEW = 5
"""Components up to which rows chosen evenly lead as far as k-means, and elsewhere."""
MORE = 4
"""More starts that are worth it then."""
EACH_OF_FEW = 5
"""Starts for each component then."""
SCREENING = 5
"""Steps that each of them gets."""
MOVES = 20
"""Moves that are tried at a time, at most, until none of them gains."""
EACH_MOVED = 5
"""Moves for each component."""
PATIENCE = 2
"""Times in a row that they may gain nothing."""
FEW_ROWS = 10
"""Rows for each parameter up to which many optima are about as good, which differ in
what becomes of a few rows: moves may gain nothing once more then."""
TRIAL = 20
"""Steps that each move gets."""
CATCH_UP = 20
"""Steps in which each of them must overtake what it left."""
NEAR = 0.5
"""Standard deviations or logarithms from the optimum within which they return to it,
unless they are beyond it already."""
LOOK = 4
"""Steps after which a hopeless one is given up."""
SHARE = 0.02
"""Nats, for each free parameter, that may be left on a part of the rows: the optimum of
another part is half a nat away, for each."""
SHARE_BEFORE_MOVES = 0.005
"""The same on all rows before moves, if they are fewer than parameters: an end is many
steps away then, and moves gain more than these do."""


class Follow(Protocol):
    """Follow the map from a start to the end, perhaps after an earlier run."""

    def __call__(
        self,
        em: EMMap,
        start: Parameters,
        earlier: Solution | None = None,
        /,
        *,
        rough: float = 0.0,
    ) -> Solution:
        """Return where the map led; so many nats may be left, if the end may wait."""


@dataclass(frozen=True)
class Search:
    """How to look for an optimum: starting methods, solver and random numbers.

    `known` are mixtures that were found elsewhere: starts beside the `n_starts` fresh
    ones. `patience` is how many times in a row moves may gain nothing before it ends,
    if it is not to depend on the rows that there are.
    What gains less than `slack` nats is no better.
    """

    methods: list[Initializer]
    n_components: int
    rng: np.random.RandomState
    finish: Follow
    accelerator: Callable[..., Accelerator]
    known: Sequence[Parameters] = ()
    n_starts: int = STARTS
    patience: int | None = None
    slack: float = GAIN

    def optimum(self, em: EMMap) -> Solution:
        """Search on a pool of rows, then go on through growing subsamples."""
        K = self.n_components
        size = pool_rows(em, K)
        if em.blocks.n_samples <= 2 * size:
            light = lightened(em, K)
            if light is em:
                return self.improved(em, self.first(em))
            return self.lightly(em, light)
        pool = lightened(em.restricted(size, self.rng), K)
        on_part = self.roughly(em, pool)
        best = on_part.improved(pool, on_part.first(pool), part=True)
        for cells in finer_cells(em, K, self.rng):
            points = cells.points(best.evaluation.parameters)
            if points is not None:
                best, size = self.finished(points, best), cells.n_rows
        while size * GROWTH <= largest_part(em):
            size *= GROWTH
            part = lightened(em.restricted(size, self.rng), K)
            best = on_part.finished(part, best)
        return self.precisely(em, lightened(em, K), best)

    def lightly(self, em: EMMap, light: EMMap) -> Solution:
        """Search where steps are long, and roughly computed; finish precisely.

        Starts that have come to the same end leave little to be found by moves.
        """
        roughly = self.roughly(em, light)
        trials = roughly.screened(light)
        if alike(trials, roughly.slack):
            return self.end_of(em, trials)
        best = roughly.improved(light, roughly.end_of(light, trials))
        return self.precisely(em, light, best)

    def precisely(self, em: EMMap, light: EMMap, best: Solution) -> Solution:
        """Go on to the end, in single precision first, but where no step was left."""
        if light is not em and best.n_iter > 0:
            best = self.leaving(max(GAIN, rounding(em))).finished(light, best)
        return self.finished(em, best)

    def roughly(self, em: EMMap, part: EMMap) -> Search:
        """Return a search on a part of the rows, or in single precision."""
        slack = self.slack
        if part.blocks.dtype != em.blocks.dtype:
            slack = max(slack, rounding(part))
        n_free = em.structure.n_free(self.n_components, em.blocks.n_features)
        share = 0.0
        if part.blocks.n_samples < em.blocks.n_samples:
            share = SHARE
        elif self.rows_each(em) < 1:
            share = SHARE_BEFORE_MOVES
        return replace(self.leaving(max(slack, share * n_free)), slack=slack)

    def rows_each(self, em: EMMap) -> float:
        """Return how many rows there are for each parameter."""
        n_free = em.structure.n_free(self.n_components, em.blocks.n_features)
        return em.blocks.n_samples / n_free

    def leaving(self, rough: float) -> Search:
        """Return a search that may leave so many nats wherever it ends."""
        return replace(self, finish=partial(self.finish, rough=rough))

    def finished(self, em: EMMap, earlier: Solution) -> Solution:
        """Go on from an earlier end."""
        return self.finish(em, earlier.evaluation.parameters, earlier)

    def first(self, em: EMMap) -> Solution:
        """Finish the best start."""
        return self.end_of(em, self.screened(em))

    def screened(self, em: EMMap) -> list[Trial]:
        """Take a few steps from each start; the best is the first."""
        starts = [*self.known, *self.starts(em)]
        return climb(em, starts, SCREENING, little=self.slack)

    def end_of(self, em: EMMap, trials: Sequence[Trial]) -> Solution:
        """Finish the best trial, and others that are already beyond its end.

        Another one, if that does not come to an end.
        """
        return highest(trials, partial(self.end, em), Trial.reached, self.slack)

    def end(self, em: EMMap, trial: Trial) -> Solution:
        """Return where a trial leads."""
        return self.still(em, trial) or self.finish(em, trial.parameters)

    def starts(self, em: EMMap) -> list[Parameters]:
        """Make diverse starts; those that fail are left out."""
        K = self.n_components
        rows = without_noise(em, subsample(em, K, self.rng), K, self.rng)
        methods: Sequence[Initializer] = self.methods
        if rows.block.known is not None:
            # Every second one begins with the rows that are known.
            methods = [m for each in methods for m in (of_known(rows), each)]
        some = list(islice(cycle(methods), self.affordable(em, self.n_starts)))
        clusters = em.clusters(K)
        if clusters is None or kmeans not in some:
            return seeded(em, some, K, self.rng, rows)
        remote = beside_remote(em, K, self.rng, rows)
        # They come from k-means, and the first steps are done.
        some.remove(kmeans)
        if K <= FEW and some:
            many = self.affordable(em, self.n_starts + MORE, EACH_OF_FEW)
            some += [nearest_random_row] * (many - 1 - len(some))
            some = [nearest_random_row if m in DIVERSE else m for m in some]
        return [clusters, *remote, *seeded(em, some, K, self.rng, rows)]

    def affordable(self, em: EMMap, most: int, each: int = EACH) -> int:
        """Return how many starts or moves are tried: fewer, if steps are long.

        Or if there are few components.
        """
        K = self.n_components
        return affordable(em, K, min(most, each * K))

    def improved(self, em: EMMap, best: Solution, *, part: bool = False) -> Solution:
        """Move components as long as that leads to better optima.

        On a part of the rows that takes little time beside what is to come. What
        `finish` has not brought to an end is no optimum, and left alone.
        """
        if not (best.converged and self.may_move(em)):
            return best
        wanted = min(MOVES, EACH_MOVED * self.n_components)
        few = self.affordable(em, MOVES, EACH_MOVED) < wanted
        patience = self.patience
        if patience is None:
            patience = PATIENCE + (self.rows_each(em) < FEW_ROWS)
        if few or part:
            # Few moves are those that promise the most: on a part the next best follow.
            # Many are drawn, and what they gain on a part is mostly of its own.
            patience = min(patience, 2 if few and part else 1)
        steps = TRIAL * self.affordable(em, MOVES, EACH_MOVED) + best.n_iter
        rounds = affordable_rounds(em, self.n_components, steps, ROUNDS)
        return onward(self, em, best, patience, rounds)

    def may_move(self, em: EMMap) -> bool:
        """Whether components may go elsewhere; a single one has nowhere to go."""
        return self.n_components > 1 and bool(em.movable(self.n_components).any())

    def trials(self, em: EMMap, best: Solution, attempts: Attempts) -> list[Trial]:
        """Try several moves."""
        starts = self.moved(em, best, attempts)
        return climb(em, starts, TRIAL, height(best) + self.slack, self.slack)

    def followed(self, em: EMMap, best: Solution, trial: Trial) -> Solution | None:
        """Follow a trial that may overtake the best; finish it if it does."""
        least = height(best) + self.slack
        if self.returns(best, trial):
            return None
        run = self.still(em, trial) or self.race(em, trial, height(best))
        done = run.converged and self.slack > GAIN
        return run if done or height(run) <= least else self.finished(em, run)

    def returns(self, best: Solution, trial: Trial) -> bool:
        """Whether a trial is on its way back, unless it is beyond the best already."""
        if trial.objective > height(best) + self.slack:
            return False
        return farthest(best.evaluation.chart, trial.parameters) < NEAR

    def still(self, em: EMMap, trial: Trial) -> Solution | None:
        """Return a trial as an end, if steps would show no more than rounding."""
        if self.slack <= GAIN or trial.hope() > trial.objective + self.slack:
            return None
        here = em.evaluate(trial.parameters)
        accelerator = self.accelerator(em.chart)
        accelerator.begin(here)
        return Solution(here, [], 0, True, accelerator)

    def moved(
        self, em: EMMap, best: Solution, attempts: Attempts
    ) -> list[Parameters] | Parameters:
        """Move components, or weigh few rows anew; what fails is left out.

        Moves are at random, unless fewer than components can be tried.
        """
        moves = Moves.away_from(em, best.evaluation.parameters, self.rng)
        count = self.affordable(em, MOVES, EACH_MOVED)
        if count < self.n_components and moves.divisible:
            return moves.hopeful(count, self.rng, attempts)
        if attempts.failures % 2 and self.rows_each(em) < FEW_ROWS:
            return moves.reweighted(count, self.rng)
        return moves.drawn(count, self.rng, shared=attempts.failures > 0)

    def race(self, em: EMMap, trial: Trial, value: float) -> Solution:
        """Follow a trial while it may overtake a value."""
        accelerator = self.accelerator(em.chart)
        limits = Limits(CATCH_UP, self.slack, value, LOOK)
        return raced(em, accelerator, trial.parameters, limits)


def alike(trials: Sequence[Trial], slack: float) -> bool:
    """Whether several trials have come to the same end."""
    values = [trial.objective for trial in trials]
    still = all(trial.gain <= slack for trial in trials)
    return len(trials) > 1 and still and max(values) - min(values) <= slack


def farthest(chart: Chart, parameters: Parameters) -> float:
    """Return how far a mixture is from the chart's base, component by component.

    In standard deviations or logarithms; components are matched by their means.
    """
    distances = cdist(chart.base.means, parameters.means, "sqeuclidean")
    _, order = linear_sum_assignment(distances)
    cholesky = chart.structure.ordered(parameters.precisions_cholesky, order)
    matched = parameters.ordered(order, cholesky)
    return chart.farthest(chart.pack(matched))
