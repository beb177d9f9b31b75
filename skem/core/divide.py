"""Mixtures of one more component, each with one component cut in two somewhere.

Cuts across a main axis miss narrow parts of a component. Cuts half-way between two of
its rows, drawn at random, find those too, and all of them share one M-step.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from skem.core.em import EMMap
from skem.core.initialize import subsample
from skem.core.move import responsibilities
from skem.core.parameters import Parameters
from skem.core.regularization import IllDefinedCovarianceError


def divided(
    em: EMMap, parameters: Parameters, n_starts: int, rng: np.random.RandomState
) -> list[Parameters]:
    """Cut one component in two, in so many ways; those that fail are left out.

    A row is drawn, then a component that owns it, then another row of that component.
    Of the component's rows each goes to the nearer of the two.
    """
    K = len(parameters.weights)
    rows = subsample(em, K + 1, rng)
    resp = responsibilities(em, parameters, rows.block) * rows.weight
    here = _drawn(np.tile(rows.weight, (n_starts, 1)), rng)
    owners = _drawn(resp.T[here], rng)
    shares = resp[owners]
    there = _drawn(shares, rng)
    nearer = cdist(rows.Z[here], rows.Z) < cdist(rows.Z[there], rows.Z)
    labels = np.concatenate([resp, shares * nearer, shares * ~nearer])
    found = rows.labelled(em, labels)
    starts = np.arange(n_starts)
    chosen = np.tile(np.arange(K + 1), (n_starts, 1))
    chosen[starts, owners] = K + starts
    chosen[:, K] = K + n_starts + starts
    try:
        together = em.maximise(found.ordered(chosen))
        return [together[i] for i in starts]
    except IllDefinedCovarianceError:
        pass
    out = []
    for own in chosen:
        try:
            out.append(em.maximise(found.ordered(own)))
        except IllDefinedCovarianceError:
            continue
    return out


def _drawn(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw an index of each row of weights, in proportion to them."""
    cumulated = np.cumsum(weights, axis=1)
    places = rng.uniform(size=len(weights)) * cumulated[:, -1]
    return (cumulated <= places[:, None]).sum(axis=1).clip(max=weights.shape[1] - 1)
