"""Rows that were drawn together, whose scores are summed before they are compared."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

DEPENDENT = ("sandwich", "survey", "bootstrap")
"""Methods that do not suppose that rows are independent, or the model right."""
GROUPS_NEED_ROWS = (
    "Groups need the rows in an array, and X is a Dask collection. Take errors without "
    "groups, or pass the rows in an array."
)


def check_grouped(method: str) -> None:
    """Require a method that may have groups."""
    if method not in DEPENDENT:
        raise ValueError(
            f"method={method!r} supposes that rows are independent: with groups, take "
            "'sandwich', 'survey' or 'bootstrap'."
        )


class GroupSums:
    """Sums t of the weighted scores of the rows of each of G groups, (G, p)."""

    def __init__(self, groups: np.ndarray, n_scores: int) -> None:
        self.groups = groups
        self.totals = np.zeros((groups.max() + 1, n_scores))

    def add(self, rows: np.ndarray | slice, scores: np.ndarray) -> None:
        """Add the weighted scores (p, b) of some rows; −1 is none of the groups."""
        own, place = np.unique(self.groups[rows], return_inverse=True)
        each = np.arange(len(place))
        shape = len(own), len(place)
        members = csr_array((np.ones(len(place)), (place, each)), shape=shape)
        there = own >= 0
        self.totals[own[there]] += (members @ scores.T)[there]

    @property
    def products(self) -> np.ndarray:
        """G/(G − 1) Σ t tᵀ, as one of the groups goes to the maximum."""
        G = len(self.totals)
        return G / (G - 1) * (self.totals.T @ self.totals)
