"""Leave an optimum of the bound: delete, merge, or split a component.

A component of a Bayesian mixture that has lost its rows costs nothing, so that their
number may change. Each move hands rows on, and the M-step makes q of them. A delete
that raises the bound is kept (Hughes & Sudderth 2013, NeurIPS 26). The components come
out in the order of their size, in which the bound of a Dirichlet process is highest
(Kurihara, Welling & Teh 2007, IJCAI 20).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skem.core.bayes.alive import alive, order_of_size, ordered, with_empty
from skem.core.bayes.clusterings import Clustering, Labels, hierarchical, merged
from skem.core.bayes.em import VariationalMap
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import Posterior
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.mixture.seeds import DIVERSE
from skem.core.search.climb import Trial, climb, height, highest, ranked
from skem.core.search.effort import affordable
from skem.core.search.move import CERTAIN, Attempts
from skem.core.search.relabel import Relabelling
from skem.core.search.search import NEAR, SHARE, Search, farthest
from skem.core.solve.accelerator import FLOOR
from skem.core.solve.loop import Solution

STARTS = 9
"""Numbers of clusters that starts have, from one to all components."""
CLUSTERINGS = 2
"""Clusterings of all components that they are merged from."""
LEAST_ROWS = 3
"""Rows of a cluster, in the mean."""
PART = 2_000
PART_PER_COMPONENT = 40
"""Rows that starts and moves are tried on."""
FEWER = 1 / 6
"""Share of the moves that are deletes, and as many are merges; the others split."""
EACH, LEAST, MOST = 3, 6, 20
"""Moves that are tried at a time for each component, at least, and at most."""
OWNED = 0.5
"""Weight of the rows, in those of one row, from which a component has some."""
SMALL = 0.4
"""Share of all components, up to which starts of so many climb by themselves."""
MOVE_STEPS = 8
"""Steps that each start or move gets."""


@dataclass(frozen=True)
class Revisions(Relabelling):
    """Ways to leave a posterior, drawn at random.

    Responsibilities are of the components that have some rows; there may be
    `n_components` of them.
    """

    n_components: int

    @classmethod
    def away_from(
        cls, em: VariationalMap, rows: Rows, parameters: Parameters, n_components: int
    ) -> Revisions:
        """Look at rows of the data."""
        resp = em.responsibilities(parameters, rows.block)
        counts = resp @ rows.weight
        owning = counts > min(OWNED * rows.weight.mean(), counts.max() / 2)
        resp = resp[owning] + CERTAIN
        return cls(rows.Z, rows.weight, resp / resp.sum(axis=0), n_components)

    def drawn(self, count: int, rng: np.random.RandomState) -> Iterator[np.ndarray]:
        """Delete, merge or split, and yield the responsibilities handed on.

        No component is deleted twice, and none is merged twice. Where all components
        have rows, one goes for a split.
        """
        most = min(len(self.resp) - 1, max(1, round(FEWER * count)))
        deleted, merged = self.dispensable(most, rng), self.dispensable(most, rng)
        yield from map(self.without, deleted)
        yield from map(self._merged, merged)
        full = len(self.resp) == self.n_components
        for _ in range(count - 2 * most):
            yield self.moved(rng) if full else self.split(self.resp, rng)

    def _merged(self, gone: int) -> np.ndarray:
        """Give all rows of a component to the one that it shares the most with."""
        others = np.delete(self.resp, gone, axis=0)
        weighted = others * self.weight
        norms = np.sqrt(np.maximum((weighted * others).sum(axis=1), CERTAIN))
        heir = int(np.argmax(weighted @ self.resp[gone] / norms))
        others[heir] += self.resp[gone]
        return others


@dataclass(frozen=True)
class BayesianSearch(Search):
    """A search in which the number of components with rows may change.

    Components without rows cost nothing: they are left out until the end.
    """

    patience: int = 1

    def optimum(self, em: EMMap) -> Solution:
        """Search among the components with rows, and end with all of them."""
        assert isinstance(em, VariationalMap)
        return self.completed(em, super().optimum(em))

    def first(self, em: EMMap) -> Solution:
        """Finish the best start; on many rows, where a few of them have led to."""
        assert isinstance(em, VariationalMap)
        part = self.part(em)
        if part is em:
            return self.started(em)
        rough = SHARE * em.structure.n_free(self.n_components, em.blocks.n_features)
        on_part = replace(self, finish=partial(self.finish, rough=rough))
        best = on_part.improved(part, on_part.started(part))
        return self.finish(em, best.evaluation.parameters, best)

    def part(self, em: VariationalMap) -> VariationalMap:
        """Return some of the rows, to try starts and moves on, if there are many."""
        most = max(PART, PART_PER_COMPONENT * self.n_components)
        if em.blocks.n_observed <= 2 * most:
            return em
        part = em.restricted(most, self.rng)
        assert isinstance(part, VariationalMap)
        return part

    def started(self, em: VariationalMap) -> Solution:
        """Finish the best start; another one, if that does not come to an end."""
        labels = Labels.of(em, self.n_components, self.rng)
        starts = [labels.statistics(r) for r in self.clustered(em, labels.rows)]
        small = SMALL * self.n_components
        trials = [
            trial
            for group in (
                [each for each in starts if len(each.counts) <= small],
                [each for each in starts if len(each.counts) > small],
            )
            for trial in climb(em, labels.posteriors(group), MOVE_STEPS)
        ]

        def finish(trial: Trial) -> Solution:
            return self.finish(em, alive(em, trial.parameters))

        return highest(ranked(trials, Trial.reached), finish, Trial.reached, 0.0)

    def clustered(self, em: VariationalMap, rows: Rows) -> Iterator[np.ndarray]:
        """Yield responsibilities of different numbers of clusters, up to K."""
        most = max(1, min(self.n_components, len(rows.Z) // LEAST_ROWS))
        # Half of all components are about as many as starts have in the mean.
        count = max(LEAST, affordable(em, (most + 1) // 2, STARTS * CLUSTERINGS))
        spread = np.geomspace(1, most, count // CLUSTERINGS).round().astype(int)
        numbers = np.unique(spread).tolist()
        clusterings: list[Clustering] = [hierarchical]
        if self.methods is not DIVERSE:
            clusterings = [merged(method) for method in self.methods]
        for _ in range(-(-CLUSTERINGS // len(clusterings))):
            for clustering in clusterings:
                yield from clustering(rows.Z, rows.weight, numbers, self.rng)

    def trials(self, em: EMMap, best: Solution, attempts: Attempts) -> list[Trial]:
        """Try several moves on some of the rows; what they gain there counts."""
        assert isinstance(em, VariationalMap)
        here, ahead = alive(em, best.evaluation.parameters), 0.0
        part = self.part(em).weighing(em.blocks.total_weight)
        if part.blocks is not em.blocks:
            alone = climb(part, [here], MOVE_STEPS)
            if not alone:
                return []
            ahead = height(best) - alone[0].objective
        labels = Labels.of(part, self.n_components, self.rng)
        revisions = Revisions.away_from(part, labels.rows, here, self.n_components)
        count = min(MOST, max(LEAST, EACH * len(here.counts)))
        count = max(LEAST, affordable(part, len(here.counts) + 1, count))
        drawn = [labels.statistics(resp) for resp in revisions.drawn(count, self.rng)]
        return [
            replace(
                trial,
                parameters=alive(em, trial.parameters),
                objective=trial.objective + ahead,
            )
            for trial in climb(part, labels.posteriors(drawn), MOVE_STEPS)
        ]

    def returns(self, best: Solution, trial: Trial) -> bool:
        """Whether a trial has come back to what it left."""
        em = best.evaluation.em
        assert isinstance(em, VariationalMap)
        here, there = alive(em, best.evaluation.parameters), trial.parameters
        alike = here.shape == there.shape
        return alike and farthest(em.chart(here), there) < NEAR

    def completed(self, em: VariationalMap, best: Solution) -> Solution:
        """Finish with all components, in the order of their size.

        In the order that there is, where the bound falls otherwise.
        """
        K, before = self.n_components, best.evaluation.parameters
        assert isinstance(before, Posterior)
        order = order_of_size(before.counts)
        end = self.finish(em, with_empty(em, ordered(em, before, order), K))
        rounding = FLOOR * abs(height(best))
        if height(end) >= height(best) - rounding or (np.diff(order) > 0).all():
            return end
        return self.finish(em, with_empty(em, before, K))
