"""Mixtures of one more component, each with one component cut in two somewhere.

Cuts across a main axis miss narrow parts of a component. Cuts half-way between two of
its rows, drawn at random, find those too, and all of them share one M-step.
"""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.draw import drawn_of_each, nearer
from skem.core.search.initialize import started, subsample


def divided(
    em: EMMap, parameters: Parameters, n_starts: int, rng: np.random.RandomState
) -> list[Parameters]:
    """Cut one component in two, in so many ways; those that fail are left out.

    A row is drawn, then a component that owns it, then another row of that component.
    Of the component's rows each goes to the nearer of the two.
    """
    K = len(parameters.weights)
    rows = subsample(em, K + 1, rng)
    resp = em.responsibilities(parameters, rows.block) * rows.weight
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
