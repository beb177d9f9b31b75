"""The search over starts."""

import numpy as np
import pytest

from skem.core.gaussian.chart import Chart
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import DIVERSE, INITIALIZERS
from skem.core.search import effort
from skem.core.search import search as search_module
from skem.core.search.climb import Trial, height
from skem.core.search.follow import follow
from skem.core.search.initialize import initialize
from skem.core.search.move import Attempts, Moves
from skem.core.search.search import Search, alike, farthest
from skem.core.solve.lbfgs import LBFGS

K = 6


def blobs(rng, n):
    angles = np.arange(K) * 2 * np.pi / K
    means = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return means[rng.integers(K, size=n)] + rng.normal(size=(n, 2))


def finish(em, start, earlier=None, *, rough=0.0):
    return follow(LBFGS, 0.01, 1000, em, start, earlier, rough=rough)


def optimum(em, seed=0, follow=finish):
    return Search(DIVERSE, K, np.random.RandomState(seed), follow, LBFGS).optimum(em)


def test_optimum_is_a_solution_of_the_whole_problem(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 500)), structure, K, "auto")
    found = optimum(em)
    assert found.converged
    assert found.evaluation.em is em
    single = finish(
        em, initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(1))
    )
    # Both stop within tol of an optimum, which is the same one at worst.
    assert height(found) > height(single) - 0.02


def test_seed_decides(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), structure, K, "auto")
    assert height(optimum(em, seed=3)) == height(optimum(em, seed=3))


def test_large_data_are_searched_on_subsamples(
    structure, make_blocks, rng, monkeypatch
):
    monkeypatch.setattr(effort, "POOL_ROWS", 400)
    monkeypatch.setattr(effort, "POOL_ROWS_PER_COMPONENT", 0)
    weight = rng.integers(0, 3, 8000)
    em = EMMap.prepare(make_blocks(blobs(rng, 8000), weight), structure, K, "auto")
    sizes = []

    def counted(em, start, earlier=None, *, rough=0.0):
        sizes.append(em.blocks.n_samples)
        return finish(em, start, earlier, rough=rough)

    found = optimum(em, follow=counted)
    assert found.converged
    assert found.evaluation.em is em
    assert [size for size in sizes if size > 400] == [3200, 8000]
    direct = finish(
        em, initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    )
    assert height(found) > height(direct) - 1.0


@pytest.mark.parametrize("of_pool", [False, True])
@pytest.mark.parametrize("spread", [2.0, 6.0])
def test_long_steps_are_taken_in_single_precision_first(
    make_blocks, rng, monkeypatch, of_pool, spread
):
    """The end is that of the problem itself, and as good."""
    X = spread * rng.normal(size=(K, 6))[rng.integers(K, size=3000)]
    X += rng.normal(size=X.shape)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], K, "auto")
    if of_pool:
        monkeypatch.setattr(effort, "POOL_ROWS", 1000)
        monkeypatch.setattr(effort, "POOL_ROWS_PER_COMPONENT", 0)
    precise = optimum(em)
    monkeypatch.setattr(effort, "LONG", 1)
    types = []

    def noted(em, start, earlier=None, *, rough=0.0):
        types.append(em.blocks.dtype)
        if em.blocks.dtype == np.float64:
            assert rough == 0.0
        return finish(em, start, earlier, rough=rough)

    found = optimum(em, follow=noted)
    assert found.converged
    assert found.evaluation.em is em
    assert types[-1] == np.float64
    assert np.float32 in types[:-1] or spread > 2
    assert height(found) > height(precise) - 0.05


@pytest.mark.parametrize("single", [True, False])
def test_trials_that_stand_still_are_ends_in_single_precision(make_blocks, rng, single):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), STRUCTURES["diag"], K, "auto")
    slack = 1.0 if single else search_module.GAIN
    search = Search(DIVERSE, K, np.random.RandomState(0), finish, LBFGS, slack=slack)
    best = optimum(em)
    still = Trial(best.evaluation.parameters, height(best), 1e-6, 20)
    found = search.still(em, still)
    if single:
        assert found.converged
        assert height(found) == pytest.approx(height(best), abs=1e-9)
        # What goes on from there learns nothing, and comes to the same end.
        assert height(finish(em, still.parameters, found)) >= height(best) - 1e-6
        moving = Trial(still.parameters, height(best), 0.5, 20)
        assert search.still(em, moving) is None
    else:
        assert found is None


