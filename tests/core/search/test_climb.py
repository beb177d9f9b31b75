"""A few steps from several starts at once."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.climb import (
    Trial,
    best_of,
    climb,
    height,
    highest,
    order_of,
    ranked,
)
from skem.core.search.initialize import initialize
from skem.core.solve.loop import solve
from skem.core.solve.plain import Plain

K = 3


def problem(make_blocks, structure, X, reg_covar="auto"):
    return EMMap.prepare(make_blocks(X), structure, K, reg_covar)


def starts(em, n):
    rng = np.random.RandomState(0)
    return [initialize(em, INITIALIZERS["kmeans"], K, rng) for _ in range(n)]


def plain(em, start, steps):
    run = solve(em.evaluate, start, Plain(em.chart), tol=0, max_iter=steps)
    return run.evaluation


def test_trials_are_those_of_each_start_the_best_first(structure, make_blocks, rng):
    em = problem(make_blocks, structure, rng.normal(size=(200, 2)))
    some = starts(em, 5)
    trials = climb(em, some, 6)
    assert len(trials) == 3
    objectives = [trial.objective for trial in trials]
    # Those that are alike to rounding are in the order of their starts.
    assert (np.diff(objectives) < 1e-9).all()
    half = [plain(em, start, 3).objective for start in some]
    for i in np.argsort(half)[::-1][:3]:
        alone = plain(em, some[i], 6)
        gain = alone.objective - plain(em, some[i], 5).objective
        # Of objectives of a few hundred.
        nearest = min(trials, key=lambda t: abs(t.objective - alone.objective))
        assert nearest.objective == pytest.approx(alone.objective, abs=1e-9)
        assert nearest.gain == pytest.approx(gain, abs=1e-9)
        # Starts that differ in the order of components alone come to the same value.
        means = [np.sort(t.parameters.means[:, 0]) for t in (nearest, alone)]
        np.testing.assert_allclose(*means, atol=1e-8)


def test_no_steps_are_an_evaluation(make_blocks, rng):
    em = problem(make_blocks, STRUCTURES["diag"], rng.normal(size=(50, 2)))
    (trial,) = climb(em, starts(em, 1), 0)
    assert trial.objective == em.evaluate(starts(em, 1)[0]).objective
    assert trial.gain == 0


def test_starts_that_fail_are_left_out(make_blocks, rng):
    X = np.vstack([rng.normal(size=(50, 2)), np.full((4, 2), 9.0)])
    em = problem(make_blocks, STRUCTURES["full"], X, reg_covar=0.0)
    good = initialize(
        em,
        lambda Z, v, K, rng: rng.dirichlet(np.ones(K), len(Z)).T,
        K,
        np.random.RandomState(0),
    )
    spread = good.means.copy()
    spread[2] = em.coordinates.load(X[-1:].T, np.empty((2, 1)))[:, 0]
    narrow = good.precisions_cholesky.copy()
    narrow[2] *= 1e3
    collapsing = type(good)(good.weights, spread, narrow)
    assert len(climb(em, [collapsing], 2)) == 0
    trials = climb(em, [collapsing, good], 2)
    assert [trial.objective for trial in trials] == [plain(em, good, 2).objective]
    # So it is in a stack.
    stack = type(good).stacked([collapsing, good])
    trials = climb(em, stack, 2)
    assert [trial.objective for trial in trials] == [plain(em, good, 2).objective]


def test_no_starts_give_no_trials(make_blocks, rng):
    em = problem(make_blocks, STRUCTURES["full"], rng.normal(size=(50, 2)))
    assert climb(em, [], 3) == []


def test_what_has_no_hope_is_given_up(make_blocks, rng):
    em = problem(make_blocks, STRUCTURES["diag"], rng.normal(size=(200, 2)))
    some = starts(em, 5)
    every = climb(em, some, 8)
    assert climb(em, some, 8, every[0].objective + 1e4) == []
    again = climb(em, some, 8, every[0].objective - 1e4)
    assert [t.objective for t in again] == [t.objective for t in every]


def test_what_stands_still_stays_where_it_is(make_blocks, rng, monkeypatch):
    monkeypatch.setattr(EMMap, "contest", lambda *_: None)
    monkeypatch.setattr(EMMap, "light", lambda *_: False)
    monkeypatch.setattr(EMMap, "_stepper", None)
    em = problem(make_blocks, STRUCTURES["diag"], rng.normal(size=(200, 2)))
    (start,) = starts(em, 1)
    evaluate, evaluated = EMMap.evaluate, []
    monkeypatch.setattr(
        EMMap, "evaluate", lambda *args: evaluated.append(0) or evaluate(*args)
    )
    (moving,) = climb(em, [start], 8, little=1e-9)
    assert len(evaluated) == 9
    # What it hopes for is a little.
    little = (6 + 2 * 8) * abs(moving.objective)
    (still,) = climb(em, [start], 8, little=little)
    assert len(evaluated) == 9 + 3
    monkeypatch.undo()
    for trial, steps in ((still, 2), (moving, 8)):
        expected = plain(em, start, steps).objective
        assert trial.objective == pytest.approx(expected, abs=1e-9)


def test_where_steps_take_little_time_what_stands_still_goes_on(
    make_blocks, rng, monkeypatch
):
    """Wherever rows are: else starts that end alike would end elsewhere."""
    pytest.importorskip("dask.array")
    from skem.core.blocks.dask import DaskBlocks, Tally

    em = problem(make_blocks, STRUCTURES["diag"], rng.normal(size=(200, 2)))
    some = starts(em, 3)
    stack = type(some[0]).stacked(some)
    tally = Tally(200, 200, 200.0)
    there = replace(em, blocks=DaskBlocks(None, (tally,), 2, np.dtype(float), None))
    assert em.light(stack)
    assert there.light(stack)
    assert there.contest(stack, 8, 2.0, 1e-10, -np.inf) is None
    moving, still = climb(em, some, 8), climb(em, some, 8, little=1e9)
    assert [t.objective for t in still] == [t.objective for t in moving]
    monkeypatch.setattr("skem.core.mixture.plan.MOST_VALUES", 100)
    assert not em.light(stack)
    assert not there.light(stack)


def test_rounding_does_not_choose_among_values():
    nudge = 1e-13
    values = [-700 - nudge, -800.0, -700.0, -700 + nudge, -699.0, -800 + nudge]
    assert order_of(values) == [4, 0, 2, 3, 1, 5]
    assert order_of([-700.0, -700 + 1e-6]) == [1, 0]
    assert order_of([]) == []
    trials = [Trial(None, value, 0.0, 1) for value in values]
    assert ranked(trials, Trial.reached) == [trials[i] for i in order_of(values)]
    ends = [end_at(value) for value in values]
    assert best_of(ends[:4]) is ends[0]
    assert best_of(ends) is ends[4]


def end_at(value):
    return SimpleNamespace(evaluation=SimpleNamespace(objective=value))


@pytest.mark.parametrize(
    ("ends", "before", "expected", "finished"),
    [
        # What each has reached is 3, 2, 1: none but the first is beyond a better end.
        ([5.0, 9.0, 9.0], None, 5.0, 1),
        ([1.0, 7.0, 9.0], None, 7.0, 2),
        # A worse end is not kept, nor one that fails.
        ([1.5, 0.5, 9.0], None, 1.5, 2),
        ([None, 0.5, 0.8], None, 0.8, 3),
        ([1.5, 0.5, 9.0], 2.5, 2.5, 1),
        ([9.0, 9.0, 9.0], 3.0, 3.0, 0),
    ],
)
def test_the_highest_end_is_found_and_no_more_than_may_be_it(
    ends, before, expected, finished
):
    trials = [Trial(end, float(3 - i), 0.0, 1) for i, end in enumerate(ends)]
    done = []

    def finish(trial):
        done.append(trial)
        if trial.parameters is None:
            raise IllDefinedCovarianceError
        return end_at(trial.parameters)

    best = None if before is None else end_at(before)
    found = highest(trials, finish, Trial.reached, 0.1, best)
    assert height(found) == expected
    assert len(done) == finished
