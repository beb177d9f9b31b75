"""Stepwise EM: the step, the start, and statistics that follow a stream."""

import math
import pickle
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.mixture.expectation import total_statistics
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.mixture.stream import (
    START_ROWS_PER_COMPONENT,
    Forgetting,
    Gathering,
    Stream,
)
from skem.core.search.initialize import initialize

K = 3
DECAYS = [0.51, 0.6, 0.75, 1.0]
WINDOWS = [math.inf, 3.0, 0.2]
forgettings = pytest.mark.parametrize(
    "forgetting", [Forgetting(decay, window) for decay in DECAYS for window in WINDOWS]
)
REPLACE = Forgetting(1.0, 1e-9)
"""Nothing but the last batch counts."""
KEEP_ALL = Forgetting(1.0, math.inf)
"""All rows count the same."""


@pytest.mark.parametrize("decay", DECAYS)
def test_batches_of_one_size_have_the_step_of_cappe_and_moulines(decay):
    forgetting = Forgetting(decay, math.inf)
    t = np.arange(1, 1000)
    steps = [forgetting.step(float(seen), 1.0) for seen in t]
    # Between the ends of the interval that the rate is integrated over.
    assert (steps <= -np.expm1(-(t**-decay))).all()
    assert (steps >= -np.expm1(-((t + 1) ** -decay))).all()
    np.testing.assert_allclose(steps[-1], 1000**-decay, rtol=0.05)


@forgettings
def test_a_batch_cut_in_two_makes_the_same_step(forgetting):
    for seen in (1.0, 7.0, 1e6):
        whole = forgetting.step(seen, 0.5)
        first, second = forgetting.step(seen, 0.2), forgetting.step(seen + 0.2, 0.3)
        # The elapsed times, of order 1e6 at most, are rounded before subtraction.
        assert 1 - whole == pytest.approx((1 - first) * (1 - second), abs=1e-9)
        assert 0 < first < whole <= 1


def test_without_decay_of_weights_the_step_is_the_share_of_the_rows():
    for seen, batch in [(1.0, 1.0), (1e6, 1.0), (3.0, 500.0)]:
        assert KEEP_ALL.step(seen, batch) == pytest.approx(batch / (seen + batch))


@pytest.mark.parametrize("decay", DECAYS)
def test_window_bounds_the_memory(decay):
    forgetting = Forgetting(decay, 5.0)
    growing = Forgetting(decay, math.inf)
    assert forgetting.step(1.0, 0.1) == growing.step(1.0, 0.1)
    assert forgetting.step(1e6, 0.1) == pytest.approx(-math.expm1(-0.1 / 5), rel=1e-6)


def rows(n, rng):
    return rng.standard_normal((n, 2))


def gathering_of(X):
    return Gathering(STRUCTURES["full"], K, X)


def test_gathering_is_enough_with_rows_per_component_and_distinct_ones(rng):
    enough = START_ROWS_PER_COMPONENT * K
    empty = gathering_of(np.empty((0, 2)))
    short = empty.join(rows(enough - 1, rng), None)
    assert not short.is_enough
    assert short.join(rows(1, rng), None).is_enough
    equal = empty.join(np.repeat(rows(K - 1, rng), enough, axis=0), None)
    assert not equal.is_enough
    late = equal.join(rows(1, rng), None)
    assert late.is_enough
    assert not equal.join(rows(1, rng), np.zeros(1)).is_enough


def test_gathered_rows_are_fitted_when_their_number_has_doubled(rng):
    gathering = gathering_of(np.empty((0, 2)))
    due = []
    for _ in range(30):
        gathering = gathering.join(rows(1, rng), None)
        due.append(gathering.is_due)
        if due[-1]:
            gathering = replace(gathering, n_fitted=gathering.n_seen)
    assert (np.flatnonzero(due) + 1).tolist() == [3, 6, 12, 24]


def test_kept_rows_are_copies(rng):
    X, weight = rows(4, rng), np.ones(4)
    gathering = gathering_of(X[:0]).join(X, weight).kept()
    X[:] = np.nan
    weight[:] = np.nan
    assert np.isfinite(gathering.X).all()
    assert np.isfinite(gathering.weight).all()


def test_equal_rows_do_not_pile_up(rng):
    few = rows(K - 1, rng)
    gathering = gathering_of(few[:0])
    for _ in range(10):
        gathering = gathering.join(np.repeat(few, 50, axis=0), None).kept()
    assert len(gathering.X) == K - 1
    assert gathering.weight.tolist() == [500.0] * (K - 1)
    assert gathering.n_seen == 500 * (K - 1)


