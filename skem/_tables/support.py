"""How draws of a table's mixture are spread over levels of its density."""

from __future__ import annotations

from typing import Any

import numpy as np

from skem._fitted.support import TIED, Sampled
from skem.core.blocks.threads import Workers
from skem.core.incomplete.patterns import Patterns
from skem.families.table_map import TableMap


def support_probability(
    mixture: Any, em: TableMap, n_samples: int, rng: np.random.RandomState
) -> np.ndarray:
    """Share of draws, with the gaps of a row, that are at most as dense as it is."""
    draws, values = _draws(mixture, n_samples, rng), em.numbers()
    prob = np.ones(em.n_samples)
    levels = _log_density(mixture, values)
    for observed, rows in Patterns.of(np.isnan(values)):
        # A row without a value has the density one, as all draws then have.
        if observed.any():
            seen = np.where(observed[:, None], draws, np.nan)
            prob[rows] = _sampled(mixture, seen).below(levels[rows])
    return prob


def level_of(
    mixture: Any, prob: float, n_samples: int, rng: np.random.RandomState
) -> float:
    """Return the highest level that draws have a share `prob` of on or above it."""
    found = _sampled(mixture, _draws(mixture, n_samples, rng)).log_density
    # Rows of one probability may differ by rounding.
    return float(np.quantile(found, 1 - prob, method="lower")) - TIED


def _draws(mixture: Any, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
    return np.asarray(mixture._labelled_draws(n_samples, rng)[1])


def _sampled(mixture: Any, values: np.ndarray) -> Sampled:
    return Sampled(np.sort(_log_density(mixture, values)))


def _log_density(mixture: Any, values: np.ndarray) -> np.ndarray:
    n = values.shape[1]
    product = mixture._product.of(values)
    own = TableMap(product, values, np.ones(n), Workers())
    return np.concatenate([d for _, d, _ in own.posterior(mixture._point)])
