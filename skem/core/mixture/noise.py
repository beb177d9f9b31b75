"""Noise: one more component, of constant density over the region of the data.

Its weight is what those of the other components leave of one, so that parameters are
the same with it or without. Fraley & Raftery (2002, JASA 97, section 4.4). Which rows
are noise to begin with, distances to near neighbours tell (Byers & Raftery 1998, JASA
93).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import expit

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates, Extent, extent_of
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.storage import TINY
from skem.core.mixture.expectation import total_statistics

NEIGHBOURS = 12
"""The neighbour that a row's distance is measured to, of enough rows."""
REFERENCES = 2_000
"""Rows, at most, among which neighbours are looked for."""
DISTANCES_TOGETHER = 2**20
"""Distances that are computed at once."""
LOG_LIMIT = 700.0
"""Logarithm of a number that can still be added to others."""
CLEANING = 100
"""EM steps of the two rates, at most."""
NO_VOLUME = (
    "noise=True takes the volume of the region of the data, which is zero, as feature "
    "{} is {}. Leave it out, or pass the density of the noise."
)


def check_noise(noise: Any) -> Any:
    """Return True, the density of the noise, or None if there is none."""
    if isinstance(noise, bool | np.bool_):
        return True if noise else None
    return noise


def check_volume(noise: Any, null_basis: np.ndarray | None) -> None:
    """Raise `ValueError` if there is no volume, as there are null directions (q, d)."""
    if noise is True and null_basis is not None:
        feature = int(np.linalg.norm(null_basis, axis=0).argmax())
        what = "a linear combination of the other features"
        raise ValueError(NO_VOLUME.format(feature, what))


@dataclass(frozen=True)
class Background:
    """A box that noise is spread over evenly, in units of the data.

    `log_widths` (d,) add up to the logarithm of its volume; of what is observed of an
    incomplete row, those of the features that it has. Edges start at `corner`, and are
    what rows are drawn from: along a feature or, of the box in principal axes, along
    none. `half_edges` (d, d) has half of one in each row.
    """

    log_widths: np.ndarray
    corner: np.ndarray
    half_edges: np.ndarray

    @classmethod
    def of(cls, blocks: Blocks, coordinates: Coordinates, noise: Any) -> Background:
        """Return the region of data; `noise` is True, or the density in it.

        As mclust's `hypvol`, the smaller of the boxes along the features and along the
        principal axes. Raises `ValueError` if that has no volume. Of a given density,
        the box along the features, about its middle made as large as that says.
        """
        extent = extent_of(blocks)
        half = extent.high / 2 - extent.low / 2
        with np.errstate(over="ignore", divide="ignore"):
            widths = extent.high - extent.low
            # Halves are in range where a width is not.
            own_widths = np.where(
                np.isinf(widths), np.log(half) + np.log(2), np.log(widths)
            )
        corner, half_edges = extent.low, np.diag(half)
        if noise is True:
            constant = np.flatnonzero(widths <= 0)
            if len(constant):
                raise ValueError(NO_VOLUME.format(int(constant[0]), "constant"))
            log_volume = own_widths.sum()
            tilted = None if blocks.incomplete else _principal_box(blocks, coordinates)
            if tilted is not None and tilted[0] < log_volume:
                log_volume, corner, half_edges = tilted
        else:
            log_volume = -np.log(float(noise))
        own_widths = np.where(widths > 0, own_widths, 0.0)
        log_widths = own_widths + (log_volume - own_widths.sum()) / len(widths)
        if noise is not True:
            half_sizes = np.exp(np.minimum(log_widths, LOG_LIMIT)) / 2
            corner, half_edges = extent.low + (half - half_sizes), np.diag(half_sizes)
        return cls(log_widths, corner, half_edges)

    @property
    def volume(self) -> float:
        """Volume in units of the data."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.log_widths.sum()))

    @property
    def along_features(self) -> bool:
        """Whether its edges are: then noise has independent features."""
        return not np.any(self.half_edges - np.diag(np.diag(self.half_edges)))

    @property
    def centre(self) -> np.ndarray:
        """The middle (d,) of the box."""
        return self.corner + self.half_edges.sum(axis=0)

    def marginal(self, features: np.ndarray) -> Background:
        """Return that of some features, of a box along the features."""
        half_edges = self.half_edges[np.ix_(features, features)]
        return Background(self.log_widths[features], self.corner[features], half_edges)

    def inward(self, coordinates: Coordinates) -> np.ndarray:
        """Return the logarithms of the widths in coordinates."""
        return self.log_widths + coordinates.log_slopes

    def draw(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw rows."""
        uniform = rng.uniform(size=(n_samples, len(self.corner)))
        half = uniform @ self.half_edges
        return self.corner + half + half


