"""The loop: follow a map θ → (θ⁺, f(θ)) until little is left to be gained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skem.core.solve.accelerator import FLOOR, Accelerator


@dataclass(frozen=True)
class Solution:
    """Where the loop ended."""

    evaluation: Any
    values: list[float]
    n_iter: int
    converged: bool
    accelerator: Accelerator


def solve(
    evaluate: Callable[[Any], Any],
    start: Any,
    accelerator: Accelerator,
    *,
    tol: float,
    max_iter: int,
    callback: Callable[[int, Any, Accelerator], bool | None] | None = None,
) -> Solution:
    """Iterate until at most `tol` is left to be gained, or `max_iter` steps.

    The start costs one evaluation, and each step another. A proposal is accepted if the
    objective does not fall, but by rounding; a plain step always is. With ``tol=0``
    only the number of steps ends the loop, and a true value of the callback always
    does. `values` are log-likelihoods after each step.
    """
    current = evaluate(start)
    accelerator.begin(current)
    values: list[float] = []
    n_iter = 0
    converged = False
    while n_iter < max_iter and not converged:
        proposal = accelerator.propose(current)
        trial = evaluate(current.successor if proposal is None else proposal)
        n_iter += 1
        least = current.objective - FLOOR * abs(current.objective)
        accepted = proposal is None or trial.objective >= least
        accelerator.learn(current, trial, accepted)
        if accepted:
            current = trial
        values.append(current.loglik)
        converged = tol > 0 and accelerator.remaining <= tol
        if callback is not None and callback(n_iter, current, accelerator):
            break
    return Solution(current, values, n_iter, converged, accelerator)
