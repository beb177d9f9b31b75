"""What watches a fit: printed lines, and scikit-learn's callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from skem.core.mixture.em import EMMap, Evaluation
from skem.core.solve.accelerator import Accelerator

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """There are no callbacks."""


Step = Callable[[int, Evaluation, Accelerator], bool]
"""Called after each step of a run; true stops the run."""


class Monitor(Protocol):
    """Something that watches the runs of a fit."""

    def run(self, em: EMMap) -> Any:
        """Return a context manager around a run, which yields its `Step`."""


class Lines:
    """Prints a line for each run, and one for every so many steps."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._interval = estimator.verbose_interval

    @contextmanager
    def run(self, em: EMMap) -> Iterator[Step]:
        """Print the header of a run, and the lines of its steps."""
        total, log_slope = em.blocks.total_weight, em.coordinates.log_slope
        print(f"Initialization on {em.blocks.n_samples} samples")

        def step(number: int, evaluation: Evaluation, accelerator: Accelerator) -> bool:
            if number % self._interval == 0:
                line = line_of(
                    self._estimator, number, evaluation.loglik / total + log_slope
                )
                left = _known(accelerator.remaining)
                print(f"{line}\t nats to go {left}\t {accelerator.step}")
            return False

        yield step


def line_of(mixture: Any, number: int, value: float) -> str:
    """Say how far a mixture is after a step, in nats per row."""
    name = "mean log-likelihood" if mixture._by_likelihood else "lower bound per row"
    return f"  Iteration {number}\t {name} {value:.6f}"


def _known(remaining: float) -> str:
    return f"{remaining:.3g}" if math.isfinite(remaining) else "unknown"


class Callbacks:
    """Makes a task of each run, and of each pass, for scikit-learn's callbacks."""

    def __init__(self, estimator: Any, X: Any, weight: Any):
        n_init = estimator.n_init
        max_runs = None if isinstance(n_init, str) else n_init
        self._root = estimator._init_callback_context(max_subtasks=max_runs)
        self._estimator = estimator
        metadata = {} if weight is None else {"sample_weight": weight}
        self._data = {"estimator": estimator, "X": X, "metadata": metadata}
        self._root.call_on_fit_task_begin(**self._data)

    @contextmanager
    def run(self, em: EMMap) -> Iterator[Step]:
        """Begin and end the tasks of a run."""
        max_iter = self._estimator.max_iter
        run = self._root.subcontext(task_name="run", max_subtasks=max_iter)
        run.call_on_fit_task_begin(**self._data)
        open_tasks: list[Any] = []

        def begin() -> None:
            open_tasks.append(run.subcontext(task_name="pass"))
            open_tasks[-1].call_on_fit_task_begin(**self._data)

        def step(number: int, evaluation: Evaluation, accelerator: Accelerator) -> bool:
            stop = open_tasks.pop().call_on_fit_task_end(
                **self._data,
                reconstruction_attributes=partial(
                    self._estimator._attributes_at, evaluation
                ),
            )
            if number < max_iter:
                begin()
            return bool(stop)

        if max_iter:
            begin()
        yield step
        # That of a pass which was not needed any more.
        for task in open_tasks:
            task.call_on_fit_task_end(estimator=self._estimator)
        run.call_on_fit_task_end(**self._data)

    def end(self) -> None:
        """End the task of the whole fit: the estimator is fitted."""
        self._root.call_on_fit_task_end(**self._data, reconstruction_attributes={})


@contextmanager
def monitored(estimator: Any, X: Any, weight: Any) -> Iterator[list[Monitor]]:
    """Yield what watches the fit of an estimator, and tell it when that is done."""
    monitors: list[Monitor] = []
    if estimator.verbose:
        monitors.append(Lines(estimator))
    if not getattr(estimator, "_skl_callbacks", None):
        yield monitors
        return
    callbacks = Callbacks(estimator, X, weight)
    yield [*monitors, callbacks]
    callbacks.end()
