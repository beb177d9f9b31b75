"""CriterionDisplay: an information criterion against the number of components."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skem._display.style import (
    GRAY,
    Style,
    count_across,
    line_style,
    open_frame,
    ring,
    single_axes,
)
from skem._inputs.sklearn import check_matplotlib_support
from skem._report.criterion import CORRECTED, is_corrected, models_of
from skem._report.text import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LONGEST_LINE = 24
"""Characters of a line of the legend."""
MARGIN = 0.08
"""Share of the eligible candidates' range that is left free on either side."""
SLACK = 0.5
"""Share of it within which candidates that may not be chosen still widen the view."""
SHOWN = 3
"""One of so many eligible candidates is in view, at least."""
LEAST = 30.0
"""Differences that are always in view."""
HOPELESS = 4.0
"""How many times as far the worst one must be for any to be cut off."""


class CriterionDisplay:
    """Picture of the choice among mixtures by an information criterion.

    It is recommended to use :meth:`from_estimator` to create a `CriterionDisplay`. All
    parameters are stored as attributes.

    The criterion, less that of the winner, is drawn against the number of components,
    one line for each covariance type, and the winner is circled. If the worst
    candidates are so far off that the others would look the same, the view ends
    before them, and a line of text says how many there are. Candidates that could not
    be chosen,
    because their fit failed or is spurious, are hollow and on no line; those that
    would be out of view are triangles on the edge that is nearest to them, and failed
    ones on the upper edge.

    Parameters
    ----------
    n_components : ndarray of shape (n_candidates,)
        Number of components of each candidate.

    covariance_types : ndarray of shape (n_candidates,)
        Covariance type of each candidate; empty if there are no covariances. The one
        line then has no name in the legend.

    values : ndarray of shape (n_candidates,)
        The criterion, of which the lowest is best; NaN where the fit failed.

    eligible : ndarray of shape (n_candidates,)
        Whether each candidate could be chosen.

    best_index : int
        The candidate that was chosen.

    criterion : str, default="criterion"
        Name of the criterion.

    corrected : bool, default=False
        Whether `values` are the criterion corrected for values that rows share, as
        :class:`~skem.GaussianMixtureIC` compares candidates by. The label says so.

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

    n_cut_off_ : int
        Number of eligible candidates above the view.

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
    'BIC above the best, 2322.2'
    >>> plt.show()  # doctest: +SKIP
    >>> plt.close(display.figure_)
    """

    ax_: Axes
    figure_: Figure
    n_cut_off_: int
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
        corrected: bool = False,
    ) -> None:
        self.n_components = n_components
        self.covariance_types = covariance_types
        self.values = values
        self.eligible = eligible
        self.best_index = best_index
        self.criterion = criterion
        self.corrected = corrected

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, limit: float | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw a fitted search.

        Parameters
        ----------
        estimator : estimator instance
            Fitted search, with the attributes `criterion`, `results_` and
            `best_index_`.

        limit : float, default=None
            The largest difference from the winner that is in view; infinite for all of
            them. None: as far as it takes to see a third of the candidates, and 30 at
            least; all of them, if the worst one is no more than four times as far.

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
        ValueError
            If `limit` is not positive.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skem import CriterionDisplay, GaussianMixtureIC
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> selection = GaussianMixtureIC((1, 2, 3), covariance_type="full").fit(X)
        >>> display = CriterionDisplay.from_estimator(selection)
        >>> display.best_.get_label()
        'chosen: 2, full'
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "criterion"):
            raise TypeError(
                f"{cls.__name__} shows a fitted search, such as GaussianMixtureIC, but "
                f"got an object of type {type(estimator).__name__}."
            )
        check_is_fitted(estimator, "results_")
        results = estimator.results_
        covariances = getattr(estimator, "_has_covariances", True)
        display = cls(
            n_components=np.asarray(results["param_n_components"], dtype=int),
            covariance_types=np.array(models_of(results, covariances=covariances)),
            values=np.asarray(results["criterion"], dtype=float),
            eligible=np.asarray(results["eligible"], dtype=bool),
            best_index=int(estimator.best_index_),
            criterion=str(estimator.criterion),
            corrected=is_corrected(results, str(estimator.criterion)),
        )
        return display.plot(ax=ax, limit=limit)

    def plot(self, ax: Axes | None = None, *, limit: float | None = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None: those of a new figure, made by pyplot.

        limit : float, default=None
            The largest difference from the winner that is in view; infinite for all of
            them. None: as far as it takes to see a third of the candidates, and 30 at
            least; all of them, if the worst one is no more than four times as far.

        Returns
        -------
        display : CriterionDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if limit is not None and not limit > 0:
            raise ValueError(f"limit should be positive, got {limit!r}")
        ax = single_axes(ax)
        self.ax_, self.figure_ = ax, cast("Figure", ax.figure)
        self.lines_ = []
        self.hollow_ = []
        view = self._view(self._limit() if limit is None else limit)
        # In the order of the search, and not of the alphabet.
        for index, name in enumerate(dict.fromkeys(self.covariance_types.tolist())):
            self._draw_type(ax, name, line_style(index), view)
        best = self.n_components[self.best_index]
        chosen = filter(None, [str(best), str(self.covariance_types[self.best_index])])
        self.best_ = ring(ax, best, 0.0, _wrapped(f"chosen: {', '.join(chosen)}"))
        if self.hollow_:
            ax.plot(
                [], [], marker="o", mfc="white", mec=GRAY, ls="", label="not eligible"
            )
        ax.set_ylim(*view)
        count_across(ax, "components")
        known = self.criterion in {"bic", "aic", "icl"}
        name = self.criterion.upper() if known else self.criterion
        label = f"{name} above the best, {self.values[self.best_index]:.1f}"
        ax.set_ylabel(f"{label}\n({CORRECTED})" if self.corrected else label)
        self._say_what_is_cut_off(ax, view[1])
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

    @property
    def _differences(self) -> np.ndarray:
        """The criterion less that of the winner."""
        best = self.values[self.best_index]
        return self.values - (best if np.isfinite(best) else 0.0)

    def _eligible_differences(self) -> np.ndarray:
        values = self._differences
        finite = np.isfinite(values)
        eligible = values[self.eligible & finite]
        if not len(eligible):
            eligible = values[finite] if finite.any() else np.zeros(1)
        return np.sort(eligible)

    def _limit(self) -> float:
        """Return how far the view goes, to tell the best candidates apart."""
        eligible = self._eligible_differences()
        # The last one of the best third.
        enough = max(LEAST, (1 + MARGIN) * eligible[(len(eligible) - 1) // SHOWN])
        return float(enough) if eligible[-1] > HOPELESS * enough else np.inf

    def _say_what_is_cut_off(self, ax: Axes, top: float) -> None:
        beyond = self._eligible_differences()
        beyond = beyond[beyond > top]
        self.n_cut_off_ = len(beyond)
        if len(beyond):
            ax.annotate(
                f"{count(len(beyond), 'candidate')} above, up to {beyond[-1]:.0f}",
                (0.99, 0.98),
                xycoords="axes fraction",
                ha="right",
                va="top",
                fontsize="small",
                color=GRAY,
            )

    def _view(self, limit: float) -> tuple[float, float]:
        """Return limits that show eligible candidates, and others near them."""
        values = self._differences
        finite = np.isfinite(values)
        eligible = self._eligible_differences()
        eligible = eligible[eligible <= limit]
        low, high = float(eligible.min()), float(eligible.max())
        span = high - low or max(1.0, 1e-3 * abs(high))
        near = values[finite]
        near = near[(near > low - SLACK * span) & (near < high + SLACK * span)]
        low, high = min(low, *near, low), max(high, *near, high)
        if np.isfinite(limit):
            high = limit
        margin = MARGIN * span
        return low - margin, high + margin

    def _draw_type(
        self, ax: Axes, name: str, style: Style, view: tuple[float, float]
    ) -> None:
        values = self._differences
        mine = np.flatnonzero(self.covariance_types == name)
        mine = mine[np.argsort(self.n_components[mine], kind="stable")]
        shown = mine[self.eligible[mine] & np.isfinite(values[mine])]
        self.lines_ += ax.plot(
            self.n_components[shown],
            values[shown],
            color=style.color,
            marker=style.marker,
            ls=style.dashes,
            ms=4.5,
            lw=1.2,
            label=_wrapped(name),
        )
        for i in np.setdiff1d(mine, shown):
            place, marker = _place(float(values[i]), view, style.marker)
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


def _wrapped(text: str) -> str:
    """Return a text of the legend in lines that leave room for the picture."""
    return textwrap.fill(text, LONGEST_LINE)
