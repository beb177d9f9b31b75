"""TableDisplay: the columns of a table, component by component."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skem._display.density import histogram
from skem._display.features import MOST_PAIRED
from skem._display.panels import draw_histogram
from skem._display.style import open_frame, style
from skem._inputs.features import check_features
from skem._inputs.frames import in_memory
from skem._inputs.sklearn import check_matplotlib_support
from skem._inputs.validation import check_mixture, weight_of_each
from skem._report.text import shorten
from skem.core.gaussian.storage import TINY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3
"""Panels beside each other, at most."""
CURVE_POINTS = 300
ZEROS = 0.04
"""Share of the largest value that a bar of the probability of zero is wide."""
DRAWS = 2000
"""Draws that say where a column has its values."""
LONGEST_CATEGORY = 14
WIDEST_CATEGORIES = 32
"""Letters that have a place below a panel, side by side."""
MOST_CATEGORIES = 25
"""Names of categories that have a place below a panel, upright."""
MOST_BINS = 60
"""Edges of a histogram, at most."""


class TableDisplay:
    """Picture of the mixture of a table: a panel for each column.

    It is recommended to use :meth:`from_estimator` to create a `TableDisplay`. All
    parameters are stored as attributes.

    Columns of categories have bars, one for each component, of the proportions; columns
    of counts and of numbers the components' probabilities or densities. Amounts of
    which some are zero have bars of their probability beside densities of the others.

    Parameters
    ----------
    panels : dict of str to tuple
        For each column the kind of panel ('bars', 'counts', 'density' or 'hurdle'), the
        categories or values, and what is drawn there, of shape (n_components, n). The
        first value of a 'hurdle' is zero, of which it is the probability.

    weights : ndarray of shape (n_components,)
        Weights, for the legend.

    data : dict of str to tuple, default=None
        What the data have, drawn beside it: for each column (edges, heights) of a
        histogram, or of 'bars' and 'counts' (values, shares). Of a 'hurdle' the share
        of zeros comes third.

    Attributes
    ----------
    axes_ : dict of str to matplotlib Axes
        Axes of each column.

    figure_ : matplotlib Figure
        Figure with the picture.

    See Also
    --------
    TableDisplay.from_estimator : Picture of a fitted `MixtureModel`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from skem import TableDisplay
    >>> bars = ("bars", ["no", "yes"], np.array([[0.2, 0.8], [0.7, 0.3]]))
    >>> display = TableDisplay({"votes": bars}, np.array([0.6, 0.4])).plot()
    >>> len(display.axes_["votes"].patches)
    4
    >>> plt.close(display.figure_)
    """

    axes_: dict[str, Axes]
    figure_: Figure

    def __init__(
        self,
        panels: dict[str, tuple[str, Sequence[Any], np.ndarray]],
        weights: np.ndarray,
        data: dict[str, tuple[Any, ...]] | None = None,
    ) -> None:
        self.panels = panels
        self.weights = weights
        self.data = data

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
        features: Sequence[int | str] | int | str | None = None,
    ) -> Self:
        """Draw the columns of a fitted mixture.

        Parameters
        ----------
        estimator : MixtureModel or MixtureIC
            The fitted mixture, or a search, of which the chosen one is drawn.

        X : DataFrame or array-like of shape (n_samples, n_features), default=None
            A table, the data of which are drawn, too: histograms of numbers with the
            density of the whole mixture, and shares of counts and categories.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of its rows.

        features : int, str or sequence of them, default=None
            The columns to draw, by place or name, or a boolean mask of all columns.
            None: the first ten.

        Returns
        -------
        display : TableDisplay
            The picture, drawn.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skem import MixtureModel, TableDisplay
        >>> model = MixtureModel(families="bernoulli").fit([[0], [1], [1], [0]])
        >>> display = TableDisplay.from_estimator(model)
        >>> list(display.axes_)
        ['x0']
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        fitted = check_mixture(
            estimator,
            "MixtureModel",
            ("families_", "parameters_"),
            other=("means_", "MixtureDisplay draws Gaussian and t mixtures."),
        )
        names = list(fitted.families_)
        chosen = list(range(len(names)))[:MOST_PAIRED]
        if features is not None:
            chosen = check_features(features, names)
        panels = {names[j]: _panel(fitted, names[j], j) for j in chosen}
        if X is None:
            return cls(panels, fitted.weights_).plot()
        X = in_memory(X)
        values = fitted._map(X, sample_weight).numbers()
        weight = weight_of_each(sample_weight, values.shape[1])
        data = {names[j]: _seen(panels[names[j]], values[j], weight) for j in chosen}
        return cls(panels, fitted.weights_, data).plot()

    def plot(self) -> Self:
        """Draw the picture in a new figure.

        Returns
        -------
        display : TableDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        n = len(self.panels)
        across = min(ACROSS, n)
        down = math.ceil(n / across)
        self.figure_, axes = plt.subplots(
            down,
            across,
            squeeze=False,
            figsize=(3.4 * across, 2.6 * down),
            layout="constrained",
        )
        self.axes_ = dict(zip(self.panels, axes.flat, strict=False))
        for name, ax in self.axes_.items():
            self._draw(ax, name)
        for ax in list(axes.flat)[n:]:
            ax.remove()
        entries: dict[str, Any] = {}
        for ax in self.axes_.values():
            handles, labels = ax.get_legend_handles_labels()
            entries = dict(zip(labels, handles, strict=True)) | entries
        self.figure_.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=5
        )
        return self

    def _draw(self, ax: Axes, name: str) -> None:
        kind, values, heights = self.panels[name]
        K = len(heights)
        if self.data is not None:
            _draw_data(ax, kind, *self.data[name])
        if self.data is not None and kind in ("density", "hurdle"):
            x, mixture = np.asarray(values, float), self.weights @ heights
            some = slice(kind == "hurdle", None)
            ax.plot(x[some], mixture[some], color="k", linewidth=0.8, label="mixture")
        width = 0.8 / K
        for k, height in enumerate(heights):
            own = style(k)
            label = f"component {k} ({self.weights[k]:.0%})"
            if kind == "bars":
                place = np.arange(len(values)) + (k - (K - 1) / 2) * width
                ax.bar(place, height, width, color=own.color, label=label)
            else:
                # Of a hurdle without the zero.
                some = slice(kind == "hurdle", None)
                ax.plot(
                    np.asarray(values, float)[some],
                    height[some],
                    color=own.color,
                    linestyle=own.dashes,
                    marker="." if kind == "counts" else None,
                    label=label,
                )
        if kind == "bars":
            _name_categories(ax, values)
        if kind == "hurdle":
            seen = None if self.data is None else self.data[name][2]
            _draw_zeros(ax, float(values[-1]), heights[:, 0], seen)
        ax.set_ylim(bottom=0)
        ax.set_title(name, fontsize="medium")
        ax.set_ylabel("density" if kind in ("density", "hurdle") else "probability")
        open_frame(ax)


def _name_categories(ax: Axes, values: Sequence[Any]) -> None:
    """Write names below bars: upright if they are too wide, and not all of many."""
    step = math.ceil(len(values) / MOST_CATEGORIES)
    texts = [shorten(str(value), LONGEST_CATEGORY) for value in values[::step]]
    ax.set_xticks(np.arange(len(values))[::step], texts)
    if sum(len(text) + 1 for text in texts) > WIDEST_CATEGORIES:
        ax.tick_params("x", labelrotation=90, labelsize="small")


def _draw_data(ax: Axes, kind: str, x: Any, height: np.ndarray, *_: Any) -> None:
    """Draw what the data have."""
    if kind in ("density", "hurdle"):
        draw_histogram(ax, height, x)
        return
    shape: dict[str, Any] = {"marker": "x"}
    if kind == "bars":
        shape = {"marker": "_", "markersize": min(20.0, 160 / len(x))}
    ax.plot(x, height, color="k", linestyle="", label="data", zorder=3, **shape)


def _seen(
    panel: tuple[str, Sequence[Any], np.ndarray], x: np.ndarray, weight: np.ndarray
) -> tuple[Any, ...]:
    """Return what the data of a column are drawn as."""
    kind, values, _ = panel
    there = ~np.isnan(x) & (weight > 0)
    x, weight = x[there], weight[there]
    total = max(weight.sum(), TINY)
    if kind == "bars":
        n = len(values)
        return np.arange(n), np.bincount(x.astype(int), weight, n)[:n] / total
    if kind == "counts":
        counts = np.asarray(values, float)
        return counts, np.array([weight[x == count].sum() for count in counts]) / total
    low, high = np.asarray(values, float)[[kind == "hurdle", -1]]
    zeros, rest = weight[x == 0].sum() / total, 1.0
    if kind == "hurdle":
        x, weight, rest = x[x > 0], weight[x > 0], 1 - zeros
    shown = x[(x >= low) & (x <= high)]
    edges = np.histogram_bin_edges(shown, "auto", (low, high))
    if len(edges) > MOST_BINS:
        edges = np.linspace(low, high, MOST_BINS)
    # Some of the values are not shown.
    rest *= np.sum(weight[(x >= low) & (x <= high)]) / max(weight.sum(), TINY)
    return edges, rest * histogram(x, edges, weight), zeros


def _draw_zeros(
    ax: Axes, most: float, probability: np.ndarray, seen: float | None
) -> None:
    """Draw bars of probabilities beside zero, with an axis of their own."""
    K, width = len(probability), ZEROS * most
    from matplotlib.ticker import MaxNLocator

    right = ax.twinx()
    colors = [style(k).color for k in range(K)]
    right.bar((np.arange(K) - K) * width, probability, width, color=colors, alpha=0.6)
    if seen is not None:
        middle = -(K + 1) / 2 * width
        right.plot(middle, seen, color="k", marker="_", markersize=20)
    right.set_ylim(0, 1)
    # There is nothing below zero.
    ax.set_xticks([x for x in MaxNLocator(3).tick_values(0, most) if 0 <= x <= most])
    right.set_ylabel("probability of zero")
    for side in ("top", "left"):
        right.spines[side].set_visible(False)


def _panel(model: Any, name: str, j: int) -> tuple[str, Sequence[Any], np.ndarray]:
    """Return what is drawn of a column."""
    laws = model.parameters_[name]
    if name in model.categories_:
        labels = model.categories_[name].tolist()
        if "probability" in laws:
            p = laws["probability"]
            return "bars", labels, np.column_stack([1 - p, p])[:, -len(labels) :]
        return "bars", labels, laws["proportions"]
    drawn = model._labelled_draws(DRAWS, np.random.RandomState(0))[1][j]
    whole = bool((drawn == np.floor(drawn)).all())
    hurdle = "zero_probability" in laws and not whole
    if hurdle and (drawn > 0).any():
        drawn = drawn[drawn > 0]
    low, high = np.quantile(drawn, [0.002, 0.998])
    if whole:
        n = min(CURVE_POINTS, int(high - low) + 2)
        values = np.unique(np.round(np.linspace(low, high, n)))
        return "counts", values.tolist(), np.exp(model._column_log_density(j, values))
    span = (high - low) or 1.0
    # Families of positive values have no density elsewhere.
    least = drawn.min() if drawn.min() >= 0 else -np.inf
    values = np.linspace(
        max(low - 0.05 * span, least), high + 0.05 * span, CURVE_POINTS
    )
    kind = "density"
    if hurdle:
        kind, values = "hurdle", np.append(0.0, values[values > 0])
    return kind, values.tolist(), np.exp(model._column_log_density(j, values))