def test_rows_of_weight_zero_had_piled_up(rng):
    gathering = gathering_of(np.empty((0, 2)))
    for _ in range(5):
        gathering = gathering.join(rows(100, rng), np.eye(100)[0]).kept()
    assert gathering.X.shape == (5, 2)
    assert gathering.weight.tolist() == [1.0] * 5


def test_distinct_rows_are_looked_for_in_parts(rng, monkeypatch):
    monkeypatch.setattr("skem.core.mixture.stream.ROWS_COMPARED", 7)
    few, weight = rows(K - 1, rng), rng.integers(0, 3, 1_000).astype(float)
    labels = rng.integers(K - 1, size=1_000)
    gathering = gathering_of(few[:0]).join(few[labels], weight)
    assert not gathering.is_enough
    kept = gathering.kept()
    order = np.lexsort(few.T[::-1])
    np.testing.assert_array_equal(kept.X, few[order])
    expected = np.bincount(labels, weight)[order]
    np.testing.assert_array_equal(kept.weight, expected)
    assert kept.join(rows(1, rng), None).is_enough


def test_merged_rows_are_cut_until_there_are_as_many_as_components(rng):
    gathering = gathering_of(np.empty((0, 2))).join(rows(1, rng), np.array([6.0]))
    spread = gathering.spread()
    assert spread.X.shape == (K, 2)
    assert spread.weight.tolist() == [2.0] * K
    enough = gathering.join(rows(K, rng), None)
    assert enough.spread() is enough


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("window", [1e-300, 1.0, 1e300, math.inf])
def test_weights_of_any_ratio_make_a_step(decay, window):
    forgetting = Forgetting(decay, window)
    for seen in (1.0, 1e150, 1e300, math.inf):
        for batch in (1e-300, 1.0, 1e300, math.inf):
            assert 0 <= forgetting.step(seen, batch) <= 1


def clusters(rng, n=200, d=2, shift=0.0):
    return shift + rng.standard_normal((n, d)) + 8 * rng.integers(0, K, size=(n, 1))


def begun(blocks, structure, n_components=K, reg_covar="auto"):
    em = EMMap.prepare(blocks, structure, n_components, reg_covar)
    rng = np.random.RandomState(0)
    start = initialize(em, INITIALIZERS["kmeans"], n_components, rng)
    evaluation = em.evaluate(em.evaluate(start).successor)
    return Stream.begin(evaluation), evaluation


def arrays(state):
    """All numbers of a state, which are in dataclasses within it."""
    if isinstance(state, np.ndarray | float):
        return [state]
    parts = [getattr(state, field.name) for field in fields(state)]
    parts = [x for x in parts if not isinstance(x, type)]
    parts = [x for x in parts if isinstance(x, np.ndarray | float) or is_dataclass(x)]
    return [x for part in parts for x in arrays(part)]


def assert_equal_parameters(actual, expected, rtol):
    for name in ("weights", "means", "precisions_cholesky"):
        a, b = getattr(actual, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol, err_msg=name)


def test_a_stream_begins_where_the_fit_has_ended(structure, make_blocks, rng):
    stream, evaluation = begun(make_blocks(clusters(rng)), structure)
    assert stream.averages.loglik == pytest.approx(evaluation.loglik / 200)
    em = evaluation.em
    successor = em.maximise(stream.averages * stream.size, stream.parameters)
    # The statistics have been moved to another reference, some units away.
    assert_equal_parameters(successor, evaluation.successor, rtol=1e-10)


def test_a_step_that_replaces_all_is_an_em_step(structure, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure)
    batch = make_blocks(clusters(rng, n=150))
    after = stream.advance(batch, REPLACE)
    em = EMMap.prepare(batch, structure, K, "auto")
    em = replace(em, coordinates=stream.coordinates)
    total = total_statistics(batch, stream.coordinates, structure)
    em = replace(em, regularization=after.regularization, total=total)
    evaluation = em.evaluate(stream.parameters)
    assert_equal_parameters(after.parameters, evaluation.successor, rtol=1e-10)
    assert after.averages.loglik == pytest.approx(evaluation.loglik / 150)
    assert after.size == pytest.approx(150)