def test_trials_are_alike_when_all_have_come_to_the_same_end():
    still, moving = Trial(None, 1.0, 0.01, 5), Trial(None, 1.0, 3.0, 5)
    other = Trial(None, 5.0, 0.01, 5)
    assert alike([still, still], 0.5)
    assert not alike([still], 0.5)
    assert not alike([still, moving], 0.5)
    assert not alike([still, still, other], 0.5)


def searched(em, known, **options):
    rng = np.random.RandomState(0)
    return Search(DIVERSE, K, rng, finish, LBFGS, known, **options).optimum(em)


def test_known_mixtures_are_starts(make_blocks, rng):
    """The best of them is found again, whatever stands beside it."""
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), STRUCTURES["full"], K, "auto")
    good = optimum(em).evaluation
    random = INITIALIZERS["random"]
    stuck = min(
        (
            finish(em, initialize(em, random, K, np.random.RandomState(seed)))
            for seed in range(5)
        ),
        key=height,
    ).evaluation
    assert stuck.objective < good.objective - 1
    for known in ([good], [stuck, good], [good, stuck]):
        found = searched(em, [each.parameters for each in known], n_starts=0)
        assert height(found) > good.objective - 0.02


def test_patience_tries_more_moves(make_blocks, rng, monkeypatch):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), STRUCTURES["full"], K, "auto")
    start = [optimum(em).evaluation.parameters]
    calls = []
    monkeypatch.setattr(Search, "trials", lambda *_: calls.append(1) or [])
    for patience in (1, 3):
        calls.clear()
        searched(em, start, n_starts=0, patience=patience)
        assert len(calls) == patience
    search = Search(DIVERSE, K, np.random.RandomState(0), finish, LBFGS)
    best = search.first(em)
    # Few moves, where steps are long, are in an order. These rows are few.
    for work, part, expected in (
        (effort.STEP_WORK, False, 3),
        (effort.STEP_WORK, True, 1),
        (1, False, 1),
        (1, True, 2),
    ):
        calls.clear()
        monkeypatch.setattr(effort, "STEP_WORK", work)
        search.improved(em, best, part=part)
        assert len(calls) == expected


def test_few_components_have_few_moves(make_blocks, rng):
    structure = STRUCTURES["full"]
    em = EMMap.prepare(make_blocks(blobs(rng, 100)), structure, 2, "auto")
    search = Search(DIVERSE, 2, np.random.RandomState(0), finish, LBFGS)
    best = search.first(em)
    moved = search.moved(em, best, Attempts())
    assert len(moved if isinstance(moved, list) else moved.weights) == 10


def test_long_steps_are_taken_by_fewer_starts(make_blocks, rng, monkeypatch):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), STRUCTURES["full"], K, "auto")
    search = Search(DIVERSE, K, np.random.RandomState(0), finish, LBFGS)
    assert len(list(search.starts(em))) == 6
    # Six features of T(x) of six components for each row.
    monkeypatch.setattr(effort, "STEP_WORK", 5 * 300 * K * 6)
    assert len(list(search.starts(em))) == 5
    monkeypatch.setattr(effort, "STEP_WORK", 1)
    assert len(list(search.starts(em))) == effort.LEAST_TRIED


def test_one_component_is_not_moved(make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 100)), STRUCTURES["full"], 1, "auto")
    rng = np.random.RandomState(0)
    assert Search(DIVERSE, 1, rng, finish, LBFGS).optimum(em).converged


def test_starts_that_fail_are_left_out(make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), STRUCTURES["full"], K, "auto")
    calls = []

    def fails_twice(em, start, earlier=None, *, rough=0.0):
        calls.append(start)
        if len(calls) <= 2:
            raise IllDefinedCovarianceError
        return finish(em, start, earlier, rough=rough)

    assert optimum(em, follow=fails_twice).converged
    assert calls[0] is not calls[1]


def test_failure_of_all_starts_is_an_error(make_blocks, rng):
    em = EMMap.prepare(make_blocks(blobs(rng, 300)), STRUCTURES["full"], K, "auto")

    def fails(em, start, earlier=None, *, rough=0.0):
        raise IllDefinedCovarianceError

    with pytest.raises(IllDefinedCovarianceError):
        optimum(em, follow=fails)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(10**9, [300, 1200, 4800, 8000]), (4000, [300, 1200, 8000]), (10, [300, 8000])],
)
def test_subsamples_grow_as_far_as_memory_allows(
    most, expected, make_blocks, rng, monkeypatch
):
    monkeypatch.setattr(effort, "POOL_ROWS", 300)
    monkeypatch.setattr(effort, "POOL_ROWS_PER_COMPONENT", 0)
    monkeypatch.setattr(search_module, "GROWTH", 4)
    monkeypatch.setattr(effort, "SUBSAMPLE_VALUES", most)
    blocks = make_blocks(blobs(rng, 8000))
    em = EMMap.prepare(blocks, STRUCTURES["diag"], K, "auto")
    sizes = []

    def recorded(em, start, earlier=None, *, rough=0.0):
        sizes.append(em.blocks.n_samples)
        return finish(em, start, earlier, rough=rough)

    optimum(em, follow=recorded)
    assert list(dict.fromkeys(sizes)) == expected


