"""Mixtures of one component more or fewer: starts from what was found beside them.

Cuts across a main axis miss narrow parts of a component. Cuts half-way between two of
its rows, drawn at random, find those too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.search.effort import affordable
from skem.core.search.initialize import started, subsample
from skem.core.search.move import Moves
from skem.core.search.sketch import Sketch

UNION_VALUES = 2**20
"""Values in the covariances of all unions that are compared, at most."""


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
    pairs = likeliest(em, sketch, n_starts)
    unions = sketch.unions(pairs, em.structure.quadratic)
    return [start for _, start in started(em, unions)]


def likeliest(em: EMMap, sketch: Sketch, most: int) -> list[tuple[int, int]]:
    """Return the pairs by whose union the likelihood loses the least.

    As far as moments tell: that of rows with the labels that they have, and what labels
    tell apart. It is a bound of the likelihood from below.
    """
    structure, d = em.structure, sketch.means.shape[1]
    pairs = sketch.closest(max(most, UNION_VALUES // d**2))
    if len(pairs) <= most:
        return pairs
    i, j = np.transpose(pairs)
    n, K = sketch.counts, len(sketch)
    sizes = n[i], n[j], n[i] + n[j]
    try:
        if structure.shared:
            one = em.started(sketch.statistics(structure.quadratic))
            offsets = (sketch.means[i] - sketch.means[j]).T
            white = structure.whiten(one.precisions_cholesky, 0, offsets)
            between = sizes[0] * sizes[1] / sizes[2] * np.square(white).sum(axis=0)
            gain = -0.5 * n.sum() * np.log1p(between / n.sum())
        else:
            free = structure.free
            every = sketch.beside_unions(pairs, free.quadratic)
            roots = replace(em, structure=free).started(every).precisions_cholesky
            log_det = free.log_det(roots, d)
            own = n * log_det[:K]
            gain = sizes[2] * log_det[K:] - own[i] - own[j]
    except IllDefinedCovarianceError:
        return pairs[:most]
    first, second, both = (size * np.log(size) for size in sizes)
    # Of labels r and 1 − r there is an entropy of about 4 log 2 r (1 − r).
    gain += both - first - second - 4 * np.log(2) * sketch.overlaps[i, j]
    return [pairs[place] for place in np.argsort(-gain, kind="stable")[:most]]


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
