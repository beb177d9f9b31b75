"""What a selection is asked: its searches, its samples, and what goes elsewhere."""

import pickle
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from skem._selection.problem import Effort
from skem.core.gaussian.covariance import SHAPES, STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.search.effort import products


def drawn(problem, K, turn, again):
    effort = Effort(turn, 10.0, 0.0, 8, 1)
    return problem.search(K, [], effort, again).rng.random_sample()


def test_each_search_has_random_numbers_of_its_own(X, make_problem):
    problem = make_problem(X)
    searches = [(K, turn, again) for K in (2, 3) for turn in (0, 1) for again in (0, 1)]
    first, second = ([drawn(problem, *each) for each in searches] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(searches)


def test_a_search_has_the_effort_that_is_asked_for(X, make_problem):
    known = [object()]
    search = make_problem(X).search(3, known, Effort(0, 10.0, 0.0, 5, 4))
    assert (search.n_components, search.n_starts, search.patience) == (3, 5, 4)
    assert search.known is known


def test_many_starts_are_tried_where_all_candidates_are_light(
    X, make_problem, monkeypatch
):
    problem = make_problem(X)
    with problem.stages(STRUCTURES["full"]) as (em,):
        monkeypatch.setattr(EMMap, "quick", True)
        most = products(em, 3)
        for room, expected in {most: True, most - 1: False}.items():
            monkeypatch.setattr("skem._selection.problem.LIGHT", room)
            assert problem.many(em) is expected
        monkeypatch.setattr("skem._selection.problem.LIGHT", most)
        # Where starts are asked for, there are no others.
        assert not make_problem(X, init_params="random").many(em)
        monkeypatch.setattr(EMMap, "quick", False)
        assert not problem.many(em)


def test_quick_fits_are_for_several_components_up_to_those_of_the_sample(
    X, make_problem
):
    em = SimpleNamespace(sample=SimpleNamespace(most_clusters=4))
    problem = make_problem(X)
    assert [problem.has_quick_fit(em, K) for K in (1, 2, 4, 5)] == [0, 1, 1, 0]
    assert not problem.has_quick_fit(SimpleNamespace(sample=None), 2)
    assert not make_problem(X, init_params="random").has_quick_fit(em, 2)


def test_all_structures_see_the_same_rows_enough_for_the_most_components(
    make_problem, monkeypatch, rng
):
    monkeypatch.setattr("skem.core.search.path.PATH_ROWS", 20)
    monkeypatch.setattr("skem.core.search.path.POOL_ROWS_PER_COMPONENT", 10)
    problem = make_problem(rng.normal(size=(200, 2)), components=(1, 4))
    seen = []
    for name in ("full", "spherical"):
        with problem.stages(SHAPES[name]) as stages:
            assert [stage.blocks.n_samples for stage in stages] == [40, 200]
            seen.append(stages[0].blocks.X)
    np.testing.assert_array_equal(*seen)


def test_what_another_process_finds_by_itself_is_left_behind(X, make_problem):
    problem = replace(make_problem(X), opened=nullcontext)
    problem.prepared["full"] = object()
    again = pickle.loads(pickle.dumps(problem))
    assert again.prepared == {}
    assert again.options == problem.options
    assert "full" in problem.prepared


@pytest.mark.parametrize("verbose", [0, 1])
def test_how_far_it_is_is_printed_if_that_is_wanted(verbose, X, make_problem, capsys):
    make_problem(X, verbose=verbose).say(STRUCTURES["full"], "scouted")
    assert capsys.readouterr().out == verbose * "full: scouted\n"