@pytest.mark.parametrize("weighted", [False, True])
def test_subsample_keeps_the_problem(structure, make_blocks, rng, weighted):
    X = blobs(rng, 2000)
    weight = rng.integers(0, 3, 2000) if weighted else None
    em = EMMap.prepare(make_blocks(X, weight), structure, K, "auto")
    part = em.restricted(500, np.random.RandomState(0))
    assert part.blocks.n_samples == 500
    start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    share = part.blocks.total_weight / em.blocks.total_weight
    whole, some = em.evaluate(start), part.evaluate(start)
    # Means of 500 draws of a quantity of order one.
    mean = whole.loglik / em.blocks.total_weight
    assert some.loglik / part.blocks.total_weight == pytest.approx(mean, abs=0.2)
    penalty = whole.loglik - whole.objective
    assert some.loglik - some.objective == pytest.approx(share * penalty)
    if weighted:
        assert (part.blocks.weight > 0).all()


def test_poor_optimum_of_every_start_is_left(structure, make_blocks, rng):
    """Two components on one cluster, one on two: no step of EM leads out of that."""
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    labels = rng.integers(4, size=400)
    X = centres[labels] + rng.normal(size=(400, 2))
    em = EMMap.prepare(make_blocks(X), structure, 4, "auto")
    poor = np.where(labels == 3, 2, labels)
    poor = np.where((labels == 0) & (X[:, 1] > 0), 3, poor)

    def start_at(labels):
        return lambda *_: (labels == np.arange(4)[:, None]).astype(float)

    def search_from(labels):
        rng = np.random.RandomState(0)
        return Search([start_at(labels)], 4, rng, finish, LBFGS)

    good = height(search_from(labels).first(em))
    assert height(search_from(poor).first(em)) < good - 20
    # Each run leaves up to 0.01 nats.
    assert height(search_from(poor).optimum(em)) > good - 0.02


def shuffled(structure, parameters):
    order = np.roll(np.arange(len(parameters.weights)), 1)
    return Parameters(
        parameters.weights[order],
        parameters.means[order],
        structure.ordered(parameters.precisions_cholesky, order),
    )


def test_order_of_components_is_no_distance(structure, make_mixture):
    base = make_mixture(structure, 4, 2).parameters
    chart = Chart(structure, base, 100.0)
    # Rounding of coordinates of order one.
    assert farthest(chart, shuffled(structure, base)) < 1e-12


def test_distance_is_that_of_the_component_that_moved_the_most(structure, make_mixture):
    base = make_mixture(structure, 4, 2).parameters
    offsets = np.zeros((4, 2))
    offsets[[1, 2], [0, 1]] = 0.2, -0.3
    means = base.means + structure.color_rows(base.precisions_cholesky, offsets)
    moved = Parameters(base.weights, means, base.precisions_cholesky)
    chart = Chart(structure, base, 100.0)
    # In standard deviations, but for rounding.
    assert farthest(chart, shuffled(structure, moved)) == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize("n", [120, 500])
@pytest.mark.parametrize(("n_components", "n_starts"), [(2, 10), (5, 10), (6, 6)])
def test_starts_rounds_and_moves_are_as_many_as_users_read(
    n_components, n_starts, n, make_blocks, rng, monkeypatch
):
    blocks = make_blocks(blobs(rng, n))
    em = EMMap.prepare(blocks, STRUCTURES["full"], n_components, "auto")
    search = Search(
        DIVERSE, n_components, np.random.RandomState(0), finish, LBFGS, slack=np.inf
    )
    assert len(search.starts(em)) == n_starts
    # Nothing gains.
    calls = []
    for name in ("drawn", "reweighted"):

        def called(self, count, *args, name=name, **how):
            calls.append((name, count))
            return []

        monkeypatch.setattr(Moves, name, called)
    monkeypatch.setattr(search_module, "climb", lambda *_: [])
    search.improved(em, finish(em, search.starts(em)[0]))
    count = min(5 * n_components, 20)
    expected = [("drawn", count), ("drawn", count)]
    # A weight, two means and three covariances of each, less one.
    if n < 10 * (6 * n_components - 1):
        expected.insert(1, ("reweighted", count))
    assert calls == expected
