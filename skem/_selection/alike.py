"""Structures that are one model where there is one feature.

There a covariance is a variance: all that structures may differ in is whether
components share it. One of them is fitted, and the others are told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skem._selection.grid import Candidate
from skem._selection.judge import candidate_of
from skem._selection.problem import Problem
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.solve.loop import Solution
from skem.core.solve.plain import Plain


def first_alike(structures: Sequence[Structure], n_features: int) -> list[int]:
    """Return for each structure the place of the first that is the same model."""
    if n_features > 1:
        return [*range(len(structures))]
    # Two components have one variance or two.
    sizes = [structure.n_free(2, 1) for structure in structures]
    return [sizes.index(size) for size in sizes]


def kept_as(structure: Structure, parameters: Parameters) -> Parameters:
    """Return a mixture of one feature as another structure keeps it."""
    K, d = parameters.shape
    own = np.broadcast_to(np.ravel(parameters.precisions_cholesky), K)
    shape = structure.shape(K, d)
    own = own[: int(np.prod(shape))].reshape(shape).copy()
    return replace(parameters, precisions_cholesky=own)


def told(candidate: Candidate, other: Candidate) -> Candidate:
    """Return a candidate with all that is known of one that is the same model."""
    for name in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_"):
        setattr(candidate.mixture, name, getattr(other.mixture, name))
    # Sums in another order would differ by rounding, and decide between equals.
    return replace(
        other,
        covariance_type=candidate.covariance_type,
        mixture=candidate.mixture,
        seconds=candidate.seconds,
    )


def as_alike(
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
            candidate = candidate_of(
                problem, structure, other.n_components, here, seconds
            )
            found.append(told(candidate, other))
    return found
