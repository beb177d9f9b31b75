"""The search for a good optimum of a table's mixture."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer

from skem import MixtureIC, MixtureModel
from skem.core.blocks.threads import Workers
from skem.core.search.climb import Trial, height
from skem.core.search.follow import follow
from skem.core.search.move import Attempts
from skem.core.solve.lbfgs import LBFGS
from skem.core.solve.loop import Solution
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


def finish(em, start, earlier=None, give_up=None, rough=0.0):
    how = LBFGS, 1e-2, 500
    return follow(*how, em, start, earlier, callback=give_up, rough=rough)


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


@pytest.mark.parametrize(
    ("n_components", "light", "expected"), [(3, 0, 2), (3, 2**18, 1), (1, 2**18, 0)]
)
def test_moves_that_gain_nothing_end_the_search(
    n_components, light, expected, rng, monkeypatch
):
    model, em = fitted(rng)
    best = finish(em, model._point)
    calls = []
    monkeypatch.setattr("skem.families.search.LIGHT", light)
    monkeypatch.setattr(TableSearch, "trials", lambda *_: calls.append(1) or [])
    search = TableSearch(n_components, np.random.RandomState(0), finish)
    assert search.improved(em, best) is best
    assert len(calls) == expected


@pytest.mark.parametrize(
    ("n_searches", "light", "heights", "expected"),
    [
        (None, True, [-9, -5, -5.05, -5.02, -1], 4),
        (None, True, [-5, -5, -3, -3, -3], 4),
        (None, True, [-5, -5, -5, -3], 3),
        (None, False, [-9, -5], 1),
        (2, True, [-9, -5, -5], 2),
        (5, False, [-5] * 5, 5),
    ],
)
def test_searches_are_done_again_until_three_agree_about_the_best(
    n_searches, light, heights, expected, rng, monkeypatch
):
    _, em = fitted(rng)
    ends = iter(heights)

    def end(*_):
        evaluation = SimpleNamespace(objective=next(ends), parameters=None)
        return Solution(evaluation, [], 0, True, None)

    monkeypatch.setattr(TableSearch, "optimum", end)
    monkeypatch.setattr(TableSearch, "light", lambda *_: light)
    search = TableSearch(3, np.random.RandomState(0), lambda em, start, best: best)
    found = [height(each) for each in search.optima(em, n_searches)]
    assert found == sorted(heights[:expected], reverse=True)


def test_candidates_of_several_numbers_are_searched_once(rng):
    answers = rng.integers(2, size=(100, 5)).astype(bool)
    several = MixtureIC((2, 4), random_state=0).fit(answers)
    assert len(several.best_estimator_.search_bounds_) == 1
    alone = MixtureIC((2,), random_state=0).fit(answers)
    assert len(alone.best_estimator_.search_bounds_) >= 3


def test_starts_that_lead_to_a_known_end_are_passed_over(rng, monkeypatch):
    model, em = fitted(rng)
    known = finish(em, model._point)
    near = Trial(model._point, height(known), 0.0, 1)
    poor = Trial(em.product.ordered(model._point, np.array([0, 0, 1])), 0.0, 0.0, 1)
    moves, trials = [], [near, poor]
    monkeypatch.setattr(TableSearch, "trials", lambda *_: moves.append(1) or [])
    monkeypatch.setattr(TableSearch, "screened", lambda *_: trials)
    search = TableSearch(3, np.random.RandomState(0), finish)
    assert height(search.optimum(em, known)) < height(known) - 10
    assert moves == [1]
    trials.pop()
    assert search.optimum(em, known) is known
    assert moves == [1]
    # The first search has nothing to pass over.
    assert search.optimum(em) is not known
    assert moves == [1, 1]


def test_moves_that_lead_back_are_not_followed(rng):
    """Three groups that are far apart: all ways but the worst lead to them."""
    model, em = fitted(rng)
    best = finish(em, model._point)
    search = TableSearch(3, np.random.RandomState(0), finish)
    chart = em.chart(best.evaluation.parameters)
    for trial in search.trials(em, best, Attempts()):
        assert trial.objective < height(best)
        assert farthest(chart, trial.parameters) > 0.2


def survey(rng):
    """Answers of three classes that are hard to tell apart, with gaps."""
    z = rng.choice(3, 800, p=[0.5, 0.3, 0.2])
    shares = rng.dirichlet(np.full(3, 2.0), size=(8, 3))
    draws = rng.random((800, 8, 1)) > shares.cumsum(axis=-1)[np.arange(8), z[:, None]]
    answers = draws.sum(axis=-1).astype(float)
    answers[rng.random(answers.shape) < 0.15] = np.nan
    return answers


def test_default_fits_of_a_survey_find_the_best_of_many_searches():
    """Short single searches from two of these seeds ended four nats below that."""
    answers = survey(np.random.default_rng(0))
    model = MixtureModel(5, families="categorical", random_state=0)
    best = clone(model).set_params(n_init=20).fit(answers).lower_bound_
    for seed in (1, 4):
        found = clone(model).set_params(random_state=seed).fit(answers).lower_bound_
        assert 800 * (best - found) < 0.5


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
