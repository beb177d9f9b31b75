"""Splits of single components by fits of their own rows."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.em import EMMap
from skem.core.search.initialize import subsample
from skem.core.search.split import problem_of, splits

GAP = 12.0


@pytest.fixture
def data(rng):
    """Three clusters, of which the last two belong to one component."""
    labels = rng.integers(3, size=600)
    X = np.array([[0.0, 0.0], [50.0, 0.0], [50.0, GAP]])[labels]
    return X + rng.normal(size=X.shape), labels


@pytest.fixture
def fitted(structure, make_blocks, data):
    """A problem, two components for three clusters, rows and probabilities."""
    if structure.shared:
        pytest.skip("components of a shared covariance are not split by themselves")
    X, labels = data
    em = EMMap.prepare(make_blocks(X), structure, 2, "auto")
    rows = subsample(em, 2, np.random.RandomState(0))
    resp = np.stack([labels == 0, labels > 0]).astype(float)
    statistics = Statistics.of_labels(structure.quadratic, rows.Z, resp, rows.squares)
    return em, em.maximise(statistics), rows, resp


def test_what_splits_promise_is_what_they_gain_in_the_mixture(fitted, data):
    em, parameters, rows, resp = fitted
    found = {
        s.owner: s
        for s in splits(em, parameters, rows, resp, np.random.RandomState(0), {})
    }
    assert found[1].gain > found[0].gain + 100
    two = found[1].two
    share = parameters.weights[1]
    cholesky = np.concatenate(
        [parameters.precisions_cholesky[:1], two.precisions_cholesky]
    )
    after = replace(
        parameters,
        weights=np.append(parameters.weights[:1], share * two.weights),
        means=np.concatenate([parameters.means[:1], two.means]),
        precisions_cholesky=cholesky,
    )
    gained = em.evaluate(after).objective - em.evaluate(parameters).objective
    # Nothing is shared between clusters so far apart; the penalty is smaller there.
    assert gained == pytest.approx(found[1].gain, abs=0.2)


def test_rows_of_their_own_are_a_part_of_the_problem(fitted):
    em, _, rows, resp = fitted
    own = np.flatnonzero(resp[0])
    local = problem_of(em, rows.only(own, 2 * rows.weight[own]))
    assert local.blocks.n_samples == len(own)
    assert local.blocks.total_weight == 2 * len(own)


def test_what_has_one_row_is_left_alone(fitted):
    em, parameters, rows, resp = fitted
    alone = np.zeros_like(resp)
    alone[0, 0], alone[1] = 1, 1
    alone[1, 0] = 0
    found = splits(em, parameters, rows, alone, np.random.RandomState(0), {})
    assert [split.owner for split in found] == [1]


def test_heavy_rows_gain_in_proportion(fitted):
    em, parameters, rows, resp = fitted
    heavy = rows._replace(weight=3 * rows.weight)
    one, three, half = (
        splits(em, parameters, each, own, np.random.RandomState(0), {})
        for each, own in ((rows, resp), (heavy, resp), (rows, 0.5 * resp))
    )
    gains = [[split.gain for split in found] for found in (one, three, half)]
    assert len(gains[0]) == 2
    # Of log-likelihoods of a few thousand.
    np.testing.assert_allclose(gains[1], 3 * np.array(gains[0]), rtol=1e-6, atol=1e-6)
    # So do those that belong to it by half.
    np.testing.assert_allclose(gains[2], np.array(gains[0]) / 2, rtol=1e-6, atol=1e-6)


def test_what_has_kept_its_rows_is_not_split_again(fitted, data):
    em, parameters, rows, resp = fitted
    rng = np.random.RandomState(0)
    first = {s.owner: s for s in splits(em, parameters, rows, resp, rng, {})}
    again = splits(em, parameters, rows, resp, rng, first)
    assert [each is first[each.owner] for each in again] == [True, True]
    # One row in fifty makes no difference to the first component; one in ten does.
    own = np.flatnonzero(resp[0])
    for step, holds in ((50, True), (10, False)):
        fewer = resp.copy()
        fewer[0, own[::step]] = 0
        found = splits(em, parameters, rows, fewer, rng, first)
        assert [each is first[each.owner] for each in found] == [holds, True]
    # So it is with rows that it has won.
    others = np.flatnonzero(resp[1])
    more = resp.copy()
    more[0, others[::10]] = 1
    found = splits(em, parameters, rows, more, rng, first)
    assert [each is first[each.owner] for each in found] == [False, True]


def test_what_has_kept_its_heavy_rows_is_not_split_again(fitted):
    em, parameters, rows, resp = fitted
    heavy, rng = rows._replace(weight=3 * rows.weight), np.random.RandomState(0)
    first = {s.owner: s for s in splits(em, parameters, heavy, resp, rng, {})}
    again = splits(em, parameters, heavy, resp, rng, first)
    assert [each is first[each.owner] for each in again] == [True, True]


def test_other_rows_hold_no_split(fitted):
    em, parameters, rows, resp = fitted
    found = splits(em, parameters, rows, resp, np.random.RandomState(0), {})[0]
    assert found.holds(resp[0])
    assert not found.holds(resp[0][::-1].copy())
    assert not found.holds(resp[0][:100])
