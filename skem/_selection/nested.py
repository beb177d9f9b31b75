"""Candidates that a structure takes over from those that it includes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from skem._selection.grid import Candidate
from skem._selection.judge import candidate_of, unless_ill_defined
from skem._selection.problem import Problem
from skem._selection.walk import Settled
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.follow import swiftly
from skem.core.solve.loop import Solution
from skem.core.solve.plain import Plain
from skem.core.solve.registry import ACCELERATORS

BEHIND = 0.01
"""Nats by which a candidate may be behind one that its structure includes."""


def nested(
    problem: Problem, structures: Sequence[Structure], settled: Sequence[Settled]
) -> list[Settled]:
    """Let no candidate be less likely than one of a structure that its own includes.

    Such a candidate goes on from there, or stays there: each structure has a penalty
    of its own, and may pay for a lower one with likelihood. What stays has the other's
    likelihood and more parameters, and so is not chosen. That takes the rows as they
    are, and so is done where they are few.
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
                if other.warning and not candidate.warning:
                    continue
                # Of those that have failed it is NaN, which is not more than another.
                if other.judged_likelihood > least.judged_likelihood + BEHIND:
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
    before = {c.n_components: c for c in settled.candidates}
    found: dict[int, tuple[Candidate, Parameters]] = {}
    with problem.stages(structure, settled.walked.quick_fits) as stages:
        if len(stages) > 1:
            return settled
        for K, (smaller, other) in better.items():
            begin = time.perf_counter()
            em = stages[-1].for_components(K)
            start = _adopted(em, smaller, other)
            for solution in _ends(problem, em, start):
                seconds = before[K].seconds + time.perf_counter() - begin
                candidate = candidate_of(problem, structure, K, solution, seconds)
                worse = candidate.warning and not before[K].warning
                least = other.judged_likelihood - BEHIND
                lower = candidate.judged_likelihood < least
                if not worse and not lower:
                    found[K] = candidate, solution.evaluation.parameters
                    break
    return settled.updated(found)


def _adopted(em: EMMap, smaller: Structure, other: Candidate) -> Parameters:
    """Return what a structure that is included has found, as a start."""
    start = other.mixture._parameters()
    structure = em.structure
    cholesky = structure.adopted(smaller, start.precisions_cholesky, start.shape)
    start = replace(start, precisions_cholesky=cholesky)
    return em.coordinates.inward(structure, start)


def _ends(problem: Problem, em: EMMap, start: Parameters) -> Iterator[Solution]:
    """Yield where a start leads, if anywhere, and the start itself."""
    accelerate = ACCELERATORS[problem.options["algorithm"]]
    tol, max_iter = problem.options["tol"], problem.options["max_iter"]
    solution = unless_ill_defined(swiftly, accelerate, tol, max_iter, em, start)
    if solution is not None:
        yield solution
    yield Solution(em.evaluate(start), [], 0, True, Plain(em.chart))
