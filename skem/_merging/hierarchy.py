"""The hierarchy of mergers of components, its entropy, and where that bends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import block_diag
from scipy.special import xlogy

from skem._inputs.dask import check_dask_weight
from skem._inputs.validation import check_each_weight, check_sample_weight

ROWS_TOGETHER = 2**15
"""Rows that are looked at together."""
EMPTY = 0.5
"""Weight of rows that a component has at least, or it is no cluster."""
APART = 0.01
"""Share of its largest possible value that the entropy is below where no components
overlap."""

Sums = Callable[[np.ndarray], np.ndarray]
"""Σ v t log t over the rows, of the probabilities t of unions of components, which are
the columns of a matrix of zeros and ones."""


def indicators(labels: np.ndarray, n_columns: int) -> np.ndarray:
    """Return which columns of probabilities make each cluster, 0 or 1.

    Columns that are no component, as that of noise, are clusters by themselves.
    """
    own = labels[:, None] == np.arange(labels.max() + 1)
    return block_diag(own, np.eye(n_columns - len(labels)))


def _entropies(
    proba: np.ndarray, weight: np.ndarray | None, unions: np.ndarray
) -> np.ndarray:
    """Σ v t log t of unions of columns."""
    total = np.zeros(unions.shape[1])
    for start in range(0, len(proba), ROWS_TOGETHER):
        rows = slice(start, start + ROWS_TOGETHER)
        t = proba[rows].astype(float) @ unions
        each = xlogy(t, t)
        total += each.sum(axis=0) if weight is None else weight[rows] @ each
    return total


def array_sums(proba: np.ndarray, sample_weight: Any) -> tuple[float, np.ndarray, Sums]:
    """Return the weight of all rows, that of each column, and how to look at them."""
    weight = check_sample_weight(sample_weight, proba)
    total = float(len(proba)) if weight is None else float(weight.sum(dtype=float))
    return (
        total,
        _sizes(proba, weight),
        lambda unions: _entropies(proba, weight, unions),
    )


def _sizes(proba: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Σ v t of each column."""
    if weight is None:
        return proba.sum(axis=0, dtype=float)
    total = np.zeros(proba.shape[1])
    for start in range(0, len(proba), ROWS_TOGETHER):
        rows = slice(start, start + ROWS_TOGETHER)
        total += weight[rows].astype(float) @ proba[rows]
    return total


def lazy_sums(proba: Any, sample_weight: Any) -> tuple[float, np.ndarray, Sums]:
    """Return the same of a Dask array, block by block."""
    import dask

    proba, weight = check_dask_weight(sample_weight, proba)
    blocks = proba.to_delayed().ravel()
    weights = [None] * len(blocks) if weight is None else weight.to_delayed().ravel()
    pairs = list(zip(blocks, weights, strict=True))

    def total(of_block: Callable[..., Any], *args: Any) -> Any:
        lazy = [dask.delayed(of_block)(*pair, *args) for pair in pairs]
        return sum(dask.compute(*lazy))

    size, *sizes = total(_checked_sizes)
    return float(size), np.array(sizes), partial(total, _entropies)


def _checked_sizes(proba: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return the weight of all rows, and of each column."""
    total: float = len(proba)
    if weight is not None:
        weight, total = check_each_weight(weight, proba)
    return np.array([total, *_sizes(proba, weight)])


def merged_in_turn(
    of_unions: Sums, weights: np.ndarray, empty: np.ndarray, n_columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cluster of each component for 1 … K clusters, and the entropies.

    Empty components are merged before others.
    """
    K = len(weights)
    columns = np.eye(n_columns)
    own = dict(enumerate(of_unions(columns)))
    noise = sum(own.pop(k) for k in range(K, n_columns))
    clusters = {k: columns[k] for k in range(K)}
    first = set(np.flatnonzero(empty).tolist())
    pairs = [(i, j) for j in range(K) for i in range(j)]
    together: dict[tuple[int, int], float] = {}

    def urgency(pair: tuple[int, int]) -> tuple[bool, float]:
        """By how much the merger of a pair lowers the entropy."""
        drop = together[pair] - own[pair[0]] - own[pair[1]]
        return bool(first.intersection(pair)), drop

    hierarchy, entropy = np.zeros((K, K), dtype=int), np.zeros(K)
    for m in range(K, 0, -1):
        members = np.stack([each[:K] for each in clusters.values()])
        # The largest cluster first.
        order = np.argsort(-(members @ weights), kind="stable")
        hierarchy[m - 1] = members[order].argmax(axis=0)
        entropy[m - 1] = max(0.0, -noise - sum(own.values()))
        if m == 1:
            break
        unions = np.stack([clusters[i] + clusters[j] for i, j in pairs], axis=1)
        together.update(zip(pairs, of_unions(unions), strict=True))
        i, j = max(together, key=urgency)
        new = max(clusters) + 1
        clusters[new], own[new] = clusters[i] + clusters[j], together[i, j]
        if {i, j} <= first:
            first.add(new)
        for gone in (i, j):
            del clusters[gone], own[gone]
        together = {
            pair: value for pair, value in together.items() if not {i, j} & {*pair}
        }
        pairs = [(c, new) for c in clusters if c != new]
    return hierarchy, entropy


def bend(entropy: np.ndarray, weight: float) -> int:
    """Return where two straight lines that share a point fit the entropies best."""
    K = len(entropy)
    if K < 3 or entropy[-1] < APART * weight * np.log(K):
        return K
    return min(
        range(2, K), key=lambda c: sum(each[1] for each in two_lines(entropy, c))
    )


def two_lines(entropy: np.ndarray, bend: int) -> list[tuple[np.ndarray, float]]:
    """Return lines through 1 … c and c … K clusters, with their sums of squares."""
    m = np.arange(1, len(entropy) + 1)
    found = []
    for part in (slice(bend), slice(bend - 1, None)):
        line = np.polyfit(m[part], entropy[part], 1)
        left = entropy[part] - np.polyval(line, m[part])
        found.append((line, float(left @ left)))
    return found
