from dataclasses import replace

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.search.climb import Trial
from skem.core.search.follow import follow
from skem.core.search.path import Found, Path, growing, narrowed, widened
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
    path = Path(em, [3, 4], LBFGS, 1e-2, 200, {4: good})
    path.walk_down()
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


def test_a_gap_is_walked_up(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    path = Path(em, [1, 4], LBFGS, 1e-2, 200)
    path.improve(1, fresh(em, X, 1))
    path.improve(4, fresh(em, X, 4))
    poor = path.found[4].objective
    path.walk_up(np.random.RandomState(0))
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


def test_samples_grow_to_all_rows(make_blocks, monkeypatch, rng):
    monkeypatch.setattr("skem.core.search.path.PATH_ROWS", 20)
    monkeypatch.setattr("skem.core.search.path.POOL_ROWS_PER_COMPONENT", 10)
    X = rng.normal(size=(1000, 2))
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")
    stages = growing(em, 3, np.random.RandomState(0))
    assert [stage.blocks.n_samples for stage in stages] == [30, 240, 1000]
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
