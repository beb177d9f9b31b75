"""The search for a good optimum of a table's mixture."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer

from skem import MixtureModel
from skem.core.blocks.threads import Workers
from skem.core.search.climb import height
from skem.core.search.follow import follow
from skem.core.solve.lbfgs import LBFGS
from skem.families.point import Point
from skem.families.search import (
    Hopeless,
    TableSearch,
    climbed,
    farthest,
    random_labels,
)
from skem.families.table_map import TableMap

FAMILIES = {0: "gaussian", 1: "gaussian", 2: "poisson", 3: "categorical"}


def fitted(rng, covariance_type="full"):
    z = rng.integers(3, size=300)
    numbers = rng.normal(4 * z[:, None], 1, (300, 2))
    X = np.column_stack([numbers, rng.poisson(1 + 4 * z), (z + rng.random(300)) // 1])
    model = MixtureModel(
        3, families=FAMILIES, covariance_type=covariance_type, random_state=0
    ).fit(X)
    values = np.ascontiguousarray(X.T)
    return model, TableMap(
        model._product.of(values), values, np.ones(300), Workers(), None
    )


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_mixtures_are_compared_component_by_component(rng, covariance_type):
    model, em = fitted(rng, covariance_type)
    point, chart = model._point, em.chart(model._point)
    order = np.array([2, 0, 1])
    assert farthest(chart, em.product.ordered(point, order)) == pytest.approx(0)
    moved = replace(point, weights=point.weights * np.array([1.5, 0.75, 0.75]))
    assert farthest(chart, em.product.ordered(moved, order)) > 0.2


def test_a_run_that_comes_to_the_best_optimum_is_ended(rng):
    model, em = fitted(rng)
    best = em.evaluate(model._point)
    other = em.product.ordered(model._point, np.array([1, 2, 0]))
    assert Hopeless(best)(1, em.evaluate(other), None)
    far = em.labelled(np.full((3, 300), 1 / 3) + 0.01 * rng.random((3, 300)))
    assert not Hopeless(best)(1, em.evaluate(far), None)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_starts_climb_as_each_does_alone(rng, covariance_type):
    # Of a tied covariance mixtures do not stack.
    _, em = fitted(rng, covariance_type)
    starts = [em.labelled(rng.dirichlet(np.ones(3), 300).T) for _ in range(4)]
    ends = [em.evaluate(em.advanced(start, 6)).objective for start in starts]
    trials = climbed(em, starts, 6)
    hopes = [trial.hope() for trial in trials]
    assert hopes == sorted(hopes, reverse=True)
    for trial in trials:
        assert isinstance(trial.parameters, Point) and not trial.parameters.stack
        assert min(abs(trial.objective - end) for end in ends) < 1e-8


def test_random_labels_share_each_row_among_all_components():
    resp = random_labels(np.empty((50, 2)), np.ones(50), 3, np.random.RandomState(0))
    np.testing.assert_allclose(resp.sum(axis=0), 1)
    assert (resp >= 0.1).all()


def test_there_are_as_many_starts_as_are_asked_for_where_rows_are_equal(rng):
    model, _ = fitted(rng)
    values = np.repeat(np.array([[1.0], [2.0], [3.0], [0.0]]), 10, axis=1)
    em = TableMap(model._product.of(values), values, np.ones(10), Workers(), None)
    search = TableSearch(3, np.random.RandomState(0), None)
    starts = search.starts(em, 7)
    assert len(starts) == 7
    for start in starts:
        assert start.weights.sum() == pytest.approx(1)


def finish(em, start, earlier=None, give_up=None):
    return follow(LBFGS, 1e-2, 500, em, start, earlier, callback=give_up)


def test_poor_optimum_of_a_table_is_left(rng):
    """Two components on one group, one on two: no step of EM leads out of that."""
    z = rng.integers(4, size=400)
    X = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])[z] + rng.normal(size=(400, 2))
    model = MixtureModel(4, covariance_type="diag", random_state=0).fit(X)
    values = np.ascontiguousarray(X.T)
    em = TableMap(model._product.of(values), values, np.ones(400), Workers(), None)
    one_hot = np.eye(4)
    good = finish(em, em.labelled(one_hot[z].T))
    labels = np.where(z == 3, 2, z)
    labels = np.where((z == 0) & (X[:, 1] > 0), 3, labels)
    poor = finish(em, em.labelled(one_hot[labels].T))
    assert height(poor) < height(good) - 20
    search = TableSearch(4, np.random.RandomState(0), finish)
    # Each run leaves up to 0.01 nats.
    assert height(search.improved(em, poor)) > height(good) - 0.02


def test_moves_that_gain_nothing_end_the_search(rng, monkeypatch):
    model, em = fitted(rng)
    best = finish(em, model._point)
    calls = []
    monkeypatch.setattr(TableSearch, "trials", lambda *_: calls.append(1) or [])
    for n_components, expected in ((3, 2), (1, 0)):
        calls.clear()
        search = TableSearch(n_components, np.random.RandomState(0), finish)
        assert search.improved(em, best) is best
        assert len(calls) == expected


@pytest.mark.slow
def test_default_fits_of_categories_agree():
    """With moves of any components, two of these eight are 7 and 35 nats below."""
    X = load_breast_cancer().data[:, :10]
    cuts = np.quantile(X, [0.25, 0.5, 0.75], axis=0)
    quarters = (X[None] > cuts[:, None]).sum(axis=0)
    model = MixtureModel(4, families="categorical")
    values = [
        clone(model).set_params(random_state=seed).fit(quarters).score(quarters)
        for seed in range(8)
    ]
    # Two optima are half a nat apart.
    assert 569 * np.ptp(values) < 1
