"""Starts in which rows far from all others have components to themselves.

The scale of the penalty is that of the other rows, and so are the quick fit that it is
taken from and rows that are chosen evenly: no such start has a component for a single
row far away. Where covariances have something in common, the price of that is paid by
all rows.
"""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.degeneracy import REMOTE
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.mixture.seeds import kmeans
from skem.core.search.initialize import of_rows

BEYOND = 100.0
"""Times the distance of rows that the scale leaves out, squared."""


def beside_remote(
    em: EMMap, n_components: int, rng: np.random.RandomState, rows: Rows
) -> list[Parameters]:
    """Return starts with one component for remote rows, and with as many as they are.

    None where there are no such rows.
    """
    if em.sample is None or n_components < 2 or rows.block.known is not None:
        return []
    white = em.sample.whitened(em.gathered(rows.Z).T).T
    remote = np.square(white).sum(axis=1) > BEYOND * REMOTE * white.shape[1]
    if not remote.any() or remote.all():
        return []
    most = min(n_components - 1, len(np.unique(rows.Z[remote], axis=0)))
    resp = np.zeros((len({1, most}), n_components, len(rows.Z)))
    for labels, own in zip(resp, sorted({1, most}), strict=True):
        for part, Z, chosen in (
            (labels[:own], rows.Z, remote),
            (labels[own:], white, ~remote),
        ):
            part[:, chosen] = kmeans(Z[chosen], rows.weight[chosen], len(part), rng)
    return [start for _, start in of_rows(em, rows, resp * rows.weight)]
