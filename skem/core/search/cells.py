"""Cells: a few weighted points that stand for many rows, where features are few.

Rows are halved by the feature in which they spread the most, again and again. Each cell
then is d + 1 points of equal weight, with the cell's mean and covariance: a simplex in
its principal axes, the other way round in every second cell. The points have the same
sum of a log-density that is quadratic over the cell; that of a mixture differs by its
third derivatives there. So their optimum is nearer to that of all rows than that of a
subsample, and a step takes as little time. A. W. Moore (1999), Very fast EM-based
mixture model clustering using multiresolution kd-trees, has such cells in every step;
here steps on the rows themselves follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.effort import GROWTH, rows_in_cells

MOST_FEATURES = 4
"""Features up to which so many cells are as fine as components."""
CELLS = 2_000
"""Cells for each component, at most, where there are fewest."""
LEAST_CELLS = 250
"""The same, at least."""
WORTH = 4
"""Times as many rows as points, at least."""
SHARED = 3
"""Times that rows are halved before threads share the halves."""
COARSE = 0.5
"""Nats that points lie below their mean, under its component, where a cell is too
coarse; its rows stay as they are."""


@dataclass(frozen=True)
class Cells:
    """Rows of a problem in cells, and those that are left over.

    Each share of them has shape (…, cells, m), with the features of the rows, and their
    weights if they have any, first. `left` is (…, rows).
    """

    em: EMMap
    shares: list[np.ndarray]
    left: np.ndarray

    @classmethod
    def of(cls, em: EMMap, times: int) -> Cells:
        """Halve the rows of a problem so many times."""
        assert isinstance(em.blocks, ArrayBlocks)
        columns, weight = [*em.blocks.X.T], em.blocks.weight
        rows = np.array(columns if weight is None else [*columns, weight], dtype=float)
        first, left = halved(rows[:, None], em.coordinates.slope, SHARED)
        shares = [first[:, share : share + 1] for share in range(1 << SHARED)]
        return cls(em, shares, left).finer(times - SHARED)

    @property
    def rows(self) -> ArrayBlocks:
        """The rows of the problem, in memory."""
        assert isinstance(self.em.blocks, ArrayBlocks)
        return self.em.blocks

    @property
    def n_rows(self) -> int:
        """Number of rows that are in cells, or left over."""
        return self.em.blocks.n_samples

    def finer(self, times: int) -> Cells:
        """Halve each cell so many times."""
        slope = self.em.coordinates.slope

        def kernel(share: np.ndarray, workspace: Workspace) -> tuple[np.ndarray, ...]:
            return halved(share, slope, times)

        found = self.rows.workers.map(kernel, self.shares)
        shares, left = zip(*found, strict=True)
        return replace(self, shares=[*shares], left=np.hstack([self.left, *left]))

    def points(self, parameters: Parameters) -> EMMap | None:
        """Return the problem of the cells' points; None if these are too many.

        A mixture tells which cells are as fine as its components. A point's weight is
        also that of pseudo-observations, as a few points would make a component of
        their own, where the rows are spread about them.
        """
        em, d = self.em, self.em.blocks.n_features

        def kernel(share: np.ndarray, workspace: Workspace) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore"):
                points = points_of(share, em.coordinates.slope)
                fine = _below_mean(em, parameters, points) <= COARSE
            few = points[:, fine], _with_weights(share, d)[:, ~fine]
            return np.hstack([each.reshape(d + 1, -1) for each in few])

        found = self.rows.workers.map(kernel, self.shares)
        rows = np.hstack([*found, _with_weights(self.left, d)])
        if WORTH * rows.shape[1] > 2 * self.n_rows:
            return None
        X, total = np.ascontiguousarray(rows[:d].T), em.blocks.total_weight
        heavier = total / rows.shape[1]
        return replace(
            em,
            blocks=replace(self.rows, X=X, weight=rows[d]),
            regularization=em.regularization.scaled(heavier * math.sqrt(total) / 2),
        )


def finer_cells(
    em: EMMap, n_components: int, rng: np.random.RandomState
) -> Iterator[Cells]:
    """Put all rows, or as many as there may be, in ever finer cells.

    There are none where points would not be fewer, or not stand for the rows.
    """
    K, d = n_components, em.blocks.n_features
    n = rows_in_cells(em)
    finest = n // (WORTH * (d + 1))
    if d > MOST_FEATURES or finest < LEAST_CELLS * K or not _divisible(em):
        return
    few = isinstance(em.blocks, ArrayBlocks) and n == em.blocks.n_samples
    most, growth = finest.bit_length() - 1, GROWTH.bit_length() - 1
    times = min(CELLS * K, finest).bit_length() - 1
    cells = Cells.of(em if few else em.restricted(n, rng), times)
    yield cells
    while times + growth <= most:
        times += growth
        cells = cells.finer(growth)
        yield cells


def _divisible(em: EMMap) -> bool:
    """Whether a point may be between rows: each value counts as any other does."""
    coordinates = em.coordinates
    if em.blocks.incomplete or len(em.blocks.known_components):
        return False
    if coordinates.unit is not None:
        return False
    return coordinates.ties is None or not coordinates.ties.atoms


def halved(
    cells: np.ndarray, slope: np.ndarray, times: int
) -> tuple[np.ndarray, np.ndarray]:
    """Halve cells (…, cells, m) so many times, and return the rows that are left over.

    Each by the feature in which it spreads the most.
    """
    left = [cells[:, 0, :0]]
    for _ in range(times):
        _, n_cells, size = cells.shape
        with np.errstate(over="ignore"):
            spans = [np.ptp(c, axis=1) * s for c, s in zip(cells, slope, strict=False)]
        widest = np.argmax(spans, axis=0)
        key = cells[0].copy()
        for feature in range(1, len(slope)):
            here = np.flatnonzero(widest == feature)
            key[here] = cells[feature, here]
        order = np.argpartition(key, size // 2, axis=1)
        order += np.arange(0, n_cells * size, size)[:, None]
        columns = [column.ravel() for column in cells]
        if size % 2:
            left.append(np.stack([column[order[:, -1]] for column in columns]))
        order = order[:, : size // 2 * 2].reshape(2 * n_cells, -1)
        cells = np.stack([column[order] for column in columns])
    return cells, np.hstack(left)


def points_of(cells: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return what cells (…, cells, m) are as points, (d + 1, cells, d + 1).

    Their weights come last.
    """
    d = len(slope)
    X, v = cells[:d], _with_weights(cells, d)[d]
    # Of values that are all equal nothing is left, not even rounding.
    first = X[:, :, :1]
    Z = (X - first) * slope[:, None, None]
    mass = v.sum(axis=1, keepdims=True)
    share = v / mass
    means = (Z * share).sum(axis=2, keepdims=True)
    Z -= means
    covariances = np.einsum("icm,jcm->cij", Z * share, Z)
    variances, axes = np.linalg.eigh(np.nan_to_num(covariances))
    axes *= np.sqrt(np.maximum(variances, 0))[:, None]
    axes[::2] *= -1
    points = np.empty((d + 1, len(v), d + 1))
    points[:d] = (axes @ _simplex(d)).transpose(1, 0, 2) + means
    points[:d] = points[:d] / slope[:, None, None] + first
    points[d] = mass / (d + 1)
    return points


