from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.search.climb import Trial
from skem.core.search.follow import follow
from skem.core.search.path import (
    CUTS,
    ROUGH,
    UNIONS,
    Found,
    Path,
    growing,
    narrowed,
    widened,
)
from skem.core.search.sketch import Sketch
from skem.core.solve.lbfgs import LBFGS

CENTRES = np.array([[-6, 0], [0, 0], [6, 0], [0, 8]])


@pytest.fixture
def X(rng):
    return CENTRES[rng.integers(4, size=300)] + rng.normal(size=(300, 2))


def sketch_of(em, X, labels):
    Z = em.coordinates.load(X.T, np.empty(X.T.shape)).T.copy()
    rows = Rows(Block(0, len(X), X.T, None), Z, np.ones(len(Z)), None)
    K = labels.max() + 1
    return Sketch.of_labels(em, rows, (labels == np.arange(K)[:, None]) * 1.0)


def fresh(em, X, K):
    """One clustering that knows nothing: by the order of the rows."""
    return [sketch_of(em, X, np.arange(len(X)) % K)]


def walk(em, X, components, tol=1e-2):
    path = Path(em, components, LBFGS, tol, 200)
    path.scout({K: fresh(em, X, K) for K in components})
    path.walk_down()
    return path


def test_splits_find_the_clusters(X, make_blocks, structure):
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    path = walk(em, X, [1, 2, 3, 4])
    means = path.found[4].parameters.means / em.coordinates.scale + em.coordinates.shift
    distances = np.linalg.norm(means[:, None] - CENTRES, axis=2).min(axis=0)
    # About 75 unit normal rows each: four standard errors of the mean.
    assert distances.max() < 4 / np.sqrt(75)


def test_quick_fits_find_the_clusters(X, make_blocks, structure):
    # Nothing else is known, and no neighbour either.
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    path = Path(em, [1, 4], LBFGS, 1e-2, 200)
    one = fresh(em, X, 1)
    path.scout({1: one, 4: []}, quick=True)
    assert path.found[4].objective > walk(em, X, [1, 2, 3, 4]).found[4].objective - 5
    # Nor are they used if they are not asked for.
    apart = Path(em, [4], LBFGS, 1e-2, 200)
    apart.scout({4: []})
    assert not apart.found


def test_mergers_find_the_clusters(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    good = walk(em, X, [1, 2, 3, 4]).found[4]
    given = {4: good}
    path = Path(em, [3, 4], LBFGS, 1e-2, 200, given)
    path.walk_down()
    # Others may look at what was given.
    assert set(given) == {4}
    # The best of three clusters: none better is found on the way up.
    up = walk(em, X, [1, 2, 3])
    assert path.found[3].objective >= up.found[3].objective - 1


def test_walks_never_lose_what_was_found(X, make_blocks, structure):
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    path = walk(em, X, [1, 2, 3, 5, 6])
    before = {K: found.objective for K, found in path.found.items()}
    path.walk_down([{K: path.found[K].sketch for K in before}])
    assert all(path.found[K].objective >= before[K] for K in before)


def test_gaps_are_bridged(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["diag"], 1, "auto")
    (one,) = fresh(em, X, 1)
    assert {len(sketch) for sketch in widened(one, 5)} == {5}
    assert len(narrowed(widened(one, 6)[0], 2)) == 2


def test_the_largest_is_split_where_several_are_missing():
    covariances = np.stack([np.eye(2), 100 * np.eye(2)])
    two = Sketch(np.array([10.0, 80.0]), np.zeros((2, 2)), covariances, np.eye(2))
    found = widened(two, 4)
    # At last each of three is split: the small one, or one half of the large one.
    counts = [sorted(sketch.counts) for sketch in found]
    assert sorted(counts) == [[5, 5, 40, 40], [10, 20, 20, 40], [10, 20, 20, 40]]


@pytest.mark.parametrize("seed", range(3))
def test_cuts_and_mergers_find_what_was_missed(seed, make_blocks, rng):
    centres = np.array([[-8.0, 0], [0, 0], [8, 0], [0, 9], [0, -9]])
    X = centres[rng.integers(5, size=400)] + rng.normal(size=(400, 2))
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [1, 2, 3, 4, 5], LBFGS, 1e-2, 200)
    path.improve(1, fresh(em, X, 1))
    one = path.found[1].parameters
    for K in (2, 3, 4, 5):
        # The same component so many times: no step leads away from there.
        same = one.ordered([0] * K, one.precisions_cholesky[[0] * K])
        same = replace(same, weights=np.full(K, 1 / K))
        objective = float(path.problem(K).evaluate(same).objective)
        sketch = Sketch.of_mixture(em, same)
        path.found[K] = Found(same, objective, sketch, [], 0, True)
    poor = {K: found.objective for K, found in path.found.items()}
    path.walk_up(np.random.RandomState(seed))
    path.walk_down()
    labels = np.argmin(np.linalg.norm(X[:, None] - centres, axis=2), axis=1)
    truth = sketch_of(em, X, labels)
    unions = [truth.merge(i, j) for i in range(5) for j in range(i)]
    for K, starts in {5: [truth], 4: unions}.items():
        best = Path(em, [K], LBFGS, 1e-2, 200)
        for start in starts:
            best.improve(K, [start])
        assert poor[K] < best.found[K].objective - 10
        # Within what the path leaves.
        assert path.found[K].objective > best.found[K].objective - 1


