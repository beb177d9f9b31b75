"""How a mixture is fitted to data: starts, search, streams, and what is kept of them.

What the estimators share. Each says how its problem is prepared, which starts it may be
given, and which attributes a solution has.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skem._fitted.mixture import FittedMixture
from skem._fitting.monitor import CallbackSupportMixin, Monitor, monitored
from skem._fitting.state import PlainState
from skem._inputs.array_api import like_given, numpy_of
from skem._inputs.blocks import open_blocks
from skem._inputs.callers import users_level
from skem._inputs.options import StrOptions
from skem._inputs.sklearn import Interval, fit_context
from skem._inputs.typing import Algorithm, Auto, InitParams
from skem._inputs.validation import check_n_samples
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import TINY, Parameters
from skem.core.gaussian.regularization import (
    IllDefinedCovarianceError,
    ScaleFreePenalty,
)
from skem.core.mixture.em import EMMap, Evaluation
from skem.core.mixture.seeds import INITIALIZERS, starting_methods
from skem.core.mixture.stream import Gathering, Stream
from skem.core.search.climb import best_of
from skem.core.search.follow import follow
from skem.core.search.initialize import initialize
from skem.core.search.search import Search
from skem.core.solve.accelerator import Progress
from skem.core.solve.loop import Solution
from skem.core.solve.registry import ACCELERATORS

ILL_DEFINED = (
    "Fitting the mixture model failed because some components have "
    "ill-defined empirical covariance (for instance caused by singleton "
    "or collapsed samples). Try to decrease the number of components, "
    "increase reg_covar, or scale the input data."
)
ILL_DEFINED_FLOAT32 = (
    " The numerical accuracy can also be improved by passing float64"
    " data instead of float32."
)
START_ANEW = "Set warm_start=False to start anew."


PARAMETERS: dict[str, list[Any]] = {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0.0, None, closed="left")],
    "reg_covar": [StrOptions(["auto"]), Interval(Real, 0.0, None, closed="left")],
    "max_iter": [Interval(Integral, 0, None, closed="left")],
    "n_init": [StrOptions(["auto"]), Interval(Integral, 1, None, closed="left")],
    "init_params": [StrOptions(INITIALIZERS)],
    "algorithm": [StrOptions(ACCELERATORS)],
    "random_state": ["random_state"],
    "warm_start": ["boolean"],
    "learning_decay": [Interval(Real, 0.5, 1, closed="right")],
    "learning_window": [Interval(Real, 0, None, closed="neither"), None],
    "verbose": ["verbose"],
    "verbose_interval": [Interval(Integral, 1, None, closed="left")],
}
"""Constraints of the parameters that all estimators have."""


class FittingMixture(PlainState, CallbackSupportMixin, FittedMixture):
    """The fit of a mixture; a subclass has scikit-learn's parameters, and ours."""

    n_components: int
    tol: float
    max_iter: int
    reg_covar: float | Auto
    n_init: int | Auto
    init_params: InitParams
    algorithm: Algorithm
    warm_start: bool
    learning_decay: float
    learning_window: float | None
    verbose: int
    verbose_interval: int

    converged_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]

    _internal = ("_stream", "_progress", "_noise", "_null_space", "_of_steps")
    _search_class: ClassVar[type[Search]] = Search
    _stream_class: ClassVar[type[Stream]] = Stream

    @abstractmethod
    def _prepared(self, blocks: Blocks) -> EMMap:
        """Return the problem that the data and the parameters pose."""

    def _check_starts(self, n_features: int) -> dict[str, np.ndarray]:
        """Return the given parts of a start, in the terms of `Parameters`."""
        return {}

    def _start_of(self, given: dict[str, np.ndarray]) -> Parameters:
        """Return a start of which all parts are given."""
        return Parameters(**given)

    def _is_start(self, given: dict[str, np.ndarray]) -> bool:
        """Whether given parts are to be started from, and left."""
        return bool(given)

    def _start_parameters(self) -> Parameters:
        """Return the present parameters, in units of the data, to start from."""
        return self._parameters()

    def _search(
        self, finish: Callable[..., Solution], rng: np.random.RandomState
    ) -> Search:
        """Return how a good optimum is looked for."""
        methods = starting_methods(self.init_params)
        accelerator = ACCELERATORS[self.algorithm]
        return self._search_class(methods, self.n_components, rng, finish, accelerator)

    def _bound_of(self, total_weight: float) -> float:
        """Return the weight of the rows that `lower_bound_` is divided by."""
        return total_weight

    def _stream_bound(self, stream: Stream) -> float:
        """Return `lower_bound_` of a stream."""
        return float(stream.averages.loglik + stream.coordinates.log_slope)

    def _attributes_of(
        self, problem: EMMap | Stream, found: Parameters, dtype: np.dtype
    ) -> dict[str, Any]:
        """Return the fitted attributes for parameters in some coordinates."""
        coordinates, structure = problem.coordinates, problem.structure
        null = coordinates.null_space(problem.regularization.null_basis)
        attributes = self._parameter_attributes(
            coordinates.outward(structure, found, dtype),
            coordinates.covariances(structure, found, dtype),
        )
        of_steps, ties, shares = None, coordinates.ties, self._shares(problem, found)
        if shares is not None and ties is not None and ties.steps.any():
            # Squares of these may be out of range.
            roots = np.sqrt(ties.steps) / coordinates.slope
            of_steps = np.multiply.outer(np.sqrt(shares), roots)
        return {**attributes, "_null_space": null, "_of_steps": of_steps}

    def _shares(self, problem: EMMap | Stream, found: Parameters) -> np.ndarray | None:
        """Return what part of covariances is of rows, (K,), or None if some are given.

        The rest is of pseudo-observations.
        """
        if problem.fixed is not None and problem.fixed.covariances.any():
            return None
        if isinstance(problem, Stream):
            sizes = problem.size * found.weights
        else:
            sizes = problem.blocks.total_weight * found.weights
        if problem.structure.shared:
            sizes = np.full(len(sizes), sizes.sum())
        penalty = problem.regularization
        epsilon = penalty.epsilon if isinstance(penalty, ScaleFreePenalty) else 0.0
        return np.asarray(sizes / np.maximum(sizes + epsilon, TINY))

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(
        self, X: ArrayLike, sample_weight: ArrayLike | None, labels: Any = None
    ) -> None:
        K = self.n_components
        with (
            open_blocks(
                self, X, sample_weight, reset=True, labels=labels, n_components=K
            ) as blocks,
            monitored(self, X, sample_weight) as monitors,
            explained_failure(blocks.dtype),
        ):
            check_n_samples(blocks.n_observed, K)
            present = None
            if self.warm_start and hasattr(self, "means_"):
                present = self._present(blocks.n_features, START_ANEW)
            best = self._fit_blocks(blocks, present, monitors)
            self._label(blocks)
            self._warn(best)
            self._become_like(X)

    def _become_like(self, X: Any) -> None:
        """Have fitted attributes in arrays of the library of the data, if so wanted."""

    def _labels_or_predict(self, X: ArrayLike) -> np.ndarray:
        """Return the labels of the rows of a fit."""
        found = vars(self).get("labels_")
        if found is None:
            return self.predict(X)
        return like_given(X, numpy_of(found).astype(np.intp))

    def _fit_blocks(
        self,
        blocks: Blocks,
        present: Parameters | None,
        monitors: Sequence[Monitor] = (),
    ) -> Solution:
        """Fit validated data, from the present parameters if there are any."""
        given = self._check_starts(blocks.n_features)
        em = self._prepared(blocks)
        finish = partial(self._solve, monitors)
        # Data may be too far from what the present parameters are of.
        far = nullcontext() if present is None else np.errstate(all="ignore")
        try:
            with far:
                best = best_of(self._solutions(em, given, present, finish))
        except IllDefinedCovarianceError:
            if present is None or not em.regularization.repairs:
                raise
            present = None
            best = best_of(self._solutions(em, given, present, finish))
        if present is None and not self._is_start(given):
            best = self._ordered(best)
        self._set_solution(best)
        return best

    def _ordered(self, best: Solution) -> Solution:
        """Return the solution in an order that does not depend on the start."""
        return best

    def _searches(self, given: dict[str, np.ndarray]) -> bool:
        """Whether a good optimum is looked for, and not just starts finished."""
        possible = self.n_init == "auto" and self.n_components > 1 and self.max_iter > 0
        return possible and not self._is_start(given)

    def _present(self, n_features: int, advice: str) -> Parameters:
        """Return the present parameters, if they are those of such a mixture."""
        if hasattr(self, "_stream"):
            self._check_unchanged(self._stream, advice)
        present, structure = self._start_parameters(), SHAPES[self.covariance_type]
        before = (present.means.shape, present.precisions_cholesky.shape)
        shape = (self.n_components, n_features)
        if before != (shape, structure.shape(*shape)):
            K, d = present.shape
            raise ValueError(
                f"The present parameters are those of n_components={K} and "
                f"{d} features, with precisions of shape {before[1]}; expected "
                f"n_components={shape[0]}, {shape[1]} features and shape "
                f"{structure.shape(*shape)}. {advice}"
            )
        return present

    def _solutions(
        self,
        em: EMMap,
        given: dict[str, np.ndarray],
        present: Parameters | None,
        finish: Callable[..., Solution],
    ) -> Iterator[Solution]:
        """Yield the solution of each start that is finished."""
        K = self.n_components
        rng = check_random_state(self.random_state)
        if present is not None:
            start = em.ready(em.coordinates.start(em.structure, present))
            yield finish(em, start, progress=getattr(self, "_progress", None))
        elif self._searches(given):
            yield self._search(finish, rng).optimum(em)
        elif len(given) == 3:
            start = em.coordinates.start(em.structure, self._start_of(given))
            yield finish(em, em.ready(start))
        else:
            n_init = 1 if isinstance(self.n_init, str) else self.n_init
            for _ in range(n_init):
                start = initialize(em, INITIALIZERS[self.init_params], K, rng)
                start = em.coordinates.outward(em.structure, start, np.dtype(float))
                start = replace(start, **given)
                start = em.coordinates.start(em.structure, start)
                yield finish(em, em.ready(start))

    def _solve(
        self,
        monitors: Sequence[Monitor],
        em: EMMap,
        start: Parameters,
        earlier: Solution | None = None,
        *,
        progress: Progress | None = None,
        rough: float = 0.0,
    ) -> Solution:
        """Finish one start, in the coordinates of the fit; or end it earlier."""
        accelerate = partial(ACCELERATORS[self.algorithm], progress=progress)
        with ExitStack() as stack:
            steps = [stack.enter_context(monitor.run(em)) for monitor in monitors]
            callback = None
            if steps:
                callback = lambda *state: any([step(*state) for step in steps])  # noqa: E731
            return follow(
                accelerate,
                self.tol,
                self.max_iter,
                em,
                start,
                earlier,
                rough=rough,
                callback=callback,
            )

    def _attributes_at(self, evaluation: Evaluation) -> dict[str, Any]:
        """Return the fitted attributes for the parameters of an evaluation."""
        em = evaluation.em
        return self._attributes_of(em, evaluation.parameters, em.blocks.dtype)

    def _set_solution(self, best: Solution) -> None:
        em = best.evaluation.em
        total = self._bound_of(em.blocks.total_weight + em.blocks.empty_weight)
        self._set_stream(self._stream_class.begin(best.evaluation))
        self._labelled = len(em.blocks.known_components) > 0
        self.converged_ = bool(best.converged)
        self.n_iter_ = best.n_iter
        score, values = best.evaluation.score, best.values
        self.lower_bound_ = score / total
        # Those before the last are what was climbed, and end where that is.
        own = values[-1] if values else best.evaluation.loglik
        self.lower_bounds_ = [
            self.lower_bound_ + (value - own) / total for value in values
        ]
        self._progress = best.accelerator.progress

    def _check_unchanged(self, stream: Stream | Gathering, advice: str) -> None:
        """Require the structure and the number of components of the stream."""
        for name, before in (
            ("n_components", stream.n_components),
            ("covariance_type", stream.structure.name),
        ):
            if getattr(self, name) != before:
                raise ValueError(
                    f"{name} has changed from {before!r} to {getattr(self, name)!r}. "
                    f"{advice}"
                )

    def _set_stream(self, stream: Stream) -> None:
        """Become the mixture of a stream, which may go on."""
        self.__dict__.update(
            self._attributes_of(stream, stream.parameters, stream.dtype)
        )
        self._stream: Stream | Gathering = stream

    def _warn(self, best: Solution) -> None:
        """Say in what respect the solution is not what was asked for."""
        self._warn_of_components(best)
        if not best.converged and self.max_iter > 0:
            warnings.warn(
                f"Best performing initialization did not converge: {self._left(best)}",
                ConvergenceWarning,
                stacklevel=users_level(),
            )

    def _warn_of_components(self, best: Solution) -> None:
        """Say what components are not what they should be."""

    def _left(self, best: Solution) -> str:
        """Say what a run that has not converged leaves, and what to do about it."""
        if self.tol == 0:
            return (
                "with tol=0 a fit takes max_iter steps, and does not look for "
                "convergence. Increase tol to end it at the optimum."
            )
        remaining = best.accelerator.remaining
        if math.isfinite(remaining):
            left = f"an estimated {remaining:.3g} nats of log-likelihood are left"
        else:
            left = "it cannot be told yet how many nats of log-likelihood are left"
        return (
            f"{left} to be gained. Try different init parameters, or increase "
            "max_iter, tol, or check for degenerate data."
        )


@contextmanager
def explained_failure(dtype: np.dtype) -> Iterator[None]:
    """Tell users what to do about a covariance that is not positive definite."""
    try:
        yield
    except IllDefinedCovarianceError:
        hint = ILL_DEFINED_FLOAT32 if dtype == np.float32 else ""
        raise ValueError(ILL_DEFINED + hint) from None


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give the estimator back all its attributes if anything is raised."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
