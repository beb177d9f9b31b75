"""Candidates near the best one, searched as single fits are."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from skem._selection.grid import Candidate
from skem._selection.judge import candidate_of, unless_ill_defined
from skem._selection.problem import Effort, Problem
from skem._selection.walk import Settled
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.climb import height
from skem.core.search.effort import affordable, products
from skem.core.search.many import best_end, many
from skem.core.search.neighbours import neighbours
from skem.core.search.path import Path, widened
from skem.core.search.search import Search
from skem.core.search.sketch import Sketch
from skem.core.solve.loop import Solution

MANY = 3
"""Starts for each that is asked for, where many steps are quick."""
SAME = 0.05
"""Nats by which searches of one optimum may differ."""
EQUAL = 1e-3
"""Nats by which none is better than another, as rounding may differ elsewhere."""
QUICK_CUTS = 24
"""Components that are cut, and pairs that are merged, where many steps are quick."""
AGAIN = 2**22
"""Products in one step of all searches that are made once more, at most."""


def refine(
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
    with problem.stages(structure, settled.walked.quick_fits) as stages:
        sample, whole = stages[0], stages[-1]
        light = problem.many(whole)
        found: dict[int, tuple[Candidate, Parameters]] = {}
        for K in near:
            begin = time.perf_counter()
            em = whole.for_components(K)
            known = [settled.parameters[K]]
            search = problem.search(K, known, effort)
            # Without fresh starts it is what was searched from all of these before.
            if found and effort.n_starts:
                _, fewer = found[max(found)]
                splits = widened(Sketch.of_mixture(sample, fewer), K)
                known += Path.starts(sample.for_components(K), splits)
            if light and effort.n_starts:
                present = {k: end for k, (_, end) in found.items()}
                present = settled.parameters | present
                known += neighbours(em, K, present, QUICK_CUTS, search.rng)
            optimum = among_many if light else Search.optimum
            solution = unless_ill_defined(optimum, search, em)
            if K > 1:
                more = min(effort.more, AGAIN // products(em, K))
                solution = confirmed(
                    problem, em, K, replace(effort, more=more), solution
                )
            seconds = settled.walked.seconds[K] + time.perf_counter() - begin
            candidate = candidate_of(problem, structure, K, solution, seconds)
            end = known[0] if solution is None else solution.evaluation.parameters
            found[K] = candidate, end
            problem.say(structure, f"{K} searched")
        return settled.updated(found)


def confirmed(
    problem: Problem, em: EMMap, K: int, effort: Effort, best: Solution | None
) -> Solution | None:
    """Search anew, as single fits do, until one of them leads to the same optimum."""
    alone = replace(effort, n_starts=problem.n_init)
    for again in range(1, min(effort.more, problem.n_init - 1) + 1):
        search = problem.search(K, [], alone, again)
        found = unless_ill_defined(search.optimum, em)
        if found is None:
            continue
        gain = math.inf if best is None else height(found) - height(best)
        if gain > EQUAL:
            best = found
        if abs(gain) <= SAME:
            break
    return best


def among_many(search: Search, em: EMMap) -> Solution:
    """Search from many starts, where steps are quick."""
    K, n_starts = search.n_components, MANY * search.n_starts
    fresh = many(em, K, affordable(em, K, n_starts), search.rng)
    # What was found already is the least that is asked of the others.
    present, *others = search.known
    best = unless_ill_defined(search.finish, em, present)
    return search.improved(em, best_end(em, [*others, *fresh], search.finish, best))
