"""Numbers of components, written where they do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skem._display import density
from skem._display.marginal import marginal, roots, standard_deviations
from skem._display.style import Style, halo
from skem.gaussian_mixture import GaussianMixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS_APART = 9.0
"""Least distance between numbers, in points of a font of the common size."""


def number_curves(ax: Axes, mixture: GaussianMixture, styles: Sequence[Style]) -> None:
    """Write the number of each component under its curve, of the only feature."""
    means, deviations = mixture.means_[:, 0], standard_deviations(mixture)[:, 0]
    peaks = density.peaks(mixture, 0)
    # Standard deviations from the mean, and shares of the height of the curve there.
    z = np.array([0, 0, 0, 0.6, -0.6, 1, -1])
    share = np.array([0.5, 0.75, 0.25, 0.5, 0.5, 0.6, 0.6]) * np.exp(-0.5 * z**2)
    x = means[:, None] + density.within_limit(z, deviations[:, None])
    places = np.stack(np.broadcast_arrays(x, peaks[:, None] * share), axis=-1)
    _write(ax, places, np.argsort(peaks), 1.0, styles)


def number_means(
    ax: Axes,
    mixture: GaussianMixture,
    pair: tuple[int, int],
    scale: float,
    styles: Sequence[Style],
) -> None:
    """Write the number of each component at its mean, or else on an axis of it."""
    plane = marginal(mixture, pair)
    axes, lengths, _ = np.linalg.svd(roots(plane))
    ends = np.swapaxes(axes * lengths[:, None, :], 1, 2)
    further = [density.within_limit(r, ends) for r in (1, -1, 2, -2)]
    offsets = np.concatenate([np.zeros_like(ends[:, :1]), *further], axis=1)
    places = plane.means_[:, None, :] + offsets
    # Small components have no other place that is clearly theirs.
    _write(ax, places, np.argsort(lengths[:, 0]), scale, styles)


def _write(
    ax: Axes,
    places: np.ndarray,
    order: np.ndarray,
    scale: float,
    styles: Sequence[Style],
) -> None:
    """Give each component the first of its places that is free, or the freest."""
    pixels = ax.transData.transform(places.reshape(-1, 2)).reshape(places.shape)
    apart = POINTS_APART * scale * ax.figure.dpi / 72
    taken = np.empty((0, 2))
    for k in map(int, order):
        gaps = pixels[k][:, None] - taken
        room = np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1, initial=apart)
        best = int(np.argmax(room))
        taken = np.vstack([taken, pixels[k][best]])
        ax.text(
            float(places[k, best, 0]),
            float(places[k, best, 1]),
            str(k),
            color=styles[k].color,
            fontsize=9 * scale,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=halo(),
            clip_on=True,
            zorder=4,
        )
