"""MixtureDisplay: the density of a mixture, with its components and the data."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skem._display import density, legend
from skem._display.canvas import Canvas
from skem._display.features import Shown
from skem._display.grid import grid_axes, has_room_beside, title_above
from skem._display.marginal import mixture_of
from skem._display.style import single_axes
from skem._inputs.features import names_of
from skem._inputs.sklearn import check_matplotlib_support
from skem._inputs.validation import check_data, check_n_values, check_sample_weight
from skem._report.text import count
from skem.gaussian_mixture import GaussianMixture

if TYPE_CHECKING:
    from matplotlib.collections import PathCollection
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Ellipse

Histogram = tuple[np.ndarray, np.ndarray]
PICTURES = ("density", "uncertainty", "boundaries")


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
    - More than ten, of which none are chosen: two directions, along which the
      components are the furthest apart (Scrucca 2010 [3]_).

    In the place of the regions of highest density, the uncertainty of the most probable
    component can be drawn, or the boundaries between the components.

    Components have their numbers, in the order of `means_`, at their means, and
    colours that most colour-blind readers can tell apart (Okabe & Ito [1]_). Where rows
    have the colours of labels that were given, components are grey.

    Parameters
    ----------
    mixture : GaussianMixture
        The marginal mixture of the features that are drawn, p of them.

    feature_names : list of str of length p
        Names of these features.

    X : ndarray of shape (n_points, p), default=None
        Rows to draw as points.

    labels : ndarray of shape (n_points,), default=None
        The component, or the label, that each of them is coloured by; −1 is grey.

    sample_weight : ndarray of shape (n_points,), default=None
        Weights of the points, which areas are in proportion to.

    histograms : list of (heights, edges) of length p, default=None
        Histogram of each feature, with an area of one.

    label_names : dict of int to str, default=None
        Names of labels that were given. None: labels are components.

    uncertainty : ndarray of shape (n_points,), default=None
        Probability of each of the rows that its most probable component is not the one.

    directions : ndarray of shape (n_features, p), default=None
        The directions that are drawn, if they are no features: what is drawn of a row x
        is Vᵀ(x − μ), with μ the mean of the mixture. Within components, they have a
        mean variance of one and no correlation.

    title : str, default=None
        Title of the picture. None: the number of components.

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
    .. [3] L. Scrucca (2010). Dimension reduction for model-based clustering. Statistics
       and Computing 20(4), 471-484.

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
        label_names: dict[int, str] | None = None,
        uncertainty: np.ndarray | None = None,
        directions: np.ndarray | None = None,
        title: str | None = None,
    ) -> None:
        self.mixture = mixture
        self.feature_names = feature_names
        self.X = X
        self.labels = labels
        self.sample_weight = sample_weight
        self.histograms = histograms
        self.label_names = label_names
        self.uncertainty = uncertainty
        self.directions = directions
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        kind: str = "density",
        labels: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        features: Sequence[int | str] | int | str | None = None,
        n_directions: int | None = None,
        feature_names: Sequence[str] | None = None,
        bins: int | ArrayLike | None = None,
        max_points: int = 2000,
        standard_deviations: Sequence[float] = (1, 2),
        mass: Sequence[float] = (0.5, 0.8, 0.95),
        show_legend: bool = True,
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

        kind : {"density", "uncertainty", "boundaries"}, default="density"
            What is drawn behind ellipses: the regions of highest density; or, in shades
            of grey, the probability that the most probable component is not the one,
            and points have an area that grows with theirs; or the region of each
            component in its colour, where it is the most probable one. The last two are
            those of the mixture that is drawn, which knows the features that are drawn
            alone. Of one feature, "uncertainty" is a curve.

        labels : array-like of shape (n_samples,), default=None
            Labels to colour the rows of X by, such as known classes or merged clusters;
            −1 is grey. Components then have no colours, but their numbers. None: the
            most probable components.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows of X.

        features : sequence of {int, str}, int or str, default=None
            Features to draw, by index or name, or a boolean mask of all features; the
            mixture that is drawn is their marginal. None: all of them if there are at
            most ten, else directions.

        n_directions : int, default=None
            Number of directions to draw in the place of features, at most ten. The
            first ones are those along which the means of the components are the
            furthest apart, relative to the variance within components; others those
            along which their covariances differ. Rows with missing values are not
            drawn. None: features, or two directions if there are more than ten
            features and none are chosen.

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
            20000 draws, always the same, which give its mass to about 0.004.

        show_legend : bool, default=True
            Whether to draw a legend: beside the axes of a new figure, or within given
            ones. A grid within given axes has one beside it if these are alone in a
            figure with room for it and ``layout="constrained"``, and else none.

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
        fitted = mixture_of(estimator)
        if isinstance(fitted, GaussianMixture):
            fitted._check_is_fitted()
        for name, given in (("sample_weight", sample_weight), ("labels", labels)):
            if given is not None and X is None:
                raise ValueError(f"{name} was given without X")
        if not isinstance(max_points, Integral) or max_points < 0:
            raise ValueError(
                f"max_points should be a non-negative integer, got {max_points!r}"
            )
        _check_sizes(kind, standard_deviations, mass)
        names = names_of(estimator, np.shape(fitted.means_)[1], feature_names)
        shown = Shown.of(fitted, features, n_directions, names)
        display = cls(
            mixture=shown.mixture,
            feature_names=shown.names,
            directions=shown.directions,
            title=_title(fitted),
        )
        if X is not None:
            data = check_data(estimator, X, reset=False).X
            weight = check_sample_weight(sample_weight, data)
            drawn = shown.of_rows(data)
            display._take_histograms(drawn, weight, bins)
            if labels is not None:
                check_consistent_length(data, labels)
                codes, display.label_names = _coded(labels)
            else:
                # Of a Dask collection, the labels are lazy.
                codes = np.asarray(estimator.predict(X))
            rows = display._take_points(drawn, codes, weight, max_points)
            if len(rows) and kind == "uncertainty":
                proba = np.asarray(estimator.predict_proba(X))
                display.uncertainty = 1 - proba[rows].max(axis=1)
        return display.plot(
            ax=ax,
            kind=kind,
            standard_deviations=standard_deviations,
            mass=mass,
            show_legend=show_legend,
        )

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
        codes: np.ndarray,
        weight: np.ndarray | None,
        max_points: int,
    ) -> np.ndarray:
        """Choose rows to draw as points, and return their indices."""
        shown = ~np.isnan(X).any(axis=1)
        rows = np.flatnonzero(shown if weight is None else shown & (weight > 0))
        if len(rows) > max_points:
            # The order of the rows is the order of drawing: what lies on top.
            rows = np.sort(
                check_random_state(0).choice(rows, max_points, replace=False)
            )
        if len(rows):
            self.X, self.labels = density.drawable(X[rows]), codes[rows]
            self.sample_weight = None if weight is None else weight[rows]
        return rows

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "density",
        standard_deviations: Sequence[float] = (1, 2),
        mass: Sequence[float] = (0.5, 0.8, 0.95),
        show_legend: bool = True,
    ) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. A grid takes their place, or is drawn in an array of Axes
            of shape (p, p). None: those of a new figure, made by pyplot.

        kind : {"density", "uncertainty", "boundaries"}, default="density"
            What is drawn behind ellipses, as in :meth:`from_estimator`.

        standard_deviations : sequence of float, default=(1, 2)
            Sizes of the ellipses: Mahalanobis distances from the mean.

        mass : sequence of float, default=(0.5, 0.8, 0.95)
            Masses of the regions of highest density.

        show_legend : bool, default=True
            Whether to draw a legend: beside the axes of a new figure, or within given
            ones. A grid within given axes has one beside it if these are alone in a
            figure with room for it and ``layout="constrained"``, and else none.

        Returns
        -------
        display : MixtureDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check_sizes(kind, standard_deviations, mass)
        canvas = Canvas(self, kind, standard_deviations, mass)
        title = self.title or _title(self.mixture)
        entries = canvas.entries() if show_legend else []
        p = len(self.feature_names)
        if p > 2:
            beside = bool(entries) and has_room_beside(ax, p)
            grid = grid_axes(ax, p, beside=beside)
            canvas.grid(grid)
            self.ax_, self.figure_ = grid, grid[0, 0].figure
            if grid is not ax:
                title_above(grid, title)
            if beside:
                legend.draw_outside(self.figure_, entries)
        else:
            axes = single_axes(ax)
            self.ax_, self.figure_ = axes, cast("Figure", axes.figure)
            draw = canvas.line if p == 1 else canvas.plane
            draw(axes)
            axes.set_title(title, fontsize="medium")
            if entries:
                legend.draw(axes, entries, canvas.points_shown(), beside=ax is None)
        self.lines_, self.points_ = canvas.lines, canvas.points
        self.ellipses_, self.contours_ = canvas.ellipses, canvas.contours
        self.levels_ = canvas.levels
        return self


def _title(fitted: Any) -> str:
    """Say what is drawn: the class, and how many components of what structure."""
    kind = type(fitted).__name__
    return f"{kind}: {count(np.shape(fitted.weights_)[0], 'component')}"


def _coded(labels: Any) -> tuple[np.ndarray, dict[int, str]]:
    """Return labels as numbers of colours, with their names; −1 is none."""
    labels = column_or_1d(labels)
    if labels.dtype.kind in "iub":
        codes = labels.astype(int)
        return codes, {-1: "unlabelled"} | {k: f"label {k}" for k in set(codes) - {-1}}
    values, codes = np.unique(labels, return_inverse=True)
    return codes, dict(enumerate(map(str, values)))


def _check_sizes(
    kind: str, standard_deviations: Sequence[float], mass: Sequence[float]
) -> None:
    if kind not in PICTURES:
        raise ValueError(f"kind should be one of {PICTURES}, got {kind!r}")
    if not _are_positive(standard_deviations, np.inf):
        raise ValueError(
            "standard_deviations should be a sequence of positive numbers, got "
            f"{standard_deviations!r}"
        )
    if not len(np.atleast_1d(mass)) or not _are_positive(mass, 1.0):
        raise ValueError(
            f"mass should be a sequence of numbers between 0 and 1, got {mass!r}"
        )


def _are_positive(values: Any, below: float) -> bool:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        return False
    return bool(((array > 0) & (array < below)).all())
