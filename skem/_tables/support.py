"""Probability that a draw of a table's mixture has no higher density than a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from skem._fitted.support import Sampled
from skem.core.blocks.threads import Workers
from skem.core.incomplete.patterns import Patterns
from skem.families.table_map import TableMap


def support_probability(
    mixture: Any, em: TableMap, n_samples: int, rng: np.random.RandomState
) -> np.ndarray:
    """Share of draws, with the gaps of a row, that are at most as dense as it is."""
    _, draws = mixture._labelled_draws(n_samples, rng)
    values = em.numbers()
    prob = np.ones(em.n_samples)
    levels = _log_density(mixture, values)
    for observed, rows in Patterns.of(np.isnan(values)):
        # A row without a value has the density one, as all draws then have.
        if observed.any():
            seen = np.where(observed[:, None], draws, np.nan)
            drawn = Sampled(np.sort(_log_density(mixture, seen)))
            prob[rows] = drawn.below(levels[rows])
    return prob


def _log_density(mixture: Any, values: np.ndarray) -> np.ndarray:
    n = values.shape[1]
    product = mixture._product.of(values)
    own = TableMap(product, values, np.ones(n), Workers())
    return np.concatenate([d for _, d, _ in own.posterior(mixture._point)])
