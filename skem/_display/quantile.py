"""QuantileDisplay: quantiles of data against those of a mixture."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from skem._display.marginal import marginal, mixture_of
from skem._display.style import COLORS, GRAY, open_frame, single_axes
from skem._inputs.features import feature_index, names_of
from skem._inputs.frames import in_memory
from skem._inputs.sklearn import check_matplotlib_support
from skem._inputs.validation import (
    check_data,
    check_mixture,
    check_n_values,
    check_sample_weight,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


class _OneFeature(NamedTuple):
    """A feature's name and values, with gaps, and the mixture of it."""

    name: str
    values: np.ndarray
    mixture: Any


def _of_array(estimator: Any, X: Any, feature: int | str) -> _OneFeature:
    fitted = mixture_of(estimator)
    names = names_of(estimator, np.shape(fitted.means_)[1])
    j = feature_index(feature, names, "feature")
    values = check_data(estimator, X, reset=False).X[:, j].astype(float)
    return _OneFeature(names[j], values, marginal(fitted, [j]))


def _of_table(estimator: Any, X: Any, feature: int | str) -> _OneFeature:
    fitted = check_mixture(estimator, "MixtureModel", ["families_"])
    names = list(fitted.families_)
    j = feature_index(feature, names, "feature")
    values = fitted._map(in_memory(X)).numbers()[j]
    return _OneFeature(names[j], values, fitted.marginal(j))


class QuantileDisplay:
    """Quantile-quantile plot of one feature: data against the mixture.

    It is recommended to use :meth:`from_estimator` to create a `QuantileDisplay`. All
    parameters are stored as attributes.

    Where the points are on the line, the quantiles of the data are those of the
    mixture. It is one of the two pictures of mclust's `densityMclust.diagnostic`.

    Parameters
    ----------
    data : ndarray of shape (n_points,)
        Quantiles of the data, in ascending order.

    mixture : ndarray of shape (n_points,)
        Quantiles of the mixture, of the same probabilities.

    feature_name : str, default="x"
        Name of the feature.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.

    figure_ : matplotlib Figure
        Figure with the picture.

    points_ : matplotlib Line2D
        The points.

    line_ : matplotlib Line2D
        Where both are the same.

    See Also
    --------
    QuantileDisplay.from_estimator : Picture of a mixture and data.
    MixtureDisplay : The density, with a histogram of the data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skem import GaussianMixture, QuantileDisplay
    >>> from skem.datasets import load_galaxies
    >>> X = load_galaxies().data
    >>> mixture = GaussianMixture(3, random_state=0).fit(X)
    >>> display = QuantileDisplay.from_estimator(mixture, X)
    >>> len(display.data)
    82
    >>> plt.show()  # doctest: +SKIP
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure
    points_: Line2D
    line_: Line2D

    def __init__(
        self, *, data: np.ndarray, mixture: np.ndarray, feature_name: str = "x"
    ) -> None:
        self.data = data
        self.mixture = mixture
        self.feature_name = feature_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        feature: int | str = 0,
        max_points: int = 2000,
        ax: Axes | None = None,
    ) -> Self:
        """Draw data against a fitted mixture.

        Parameters
        ----------
        estimator : estimator instance
            Fitted Gaussian mixture, skem's or scikit-learn's, or mixture of a table; or
            a fitted search with a `best_estimator_`.

        X : array-like of shape (n_samples, n_features)
            Data, with all features of the mixture. Missing values are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows of X.

        feature : int or str, default=0
            The feature, by index or name; the mixture is its marginal. Categories have
            no quantiles.

        max_points : int, default=2000
            Number of points, at most: if there are more rows, of evenly spaced
            probabilities.

        ax : matplotlib Axes, default=None
            Axes to draw in. None: those of a new figure, made by pyplot.

        Returns
        -------
        display : QuantileDisplay
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
        >>> from skem import GaussianMixture, QuantileDisplay
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(2, random_state=0).fit(X)
        >>> display = QuantileDisplay.from_estimator(mixture, X, feature=1)
        >>> display.ax_.get_ylabel()
        'x1'
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not isinstance(max_points, Integral) or max_points < 1:
            raise ValueError(
                f"max_points should be a positive integer, got {max_points!r}"
            )
        best = getattr(estimator, "best_estimator_", estimator)
        of_kind = _of_table if hasattr(best, "families_") else _of_array
        found = of_kind(estimator, X, feature)
        x, name = found.values, found.name
        weight = check_sample_weight(sample_weight, x[:, None])
        there = ~np.isnan(x) if weight is None else ~np.isnan(x) & (weight > 0)
        check_n_values(np.array([np.count_nonzero(there)]), [name])
        v = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=float)
        order = np.argsort(x[there], kind="stable")
        x, v = x[there][order], v[there][order]
        # (i − ½)/n of n equal weights: in the middle of each row's own share.
        prob = (np.cumsum(v) - v / 2) / v.sum()
        if len(x) > max_points:
            wanted = (np.arange(max_points) + 0.5) / max_points
            x, prob = np.interp(wanted, prob, x), wanted
        quantiles = found.mixture.quantile(prob)
        return cls(data=x, mixture=quantiles, feature_name=name).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None: those of a new figure, made by pyplot.

        Returns
        -------
        display : QuantileDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        ax = single_axes(ax)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        ends = [
            min(self.data[0], self.mixture[0]),
            max(self.data[-1], self.mixture[-1]),
        ]
        (self.line_,) = ax.plot(ends, ends, color=GRAY, lw=1.0, zorder=1)
        (self.points_,) = ax.plot(
            self.mixture, self.data, color=COLORS[0], marker="o", ms=3, ls=""
        )
        ax.set_xlabel("quantiles of the mixture")
        ax.set_ylabel(self.feature_name)
        open_frame(ax)
        return self
