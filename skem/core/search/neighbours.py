"""Mixtures of one component more or fewer: starts from what was found beside them.

Cuts across a main axis miss narrow parts of a component. Cuts half-way between two of
its rows, drawn at random, find those too, and all of them share one M-step.
"""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.draw import drawn_of_each, nearer
from skem.core.search.effort import affordable
from skem.core.search.initialize import started, subsample
from skem.core.search.sketch import Sketch, likely


def divided(
    em: EMMap, parameters: Parameters, n_starts: int, rng: np.random.RandomState
) -> list[Parameters]:
    """Cut one component in two, in so many ways; those that fail are left out.

    A row is drawn, then a component that owns it, then another row of that component.
    Of the component's rows each goes to the nearer of the two.
    """
    K = len(parameters.weights)
    rows = subsample(em, K + 1, rng)
    resp = likely(em.responsibilities(parameters, rows.block)) * rows.weight
    here = drawn_of_each(np.tile(rows.weight, (n_starts, 1)), rng)
    owners = drawn_of_each(resp.T[here], rng)
    shares = resp[owners]
    there = drawn_of_each(shares, rng)
    first = nearer([rows.Z], here, there)
    labels = np.concatenate([resp, shares * first, shares * ~first])
    found = rows.labelled(em, labels)
    starts = np.arange(n_starts)
    chosen = np.tile(np.arange(K + 1), (n_starts, 1))
    chosen[starts, owners] = K + starts
    chosen[:, K] = K + n_starts + starts
    return [start for _, start in started(em, found[chosen])]


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
