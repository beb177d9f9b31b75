"""The axes of a pairs grid."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from skem._report.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecBase

CHARACTER = 0.075
"""Mean width of a character of a small font, in inches, with some room to spare."""
PANEL = 1.5
"""Side of a panel, in inches, in a figure that is made for the grid."""
LEGEND = 1.8
"""Width of a legend beside the grid, in inches."""


def figure_size(n_features: int, *, beside: bool = True) -> tuple[float, float]:
    """Return the size of a figure that is made for the grid, and what is beside it."""
    side = PANEL * n_features
    return side + LEGEND * beside, side


def has_room_beside(ax: Any, n_features: int) -> bool:
    """Whether a legend can be beside a grid: the figure is wide, and theirs alone."""
    if ax is None:
        return True
    if not hasattr(ax, "get_subplotspec") or ax.figure.axes != [ax]:
        return False
    place, engine = ax.get_subplotspec(), ax.figure.get_layout_engine()
    if place is None or place.get_gridspec().get_geometry() != (1, 1):
        return False
    width = ax.figure.bbox.width / ax.figure.dpi
    # Of layouts, the constrained one alone makes room for legends.
    constrained = engine is not None and not engine.adjust_compatible
    return constrained and bool(width >= figure_size(n_features)[0])


def title_above(axes: np.ndarray, title: str) -> None:
    """Draw a title above the middle of a grid.

    It is that of panels: a layout draws panels over a title of the axes around them.
    """
    odd = len(axes) % 2
    axes[0, len(axes) // 2].set_title(title, fontsize="medium", x=0.5 if odd else 0.0)


def grid_axes(ax: Any, n_features: int, *, beside: bool) -> np.ndarray:
    """Return axes (n_features, n_features): given, in the place of one, or new."""
    shape = (n_features, n_features)
    if ax is None:
        import matplotlib.pyplot as plt

        size = figure_size(n_features, beside=beside)
        figure = plt.figure(figsize=size, layout="constrained")
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
    from matplotlib.ticker import ScalarFormatter

    last = len(names) - 1
    for (i, j), ax in np.ndenumerate(axes):
        ax.tick_params(
            labelsize="x-small", labelbottom=i == last, labelleft=j == 0 and i > 0
        )
        for axis in (ax.xaxis, ax.yaxis):
            # Long numbers would run into each other.
            if isinstance(formatter := axis.get_major_formatter(), ScalarFormatter):
                formatter.set_powerlimits((-2, 4))
            axis.get_offset_text().set_fontsize("x-small")
        if i == j:
            ax.set_yticks([])
        ax.set_xlabel(_broken(names[j], ax, 0) if i == last else "", fontsize="small")
        ax.set_ylabel(_broken(names[i], ax, 1) if j == 0 else "", fontsize="small")
    space = _space_for_offsets(axes[last])
    for ax in axes[last]:
        ax.xaxis.labelpad += space
    axes[0, 0].figure.align_ylabels(axes[:, 0])


def _broken(name: str, ax: Axes, side: int) -> str:
    """Break a name into two lines that are not longer than a side of the axes."""
    if name.count("$") > 1:
        # A formula, which is shorter than its text.
        return name
    box = ax.get_window_extent()
    inches = (box.width, box.height)[side] / ax.figure.dpi
    width = max(8, int(inches / CHARACTER))
    first, *others = textwrap.wrap(name, width, break_on_hyphens=False) or [""]
    return "\n".join([first, shorten(" ".join(others), width)]) if others else first


def _space_for_offsets(axes: np.ndarray) -> float:
    """Return the height of what tick labels have in common, in points, 0 without.

    It is below the ticks, on the right, where the label of the axis may be, too.
    """
    for ax in axes:
        formatter = ax.xaxis.get_major_formatter()
        formatter.format_ticks(ax.get_xticks())
        if formatter.get_offset():
            return float(ax.xaxis.get_offset_text().get_fontsize())
    return 0.0
