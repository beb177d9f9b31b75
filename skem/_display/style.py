"""Colours, markers and figures that all pictures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import AbstractPathEffect

# Okabe & Ito (2008), without the yellow, which is too pale for lines, and the black,
# which is for what belongs to no component.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", ":", "-.")
BLACK = "#1A1A1A"
GRAY = "#8C8C8C"
SLATE = "#4D4D4D"
"""Of components where colours are those of labels."""
BARS = "#DCDCDC"
REGIONS = ("#F2F2F2", "#BDBDBD")
"""The outermost region of highest density, and the innermost."""


class Style(NamedTuple):
    """What one component, or one line, is told from the others by."""

    color: str
    marker: str
    dashes: str


def style(k: int) -> Style:
    """Return the k-th style: colours first, then markers and dashes, as they run out.

    >>> style(0).color == style(6).color, style(0).marker == style(6).marker
    (True, False)
    """
    lap, index = divmod(k, len(COLORS))
    return Style(COLORS[index], MARKERS[lap % 6], DASHES[lap % 4])


def component_styles(n: int, *, neutral: bool) -> list[Style]:
    """Return the styles of components: without colour where labels have the colours.

    >>> [each.color == style(0).color for each in component_styles(2, neutral=False)]
    [True, False]
    """
    styles = [style(k) for k in range(n)]
    return [Style(SLATE, "", each.dashes) for each in styles] if neutral else styles


def point_style(k: int) -> Style:
    """Return the style of points; −1 is for those that belong to no component."""
    return style(k) if k >= 0 else Style(GRAY, "x", ":")


def line_style(k: int) -> Style:
    """Return a style for one of a few lines: colours and markers change together."""
    lap, index = divmod(k, len(COLORS))
    marker = MARKERS[(index + lap) % len(MARKERS)]
    return Style(COLORS[index], marker, DASHES[lap % len(DASHES)])


def single_axes(ax: Axes | None) -> Axes:
    """Return the axes, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def scale(ax: Axes) -> float:
    """Return a factor for lines and markers, below one in small axes."""
    box = ax.get_window_extent()
    inches = min(box.width, box.height) / ax.figure.dpi
    return min(max(inches / 2, 0.5), 1.0)


def halo() -> list[AbstractPathEffect]:
    """Return a white outline, on which text is legible over anything."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2, foreground="white")]


def ring(ax: Axes, x: float, y: float, label: str) -> Line2D:
    """Draw a ring about what is chosen."""
    (drawn,) = ax.plot(
        x,
        y,
        marker="o",
        ms=11,
        mfc="none",
        mec=BLACK,
        mew=1.2,
        ls="",
        label=label,
        zorder=4,
    )
    return drawn


def count_across(ax: Axes, what: str) -> None:
    """Let a number of `what` be on the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    # At least one tick: more would be fractions where there is but one number.
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel(f"number of {what}")


def open_frame(ax: Axes) -> None:
    """Leave the frame open above and to the right."""
    ax.spines[["top", "right"]].set_visible(False)
