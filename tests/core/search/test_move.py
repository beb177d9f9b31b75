"""Moves of a component out of a poor optimum."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.em import EMMap
from skem.core.search import move as move_module
from skem.core.search.initialize import subsample
from skem.core.search.move import Attempts, Moves, missed
from skem.core.solve.lbfgs import LBFGS
from skem.core.solve.loop import solve

MEANS = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
K = len(MEANS)
FULL = STRUCTURES["full"]


@pytest.fixture
def labels(rng):
    return rng.integers(K, size=400)


@pytest.fixture
def em(structure, make_blocks, labels, rng):
    X = MEANS[labels] + rng.normal(size=(len(labels), 2))
    return EMMap.prepare(make_blocks(X), structure, K, "auto")


def standardised(em):
    data = em.blocks.X.T
    return em.coordinates.load(data, np.empty(data.shape)).T.copy()


def labelled(em, labels):
    """Parameters for given labels of the rows."""
    resp = (labels == np.arange(K)[:, None]).astype(float)
    statistics = Statistics.of_labels(em.structure.quadratic, standardised(em), resp)
    return em.maximise(statistics)


def test_responsibilities_are_posterior_probabilities(em, labels):
    parameters = labelled(em, labels)
    structure, Z = em.structure, standardised(em)
    log_prob = np.stack(
        [
            norm.logpdf(
                structure.whiten(parameters.precisions_cholesky, k, (Z - mean).T)
            ).sum(axis=0)
            for k, mean in enumerate(parameters.means)
        ]
    )
    log_det = structure.log_det(parameters.precisions_cholesky, 2)
    log_prob += (parameters.log_weights + log_det)[:, None]
    expected = np.exp(log_prob - logsumexp(log_prob, axis=0))
    # Rounding of log-densities of up to about a hundred.
    assert np.allclose(
        em.responsibilities(parameters, em.blocks.block(0, len(Z))),
        expected,
        atol=1e-10,
    )


def test_component_that_doubles_another_is_dispensable():
    # Rows of component 0 are shared with 1; those of 2 and 3 are theirs alone.
    resp = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert missed(resp, np.ones(4))[:2].max() < missed(resp, np.ones(4))[2:].min()


def test_weightless_rows_do_not_make_a_component_indispensable():
    resp = np.array([[1, 0, 0], [0, 1, 0.5], [0, 0, 0.5]])
    assert missed(resp, np.array([0, 1, 1])).argmin() == 0


def test_any_component_may_go_the_dispensable_ones_first(em, labels):
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    rng = np.random.RandomState(0)
    changed = np.zeros(K, int)
    for _ in range(200):
        after = moves.drawn(1, rng)[0]
        changed += (after.means != moves.parameters.means).any(axis=1)
    # Two of four components change in a move; the first one goes in half of them.
    assert changed.sum() == 400
    assert (changed > 20).all()
    assert changed.argmax() == moves.dispensable[0]


def stuck_and_finish(em, labels):
    """Two components on one cluster, one on two: no step of EM leads out of that."""
    good = em.evaluate(labelled(em, labels)).objective
    height = standardised(em)[:, 1]
    upper = height > np.median(height[labels == 0])
    poor = np.where(labels == 3, 2, labels)
    poor = np.where((labels == 0) & upper, 3, poor)

    def finish(start):
        run = LBFGS(em.chart)
        return solve(em.evaluate, start, run, tol=0.01, max_iter=500).evaluation

    stuck = finish(labelled(em, poor))
    assert stuck.objective < good - 20
    return good, stuck, finish


def test_components_that_share_rows_go_first_if_asked(em, labels):
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    # Few rows are the first's alone; those of the last two are shared by both.
    resp = np.zeros((K, len(labels)))
    resp[0, :10] = resp[1, 10:200] = 1
    resp[2, 200:], resp[3, 200:] = 0.7, 0.3
    moves = replace(moves, resp=resp, dispensable=np.array([0, 3, 2, 1]))
    assert moves._overlapping.tolist() == [3, 2, 0, 1]
    gone = []
    for shared in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(em), "moved", lambda *_: None)
            patch.setattr(Moves, "_drawn", lambda self, gone, random: gone)
            found = moves.drawn(1000, np.random.RandomState(0), shared=shared)
        gone.append(np.bincount(found, minlength=K) / 1000)
    # 1/2, 1/4, 1/8 and the rest: four standard errors of a share.
    np.testing.assert_allclose(gone[0], [0.5, 0.125, 0.125, 0.25], atol=0.064)
    np.testing.assert_allclose(gone[1], [0.125, 0.125, 0.25, 0.5], atol=0.064)


def test_moves_mend_a_poor_optimum(em, labels):
    good, stuck, finish = stuck_and_finish(em, labels)
    rng = np.random.RandomState(0)
    moves = Moves.away_from(em, stuck.parameters, rng)
    ends = [finish(moves.drawn(1, rng)[0]) for _ in range(20)]
    assert max(evaluation.objective for evaluation in ends) > good - 0.02


def test_the_move_that_promises_the_most_mends_it(em, labels):
    good, stuck, finish = stuck_and_finish(em, labels)
    for seed in range(5):
        rng = np.random.RandomState(seed)
        moves = Moves.away_from(em, stuck.parameters, rng)
        if not moves.divisible:
            assert em.structure.shared
            return
        assert finish(moves.hopeful(1, rng, Attempts())[0]).objective > good - 0.02


def test_moves_that_failed_are_passed_over(em, labels):
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    if not moves.divisible:
        return
    all_four = moves.hopeful(4, np.random.RandomState(0), Attempts())
    last_two = moves.hopeful(2, np.random.RandomState(0), Attempts(1))
    assert np.array_equal(last_two.means, all_four.means[2:])
    assert len(moves.hopeful(4, np.random.RandomState(0), Attempts(3))) == 0


def test_splits_that_are_not_tried_are_kept_for_later(em, labels):
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    if not moves.divisible:
        return
    attempts = Attempts()
    found = moves.hopeful(1, np.random.RandomState(0), attempts)
    assert len(found.means) == 1
    before = attempts.splits
    (tried,) = set(range(K)) - set(before)
    assert tried in np.flatnonzero((found.means[0] != moves.parameters.means).any(1))
    moves.hopeful(1, np.random.RandomState(1), attempts)
    known = attempts.splits
    assert sum(known[k] is before.get(k) for k in known) >= K - 2


def test_rows_on_one_spot_have_nothing_to_split(make_blocks, structure):
    em = EMMap.prepare(make_blocks(np.ones((6, 2))), structure, 2, "auto")
    halves = np.full((2, 6), 0.5)
    start = em.maximise(
        Statistics.of_labels(structure.quadratic, np.zeros((6, 2)), halves)
    )
    rng = np.random.RandomState(0)
    after = Moves.away_from(em, start, rng).drawn(1, rng)[0]
    assert np.isfinite(after.means).all()
    assert after.weights.sum() == pytest.approx(1)


@pytest.fixture
def overlapping(em, labels, rng):
    """Moves of weighted rows that belong to all; component 0 always goes."""
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    return replace(
        moves,
        rows=moves.rows._replace(weight=rng.uniform(0.2, 3, len(labels))),
        resp=rng.dirichlet(np.full(K, 5.0), len(labels)).T,
        dispensable=np.zeros(K, int),
    )


def changed(moves, after):
    return np.flatnonzero((after.means != moves.parameters.means).any(axis=1)).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_split_is_of_what_the_owner_would_have_without_the_other(overlapping, seed):
    """Weights and means of the two halves together are those of these rows."""
    after = overlapping.drawn(1, np.random.RandomState(seed))[0]
    gone, owner = pair = changed(overlapping, after)
    resp, rows = overlapping.resp, overlapping.rows
    share = rows.weight * resp[owner] / (1 - resp[gone])
    weights = overlapping.parameters.weights.copy()
    weights[pair] = 0, share.sum() / rows.weight.sum()
    weights /= weights.sum()
    # Every row has 1e-12 more of each component.
    rest = np.setdiff1d(range(K), pair)
    np.testing.assert_allclose(after.weights[rest], weights[rest], rtol=1e-9)
    mean = after.weights[pair] @ after.means[pair] / weights[owner]
    np.testing.assert_allclose(mean, share @ rows.Z / share.sum(), atol=1e-9)


@pytest.mark.parametrize("owner", [1, 2, 3])
def test_heavy_rows_are_split(overlapping, labels, owner):
    rows = overlapping.rows._replace(weight=np.where(labels == owner, 1.0, 1e-9))
    resp = (labels == np.arange(K)[:, None]).astype(float)
    moves = replace(overlapping, rows=rows, resp=resp)
    for seed in range(5):
        assert changed(moves, moves.drawn(1, np.random.RandomState(seed))[0]) == [
            0,
            owner,
        ]


def test_promising_halves_have_the_weight_of_their_owner(overlapping):
    """That of rows with weights, beside components that stay as they were."""
    if not overlapping.divisible:
        return
    rows, resp = overlapping.rows, overlapping.resp
    # None is missed, so that each may go.
    moves = replace(overlapping, dispensable=np.arange(K), cost=np.zeros(K))
    stack = moves.hopeful(3, np.random.RandomState(0), Attempts())
    before = overlapping.parameters.weights
    owned = resp @ rows.weight / rows.weight.sum()
    for after in (stack[i] for i in range(3)):
        pair = changed(overlapping, after)
        rest = np.setdiff1d(range(K), pair)
        left = after.weights[rest] / before[rest]
        halves = after.weights[pair].sum() / left
        np.testing.assert_allclose(halves, halves[0], rtol=1e-9)
        assert np.isclose(halves[0], owned[pair], rtol=1e-9).any()


def test_random_weights_are_those_of_rows(em, labels, rng):
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    uneven = rng.uniform(0.2, 3, len(labels))
    moves = replace(moves, rows=moves.rows._replace(weight=uneven))
    heavy = replace(moves, rows=moves.rows._replace(weight=3 * moves.rows.weight))
    weight = np.random.RandomState(1).standard_exponential((5, 1, len(labels)))
    resp = moves.resp * weight * moves.rows.weight
    sizes = resp.sum(axis=-1)
    for those in (moves, heavy):
        found = those.reweighted(5, np.random.RandomState(1))
        assert len(found) == 5
        for start, own, size in zip(found, resp, sizes, strict=True):
            np.testing.assert_allclose(start.weights, size / size.sum(), rtol=1e-10)
            means = own @ moves.rows.Z / size[:, None]
            np.testing.assert_allclose(start.means, means, rtol=1e-10, atol=1e-12)


def test_random_weights_are_those_of_noise_too(make_blocks, rng):
    moves = beside_noise(make_blocks, rng)
    weight = np.random.RandomState(1).standard_exponential((5, 1, len(moves.rows.Z)))
    resp = moves.resp * weight
    starts = moves.reweighted(5, np.random.RandomState(1))
    for start, size in zip(starts, resp.sum(axis=-1), strict=True):
        np.testing.assert_allclose(start.weights, size[:K] / size.sum(), rtol=1e-10)


def beside_noise(make_blocks, rng):
    """Moves of four clusters and as many rows that are noise."""
    X = MEANS[np.arange(400) % K] + rng.normal(size=(400, 2))
    X = np.vstack([X, rng.uniform(-40, 50, (400, 2))])
    em = EMMap.prepare(make_blocks(X), FULL, K, "auto", noise=True)
    labels = np.append(np.arange(400) % K, np.full(400, K))
    resp = np.eye(K + 1)[:, labels]
    rows = subsample(em, K, np.random.RandomState(0))
    stack = rows.labelled(em, resp[None, :K])
    start = em.started(replace(stack, noise=np.array([400.0])))[0]
    return Moves(em, start, rows, resp, np.array([2]), np.zeros(K))


def test_noise_that_is_split_only_loses_rows(make_blocks, rng):
    """The component that goes has some of them then; all others stay."""
    moves = beside_noise(make_blocks, rng)
    assert moves.parameters.noise_weight == pytest.approx(0.5)
    heavy = moves.rows._replace(weight=np.repeat([1e-9, 1.0], 400))
    found = replace(moves, rows=heavy).drawn(6, np.random.RandomState(0))
    for i in range(6):
        after = found[i]
        assert changed(moves, after) == [2]
        assert after.noise_weight == pytest.approx(0.5)
        left = after.weights[[0, 1, 3]] / moves.parameters.weights[[0, 1, 3]]
        np.testing.assert_allclose(left, left[0])


def test_components_that_are_known_stay(make_blocks, labels, rng):
    X = MEANS[labels] + rng.normal(size=(len(labels), 2))
    known = np.where(np.isin(labels, [1, 3]), labels, -1)
    blocks = replace(make_blocks(X), known=known)
    em = EMMap.prepare(blocks, FULL, K, "auto")
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    assert sorted(moves.dispensable) == [0, 2]
    assert not moves.divisible


def test_components_beside_noise_are_not_divisible(make_blocks, rng):
    moves = beside_noise(make_blocks, rng)
    assert not moves.divisible
    assert replace(moves, em=replace(moves.em, background=None)).divisible


def test_splits_that_all_fail_leave_no_moves(make_blocks, labels, rng):
    X = MEANS[labels] + rng.normal(size=(len(labels), 2))
    em = EMMap.prepare(make_blocks(X), FULL, K, 0.0)
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    assert moves.drawn(3, np.random.RandomState(0))[2].shape == (K, 2)
    spot = np.zeros_like(moves.rows.Z)
    rows = moves.rows._replace(Z=spot, seen=[spot])
    assert replace(moves, rows=rows).drawn(3, np.random.RandomState(0)) == []


def test_random_weights_of_many_rows_are_drawn_in_parts(em, labels, monkeypatch):
    moves = Moves.away_from(em, labelled(em, labels), np.random.RandomState(0))
    whole = moves.reweighted(5, np.random.RandomState(1))
    monkeypatch.setattr(move_module, "LABELS", 2 * K * len(labels))
    parts = moves.reweighted(5, np.random.RandomState(1))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.means, other.means, rtol=1e-12)
