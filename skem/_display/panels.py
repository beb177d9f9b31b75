"""The layers of a picture of a mixture: each draws one thing into axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skem._display import density
from skem._display.marginal import marginal, roots
from skem._display.style import BARS, BLACK, GRAY, REGIONS, Style, point_style, scale
from skem.gaussian_mixture import GaussianMixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.contour import QuadContourSet
    from matplotlib.lines import Line2D
    from matplotlib.patches import Ellipse, StepPatch


def draw_histogram(ax: Axes, heights: np.ndarray, edges: np.ndarray) -> StepPatch:
    """Draw a histogram of the data behind everything else."""
    return ax.stairs(
        heights, edges, fill=True, color=BARS, linewidth=0, label="data", zorder=0
    )


def draw_curves(
    ax: Axes,
    mixture: GaussianMixture,
    j: int,
    limits: tuple[float, float],
    styles: Sequence[Style],
) -> list[Line2D]:
    """Draw the weighted density of each component, and last their sum."""
    x = density.axis_points(mixture, j, limits, 200)
    components = density.curves(mixture, j, x)
    size = scale(ax)
    lines = []
    for k, curve in enumerate(components):
        color, _, dashes = styles[k]
        label = f"component {k}"
        lines += ax.plot(x, curve, color=color, ls=dashes, lw=1.2 * size, label=label)
        ax.fill_between(x, curve, color=color, alpha=0.12, lw=0)
    total = components.sum(axis=0)
    lines += ax.plot(x, total, color=BLACK, lw=1.6 * size, label="mixture", zorder=2.5)
    return lines


def draw_points(
    ax: Axes, X: np.ndarray, labels: np.ndarray, relative: np.ndarray | None
) -> list[PathCollection]:
    """Draw rows, coloured by label; markers have areas relative to a common one."""
    area = float(np.clip(3000 / len(X), 2, 12)) * scale(ax) ** 2
    areas = np.full(len(X), area)
    if relative is not None:
        areas *= relative
    collections = []
    for k in np.unique(labels).tolist():
        rows = labels == k
        color, marker, _ = point_style(k)
        collections.append(
            ax.scatter(
                X[rows, 0],
                X[rows, 1],
                s=areas[rows],
                color=color,
                marker=marker,
                alpha=0.65,
                # A cross has no inside.
                linewidths=0 if k >= 0 else 0.6,
                label=f"component {k}" if k >= 0 else "noise",
                zorder=2,
            )
        )
    return collections


def draw_ellipses(
    ax: Axes,
    mixture: GaussianMixture,
    pair: tuple[int, int],
    deviations: Sequence[float],
    styles: Sequence[Style],
) -> list[Ellipse]:
    """Draw the ellipses of Mahalanobis distances `deviations` about each mean."""
    from matplotlib.patches import Ellipse

    plane = marginal(mixture, pair)
    # A = P S Qᵀ maps the unit circle to the ellipse with semi-axes S along P.
    directions, lengths, _ = np.linalg.svd(roots(plane))
    angles = np.degrees(np.arctan2(directions[:, 1, 0], directions[:, 0, 0]))
    ellipses = []
    for k, mean in enumerate(plane.means_):
        color, _, dashes = styles[k]
        for r in deviations:
            ellipse = Ellipse(
                (float(mean[0]), float(mean[1])),
                *density.within_limit(2 * r, lengths[k]),
                angle=float(angles[k]),
                facecolor="none",
                edgecolor=color,
                linestyle=dashes,
                linewidth=1.2 * scale(ax),
                zorder=3,
            )
            ax.add_patch(ellipse)
            ellipses.append(ellipse)
    return ellipses


def draw_regions(
    ax: Axes,
    mixture: GaussianMixture,
    pair: tuple[int, int],
    limits: tuple[tuple[float, float], tuple[float, float]],
    mass: Sequence[float],
) -> tuple[np.ndarray, QuadContourSet]:
    """Draw the regions of highest density, and return their levels with them."""
    from matplotlib.colors import LinearSegmentedColormap

    plane = marginal(mixture, pair)
    levels = density.levels(plane, mass)
    x, y = (density.axis_points(plane, j, limits[j], 80) for j in (0, 1))
    values = density.log_density_grid(plane, x, y)
    # Levels are the same only where all of the mass is in one floating-point number.
    outside_in = np.unique(levels)
    shades = LinearSegmentedColormap.from_list("regions", REGIONS)
    colors = shades(np.linspace(0, 1, len(outside_in)))
    top = max(float(values.max()), float(outside_in[-1])) + 1
    ax.contourf(x, y, values, [*outside_in, top], colors=colors, zorder=0)
    lines = ax.contour(
        x,
        y,
        values,
        outside_in,
        colors=GRAY,
        linewidths=0.6 * scale(ax),
        linestyles="-",
        zorder=1,
    )
    return levels, lines