@pytest.mark.parametrize(
    ("shift", "rtol"), [(0.0, 1e-10), (1e3, 1e-8), (-1e5, 1e-6)], ids=str
)
def test_moments_of_a_stream_that_moves_are_exact(
    structure, shift, rtol, make_blocks, rng
):
    # The form of the E-step rounds by ε·shift² in units of the variance, and the
    # variance is that of the shift.
    parts = [clusters(rng)] + [clusters(rng, n, shift=shift) for n in (1, 7, 300)]
    stream, _ = begun(make_blocks(parts[0]), structure, 1, reg_covar=1e-9)
    for part in parts[1:]:
        stream = stream.advance(make_blocks(part), KEEP_ALL)
    whole = np.concatenate(parts)
    assert stream.seen == stream.size == pytest.approx(len(whole))
    em = EMMap.prepare(make_blocks(whole), structure, 1, 1e-9)
    expected = em.maximise(em.total)
    outward = (
        coordinates.outward(structure, found, np.dtype(float))
        for coordinates, found in (
            (stream.coordinates, stream.parameters),
            (em.coordinates, expected),
        )
    )
    actual, expected = outward
    np.testing.assert_allclose(actual.means, expected.means, rtol=rtol)
    np.testing.assert_allclose(
        structure.covariances(actual.precisions_cholesky),
        structure.covariances(expected.precisions_cholesky),
        rtol=rtol,
        atol=rtol * max(abs(shift), 1) ** 2,
    )


def test_variance_survives_a_stream_far_from_its_start(structure, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure, 1, reg_covar=1e-9)
    moved = make_blocks(clusters(rng, n=1000, shift=1e6))
    for _ in range(3):
        stream = stream.advance(moved, REPLACE)
    scale = stream.coordinates.scale
    spread = structure.standard_deviations(
        stream.parameters.precisions_cholesky, (1, 2)
    )
    # Of values of 1e6, whose squares are rounded by 1e-4, and centred after that.
    X = moved.X
    expected = X.std(axis=0)
    if not structure.scales_features:
        expected = np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose((spread / scale)[0], expected, rtol=1e-4)


def test_a_step_leaves_the_state_as_it_was(structure, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure)
    before = [np.array(x) for x in arrays(stream)]
    stream.advance(make_blocks(clusters(rng)), KEEP_ALL)
    for was, now in zip(before, arrays(stream), strict=True):
        np.testing.assert_array_equal(was, now)


def test_a_pickled_state_goes_on_exactly(structure, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure)
    copy = stream
    for n in (50, 1, 30, 200, 3):
        batch = make_blocks(clusters(rng, n))
        stream = stream.advance(batch, Forgetting(0.6, 5.0))
        copy = pickle.loads(pickle.dumps(copy)).advance(batch, Forgetting(0.6, 5.0))
    for a, b in zip(arrays(stream), arrays(copy), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [1e4, 1e12, 1e160])
def test_an_outlier_does_not_set_the_scale_of_the_penalty(
    structure, value, make_blocks, rng
):
    stream, _ = begun(make_blocks(clusters(rng)), structure)
    X = clusters(rng)
    X[3] = value
    after = stream.advance(make_blocks(X), KEEP_ALL)
    # One row of 400 counts like one at 5√d standard deviations, as two rows at most.
    ratio = after.regularization.target / stream.regularization.target
    assert np.trace(np.atleast_2d(ratio)) <= 1.5 * len(np.atleast_2d(ratio))


@pytest.mark.each_value
@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_penalty_follows_the_scale_of_the_stream(structure, factor, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure)
    before = stream.regularization.target
    batch = make_blocks(factor * clusters(rng))
    for _ in range(40):
        stream = stream.advance(batch, Forgetting(1.0, 1.0))
    # The stream's clusters may be other ones.
    ratio = np.max(stream.regularization.target) / np.max(before) / factor**2
    assert 1 / 100 < ratio < 100


def test_a_ridge_stays_what_it_is(structure, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure, reg_covar=0.1)
    after = stream.advance(make_blocks(1e3 * clusters(rng)), KEEP_ALL)
    assert after.regularization is stream.regularization


def test_size_is_one_over_the_sum_of_squared_shares(structure, make_blocks, rng):
    stream, _ = begun(make_blocks(clusters(rng)), structure)
    forgetting = Forgetting(0.7, math.inf)
    shares = np.full(200, 1 / 200)
    for n in (100, 1, 400):
        step = forgetting.step(stream.seen / 200, n / 200)
        shares = np.concatenate([(1 - step) * shares, np.full(n, step / n)])
        stream = stream.advance(make_blocks(clusters(rng, n)), forgetting)
    assert stream.size == pytest.approx(1 / np.sum(shares**2))