def test_a_neighbour_is_asked_again_only_for_what_is_new(X, make_blocks, monkeypatch):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = walk(em, X, [1, 2, 3, 4])
    asked = []

    def united(em, sketch, most):
        asked.append(len(sketch))
        return []

    monkeypatch.setattr("skem.core.search.path.united", united)
    path.walk_down()
    assert asked == []
    path.found[3] = replace(path.found[3])
    path.walk_down()
    assert asked == [3]


def test_cuts_and_unions_are_starts_where_there_is_no_gap(X, make_blocks, monkeypatch):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    good = walk(em, X, [1, 2, 3, 4]).found
    path = Path(em, [3, 4], LBFGS, 1e-2, 200)
    for K in (3, 4):
        path.improve(K, fresh(em, X, K))
    asked = []

    def divided(em, parameters, most, rng):
        asked.append((len(parameters.weights), most))
        return [good[4].parameters]

    def united(em, sketch, most):
        asked.append((len(sketch), most))
        return [good[3].parameters]

    monkeypatch.setattr("skem.core.search.path.divided", divided)
    monkeypatch.setattr("skem.core.search.path.united", united)
    for K in (3, 4):
        assert path.found[K].objective < good[K].objective - 1
    path.walk_up(np.random.RandomState(0))
    path.walk_down()
    assert asked == [(3, CUTS), (4, UNIONS)]
    for K in (3, 4):
        assert path.found[K].objective > good[K].objective - 0.1


@pytest.mark.parametrize("fewer", [1, 2])
def test_a_gap_is_walked_up(fewer, X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [fewer, 4], LBFGS, 1e-2, 200)
    path.improve(fewer, fresh(em, X, fewer))
    path.improve(4, fresh(em, X, 4))
    poor = path.found[4].objective
    path.walk_up(np.random.RandomState(0))
    assert len(path.found[4].parameters.weights) == 4
    assert path.found[4].objective > poor + 10


def test_finish_leaves_a_stationary_point(X, make_blocks, structure):
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    path = walk(em, X, [1, 2, 3], tol=1e-6)
    start = path.found[3].parameters
    solution = follow(LBFGS, 1e-6, 200, em.for_components(3), start)
    assert solution.converged
    reached = solution.evaluation
    after = em.for_components(3).evaluate(reached.successor)
    # One EM step gains at most what the fit may have left, and rounding.
    assert 0 <= after.objective - reached.objective + 1e-9 < 1e-5


def test_what_is_found_on_all_rows_is_settled(X, make_blocks, structure):
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    path = walk(em, X, [1, 2, 3])
    settled = path.settle(3, [em])
    assert settled.evaluation.objective == path.found[3].objective
    assert settled.converged and settled.values == path.found[3].values


