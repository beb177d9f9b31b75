"""The axes of a pairs grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecBase

PANEL = 1.5
"""Side of a panel, in inches, in a figure that is made for the grid."""


def grid_axes(ax: Any, n_features: int) -> np.ndarray:
    """Return axes (n_features, n_features): given, in the place of one, or new."""
    shape = (n_features, n_features)
    if ax is None:
        import matplotlib.pyplot as plt

        side = PANEL * n_features
        figure = plt.figure(figsize=(side, side), layout="constrained")
        return _fill(figure.add_gridspec(*shape), figure)
    if not hasattr(ax, "get_subplotspec"):
        axes = np.asarray(ax, dtype=object)
        if axes.shape != shape:
            raise ValueError(f"Expected ax to have shape {shape}, got {axes.shape}")
        return axes
    ax.set_axis_off()
    return _fill(_grid_within(ax, shape), ax.figure)


def _grid_within(ax: Axes, shape: tuple[int, int]) -> GridSpecBase:
    place = ax.get_subplotspec()
    if place is not None:
        return place.subgridspec(*shape)
    box = ax.get_position()
    return ax.figure.add_gridspec(
        *shape, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1
    )


def _fill(grid: GridSpecBase, figure: Any) -> np.ndarray:
    """Add axes: columns share x, and rows y but for the densities on the diagonal."""
    n = grid.nrows
    axes = np.empty((n, n), dtype=object)
    for i in range(n):
        for j in range(n):
            column = axes[0, j] if i else None
            row = axes[i, 0 if i else 1] if j > (0 if i else 1) and i != j else None
            axes[i, j] = figure.add_subplot(grid[i, j], sharex=column, sharey=row)
    return axes


def label_outer(axes: np.ndarray, names: list[str]) -> None:
    """Leave labels to the last row and the first column."""
    last = len(names) - 1
    for (i, j), ax in np.ndenumerate(axes):
        ax.tick_params(
            labelsize="x-small", labelbottom=i == last, labelleft=j == 0 and i > 0
        )
        if i == j:
            ax.set_yticks([])
        ax.set_xlabel(names[j] if i == last else "", fontsize="small")
        ax.set_ylabel(names[i] if j == 0 else "", fontsize="small")
    axes[0, 0].figure.align_ylabels(axes[:, 0])
