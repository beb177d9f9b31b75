"""Whether a mixture is at a maximum of the likelihood of rows, as of those fitted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from skem._inputs.callers import users_level

LEAST_GAIN = 0.03
"""Nats that a step of EM gains, at least, if a mixture is said to be at no maximum.
After fits that have converged it gains a tenth of that, at most."""
LOOSENESS = 3.0
"""Times the `tol` of a fit that this is, at least."""
ROUNDING = 1e-12
"""Share of a log-likelihood by which two of them may differ as they were rounded."""


def gain_of_a_step(em: Any, parameters: Any) -> float:
    """Return the nats that a step of EM gains, more than rounding may make of it."""
    here = em.evaluate(parameters)
    there = em.evaluate(here.successor)
    gain = there.objective - here.objective
    return float(gain - ROUNDING * abs(here.objective))


def warn_if_no_maximum(mixture: Any, gain: Callable[[Any], float]) -> bool:
    """Say so if a step of EM gains much, after a fit that has converged.

    `gain` tells how much from what the mixture keeps of its fit. Return whether it was
    said.
    """
    own = vars(mixture)
    # Parts of a mixture, and those of files, keep nothing.
    if not own.get("converged_", False) or "_stream" not in own:
        return False
    told = gain(own["_stream"]) > max(LEAST_GAIN, LOOSENESS * mixture.tol)
    if told:
        warnings.warn(
            "The mixture is not at a maximum of the likelihood of these rows: pass the "
            "sample_weight and the labels of the fit, if there were any.",
            UserWarning,
            stacklevel=users_level(),
        )
    return told
