"""ConvergenceDisplay: what the likelihood still lacks after each pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skem._display.style import GRAY, line_style, open_frame, single_axes
from skem._inputs.blocks import array_blocks
from skem._inputs.sklearn import check_matplotlib_support
from skem._inputs.typing import Algorithm
from skem._inputs.validation import check_data, check_sample_weight, kind_of
from skem._report.text import count
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap, Evaluation
from skem.core.solve.loop import solve
from skem.core.solve.registry import ACCELERATORS
from skem.gaussian_mixture import GaussianMixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


AGAINST = ("passes", "time")


class ConvergenceDisplay:
    """Picture of how fast the solvers of a mixture converge from the same start.

    It is recommended to use :meth:`from_estimator` to create a `ConvergenceDisplay`.
    All parameters are stored as attributes.

    For each solver, the nats of (penalised) log-likelihood that are missing to the
    best value that any of them reaches are drawn against the passes over the data, and
    against time.

    Parameters
    ----------
    gaps : dict of str to ndarray of shape (n_passes,)
        For each solver, the total log-likelihood in nats, less the penalty of
        ``reg_covar="auto"``, by which its best point so far is below the best of all,
        after each pass. The first pass evaluates the start.

    floor : float, default=1e-6
        Gaps below this are not drawn, in nats.

    tol : float, default=None
        Tolerance to mark, in nats.

    seconds : dict of str to ndarray of shape (n_passes,), default=None
        For each solver, the time from its beginning to the end of each pass. None: not
        known, and only passes are drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes, or ndarray of Axes of shape (2,)
        Axes with the picture: against passes, and against time.

    figure_ : matplotlib Figure
        Figure with the picture.

    lines_ : list of matplotlib Line2D
        One line for each solver, with a marker where it ends; then the same against
        time.

    See Also
    --------
    ConvergenceDisplay.from_estimator : Picture of the solvers of an estimator.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skem import ConvergenceDisplay, GaussianMixture
    >>> from skem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> display = ConvergenceDisplay.from_estimator(
    ...     GaussianMixture(3, random_state=0), X
    ... )
    >>> len(display.gaps["auto"]) < len(display.gaps["em"])
    True
    >>> plt.show()  # doctest: +SKIP
    >>> plt.close(display.figure_)
    """

    ax_: Any
    figure_: Figure
    lines_: list[Line2D]

    def __init__(
        self,
        *,
        gaps: dict[str, np.ndarray],
        floor: float = 1e-6,
        tol: float | None = None,
        seconds: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.gaps = gaps
        self.floor = floor
        self.tol = tol
        self.seconds = seconds

    @classmethod
    def from_estimator(
        cls,
        estimator: GaussianMixture,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        algorithms: Sequence[Algorithm] = ("em", "auto"),
        floor: float = 1e-6,
        max_iter: int | None = None,
        ax: Any = None,
        against: str = "passes",
    ) -> Self:
        """Fit data by several solvers from the same start, and draw their progress.

        Parameters
        ----------
        estimator : GaussianMixture
            The mixture; it need not be fitted, and stays as it is. Its first start is
            the one that all solvers get.

        X : array-like of shape (n_samples, n_features)
            Data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        algorithms : sequence of str, default=("em", "auto")
            Solvers, as in the parameter `algorithm`.

        floor : float, default=1e-6
            The nats that a solver may leave to be gained: it takes the place of the
            estimator's `tol`, which is marked.

        max_iter : int, default=None
            The largest number of steps. None: the estimator's.

        ax : matplotlib Axes or array-like of two of them, default=None
            Axes to draw in: one, against `against`, or two, against passes and against
            time. None: two of a new figure, made by pyplot; one if times are not known.

        against : {"passes", "time"}, default="passes"
            What is on the horizontal axis if there is but one.

        Returns
        -------
        display : ConvergenceDisplay
            The picture.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If a solver is unknown, or the data do not suit the estimator.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skem import ConvergenceDisplay, GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(3, random_state=0)
        >>> display = ConvergenceDisplay.from_estimator(mixture, X, algorithms=["em"])
        >>> list(display.gaps)
        ['em']
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        unknown = [name for name in algorithms if name not in ACCELERATORS]
        if unknown or not len(algorithms):
            raise ValueError(
                f"algorithms should be some of {list(ACCELERATORS)}, got {algorithms!r}"
            )
        if not isinstance(estimator, GaussianMixture):
            raise TypeError(
                f"Expected a skem.GaussianMixture, but got {kind_of(estimator)}."
            )
        if not 0 < floor < np.inf:
            raise ValueError(f"floor should be positive and finite, got {floor!r}")
        if max_iter is not None and not (
            isinstance(max_iter, Integral) and max_iter >= 0
        ):
            raise ValueError(
                f"max_iter should be None or a non-negative integer, got {max_iter!r}"
            )
        steps = estimator.max_iter if max_iter is None else max_iter
        _check_against(against)
        traces = _traces(estimator, X, sample_weight, algorithms, floor, steps)
        best = max(trace.max() for trace, _ in traces.values())
        display = cls(
            gaps={name: best - trace for name, (trace, _) in traces.items()},
            floor=floor,
            tol=estimator.tol,
            seconds={name: seconds for name, (_, seconds) in traces.items()},
        )
        return display.plot(ax=ax, against=against)

    def plot(self, ax: Any = None, *, against: str = "passes") -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of two of them, default=None
            Axes to draw in: one, against `against`, or two, against passes and against
            time. None: two of a new figure, made by pyplot; one if times are not known.

        against : {"passes", "time"}, default="passes"
            What is on the horizontal axis if there is but one.

        Returns
        -------
        display : ConvergenceDisplay
            The picture.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check_against(against)
        if against == "time" and self.seconds is None:
            raise ValueError("The times of the passes are not known.")
        self.lines_ = []
        if ax is None and self.seconds is not None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(1, 2, sharey=True, figsize=(8, 4), layout="constrained")[
                1
            ]
        if ax is None or hasattr(ax, "plot"):
            one = single_axes(ax)
            self.ax_, self.figure_ = one, cast("Figure", one.figure)
            self._draw(one, against)
            return self
        axes = np.asarray(ax, dtype=object)
        if axes.shape != (2,) or self.seconds is None:
            raise ValueError(
                "Expected ax to be one, or an array of two if times are known; got "
                f"shape {axes.shape}"
            )
        self.ax_, self.figure_ = axes, axes[0].figure
        for each, what in zip(axes, AGAINST, strict=True):
            self._draw(each, what)
        axes[1].set_ylabel("")
        axes[1].get_legend().remove()
        return self

    def _draw(self, ax: Axes, against: str) -> None:
        from matplotlib.ticker import MaxNLocator, NullLocator

        for index, (name, gaps) in enumerate(self.gaps.items()):
            color, marker, dashes = line_style(index)
            reached = np.flatnonzero(gaps <= self.floor)
            end = int(reached[0]) + 1 if len(reached) else len(gaps)
            passes, label = np.arange(1, end + 1), name
            if self.seconds is not None:
                spent = self.seconds[name][:end]
                label = f"{name}: {count(end, 'pass', 'passes')}, {spent[-1]:.2g} s"
            self.lines_ += ax.plot(
                passes if against == "passes" else spent,
                np.maximum(gaps[:end], self.floor),
                color=color,
                ls=dashes,
                # The first lines are wider, to be seen under those that cover them.
                lw=max(1.2, 2.6 - 0.7 * index),
                marker=marker,
                ms=5,
                markevery=[end - 1],
                clip_on=False,
                label=label,
            )
        if self.tol is not None and self.tol > self.floor:
            ax.axhline(self.tol, color=GRAY, lw=0.8, ls=":", zorder=1)
            ax.annotate(
                f"tol = {self.tol:g}",
                (1, self.tol),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                fontsize="small",
                color=GRAY,
            )
        ax.set_yscale("log")
        ax.yaxis.set_minor_locator(NullLocator())
        if against == "passes":
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        ax.set_ylim(bottom=self.floor)
        if ax.get_xscale() != "log":
            ax.set_xlim(left=0)
        ax.set_xlabel("passes over the data" if against == "passes" else "seconds")
        ax.set_ylabel("nats below the best")
        ax.legend(frameon=False, fontsize="small")
        open_frame(ax)


