"""How much a search does: the longer a step takes, the less.

Products are counted, not seconds, so that what is found depends on the data alone.
"""

from __future__ import annotations

from skem.core.mixture.em import EMMap

GAPS = 4
"""Times as many products, at least, where values are missing."""
POOL_ROWS = 10_000
POOL_ROWS_PER_COMPONENT = 200
GROWTH = 8
"""Ratio of the sizes of successive subsamples, at most."""
POOL_WORK = 2**25
"""Products in a step on these rows, the pool, if it has fewer rows."""
POOL_VALUES = 100
"""Values for each free parameter that it has then, at least."""
LEAST_TRIED = 3
"""Starts or moves that are tried at a time, at least."""
STEP_WORK = 2**25
"""Products in one step of all of them together, beyond which there are fewer."""
LABOUR = 2**35
"""Products in all rounds of moves beyond which there are fewer, but for the first."""
SUBSAMPLE_VALUES = 2**23
"""Values in the largest subsample, which is copied into memory."""
CELL_VALUES = 2**21
"""Values of the rows that are put in cells, at most: these take a few times as much."""
LONG = 2**22
"""Products in a step from which on single precision shortens it."""
WIDE = 5
"""Features from which on it does: with fewer, narrow components ask for the form that
takes as long in single precision."""
LEFT_IN_SINGLE = 1e-5
"""Nats, for each value of the data, that may be left in single precision: many times
as many as its rounding."""


def products(em: EMMap, n_components: int) -> int:
    """Return how many products a step has, about."""
    d = em.blocks.n_features
    size = 1 + d + em.structure.logit_quadratic.size(d)
    if em.blocks.incomplete:
        size = GAPS * (1 + d + em.structure.quadratic.size(d))
    return em.blocks.n_samples * n_components * size


def affordable(em: EMMap, n_components: int, most: int) -> int:
    """Return how many mixtures climb together: fewer than `most`, if steps are long."""
    return min(most, max(LEAST_TRIED, STEP_WORK // products(em, n_components)))


def affordable_rounds(em: EMMap, n_components: int, steps: int, most: int) -> int:
    """Return how many rounds of so many steps there are: one at least."""
    rounds = LABOUR // (steps * products(em, n_components))
    return min(max(1, rounds), most)


def pool_rows(em: EMMap, n_components: int) -> int:
    """Return the rows that are searched first: fewer, if they have many values."""
    K, d = n_components, em.blocks.n_features
    of_work = POOL_WORK * em.blocks.n_samples // products(em, K)
    of_values = POOL_VALUES * em.structure.n_free(K, d) // d
    most = min(POOL_ROWS, max(of_work, of_values))
    return max(most, POOL_ROWS_PER_COMPONENT * K)


def largest_part(em: EMMap) -> int:
    """Return the most rows of a subsample."""
    return min(em.blocks.n_samples - 1, SUBSAMPLE_VALUES // em.blocks.n_features)


def rows_in_cells(em: EMMap) -> int:
    """Return how many rows are put in cells, at most."""
    return min(em.blocks.n_observed, CELL_VALUES // em.blocks.n_features)


def lightened(em: EMMap, n_components: int) -> EMMap:
    """Return the problem in single precision if its steps are long; else itself."""
    long = products(em, n_components) >= LONG
    return em.in_single() if long and em.blocks.n_features >= WIDE else em


def rounding(em: EMMap) -> float:
    """Return how many nats may be left in single precision."""
    return LEFT_IN_SINGLE * em.blocks.total_weight * em.blocks.n_features
