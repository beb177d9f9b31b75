"""The search for a good optimum of a table's mixture."""

from dataclasses import replace

import numpy as np
import pytest

from skem import MixtureModel
from skem.core.blocks.threads import Workers
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