def _principal_box(
    blocks: Blocks, coordinates: Coordinates
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Return the box along the principal axes: log-volume, corner and half edges.

    None if it is out of range, or has no volume to within rounding.
    """
    own = np.ones_like(coordinates.scale)
    if coordinates.unit is not None:
        own = coordinates.unit
    # Of x·unit; in units of the largest, a power of two, squares are in range.
    powers = -np.log2(own).astype(int)
    mantissas, exponents = np.frexp(1 / coordinates.scale)
    power = int((powers + exponents).max())
    unit = np.ldexp(mantissas, powers + exponents - power)
    axes = _principal(blocks, coordinates, unit)
    if axes is None:
        return None
    along = _extent_along(blocks, coordinates, axes * unit[:, None])
    sizes = along.high - along.low
    if sizes.min() <= 1e-9 * sizes.max():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        shift = np.ldexp(coordinates.shift, powers)
        corner = shift + np.ldexp(along.low @ axes.T, power)
        half_edges = np.ldexp((axes * sizes).T, power - 1)
        opposite = corner + 2 * np.abs(half_edges).sum(axis=0)
    if not np.isfinite([corner, opposite]).all():
        return None
    return np.log(sizes).sum() + len(sizes) * power * np.log(2), corner, half_edges


def _principal(
    blocks: Blocks, coordinates: Coordinates, unit: np.ndarray
) -> np.ndarray | None:
    """Return the principal axes (d, d), in columns; None if squares overflow."""
    with np.errstate(all="ignore"):
        total = total_statistics(blocks, coordinates, STRUCTURES["full"])
        scatter = total.scatter()
        covariance = scatter.values[0] / scatter.counts[0] * np.outer(unit, unit)
    return np.linalg.eigh(covariance)[1] if np.isfinite(covariance).all() else None


def _extent_along(blocks: Blocks, coordinates: Coordinates, axes: np.ndarray) -> Extent:
    """Return the extent of the data in coordinates along axes, in columns."""

    def kernel(block: Block, workspace: Workspace) -> Extent:
        z = coordinates.load(
            block.data, workspace.array("z", block.data.shape, np.float64)
        )
        along = axes.T @ z
        if not along.shape[1]:
            return Extent.of_nothing(len(along))
        return Extent(along.min(axis=1), along.max(axis=1))

    return blocks.fold(kernel, 2 * len(axes))


def clean(Z: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Mask of the rows (n, d) that are no noise, by the distance to a near neighbour.

    For points of a Poisson process of rate λ in d dimensions, the d-th power of the
    distance to the k-th neighbour has a gamma distribution of shape k. A mixture of two
    rates is fitted to them, and the rows of the larger rate are no noise.
    """
    n, d = Z.shape
    references = Z[np.sort(rng.permutation(n)[:REFERENCES])]
    k = max(1, min(NEIGHBOURS, len(references) // 10))
    # One more: most rows are among the references themselves.
    if len(references) <= k + 1:
        return np.ones(n, bool)
    rows = max(1, DISTANCES_TOGETHER // len(references))
    squares = np.concatenate(
        [
            np.partition(cdist(Z[i : i + rows], references, "sqeuclidean"), k)[:, k]
            for i in range(0, n, rows)
        ]
    )
    logs = 0.5 * d * np.log(np.maximum(squares, TINY))
    # Powers of distances, in units of the middle one.
    powers = np.exp(np.clip(logs - np.median(logs), -100, 100))
    near = logs <= np.quantile(logs, 0.7)
    resp = near.astype(float)
    for _ in range(CLEANING):
        before = resp
        share = resp.mean()
        if not 0 < share < 1:
            break
        rates = [k * r.sum() / (r @ powers) for r in (resp, 1 - resp)]
        resp = expit(
            np.log(share / (1 - share))
            + k * np.log(rates[0] / rates[1])
            - (rates[0] - rates[1]) * powers
        )
        if np.abs(resp - before).max() < 1e-3:
            break
    return resp > 0.5
