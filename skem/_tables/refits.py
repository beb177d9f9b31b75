"""Fits of a mixture of a table to other weights of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skem._errors.weighted_bootstrap import REFIT_TOL
from skem.core.blocks.threads import Workers
from skem.core.search.follow import follow
from skem.core.solve.registry import ACCELERATORS
from skem.families.product import Product
from skem.families.table_map import TableMap


@dataclass(frozen=True)
class TableRefit:
    """Fits from where a mixture is, with the widths that shared values have there."""

    mixture: Any
    product: Product
    values: np.ndarray
    known: np.ndarray | None

    def __call__(self, weight: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
        """Return weights and parameters, as `_outward` lists them."""
        mixture, rows = self.mixture, np.flatnonzero(weight)
        known = None if self.known is None else self.known[rows]
        em = TableMap(
            self.product, self.values[:, rows], weight[rows], Workers(), known
        )
        accelerate, tol = ACCELERATORS[mixture.algorithm], min(mixture.tol, REFIT_TOL)
        end = follow(accelerate, tol, mixture.max_iter, em, mixture._point)
        return tuple(mixture._outward(end.evaluation.parameters).values())
