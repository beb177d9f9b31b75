"""The legend of a picture of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skem._display.style import BARS, BLACK, GRAY, REGIONS, Style, point_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LISTED = 8
"""Components that are listed; more have their numbers alone."""


def components(weights: np.ndarray, styles: Sequence[Style]) -> list[Any]:
    """Return an entry for each component, with its weight, if they are few."""
    from matplotlib.lines import Line2D

    if len(weights) > LISTED:
        return [Line2D([], [], color=GRAY, ls="-", label="components, by number")]
    entries = []
    for k, weight in enumerate(weights):
        color, marker, dashes = styles[k]
        entries.append(
            Line2D(
                [],
                [],
                color=color,
                ls=dashes,
                marker=marker,
                ms=4,
                label=f"component {k} ({weight:.0%})",
            )
        )
    return entries


def labels(values: np.ndarray, names: dict[int, str]) -> list[Any]:
    """Return an entry for each label that points are coloured by, if they are few."""
    from matplotlib.lines import Line2D

    present = np.unique(values).tolist()
    if len(present) > LISTED:
        return []
    entries = []
    for k in present:
        color, marker, _ = point_style(k)
        name = names.get(k, f"label {k}")
        entries.append(Line2D([], [], color=color, ls="", marker=marker, label=name))
    return entries


def curves(*, data: bool) -> list[Any]:
    """Return entries for the curve of the mixture and the histogram."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    line = Line2D([], [], color=BLACK, lw=1.6, label="mixture")
    return [line, Patch(color=BARS, lw=0, label="data")] if data else [line]


def ellipses(deviations: Sequence[float]) -> list[Any]:
    """Return an entry for the ellipses."""
    from matplotlib.lines import Line2D

    if not len(deviations):
        return []
    sizes = ", ".join(f"{each:g}" for each in deviations)
    return [
        Line2D(
            [],
            [],
            color=GRAY,
            marker="o",
            mfc="none",
            ls="",
            ms=8,
            label=f"{sizes} standard deviations",
        )
    ]


def regions(mass: Sequence[float]) -> list[Any]:
    """Return an entry for each region of highest density."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch

    shades = LinearSegmentedColormap.from_list("regions", REGIONS)
    inside_out = np.sort(np.asarray(mass, dtype=float))
    colors = shades(np.linspace(1, 0, len(inside_out)))
    return [
        Patch(fc=color, ec=GRAY, lw=0.6, label=f"{each:.4g} % of the mixture")
        for color, each in zip(colors, 100 * inside_out, strict=True)
    ]


def draw(ax: Axes, entries: Sequence[Any], points: np.ndarray, *, beside: bool) -> None:
    """Draw entries beside the axes, or in the corner with the fewest points (n, 2)."""
    place: dict[str, Any] = {"loc": _freest(ax, points), "framealpha": 0.8}
    if beside:
        place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    ax.legend(handles=list(entries), fontsize="x-small", **place)


def _freest(ax: Axes, points: np.ndarray) -> str:
    """Return the corner that holds the fewest points.

    matplotlib's own "best" place takes minutes where numbers are huge.
    """
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    x, y = points.T
    with np.errstate(all="ignore"):
        x = (x / 2 - left / 2) / (right / 2 - left / 2)
        y = (y / 2 - bottom / 2) / (top / 2 - bottom / 2)
    inside = {"upper": y > 0.5, "lower": y <= 0.5, "right": x > 0.5, "left": x <= 0.5}
    corners = [f"{i} {j}" for i in ("upper", "lower") for j in ("right", "left")]
    return min(
        corners,
        key=lambda c: np.count_nonzero(inside[c.split()[0]] & inside[c.split()[1]]),
    )


def draw_outside(figure: Any, entries: Sequence[Any]) -> None:
    """Draw entries to the right of a grid."""
    figure.legend(
        handles=list(entries),
        loc="outside right upper",
        fontsize="small",
        frameon=False,
    )
