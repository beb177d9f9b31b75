"""Leave a poor optimum: take one component away, and split another one.

Local optima of mixtures mostly have two components where one would do, and one where it
takes two. A random swap of a component's place, kept if a few steps show a gain, mends
that at less cost than starts from scratch (Ueda et al. 2000, Neural Computation
12(9); Zhao et al. 2012, Pattern Recognition Letters 33(16)).
"""

from __future__ import annotations

import numpy as np

from skem.core.blocks import Block
from skem.core.coordinates import Coordinates
from skem.core.em import EMMap
from skem.core.expectation import Expectation, choose_form
from skem.core.initialize import labelled_statistics, subsample
from skem.core.parameters import Parameters
from skem.core.threads import Workspace

CERTAIN = 1e-12
"""Probability that a row keeps of belonging to each of the other components."""


def responsibilities(em: EMMap, parameters: Parameters, Z: np.ndarray) -> np.ndarray:
    """Posterior probabilities (K, n) of standardised rows Z."""
    n_features = Z.shape[1]
    form = choose_form(em.structure, parameters, np.dtype(float))
    here = Coordinates(np.zeros(n_features), np.ones(n_features))
    block = Block(0, len(Z), Z.T, None)
    return Expectation(form, here).responsibilities(block, Workspace())


def dispensable(
    resp: np.ndarray, weight: np.ndarray, rng: np.random.RandomState
) -> int:
    """Choose a component that would not be missed.

    Taking the density of component k away costs −Σ v log(1 − r_k) nats. The cheapest
    component is chosen every second time, the next one every fourth, and so on.
    """
    cost = -np.log1p(-np.minimum(resp, 1 - CERTAIN)) @ weight
    rank = min(rng.geometric(0.5) - 1, len(cost) - 1)
    return int(np.argsort(cost, kind="stable")[rank])


def moved(em: EMMap, parameters: Parameters, rng: np.random.RandomState) -> Parameters:
    """Take a dispensable component away and split the one that owns a random row.

    The split is between that row and another one of the same component, whichever is
    nearer. Done to the responsibilities of a subsample, then there is one M-step.
    """
    n_components = len(parameters.weights)
    Z, weight = subsample(em, n_components, rng)
    resp = responsibilities(em, parameters, Z).copy()
    gone = dispensable(resp, weight, rng)
    resp += CERTAIN
    resp[gone] = 0
    resp /= resp.sum(axis=0)
    here = rng.choice(len(Z), p=weight / weight.sum())
    owner = rng.choice(n_components, p=resp[:, here])
    share = resp[owner] * weight
    there = rng.choice(len(Z), p=share / share.sum())
    nearer = np.square(Z - Z[here]).sum(axis=1) < np.square(Z - Z[there]).sum(axis=1)
    resp[gone] = resp[owner] * nearer
    resp[owner] *= ~nearer
    return em.maximise(labelled_statistics(em, Z, resp * weight), parameters)
