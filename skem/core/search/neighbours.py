"""Mixtures of one component more or fewer: starts from what was found beside them.

Cuts across a main axis miss narrow parts of a component. Cuts half-way between two of
its rows, drawn at random, find those too.
"""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.effort import affordable
from skem.core.search.initialize import started, subsample
from skem.core.search.move import Moves
from skem.core.search.sketch import Sketch


def divided(
    em: EMMap, parameters: Parameters, n_starts: int, rng: np.random.RandomState
) -> list[Parameters]:
    """Cut one component in two, in so many ways; those that fail are left out.

    They are moves of a component that has no rows yet.
    """
    K = len(parameters.weights)
    rows = subsample(em, K + 1, rng)
    resp = em.responsibilities(parameters, rows.block)
    resp = np.insert(resp, K, 0, axis=0)
    order = np.append(np.arange(K), K - 1)
    cholesky = em.structure.ordered(parameters.precisions_cholesky, order)
    more = parameters.ordered(order, cholesky)
    more.weights[K] = 0
    moves = Moves(em, more, rows, resp, np.array([K]), np.zeros(1))
    found = moves.drawn(n_starts, rng)
    if isinstance(found, Parameters):
        return [found[i] for i in range(n_starts)]
    return found


def united(em: EMMap, sketch: Sketch, n_starts: int) -> list[Parameters]:
    """Put two clusters of a sketch together, in so many ways at most."""
    unions = sketch.unions(n_starts, em.structure.quadratic)
    return [start for _, start in started(em, unions)]


def neighbours(
    em: EMMap,
    n_components: int,
    present: dict[int, Parameters],
    count: int,
    rng: np.random.RandomState,
) -> list[Parameters]:
    """Return starts from mixtures of one component fewer and of one more.

    So many of each, at most.
    """
    found: list[Parameters] = []
    most = affordable(em, n_components, count)
    if n_components - 1 in present:
        found += divided(em, present[n_components - 1], most, rng)
    if n_components + 1 in present:
        more = Sketch.of_mixture(em, present[n_components + 1])
        found += united(em, more, most)
    return found
