"""MixtureDisplay: the density of a mixture, with its components and the data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from skem._display import density, panels
from skem._display.features import features_to_draw
from skem._display.grid import grid_axes, label_outer
from skem._display.marginal import check_mixture, marginal
from skem._display.numbers import number_curves, number_means
from skem._display.style import open_frame, single_axes
from skem._features import names_of
from skem._validation import check_data, check_n_values, check_sample_weight
from skem.gaussian_mixture import GaussianMixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Ellipse

Histogram = tuple[np.ndarray, np.ndarray]


class MixtureDisplay:
    """Picture of a Gaussian mixture, with or without data.

    It is recommended to use :meth:`from_estimator` to create a `MixtureDisplay`. All
    parameters are stored as attributes.

    - One feature: a histogram of the data, the weighted density of each component,
      and their sum.
    - Two features: the data, coloured by component; an ellipse for each of
      `standard_deviations` about each mean; and the regions of highest density that
      hold each `mass` of the mixture, in shades of grey.
    - More: a grid of pairs. On its diagonal are the marginals of single features,
      below it the data and the ellipses, and above it the regions.

    Components have their numbers, in the order of `means_`, at their means, and
    colours that most colour-blind readers can tell apart (Okabe & Ito [1]_).

    Parameters
    ----------
    mixture : GaussianMixture
        The marginal mixture of the features that are drawn, p of them.

    feature_names : list of str of length p
        Names of these features.

    X : ndarray of shape (n_points, p), default=None
        Rows to draw as points.

    labels : ndarray of shape (n_points,), default=None
        The component that each of them is coloured by.

    sample_weight : ndarray of shape (n_points,), default=None
        Weights of the points, which areas are in proportion to.

    histograms : list of (heights, edges) of length p, default=None
        Histogram of each feature, with an area of one.

    Attributes
    ----------
    ax_ : matplotlib Axes, or ndarray of Axes of shape (p, p) for a grid
        Axes with the picture.

    figure_ : matplotlib Figure
        Figure with the picture.

    lines_ : list of matplotlib Line2D
        Curves, feature by feature: that of each component, then that of the mixture.

    points_ : list of matplotlib PathCollection
        Points, pair by pair and component by component.

    ellipses_ : list of matplotlib Ellipse
        Ellipses, pair by pair and component by component.

    contours_ : list of matplotlib QuadContourSet
        Boundaries of the regions of highest density, pair by pair.

    levels_ : list of ndarray
        Log-density on the boundary of the region of each mass, pair by pair.

    See Also
    --------
    MixtureDisplay.from_estimator : Picture of an estimator.
    CriterionDisplay : Picture of the choice of a mixture.

    References
    ----------
    .. [1] M. Okabe and K. Ito (2008). Color universal design.
       https://jfly.uni-koeln.de/color/
    .. [2] R. J. Hyndman (1996). Computing and graphing highest density regions. The
       American Statistician 50(2), 120-126.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skem import GaussianMixture, MixtureDisplay
    >>> from skem.datasets import load_faithful
    >>> faithful = load_faithful()
    >>> mixture = GaussianMixture(2, random_state=0).fit(faithful.data)
    >>> display = MixtureDisplay.from_estimator(
    ...     mixture, faithful.data, feature_names=faithful.feature_names
    ... )
    >>> len(display.ellipses_)  # two for each component
    4
    >>> plt.show()  # doctest: +SKIP
    >>> plt.close(display.figure_)
    """

    ax_: Any
    figure_: Figure
    lines_: list[Line2D]
    points_: list[PathCollection]
    ellipses_: list[Ellipse]
    contours_: list[QuadContourSet]
    levels_: list[np.ndarray]

    def __init__(
        self,
        *,
        mixture: GaussianMixture,
        feature_names: list[str],
        X: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
        histograms: list[Histogram] | None = None,
    ) -> None:
        self.mixture = mixture
        self.feature_names = feature_names
        self.X = X
        self.labels = labels
        self.sample_weight = sample_weight
        self.histograms = histograms

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        features: Sequence[int | str] | int | str | None = None,
        feature_names: Sequence[str] | None = None,
        bins: int | ArrayLike | None = None,
        max_points: int = 2000,
        standard_deviations: Sequence[float] = (1, 2),
        mass: Sequence[float] = (0.5, 0.8, 0.95),
        ax: Any = None,
    ) -> Self:
        """Draw a fitted mixture.

        Parameters
        ----------
        estimator : estimator instance
            Fitted Gaussian mixture, also one made by
            :meth:`GaussianMixture.from_parameters`, or scikit-learn's; or a fitted
            search with a `best_estimator_`.

        X : array-like of shape (n_samples, n_features), default=None
            Data to draw, with all features of the mixture.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows of X.

        features : sequence of {int, str}, int or str, default=None
            Features to draw, by index or name; the mixture that is drawn is their
            marginal. None: all of them, if there are at most ten.

        feature_names : sequence of str of length n_features, default=None
            Names of all features. None: those seen in `fit`, or x0, x1, ….

        bins : int or array-like, default=None
            Number or edges of the bins of histograms. None: as wide as is best if the
            mixture is the truth (Scott 1979).

        max_points : int, default=2000
            Number of rows of X that are drawn as points, at most: if there are more,
            a random subset, always the same. Histograms show all rows.

        standard_deviations : sequence of float, default=(1, 2)
            Sizes of the ellipses: Mahalanobis distances from the mean.

        mass : sequence of float, default=(0.5, 0.8, 0.95)
            Masses of the regions of highest density. Their levels are quantiles of
            20000 draws, always the same, which meet a mass to about 0.004.

        ax : matplotlib Axes, default=None
            Axes to draw in. A grid takes their place, or is drawn in an array of Axes
            of shape (p, p). None: those of a new figure, made by pyplot.

        Returns
        -------
        display : MixtureDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If X does not suit the mixture, or a parameter is out of range.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skem import GaussianMixture, MixtureDisplay
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(2, random_state=0).fit(X)
        >>> display = MixtureDisplay.from_estimator(mixture, X, features=[0])
        >>> display.ax_.get_xlabel()
        'x0'
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        fitted = getattr(estimator, "best_estimator_", estimator)
        check_mixture(fitted)
        if isinstance(fitted, GaussianMixture):
            fitted._check_is_fitted()
        if sample_weight is not None and X is None:
            raise ValueError("sample_weight was given without X")
        if not isinstance(max_points, Integral) or max_points < 0:
            raise ValueError(
                f"max_points should be a non-negative integer, got {max_points!r}"
            )
        _check_sizes(standard_deviations, mass)
        names = names_of(estimator, np.shape(fitted.means_)[1], feature_names)
        chosen = features_to_draw(features, names)
        display = cls(
            mixture=marginal(fitted, chosen),
            feature_names=[names[j] for j in chosen],
        )
        if X is not None:
            data = check_data(estimator, X, reset=False).X[:, chosen]
            weight = check_sample_weight(sample_weight, data)
            display._take_histograms(data, weight, bins)
            # Of a Dask collection, the labels are lazy.
            labels = np.asarray(estimator.predict(X))
            display._take_points(data, labels, weight, max_points)
        return display.plot(ax=ax, standard_deviations=standard_deviations, mass=mass)

    def _take_histograms(
        self, X: np.ndarray, weight: np.ndarray | None, bins: int | ArrayLike | None
    ) -> None:
        X = density.drawable(X)
        if weight is not None:
            X, weight = X[weight > 0], weight[weight > 0]
        self.histograms = []
        check_n_values(np.count_nonzero(~np.isnan(X), axis=0), self.feature_names)
        for j, x in enumerate(X.T):
            # Of what is there: a gap has no place in a picture.
            there = ~np.isnan(x)
            x, own = x[there], None if weight is None else weight[there]
            if bins is None:
                edges = density.bin_edges(self.mixture, j, x, own)
            else:
                edges = np.histogram_bin_edges(x, bins)
            self.histograms.append((density.histogram(x, edges, own), edges))

    def _take_points(
        self,
        X: np.ndarray,
        labels: np.ndarray,
        weight: np.ndarray | None,
        max_points: int,
    ) -> None:
        shown = ~np.isnan(X).any(axis=1)
        rows = np.flatnonzero(shown if weight is None else shown & (weight > 0))
        if len(rows) > max_points:
            # The order of the rows is the order of drawing: what lies on top.
            rows = np.sort(
                check_random_state(0).choice(rows, max_points, replace=False)
            )
        if not len(rows):
            return
        self.X = density.drawable(X[rows])
        self.labels = labels[rows]
        self.sample_weight = None if weight is None else weight[rows]

    def plot(
        self,
        ax: Any = None,
        *,
        standard_deviations: Sequence[float] = (1, 2),
        mass: Sequence[float] = (0.5, 0.8, 0.95),
    ) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. A grid takes their place, or is drawn in an array of Axes
            of shape (p, p). None: those of a new figure, made by pyplot.

        standard_deviations : sequence of float, default=(1, 2)
            Sizes of the ellipses: Mahalanobis distances from the mean.

        mass : sequence of float, default=(0.5, 0.8, 0.95)
            Masses of the regions of highest density.

        Returns
        -------
        display : MixtureDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check_sizes(standard_deviations, mass)
        self.lines_ = []
        self.points_ = []
        self.ellipses_ = []
        self.contours_ = []
        self.levels_ = []
        p = len(self.feature_names)
        if p > 2:
            self._plot_grid(grid_axes(ax, p), standard_deviations, mass)
            return self
        ax = single_axes(ax)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        if p == 1:
            self._curves(ax, 0)
            number_curves(ax, self.mixture, 0)
            ax.set_ylabel("density")
        else:
            self._regions(ax, (0, 1), mass)
            self._ellipses(ax, (0, 1), standard_deviations)
            number_means(ax, self.mixture, (0, 1), 1.0)
            ax.set_ylabel(self.feature_names[1])
        ax.set_xlabel(self.feature_names[0])
        return self

    def _plot_grid(
        self, axes: np.ndarray, sizes: Sequence[float], mass: Sequence[float]
    ) -> None:
        self.ax_, self.figure_ = axes, axes[0, 0].figure
        for i, j in product(range(len(axes)), repeat=2):
            if i == j:
                self._curves(axes[i, j], j)
            elif i > j:
                self._ellipses(axes[i, j], (j, i), sizes)
            else:
                self._regions(axes[i, j], (j, i), mass)
                number_means(axes[i, j], self.mixture, (j, i), 0.75)
        label_outer(axes, self.feature_names)

    def _limits(self, j: int) -> tuple[float, float]:
        shown = [] if self.X is None else [self.X[:, j]]
        if self.histograms is not None:
            # The range of all rows, of which X may be a subset.
            shown.append(self.histograms[j][1])
        return density.view(self.mixture, j, np.concatenate(shown) if shown else None)

    def _curves(self, ax: Axes, j: int) -> None:
        limits = self._limits(j)
        if self.histograms is not None:
            panels.draw_histogram(ax, *self.histograms[j])
        self.lines_ += panels.draw_curves(ax, self.mixture, j, limits)
        ax.set_xlim(*limits)
        ax.set_ylim(bottom=0)
        open_frame(ax)

    def _ellipses(
        self, ax: Axes, pair: tuple[int, int], sizes: Sequence[float]
    ) -> None:
        if self.X is not None and self.labels is not None:
            self.points_ += panels.draw_points(
                ax, self.X[:, pair], self.labels, self.sample_weight
            )
        self.ellipses_ += panels.draw_ellipses(ax, self.mixture, pair, sizes)
        self._set_limits(ax, pair)

    def _regions(self, ax: Axes, pair: tuple[int, int], mass: Sequence[float]) -> None:
        limits = self._limits(pair[0]), self._limits(pair[1])
        levels, contours = panels.draw_regions(ax, self.mixture, pair, limits, mass)
        self.levels_.append(levels)
        self.contours_.append(contours)
        self._set_limits(ax, pair)

    def _set_limits(self, ax: Axes, pair: tuple[int, int]) -> None:
        ax.set_xlim(*self._limits(pair[0]))
        ax.set_ylim(*self._limits(pair[1]))


def _check_sizes(standard_deviations: Sequence[float], mass: Sequence[float]) -> None:
    if not _are_between(standard_deviations, 0.0, np.inf):
        raise ValueError(
            "standard_deviations should be a sequence of positive numbers, got "
            f"{standard_deviations!r}"
        )
    if not len(np.atleast_1d(mass)) or not _are_between(mass, 0.0, 1.0):
        raise ValueError(
            f"mass should be a sequence of numbers between 0 and 1, got {mass!r}"
        )


def _are_between(values: Any, low: float, high: float) -> bool:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        return False
    return bool(((array > low) & (array < high)).all())
