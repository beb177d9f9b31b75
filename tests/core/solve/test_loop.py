"""The loop on scalar sequences, of which everything is known."""

from itertools import count
from typing import NamedTuple

import numpy as np
import pytest

from skem.core.solve.accelerator import Progress
from skem.core.solve.loop import solve
from skem.core.solve.plain import Plain

RATES = [0.5, 0.9, 0.99, 0.999]
LIMIT = -1234.5


class Point(NamedTuple):
    """The t-th point of a sequence of objectives."""

    t: int
    objective: float

    @property
    def loglik(self):
        return self.objective

    @property
    def successor(self):
        return self.t + 1


def plain(progress=None):
    return Plain(chart_at=None, progress=progress)  # plain steps need no chart


def follow(objective, start=0, progress=None, **options):
    options = {"tol": 0.01, "max_iter": 100_000} | options
    return solve(lambda t: Point(t, objective(t)), start, plain(progress), **options)


def geometric(rate, gain=50.0):
    """Increments shrink by `rate` a step; `gain` is to be gained from t = 0."""
    return lambda t: LIMIT - gain * rate**t


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tol", [1.0, 0.01, 1e-5])
def test_stops_when_tol_is_left_of_a_geometric_sequence(rate, tol):
    solution = follow(geometric(rate), tol=tol)
    left = LIMIT - solution.evaluation.objective
    assert solution.converged
    # Neither early nor late. Differences of numbers of order 1e3 are off by 1e-13,
    # of increments of (1 − rate)·tol: 1e-5 of 1e-8.
    assert tol * rate * (1 - 1e-2) < left < tol * (1 + 1e-2)
    assert solution.accelerator.progress.remaining == pytest.approx(left, rel=1e-2)
    assert solution.n_iter == solution.evaluation.t


@pytest.mark.parametrize("slow", [0.9, 0.99])
@pytest.mark.parametrize("fast", [0.3, 0.8])
def test_slow_tail_after_a_fast_start_is_not_taken_for_the_end(fast, slow):
    def objective(t):
        return geometric(fast, 100.0)(t) + geometric(slow, 10.0)(t)

    solution = follow(objective)
    assert solution.converged
    assert 2 * LIMIT - solution.evaluation.objective < 0.05


@pytest.mark.parametrize("middle", [50, 150])
def test_plateau_is_not_a_stop(middle):
    # Increments grow by a tenth a step up to the middle, from far below tol: for
    # 150, from 3e-5. A stop on small increments would take it for the end.
    solution = follow(lambda t: LIMIT - 1000 / (1 + np.exp(0.1 * (t - middle))))
    assert solution.converged
    assert LIMIT - solution.evaluation.objective < 0.01 * (1 + 1e-2)


def test_slow_steady_climb_is_not_a_stop():
    # Increments of 1e-3, below tol, for 500 steps.
    solution = follow(lambda t: LIMIT - 1e-3 * max(500 - t, 0.0) - 0.9 ** max(t, 500))
    assert solution.evaluation.t > 500


def test_growing_increments_leave_an_unknown_rest():
    progress = Progress(0.0)
    for value in (1.0, 1.5, 1.8, 2.2):
        progress = progress.advance(value)
    assert progress.remaining == np.inf


@pytest.mark.parametrize("increments", [(), (1.0,), (1.0, 0.5)])
def test_one_ratio_is_not_trusted(increments):
    assert Progress(0.0, increments).remaining == np.inf


def test_slower_of_two_ratios_counts():
    assert Progress(0.0, (1.0, 0.8, 0.4)).remaining == pytest.approx(0.4 * 0.8 / 0.2)
    assert Progress(0.0, (1.0, 0.5, 0.4)).remaining == pytest.approx(0.4 * 0.8 / 0.2)


def test_rounding_is_the_end():
    # Increments of ±1e-13 of the value neither shrink nor matter.
    solution = follow(lambda t: -1e6 * (1 + 1e-13 * (-1) ** t), tol=1e-9)
    assert solution.converged
    assert solution.n_iter == 3


def test_tol_zero_does_every_step():
    solution = follow(geometric(0.1), tol=0, max_iter=57)
    assert solution.n_iter == 57
    assert not solution.converged


@pytest.mark.parametrize("max_iter", [0, 1, 2, 5])
def test_max_iter_ends_the_loop(max_iter):
    solution = follow(geometric(0.99), max_iter=max_iter)
    assert solution.n_iter == solution.evaluation.t == max_iter
    assert not solution.converged
    assert solution.values == [geometric(0.99)(t) for t in range(1, max_iter + 1)]


def test_each_step_costs_one_evaluation():
    calls = count()

    def evaluate(t):
        next(calls)
        return Point(t, geometric(0.9)(t))

    solution = solve(evaluate, 0, plain(), tol=0.01, max_iter=1000)
    assert next(calls) == solution.n_iter + 1


@pytest.mark.parametrize("rate", [0.5, 0.9])
@pytest.mark.parametrize("max_iter", [1, 2, 7])
def test_progress_continues_across_calls(rate, max_iter):
    whole = follow(geometric(rate))
    part = follow(geometric(rate), max_iter=max_iter)
    values = list(part.values)
    while not part.converged and len(values) < len(whole.values):
        part = follow(
            geometric(rate),
            start=part.evaluation.t,
            max_iter=max_iter,
            progress=part.accelerator.progress,
        )
        values += part.values
    assert part.converged
    assert values == whole.values
    assert part.evaluation == whole.evaluation
    assert part.accelerator.progress == whole.accelerator.progress


def test_progress_of_another_objective_is_forgotten():
    earlier = follow(geometric(0.5)).accelerator.progress
    solution = follow(geometric(0.5, gain=1e4), max_iter=2, progress=earlier)
    assert not solution.converged
    assert len(solution.accelerator.progress.increments) == 2


def test_callback_sees_every_step():
    seen = []
    solution = follow(
        geometric(0.9),
        max_iter=6,
        callback=lambda step, point, accelerator: seen.append(
            (step, point.t, accelerator.progress.value)
        ),
    )
    assert seen == [(t, t, value) for t, value in enumerate(solution.values, start=1)]


@pytest.mark.parametrize(("share", "accepted"), [(1e-14, True), (1e-9, False)])
def test_a_proposal_may_fall_by_rounding(share, accepted):
    """Else the last bit of a sum would tell where a fit ends."""

    class Once(Plain):
        def propose(self, current):
            return 1

        def learn(self, current, trial, accepted):
            found.append(accepted)

    found = []
    objective = {0: LIMIT, 1: LIMIT * (1 + share)}
    end = solve(
        lambda t: Point(t, objective[t]), 0, Once(chart_at=None), tol=0, max_iter=1
    )
    assert found == [accepted]
    assert end.evaluation.t == accepted