def _check_against(against: str) -> None:
    if against not in AGAINST:
        raise ValueError(f"against should be one of {AGAINST}, got {against!r}")


def _traces(
    estimator: GaussianMixture,
    X: ArrayLike,
    sample_weight: ArrayLike | None,
    algorithms: Sequence[str],
    tol: float,
    max_iter: int,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the best objective after each pass of each solver, in nats, and when."""
    # A fit without steps gives its start.
    start = clone(estimator).set_params(max_iter=0, n_init=1, verbose=0)
    start.fit(X, sample_weight=sample_weight)
    data = check_data(start, X, reset=False)
    weight = check_sample_weight(sample_weight, data.X)
    structure = SHAPES[start.covariance_type]
    with array_blocks(data, weight) as blocks:
        em = start._prepared(blocks)
        point = em.coordinates.inward(structure, start._parameters())
        return {name: _trace(em, point, name, tol, max_iter) for name in algorithms}


def _trace(
    em: EMMap, start: Parameters, algorithm: str, tol: float, max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    # Not the history of the solution, which has the likelihood without its penalty,
    # and no pass that was in vain.
    objectives: list[float] = []
    seconds: list[float] = []
    # What is prepared once is not the first solver's time.
    em.evaluate(start)
    began = time.perf_counter()

    def evaluate(parameters: Parameters) -> Evaluation:
        evaluation = em.evaluate(parameters)
        objectives.append(evaluation.objective)
        seconds.append(time.perf_counter() - began)
        return evaluation

    accelerator: Any = ACCELERATORS[algorithm](em.chart, None)
    solve(evaluate, start, accelerator, tol=tol, max_iter=max_iter)
    return np.maximum.accumulate(objectives), np.array(seconds)
