"""Fits of a mixture of a table to other weights of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skem._errors.weighted_bootstrap import REFIT_TOL
from skem._tables.errors import errors_of
from skem.core.blocks.threads import Workers
from skem.core.search.follow import follow
from skem.core.solve.registry import ACCELERATORS
from skem.families.product import Product
from skem.families.table_map import TableMap

EMPTY = 1e-12
"""Weight of a component below which no row is in it."""


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

    def informed(
        self, em: TableMap, weight: np.ndarray, found: tuple[np.ndarray, ...]
    ) -> dict[Any, np.ndarray]:
        """Return errors by what they are of, infinite where the data tell nothing.

        That is of components without rows, which stay where they are, and on a bound.
        """
        mixture = self.mixture
        point, outward = mixture._point, mixture._outward
        # Where there is no curvature the bootstrap has errors, and nothing is to say.
        told = errors_of(em, point, weight, outward, "hessian", elsewhere=True)
        empty = np.array(point.weights) < EMPTY
        errors = dict(zip(told, found, strict=True))
        for key, by_hessian in told.items():
            errors[key][np.isinf(by_hessian)] = np.inf
            if key != "weights":
                errors[key][empty] = np.where(
                    np.isfinite(by_hessian[empty]), errors[key][empty], np.inf
                )
        return errors
