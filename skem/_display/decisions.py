"""What a mixture decides: its classes and their boundaries, and how uncertain it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skem._display import density
from skem._display.marginal import marginal
from skem._display.style import BLACK, GRAY, REGIONS, Style, scale, style
from skem.gaussian_mixture import GaussianMixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

TINT = 0.16
"""How much of a component's colour its region has."""
SHADES = 5
"""Levels of uncertainty."""
Limits = tuple[tuple[float, float], tuple[float, float]]


def largest_uncertainty(mixture: GaussianMixture) -> float:
    """Return 1 − max_k r_k where all components are as probable."""
    return 1 - 1 / np.count_nonzero(mixture.weights_)


def _log_joint(mixture: GaussianMixture, X: np.ndarray) -> np.ndarray:
    """Log w_k N(x | μ_k, Σ_k), of components with a weight; (n, K)."""
    with np.errstate(divide="ignore"):
        return mixture.component_log_density(X) + np.log(mixture.weights_)


def _plane(
    mixture: GaussianMixture, pair: tuple[int, int], limits: Limits
) -> tuple[GaussianMixture, np.ndarray, np.ndarray, np.ndarray]:
    """Return the marginal of two features, and a grid of points there."""
    plane = marginal(mixture, pair)
    x, y = (density.axis_points(plane, j, limits[j], 120) for j in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return plane, x, y, grid


def draw_regions_of_components(
    ax: Axes,
    mixture: GaussianMixture,
    pair: tuple[int, int],
    limits: Limits,
    styles: Sequence[Style],
) -> None:
    """Tint the region of each component, and draw the boundaries between them."""
    from matplotlib.colors import ListedColormap, to_rgb

    plane, x, y, grid = _plane(mixture, pair, limits)
    joint = _log_joint(plane, grid)
    K = joint.shape[1]
    tints = [1 - TINT * (1 - np.array(to_rgb(each.color))) for each in styles]
    classes = joint.argmax(axis=1).reshape(len(y), len(x))
    ax.pcolormesh(
        x,
        y,
        classes,
        cmap=ListedColormap(tints),
        vmin=-0.5,
        vmax=K - 0.5,
        shading="nearest",
        zorder=0,
        rasterized=True,
    )
    for k in range(K):
        others = np.delete(joint, k, axis=1).max(axis=1, initial=-np.inf)
        with np.errstate(invalid="ignore"):
            ahead = np.clip(joint[:, k] - others, -50, 50).reshape(classes.shape)
        if ahead.min() < 0 < ahead.max():
            ax.contour(
                x,
                y,
                ahead,
                [0.0],
                colors=GRAY,
                linewidths=0.8 * scale(ax),
                linestyles="-",
                zorder=1,
            )


def draw_uncertainty(
    ax: Axes, mixture: GaussianMixture, pair: tuple[int, int], limits: Limits
) -> None:
    """Shade 1 − max_k r_k, the darker the more uncertain."""
    from matplotlib.colors import LinearSegmentedColormap

    plane, x, y, grid = _plane(mixture, pair, limits)
    uncertain = _uncertainty(plane, grid).reshape(len(y), len(x))
    top = largest_uncertainty(plane)
    if top > 0:
        levels = np.linspace(0, top, SHADES + 1)
        shades = LinearSegmentedColormap.from_list("uncertainty", ("white", REGIONS[1]))
        colors = shades(np.linspace(0, 1, SHADES))
        uncertain = np.clip(uncertain, 0, top)
        ax.contourf(x, y, uncertain, levels, colors=colors, zorder=0)


def _uncertainty(mixture: GaussianMixture, X: np.ndarray) -> np.ndarray:
    return 1 - mixture.predict_proba(X).max(axis=1)


def draw_line_of_components(
    ax: Axes, mixture: GaussianMixture, limits: tuple[float, float]
) -> None:
    """Tint the parts of a line by the component that is the most probable there."""
    x = density.axis_points(mixture, 0, limits, 1000)
    classes = _log_joint(mixture, x[:, None]).argmax(axis=1)
    changes = np.flatnonzero(np.diff(classes))
    bounds = (x[changes] + x[changes + 1]) / 2
    starts = [limits[0], *bounds]
    for left, right, k in zip(
        starts, [*bounds, limits[1]], classes[[0, *(changes + 1)]], strict=True
    ):
        ax.axvspan(left, right, color=style(k).color, alpha=TINT, lw=0, zorder=0)
    for bound in bounds:
        ax.axvline(bound, color=GRAY, lw=0.8, zorder=1)


def draw_line_of_uncertainty(
    ax: Axes, mixture: GaussianMixture, limits: tuple[float, float]
) -> list[Line2D]:
    """Draw 1 − max_k r_k along a line."""
    x = density.axis_points(mixture, 0, limits, 1000)
    return ax.plot(x, _uncertainty(mixture, x[:, None]), color=BLACK, lw=1.2)
