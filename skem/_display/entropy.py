"""The entropy of clusters against their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skem._display.style import (
    COLORS,
    GRAY,
    count_across,
    open_frame,
    ring,
    single_axes,
)
from skem._report.text import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_entropy(
    entropy: np.ndarray, chosen: int, lines: Sequence[np.ndarray], ax: Axes | None
) -> Axes:
    """Draw the entropies of 1 … K clusters, the lines that meet, and the choice."""
    ax = single_axes(ax)
    m = np.arange(1, len(entropy) + 1)
    ends = [(1, chosen), (chosen, len(entropy))]
    for line, span in zip(lines, ends, strict=False):
        ax.plot(span, np.polyval(line, span), color=GRAY, lw=1.2, ls="--", zorder=1)
    ax.plot(m, entropy, color=COLORS[0], marker="o", ms=4.5, lw=0, label="entropy")
    ring(ax, chosen, entropy[chosen - 1], count(chosen, "cluster"))
    count_across(ax, "clusters")
    ax.set_ylabel("entropy (nats)")
    ax.legend(frameon=False, fontsize="small")
    open_frame(ax)
    return ax
