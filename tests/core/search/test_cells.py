"""Cells: points that stand for many rows."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skem import GaussianMixture
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search import effort
from skem.core.search import search as search_module
from skem.core.search.cells import finer_cells, halved, points_of
from skem.core.search.follow import follow
from skem.core.search.initialize import initialize
from skem.core.solve.lbfgs import LBFGS

FULL = STRUCTURES["full"]


def seed():
    return np.random.RandomState(0)


def overlapping(rng, n, d=2, K=2):
    """Return rows of clusters whose means are two standard deviations apart."""
    labels = rng.integers(K, size=n)
    X = rng.normal(size=(n, d))
    X[:, 0] += 2 * labels
    return X


def problem(blocks, K=2):
    em = EMMap.prepare(blocks, FULL, K, "auto")
    return em, initialize(em, INITIALIZERS["kmeans"], K, seed())


def moments(X, weight):
    covariance = np.cov(X.T, aweights=weight, ddof=0)
    return weight.sum(), np.average(X, axis=0, weights=weight), covariance


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_points_have_the_moments_of_their_cell(d, weighted, rng):
    slope = rng.uniform(0.5, 2, d)
    cells = rng.normal(3, 1, (d, 5, 40))
    weight = rng.integers(1, 4, (5, 40)).astype(float) if weighted else np.ones((5, 40))
    given = np.concatenate([cells, weight[None]]) if weighted else cells
    points = points_of(given, slope)
    assert points.shape == (d + 1, 5, d + 1)
    for i in range(5):
        expected = moments(cells[:, i].T, weight[i])
        found = points[:d, i].T
        v = points[d, i]
        assert v.sum() == pytest.approx(expected[0], rel=1e-14)
        np.testing.assert_allclose(np.average(found, axis=0, weights=v), expected[1])
        np.testing.assert_allclose(moments(found, v)[2], expected[2], rtol=1e-10)


def test_every_second_simplex_is_the_other_way_round(rng):
    cell = rng.normal(size=(2, 1, 40))
    points = points_of(np.concatenate([cell, cell], axis=1), np.ones(2))[:2]
    mean = cell.mean(axis=2)
    np.testing.assert_allclose(points[:, 0] - mean, mean - points[:, 1], atol=1e-12)


def test_points_keep_equal_values_to_the_bit():
    cells = np.stack([np.full((2, 30), 0.1), np.arange(60.0).reshape(2, 30)])
    points = points_of(cells, np.array([1e8, 1.0]))
    assert (points[0] == 0.1).all()


def test_points_of_rows_on_a_line_are_on_it(rng):
    """Across it variances are zero, or by rounding less than that."""
    x = rng.normal(size=(50, 40))
    points = points_of(np.stack([x, 2 * x, 3 * x]), np.ones(3))[:3]
    np.testing.assert_allclose(points[1], 2 * points[0], atol=1e-6)
    np.testing.assert_allclose(points[2], 3 * points[0], atol=1e-6)


def test_cells_are_halved_where_they_spread_the_most(rng):
    rows = np.stack([rng.normal(0, 1, 1024), rng.normal(0, 1e3, 1024)])
    wide, left = halved(rows[:, None], np.ones(2), 4)
    assert left.shape == (2, 0)
    assert wide.shape == (2, 16, 64)
    # Each is beside the next in the second feature, the only one that was cut.
    assert (wide[1, :-1].max(axis=1) <= wide[1, 1:].min(axis=1)).all()
    np.testing.assert_array_equal(np.sort(wide[0], axis=None), np.sort(rows[0]))
    # In units of the slope, it is the other one.
    scaled, _ = halved(rows[:, None], np.array([1, 1e-6]), 1)
    assert scaled[0, 0].max() <= scaled[0, 1].min()


def test_rows_that_have_no_other_half_are_left_over(rng):
    rows = rng.normal(size=(1, 1, 1027))
    cells, left = halved(rows, np.ones(1), 3)
    assert cells.shape == (1, 8, 128)
    assert left.shape == (1, 3)
    every = np.concatenate([cells.ravel(), left.ravel()])
    np.testing.assert_array_equal(np.sort(every), np.sort(rows.ravel()))


@pytest.mark.parametrize("weighted", [False, True])
def test_points_have_nearly_the_likelihood_of_all_rows(weighted, make_blocks, rng):
    X = overlapping(rng, 60_000)
    weight = rng.integers(0, 3, len(X)).astype(float) if weighted else None
    em, start = problem(make_blocks(X, weight))
    (cells,) = finer_cells(em, 2, seed())
    points = cells.points(start)
    assert 4 * points.blocks.n_samples <= cells.n_rows
    assert points.blocks.total_weight == pytest.approx(em.blocks.total_weight)
    # Half a nat is what the optimum of another sample costs for each parameter.
    of_rows, of_points = em.evaluate(start), points.evaluate(start)
    assert of_points.loglik == pytest.approx(of_rows.loglik, abs=2.0)
    here = follow(LBFGS, 1e-3, 1000, points, start)
    there = follow(LBFGS, 1e-3, 1000, em, start)
    reached = em.evaluate(here.evaluation.parameters)
    assert -1e-3 <= there.evaluation.objective - reached.objective < 0.1


def test_cells_become_finer(make_blocks, rng, monkeypatch):
    monkeypatch.setattr("skem.core.search.cells.CELLS", 300)
    em, start = problem(make_blocks(overlapping(rng, 60_000)))
    first, second = finer_cells(em, 2, seed())
    few, many = (cells.points(start).blocks.n_samples for cells in (first, second))
    assert few * 7 < many < 60_000 / 4
    # Nothing is lost from one to the next.
    for cells in (first, second):
        rows = np.hstack(
            [*(share.reshape(2, -1) for share in cells.shares), cells.left]
        )
        np.testing.assert_array_equal(np.sort(rows[0]), np.sort(em.blocks.X[:, 0]))


def test_rows_of_coarse_cells_stay_as_they_are(make_blocks, rng):
    X = overlapping(rng, 60_000)
    X[:20] = 1e100 * rng.normal(size=(20, 2))
    em, start = problem(make_blocks(X))
    (cells,) = finer_cells(em, 2, seed())
    points = cells.points(start)
    assert np.isfinite(points.blocks.X).all()
    far = np.abs(points.blocks.X).max(axis=1) > 1e90
    assert (points.blocks.weight[far] == 1).all()
    np.testing.assert_array_equal(
        np.sort(points.blocks.X[far], axis=0), np.sort(X[:20], axis=0)
    )


def test_there_are_no_points_where_cells_are_wider_than_components(make_blocks, rng):
    em, start = problem(make_blocks(overlapping(rng, 60_000)))
    narrow = replace(start, precisions_cholesky=start.precisions_cholesky * 1e3)
    (cells,) = finer_cells(em, 2, seed())
    assert cells.points(start) is not None
    assert cells.points(narrow) is None


def test_pseudo_observations_weigh_what_a_point_does(make_blocks, rng):
    """Else a few points would make a narrow component, where there are many rows."""
    em, start = problem(make_blocks(overlapping(rng, 60_000)))
    (cells,) = finer_cells(em, 2, seed())
    points = cells.points(start)
    heavier = points.blocks.total_weight / points.blocks.n_samples
    assert points.regularization.epsilon == pytest.approx(heavier)
    assert heavier > 4


def with_zeros(rng, blocks):
    X = blocks.X.copy()
    X[rng.random(len(X)) < 0.1, 0] = 0.0
    return replace(blocks, X=X)


@pytest.mark.parametrize(
    "changed",
    [
        lambda rng, blocks: replace(blocks, incomplete=True),
        lambda rng, blocks: replace(blocks, known=np.arange(blocks.n_samples) % 2),
        lambda rng, blocks: replace(blocks, X=np.tile(blocks.X, 3)[:, :5]),
        lambda rng, blocks: replace(blocks, X=blocks.X[:4_000]),
        lambda rng, blocks: replace(blocks, X=1e200 * blocks.X),
        with_zeros,
    ],
    ids=["missing", "known", "five features", "few rows", "huge", "shared values"],
)
def test_rows_that_points_cannot_stand_for_are_in_no_cells(changed, make_blocks, rng):
    blocks = changed(rng, make_blocks(overlapping(rng, 20_000)))
    em = EMMap.prepare(blocks, FULL, 2, "auto")
    assert [*finer_cells(em, 2, seed())] == []


def test_columns_in_even_steps_may_be_in_cells(make_blocks, rng):
    X = np.round(overlapping(rng, 60_000) * 10)
    em, start = problem(make_blocks(X))
    (cells,) = finer_cells(em, 2, seed())
    points = cells.points(start)
    assert em.coordinates.ties is not None
    assert points.evaluate(start).loglik == pytest.approx(
        em.evaluate(start).loglik, abs=2.0
    )


def test_many_rows_are_sampled(make_blocks, rng, monkeypatch):
    monkeypatch.setattr(effort, "CELL_VALUES", 40_000)
    em, start = problem(make_blocks(overlapping(rng, 60_000)))
    (cells,) = finer_cells(em, 2, seed())
    assert cells.n_rows == 20_000
    points = cells.points(start)
    assert points.blocks.total_weight == pytest.approx(20_000)


def test_rows_without_weight_are_in_no_cell(make_blocks, rng):
    X = overlapping(rng, 60_000)
    weight = np.where(X[:, 1] > 0, 1.0, 0.0)
    em, start = problem(make_blocks(X, weight))
    (cells,) = finer_cells(em, 2, seed())
    assert cells.n_rows == weight.sum()
    points = cells.points(start)
    assert points.blocks.X[:, 1].min() > -0.1
    assert points.blocks.total_weight == pytest.approx(weight.sum())


def test_points_do_not_depend_on_threads(rng):
    X = overlapping(rng, 60_000)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"), Workers() as workers:
            assert workers.n_threads <= n_threads
            em, start = problem(ArrayBlocks(X, None, workers, np.dtype(float)))
            (cells,) = finer_cells(em, 2, seed())
            found.append(cells.points(start).blocks)
    np.testing.assert_array_equal(found[0].X, found[1].X)
    np.testing.assert_array_equal(found[0].weight, found[1].weight)


def test_a_fit_goes_through_cells(rng, monkeypatch):
    """To the same end, with fewer passes over all rows."""
    X = overlapping(rng, 60_000, K=3)
    through_cells = GaussianMixture(3, random_state=0).fit(X)
    monkeypatch.setattr(search_module, "finer_cells", lambda *_: ())
    without = GaussianMixture(3, random_state=0).fit(X)
    assert through_cells.lower_bound_ == pytest.approx(without.lower_bound_, abs=1e-6)
    assert through_cells.n_iter_ < without.n_iter_