def _simplex(d: int) -> np.ndarray:
    """Return d + 1 points in d dimensions, (d, d + 1), of mean 0 and covariance 1."""
    corners = np.eye(d + 1) - 1 / (d + 1)
    return np.linalg.svd(corners)[0].T[:d] * math.sqrt(d + 1)


def _with_weights(rows: np.ndarray, d: int) -> np.ndarray:
    """Return rows (…, m) with weights after their d features."""
    if len(rows) > d:
        return rows
    return np.concatenate([rows, np.ones_like(rows[:1])])


def _below_mean(em: EMMap, parameters: Parameters, points: np.ndarray) -> np.ndarray:
    """Return how far each cell's points lie below its mean, in nats.

    Under the component that is likeliest there.
    """
    d, n_cells, each = points.shape
    at = em.expectation(parameters)

    def log_densities(data: np.ndarray) -> np.ndarray:
        block = Block(0, data.shape[1], data, None)
        return at.component_log_density(block, Workspace())

    of_mean = log_densities(points[:-1].mean(axis=2))
    of_points = log_densities(points[:-1].reshape(d - 1, -1))
    of_points = of_points.reshape(-1, n_cells, each).mean(axis=2)
    likeliest = np.argmax(of_mean + np.log(parameters.weights)[:, None], axis=0)
    one = likeliest, np.arange(n_cells)
    return of_mean[one] - of_points[one]