def test_what_is_found_on_a_sample_is_followed_to_all_rows(X, make_blocks, structure):
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    part = em.restricted(100, np.random.RandomState(0))
    path = Path(part, [1, 2, 3], LBFGS, 1e-2, 200)
    path.scout({K: fresh(part, part.blocks.X, K) for K in [1, 2, 3]})
    path.walk_down()
    settled = path.settle(3, [part, em])
    assert settled.evaluation.em.blocks is em.blocks
    assert settled.converged
    start = settled.evaluation.parameters
    finished = follow(LBFGS, 1e-2, 200, em.for_components(3), start)
    gained = finished.evaluation.objective - settled.evaluation.objective
    # A nat may be left, but for what is hard to foresee.
    assert -1e-9 < gained < 3


def test_samples_are_followed_in_turn_each_after_the_one_before(
    X, make_blocks, followed
):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    rng = np.random.RandomState(0)
    stages = [em.restricted(100, rng), em.restricted(200, rng), em]
    path = Path(stages[0], [2], LBFGS, 1e-2, 200)
    path.improve(2, fresh(stages[0], stages[0].blocks.X, 2))
    followed.clear()
    path.settle(2, stages)
    (first, start, none), (second, after, earlier) = followed
    assert [first.blocks.n_samples, second.blocks.n_samples] == [200, 300]
    assert start is path.found[2].parameters and none is None
    assert after is earlier.evaluation.parameters
    assert earlier.evaluation.em.blocks.n_samples == 200


@pytest.mark.parametrize(("tol", "left"), [(1e-2, ROUGH), (5.0, 5.0)])
def test_a_nat_is_left_on_the_path_or_what_is_asked_for(
    tol, left, X, make_blocks, monkeypatch
):
    asked = []

    def swiftly(accelerate, tol, *how):
        asked.append(tol)
        raise IllDefinedCovarianceError

    monkeypatch.setattr("skem.core.search.path.swiftly", swiftly)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [2], LBFGS, tol, 200)
    path.improve(2, fresh(em, X, 2))
    assert set(asked) == {left}


def test_the_time_of_each_number_of_components_adds_up(X, make_blocks, monkeypatch):
    ticks = SimpleNamespace(perf_counter=count().__next__)
    monkeypatch.setattr("skem.core.search.path.time", ticks)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [1, 2], LBFGS, 1e-2, 200)
    for K in (1, 2, 2, 2):
        path.improve(K, fresh(em, X, K))
    assert path.seconds == {1: 1, 2: 3}


def test_a_better_start_replaces_what_was_found(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [4], LBFGS, 1e-2, 200)
    path.improve(4, fresh(em, X, 4))
    poor = path.found[4]
    good = walk(em, X, [1, 2, 3, 4]).found[4]
    assert good.objective > poor.objective + 1
    assert path.improve(4, [good.sketch])
    assert path.found[4].objective == pytest.approx(good.objective, abs=1)
    assert not path.improve(4, [poor.sketch])


@pytest.fixture
def followed(monkeypatch):
    """Return what is followed: each map, start and earlier end."""
    follow, seen = Path._follow, []

    def recorded(path, em, start, earlier=None):
        seen.append((em, start, earlier))
        return follow(path, em, start, earlier)

    monkeypatch.setattr(Path, "_follow", recorded)
    return seen


@pytest.fixture
def two_ends(X, make_blocks, monkeypatch):
    """Return a path, a poor and a good optimum, and a way to say what is hoped for."""
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [4], LBFGS, 1e-2, 200)
    path.improve(4, fresh(em, X, 4))
    poor, good = path.found.pop(4), walk(em, X, [1, 2, 3, 4]).found[4]
    assert good.objective > poor.objective + 10

    def hope_for(*gains):
        """Start at the poor and the good one, with gains of the last step."""
        trials = [
            Trial(found.parameters, found.objective, gain, 1)
            for found, gain in zip((poor, good), gains, strict=False)
        ]
        monkeypatch.setattr("skem.core.search.path.climb", lambda *_: trials)

    return path, good, hope_for


def test_the_best_end_is_kept_whatever_was_hoped_for(two_ends):
    path, good, hope_for = two_ends
    hope_for(1e6, 0.0)
    assert path.improve(4, [])
    assert path.found[4].objective > good.objective - 0.1


