"""Quasi-Newton steps in one call against those of the loop."""

from types import SimpleNamespace

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.mixture.step import Limits
from skem.core.search.follow import Followed, Race, followed
from skem.core.search.initialize import initialize
from skem.core.solve.lbfgs import LBFGS
from skem.core.solve.loop import solve
from skem.core.solve.plain import Plain
from skem.kernels import native

K = 4
pytestmark = pytest.mark.skipif(
    native.library() is None, reason="there is no compiled pass"
)


@pytest.fixture(params=[(1, "auto"), (2, "auto"), (2, 0.1), (6, "auto")])
def em(request, structure, make_blocks, rng):
    """Clusters that overlap, so that it takes a while."""
    n, (d, reg_covar) = 300, request.param
    X = rng.normal(size=(n, d)) + 2 * rng.integers(0, 3, size=(n, 1))
    blocks = make_blocks(X, rng.uniform(0.5, 2, n))
    return EMMap.prepare(blocks, structure, K, reg_covar)


def start_of(em, seed=0):
    random = INITIALIZERS["random_from_data"]
    return initialize(em, random, K, np.random.RandomState(seed))


def looped(em, start, tol, max_iter, earlier=None, callback=None):
    accelerator = LBFGS(em.chart)
    if earlier is not None:
        accelerator.follow(earlier.accelerator)
    return solve(
        em.evaluate,
        start,
        accelerator,
        tol=tol,
        max_iter=max_iter,
        callback=callback,
    )


def in_one_call(em, start, *limits, earlier=None):
    found = followed(em, LBFGS(em.chart), start, Limits(*limits), earlier)
    assert isinstance(found.accelerator, Followed)
    return found


def assert_same_run(one, other, rtol=1e-9):
    """Rounding grows from step to step where there is little curvature."""
    assert one.n_iter == other.n_iter
    assert one.converged == other.converged
    np.testing.assert_allclose(one.values, other.values, rtol=rtol)
    pairs = zip(
        one.evaluation.parameters.arrays,
        other.evaluation.parameters.arrays,
        strict=True,
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        one.accelerator.remaining, other.accelerator.remaining, rtol=0.01, atol=1e-9
    )


@pytest.mark.parametrize("max_iter", [0, 1, 2, 3, 12])
def test_first_steps_are_those_of_the_loop(em, max_iter):
    start = start_of(em)
    one = in_one_call(em, start, max_iter, 1e-9)
    other = looped(em, start, 1e-9, max_iter)
    assert_same_run(one, other)
    if max_iter <= LBFGS.warm_up:
        ours, theirs = one.accelerator.progress, other.accelerator.progress
        assert ours.value == pytest.approx(theirs.value, rel=1e-12)
        assert ours.increments == pytest.approx(theirs.increments, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_both_come_to_the_same_end(em, seed):
    start = start_of(em, seed)
    one = in_one_call(em, start, 1000, 0.01)
    other = looped(em, start, 0.01, 1000)
    assert one.converged
    assert other.converged
    ends = [run.evaluation.objective for run in (one, other)]
    # So many nats may be left.
    assert ends[0] == pytest.approx(ends[1], abs=0.01)
    assert abs(one.n_iter - other.n_iter) <= 3
    again = em.evaluate(one.evaluation.parameters)
    assert again.objective == pytest.approx(one.evaluation.objective, rel=1e-12)
    np.testing.assert_allclose(
        again.successor.means, one.evaluation.successor.means, rtol=1e-9, atol=1e-12
    )


def test_what_was_learned_is_taken_over(em):
    """By a run in one call, and by the loop."""
    start = start_of(em)
    begun = in_one_call(em, start, 8, 1e-9), looped(em, start, 1e-9, 8)
    reached = begun[0].evaluation.parameters
    one = in_one_call(em, reached, 5, 1e-9, earlier=begun[0])
    for earlier in begun:
        other = looped(em, reached, 1e-9, 5, earlier)
        np.testing.assert_allclose(one.values, other.values, rtol=1e-7)
    fresh = in_one_call(em, reached, 5, 1e-9)
    assert not np.allclose(fresh.values, one.values, rtol=1e-12)


def test_a_race_is_given_up_where_it_would_be(em):
    start = start_of(em)
    top = looped(em, start, 0.01, 200).evaluation.objective + 50
    limits = Limits(20, 0.01, top, 4)
    one = in_one_call(em, start, *limits)
    other = looped(em, start, 0.01, 20, callback=Race(limits))
    assert one.n_iter < 20
    assert_same_run(one, other)


def test_race_gives_up_what_cannot_catch_up():
    def outcomes(values, to_beat):
        race = Race(Limits(10, 0.0, to_beat, look=4))
        points = [SimpleNamespace(objective=value) for value in values]
        return [race(i + 1, point, None) for i, point in enumerate(points)]

    # Gains of one a step, twice that for the six steps left: 4 + 2·6 = 16.
    assert outcomes([1, 2, 3, 4], to_beat=17) == [False, False, False, True]
    assert not any(outcomes([1, 2, 3, 4], to_beat=16))


def test_what_is_not_for_one_call_is_left_to_the_loop(make_blocks, rng):
    X = rng.normal(size=(60, 2))
    limits = Limits(5, 0.01)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], K, "auto")
    start = start_of(em)
    assert followed(em, LBFGS(em.chart), start, limits) is not None
    assert followed(em, Plain(em.chart), start, limits) is None
    other = looped(em, start, 0.01, 5)
    assert followed(em, LBFGS(em.chart), start, limits, other) is None
    known = LBFGS(em.chart)
    known.follow(other.accelerator)
    assert followed(em, known, start, limits) is None
