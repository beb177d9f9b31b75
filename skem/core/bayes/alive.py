"""Components without rows: a search leaves them out, and its end has them again.

An empty component has the prior for a posterior, which the bound knows in closed form.
"""

from __future__ import annotations

import numpy as np

from skem.core.bayes.em import VariationalMap
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import Posterior

ALIVE = 0.01
"""Weight of the rows, in those of one row, from which a component is kept."""


def order_of_size(counts: np.ndarray) -> np.ndarray:
    """Return the components, the largest first."""
    return np.argsort(-counts, kind="stable")


def ordered(em: VariationalMap, q: Parameters, order: np.ndarray) -> Posterior:
    """Return q of some of its components, in an order; the others are empty."""
    assert isinstance(q, Posterior)
    cholesky = em.structure.ordered(q.precisions_cholesky, order)
    counts, means = q.counts[order], q.means[order]
    return em.regularization.of_counts(em.structure, counts, means, cholesky)


def alive(em: VariationalMap, q: Parameters) -> Posterior:
    """Return q of the components that have rows, the largest first."""
    assert isinstance(q, Posterior)
    least = ALIVE * em.blocks.total_weight / em.blocks.n_observed
    order = order_of_size(q.counts)[: max(1, np.count_nonzero(q.counts > least))]
    if np.array_equal(order, np.arange(len(q.counts))):
        return q
    return ordered(em, q, order)


def with_empty(em: VariationalMap, q: Parameters, n_components: int) -> Posterior:
    """Return q with empty components after its own."""
    assert isinstance(q, Posterior)
    more = n_components - len(q.counts)
    if more == 0:
        return q
    structure, prior = em.structure, em.regularization
    cholesky = q.precisions_cholesky
    if not structure.shared:
        empty = prior.empty(structure)
        cholesky = np.concatenate([cholesky, np.repeat(empty, more, axis=0)])
    return prior.of_counts(
        structure,
        np.append(q.counts, np.zeros(more)),
        np.concatenate([q.means, np.tile(prior.mean, (more, 1))]),
        cholesky,
    )
