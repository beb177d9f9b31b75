"""The parts of a picture of a mixture, put together for one, two or more features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from skem._display import decisions, density, legend, panels
from skem._display.grid import label_outer
from skem._display.numbers import number_curves, number_means
from skem._display.style import Style, component_styles, open_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skem._display.mixture import MixtureDisplay

LARGEST_AREA = 9.0
"""Area of the marker of a heavy row, in units of that of a mean one, at most."""


@dataclass
class Canvas:
    """Draws what a display shows, and collects what has been drawn."""

    shown: MixtureDisplay
    kind: str
    sizes: Sequence[float]
    mass: Sequence[float]
    lines: list = field(default_factory=list)
    points: list = field(default_factory=list)
    ellipses: list = field(default_factory=list)
    contours: list = field(default_factory=list)
    levels: list = field(default_factory=list)

    @cached_property
    def styles(self) -> list[Style]:
        """What components are told from each other by."""
        return component_styles(
            len(self.shown.mixture.weights_),
            # Of one feature, rows have no colours.
            neutral=len(self.shown.feature_names) > 1
            and self.shown.labels is not None
            and self.shown.label_names is not None,
        )

    def entries(self) -> list[Any]:
        """Return what the legend says."""
        p = len(self.shown.feature_names)
        entries = legend.components(self.shown.mixture.weights_, self.styles)
        labels, names = self.shown.labels, self.shown.label_names
        if labels is not None and p > 1:
            if names is None:
                labels, names = labels[labels < 0], {-1: "noise"}
            entries += legend.labels(labels, names)
        if p != 2 and (p > 2 or self.kind != "uncertainty"):
            entries += legend.curves(data=self.shown.histograms is not None)
        if p > 1:
            entries += legend.ellipses(self.sizes)
            if self.kind == "density":
                entries += legend.regions(self.mass)
        return entries

    def points_shown(self) -> np.ndarray:
        """Return points (n, 2) of one or two features, where a legend is not to be."""
        if self.lines:
            return np.stack(self.lines[-1].get_data(), axis=1)
        return self.shown.mixture.means_ if self.shown.X is None else self.shown.X

    def line(self, ax: Axes) -> None:
        """Draw the only feature."""
        limits = self._limits(0, ax.get_xscale())
        ax.set_xlabel(self.shown.feature_names[0])
        if self.kind == "uncertainty":
            self.lines += decisions.draw_line_of_uncertainty(
                ax, self.shown.mixture, limits
            )
            X, labels = self.shown.X, self.shown.labels
            if X is not None and labels is not None:
                if self.shown.uncertainty is not None:
                    rows = np.c_[X[:, 0], self.shown.uncertainty]
                    self.points += panels.draw_points(ax, rows, labels, None)
            ax.set_xlim(*limits)
            ax.set_ylim(bottom=0)
            open_frame(ax)
            ax.set_ylabel("uncertainty")
            return
        self._curves(ax, 0)
        if self.kind == "boundaries":
            decisions.draw_line_of_components(ax, self.shown.mixture, limits)
        number_curves(ax, self.shown.mixture, self.styles)
        ax.set_ylabel("density")

    def plane(self, ax: Axes) -> None:
        """Draw two features."""
        x, y = self.shown.feature_names
        self._behind(ax, (0, 1))
        self._ellipses(ax, (0, 1))
        number_means(ax, self.shown.mixture, (0, 1), 1.0, self.styles)
        ax.set_xlabel(x)
        ax.set_ylabel(y)

    def grid(self, axes: np.ndarray) -> None:
        """Draw all pairs of features."""
        for i, j in product(range(len(axes)), repeat=2):
            if i == j:
                self._curves(axes[i, j], j)
            elif i > j:
                self._ellipses(axes[i, j], (j, i))
            else:
                self._behind(axes[i, j], (j, i))
                number_means(axes[i, j], self.shown.mixture, (j, i), 0.75, self.styles)
        label_outer(axes, self.shown.feature_names)

    def _limits(self, j: int, axis: str = "linear") -> tuple[float, float]:
        shown = [] if self.shown.X is None else [self.shown.X[:, j]]
        if self.shown.histograms is not None:
            # The range of all rows, of which X may be a subset.
            shown.append(self.shown.histograms[j][1])
        x = np.concatenate(shown) if shown else None
        limits = density.view(self.shown.mixture, j, x)
        if axis == "log":
            return density.positive(limits, self.shown.mixture, j, x)
        return limits

    def _curves(self, ax: Axes, j: int) -> None:
        limits = self._limits(j, ax.get_xscale())
        if self.shown.histograms is not None:
            panels.draw_histogram(ax, *self.shown.histograms[j])
        self.lines += panels.draw_curves(ax, self.shown.mixture, j, limits, self.styles)
        ax.set_xlim(*limits)
        if ax.get_yscale() == "log":
            top = np.max(self.lines[-1].get_ydata())
            ax.set_ylim(top / density.DECADES, 2 * top)
        else:
            ax.set_ylim(bottom=0)
        open_frame(ax)

    def _ellipses(self, ax: Axes, pair: tuple[int, int]) -> None:
        if self.shown.X is not None and self.shown.labels is not None:
            self.points += panels.draw_points(
                ax, self.shown.X[:, pair], self.shown.labels, self._relative_areas()
            )
        self.ellipses += panels.draw_ellipses(
            ax, self.shown.mixture, pair, self.sizes, self.styles
        )
        self._set_limits(ax, pair)

    def _relative_areas(self) -> np.ndarray | None:
        if self.kind == "uncertainty" and self.shown.uncertainty is not None:
            top = decisions.largest_uncertainty(self.shown.mixture)
            return 0.5 + (LARGEST_AREA - 0.5) * self.shown.uncertainty / max(top, 1e-9)
        if self.shown.sample_weight is None:
            return None
        return np.minimum(
            self.shown.sample_weight / self.shown.sample_weight.mean(), LARGEST_AREA
        )

    def _behind(self, ax: Axes, pair: tuple[int, int]) -> None:
        limits = self._limits_of_both(ax, pair)
        if self.kind == "uncertainty":
            decisions.draw_uncertainty(ax, self.shown.mixture, pair, limits)
        elif self.kind == "boundaries":
            decisions.draw_regions_of_components(
                ax, self.shown.mixture, pair, limits, self.styles
            )
        else:
            levels, contours = panels.draw_regions(
                ax, self.shown.mixture, pair, limits, self.mass
            )
            self.levels.append(levels)
            self.contours.append(contours)
        self._set_limits(ax, pair)

    def _set_limits(self, ax: Axes, pair: tuple[int, int]) -> None:
        x, y = self._limits_of_both(ax, pair)
        ax.set_xlim(*x)
        ax.set_ylim(*y)

    def _limits_of_both(
        self, ax: Axes, pair: tuple[int, int]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        i, j = pair
        return self._limits(i, ax.get_xscale()), self._limits(j, ax.get_yscale())
