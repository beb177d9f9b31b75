"""CriterionDisplay: an information criterion against the number of components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from skem._display.style import BLACK, GRAY, Style, line_style, open_frame, single_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MARGIN = 0.08
"""Share of the eligible candidates' range that is left free on either side."""
SLACK = 0.5
"""Share of it within which candidates that may not be chosen still widen the view."""


class CriterionDisplay:
    """Picture of the choice among mixtures by an information criterion.

    It is recommended to use :meth:`from_estimator` to create a `CriterionDisplay`. All
    parameters are stored as attributes.

    The criterion is drawn against the number of components, one line for each
    covariance type, and the winner is circled. Candidates that could not be chosen,
    because their fit failed or is spurious, are hollow and on no line; those that
    would be out of view are triangles on the edge that is nearest to them, and failed
    ones on the upper edge.

    Parameters
    ----------
    n_components : ndarray of shape (n_candidates,)
        Number of components of each candidate.

    covariance_types : ndarray of shape (n_candidates,)
        Covariance type of each candidate.

    values : ndarray of shape (n_candidates,)
        The criterion, of which the lowest is best; NaN where the fit failed.

    eligible : ndarray of shape (n_candidates,)
        Whether each candidate could be chosen.

    best_index : int
        The candidate that was chosen.

    criterion : str, default="criterion"
        Name of the criterion.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.

    figure_ : matplotlib Figure
        Figure with the picture.

    lines_ : list of matplotlib Line2D
        Eligible candidates, one line for each covariance type.

    hollow_ : list of matplotlib Line2D
        Candidates that could not be chosen, one marker each.

    best_ : matplotlib Line2D
        The circle about the winner.

    See Also
    --------
    CriterionDisplay.from_estimator : Picture of a search.
    MixtureDisplay : Picture of the mixture that was chosen.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from skem import CriterionDisplay, GaussianMixture
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> K = np.arange(1, 4)
    >>> bic = [GaussianMixture(k, random_state=0).fit(X).bic(X) for k in K]
    >>> display = CriterionDisplay(
    ...     n_components=K,
    ...     covariance_types=np.full(3, "full"),
    ...     values=np.array(bic),
    ...     eligible=np.full(3, True),
    ...     best_index=int(np.argmin(bic)),
    ...     criterion="bic",
    ... ).plot()
    >>> display.ax_.get_ylabel()
    'BIC'
    >>> plt.show()  # doctest: +SKIP
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure
    lines_: list[Line2D]
    hollow_: list[Line2D]
    best_: Line2D

    def __init__(
        self,
        *,
        n_components: np.ndarray,
        covariance_types: np.ndarray,
        values: np.ndarray,
        eligible: np.ndarray,
        best_index: int,
        criterion: str = "criterion",
    ) -> None:
        self.n_components = n_components
        self.covariance_types = covariance_types
        self.values = values
        self.eligible = eligible
        self.best_index = best_index
        self.criterion = criterion

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw a fitted search.

        Parameters
        ----------
        estimator : estimator instance
            Fitted search, with the attributes `criterion`, `results_` and
            `best_index_`.

        ax : matplotlib Axes, default=None
            Axes to draw in. None: those of a new figure, made by pyplot.

        Returns
        -------
        display : CriterionDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skem import CriterionDisplay, GaussianMixtureIC
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> selection = GaussianMixtureIC((1, 2), n_init=1, random_state=0).fit(X)
        >>> display = CriterionDisplay.from_estimator(selection)
        >>> display.ax_.get_ylabel()
        'BIC'
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator, "results_")
        results = estimator.results_
        display = cls(
            n_components=np.asarray(results["param_n_components"], dtype=int),
            covariance_types=np.asarray(results["param_covariance_type"]),
            values=np.asarray(results["criterion"], dtype=float),
            eligible=np.asarray(results["eligible"], dtype=bool),
            best_index=int(estimator.best_index_),
            criterion=str(estimator.criterion),
        )
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None: those of a new figure, made by pyplot.

        Returns
        -------
        display : CriterionDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        ax = single_axes(ax)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        self.lines_ = []
        self.hollow_ = []
        view = self._view()
        # In the order of the search, and not of the alphabet.
        for index, name in enumerate(dict.fromkeys(self.covariance_types.tolist())):
            self._draw_type(ax, name, line_style(index), view)
        (self.best_,) = ax.plot(
            self.n_components[self.best_index],
            self.values[self.best_index],
            marker="o",
            ms=11,
            mfc="none",
            mec=BLACK,
            mew=1.2,
            ls="",
            label="chosen",
            zorder=4,
        )
        if self.hollow_:
            ax.plot(
                [], [], marker="o", mfc="white", mec=GRAY, ls="", label="not eligible"
            )
        ax.set_ylim(*view)
        # At least one tick: more would be fractions where there is but one number.
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlabel("number of components")
        known = self.criterion in {"bic", "aic", "icl"}
        ax.set_ylabel(self.criterion.upper() if known else self.criterion)
        # Above the axes, as there may be lines anywhere within.
        ax.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1),
            ncols=3,
            frameon=False,
            fontsize="small",
            handletextpad=0.4,
            columnspacing=1.2,
        )
        open_frame(ax)
        return self

    def _view(self) -> tuple[float, float]:
        """Return limits that show all eligible candidates, and others near them."""
        finite = np.isfinite(self.values)
        eligible = self.values[self.eligible & finite]
        if not len(eligible):
            eligible = self.values[finite] if finite.any() else np.zeros(1)
        low, high = float(eligible.min()), float(eligible.max())
        span = high - low or max(1.0, 1e-3 * abs(high))
        near = self.values[finite]
        near = near[(near > low - SLACK * span) & (near < high + SLACK * span)]
        low, high = min(low, *near, low), max(high, *near, high)
        margin = MARGIN * span
        return low - margin, high + margin

    def _draw_type(
        self, ax: Axes, name: str, style: Style, view: tuple[float, float]
    ) -> None:
        mine = np.flatnonzero(self.covariance_types == name)
        mine = mine[np.argsort(self.n_components[mine], kind="stable")]
        shown = mine[self.eligible[mine] & np.isfinite(self.values[mine])]
        self.lines_ += ax.plot(
            self.n_components[shown],
            self.values[shown],
            color=style.color,
            marker=style.marker,
            ls=style.dashes,
            ms=4.5,
            lw=1.2,
            label=name,
        )
        for i in np.setdiff1d(mine, shown):
            place, marker = _place(float(self.values[i]), view, style.marker)
            self.hollow_ += ax.plot(
                self.n_components[i],
                place,
                marker=marker,
                ms=5.5,
                mfc="white",
                mec=style.color,
                mew=1.0,
                ls="",
                clip_on=False,
                zorder=3,
            )


def _place(value: float, view: tuple[float, float], marker: str) -> tuple[float, str]:
    """Return where a candidate is drawn, and its marker: a triangle on an edge."""
    low, high = view
    if value < low:
        return low, "v"
    if not value <= high:
        return high, "^"
    return value, marker