def test_an_end_below_what_was_found_is_not_kept(two_ends):
    path, good, hope_for = two_ends
    path.found[4] = good
    hope_for(1e6)
    assert not path.improve(4, [])
    assert path.found[4] is good


@pytest.mark.parametrize(("gain", "kept"), [(0.05, False), (0.5, True)])
def test_what_gains_hardly_anything_is_not_kept(two_ends, gain, kept):
    path, _, hope_for = two_ends
    # The good one is followed as far again.
    hope_for(1.0, 2.0)
    path.improve(4, [])
    reached = path.found[4]
    before = replace(reached, objective=reached.objective - gain, converged=True)
    path.found[4] = before
    assert path.improve(4, []) is kept
    assert path.found[4].objective == (reached if kept else before).objective


def test_the_most_hopeful_is_followed_first_and_others_if_they_are_beyond(
    two_ends, followed
):
    path, good, hope_for = two_ends
    hope_for(0.0, 1e6)
    assert path.improve(4, [])
    assert [start for _, start, _ in followed] == [good.parameters]


def test_the_next_is_followed_where_the_most_hopeful_leads_nowhere(
    two_ends, monkeypatch
):
    path, good, hope_for = two_ends
    follow, calls = Path._follow, []

    def fail_first(path, em, start):
        calls.append(start)
        if len(calls) == 1:
            raise IllDefinedCovarianceError
        return follow(path, em, start)

    monkeypatch.setattr(Path, "_follow", fail_first)
    hope_for(1e6, 0.0)
    assert path.improve(4, [])
    assert calls[1] is good.parameters
    assert path.found[4].objective > good.objective - 0.1


def test_a_start_without_hope_is_not_followed(two_ends, monkeypatch):
    path, good, hope_for = two_ends
    path.found[4] = good
    hope_for(0.0)
    monkeypatch.setattr(Path, "_follow", None)
    assert not path.improve(4, [])


def test_finds_of_other_structures_are_starts(X, make_blocks, structure):
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    good = walk(em, X, [1, 2, 3, 4]).found[4]
    # In so few steps it finds nothing by itself.
    path = Path(em, [4], LBFGS, 1e-2, 2)
    path.scout({4: fresh(em, X, 4)})
    path.walk_down([{3: good.sketch}])
    assert path.found[4].objective < good.objective - 10
    path.walk_down([{}, {4: good.sketch}])
    # A nat may be left on the path.
    assert path.found[4].objective > good.objective - 1


def test_what_must_not_be_repaired_is_not_found(make_blocks):
    X = np.repeat([[0.0, 0.0], [1.0, 2.0], [5.0, 1.0]], 10, axis=0)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, 0.0)
    path = walk(em, X, [1, 3])
    assert set(path.found) == {1}
    with pytest.raises(IllDefinedCovarianceError):
        path.settle(3, [em])


@pytest.mark.parametrize(
    ("n", "sizes"), [(1000, [30, 240, 1000]), (400, [30, 400]), (60, [60])]
)
def test_samples_grow_to_all_rows(n, sizes, make_blocks, monkeypatch, rng):
    monkeypatch.setattr("skem.core.search.path.PATH_ROWS", 20)
    monkeypatch.setattr("skem.core.search.path.POOL_ROWS_PER_COMPONENT", 10)
    X = rng.normal(size=(n, 2))
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    stages = growing(em, 3, np.random.RandomState(0))
    # A sample of more than half of the rows would save little.
    assert [stage.blocks.n_samples for stage in stages] == sizes
    assert stages[-1] is em


def test_problem_of_one_component_becomes_that_of_many(X, make_blocks, structure):
    for reg_covar in ("auto", 1e-3):
        blocks = make_blocks(X)
        one = EMMap.prepare(blocks, structure, 1, reg_covar).for_components(3)
        three = EMMap.prepare(blocks, structure, 3, reg_covar)
        (start,) = fresh(one, X, 3)
        parameters = one.started(start.statistics(one.structure.quadratic))
        got, expected = one.evaluate(parameters), three.evaluate(parameters)
        assert got.objective == pytest.approx(expected.objective, rel=1e-12)
