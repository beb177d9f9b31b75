"""What a fitted candidate is worth, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skem._fitting.fitting import ILL_DEFINED
from skem._fitting.likelihood import rows_of_scarce
from skem._report.text import UNDETERMINED
from skem._selection.grid import Candidate
from skem._selection.problem import Problem
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.degeneracy import too_few
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.solve.loop import Solution

SPURIOUS = f"Some components {UNDETERMINED}"
"""One text for all such candidates, so that a report can tell it once."""
CROWDED = "There are too few rows to tell such covariances of so many features."
"""The same of those that no rows of this number could determine."""


def unless_ill_defined(
    solution_of: Callable[..., Solution], *args: Any
) -> Solution | None:
    try:
        return solution_of(*args)
    except IllDefinedCovarianceError:
        return None


def candidate_of(
    problem: Problem,
    structure: Structure,
    K: int,
    solution: Solution | None,
    seconds: float,
) -> Candidate:
    """Say what there is to be said of a solution, or that there is none."""
    if solution is None:
        return Candidate(K, structure.name, warning=ILL_DEFINED, seconds=seconds)
    mixture = problem.mixture(K, structure)
    # Without its warnings, which are a column of the table.
    best = mixture._ordered(solution)
    # It looks at the rows once for all that is asked of it.
    _ = best.evaluation.certainty
    mixture._set_solution(best)
    here = best.evaluation
    em, blocks = here.em, here.em.blocks
    mixture.n_features_in_ = blocks.n_features
    crowded = too_few(em.structure, K, blocks.n_features, blocks.total_weight)
    warning = CROWDED if crowded else SPURIOUS
    climbed = here.loglik + blocks.total_weight * em.coordinates.log_slope
    return Candidate(
        K,
        structure.name,
        mixture,
        blocks.total_weight + blocks.empty_weight,
        here.score,
        -here.certainty,
        here.score - climbed,
        warning if len(mixture.degenerate_components_) else "",
        seconds,
        rows_of_scarce(here),
    )
