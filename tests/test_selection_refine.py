"""Candidates near the best one: where their searches start, and what is kept."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from joblib import Parallel

from skem._selection import refine
from skem._selection.problem import Effort, Problem
from skem._selection.walk import fresh_clusterings, walked_down
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.solve.loop import Solution
from skem.core.solve.plain import Plain

FULL = SHAPES["full"]


@pytest.fixture
def problem(X, make_problem):
    return make_problem(X)


@pytest.fixture
def walked(problem):
    fresh = fresh_clusterings(problem, [FULL], np.random.RandomState(0))
    with Parallel(n_jobs=1) as parallel:
        (settled,) = walked_down(parallel, problem, [FULL], fresh)
    return settled


@pytest.fixture
def searches(monkeypatch):
    """Record the starts of each search; the best is the first, moved a bit."""
    seen = SimpleNamespace(known={}, split=[], beside={}, fails=set())

    def among_many(search, em):
        K = search.n_components
        seen.known[K] = search.known
        if K in seen.fails:
            raise IllDefinedCovarianceError
        end = em.advanced(search.known[0], 1)
        return Solution(em.evaluate(end), [], 0, True, Plain(em.chart))

    widened, neighbours = refine.widened, refine.neighbours

    def split(sketch, K):
        seen.split.append((len(sketch), K))
        return widened(sketch, K)

    def beside(em, K, present, most, rng):
        seen.beside[K] = dict(present)
        return neighbours(em, K, present, 2, rng)

    monkeypatch.setattr(Problem, "many", lambda *_: True)
    monkeypatch.setattr(refine, "among_many", among_many)
    monkeypatch.setattr(refine, "widened", split)
    monkeypatch.setattr(refine, "neighbours", beside)
    return seen


def test_searches_start_from_what_was_found_and_from_what_is_found_beside_it(
    problem, walked, searches
):
    effort = Effort(0, 10.0, 0.0, 8, 1)
    found = refine.refine(problem, FULL, walked, [1, 2, 3], effort)
    # Of three components there are two splits, and two cuts; there is no fourth.
    assert searches.split == [(1, 2), (2, 3)]
    assert {K: len(known) for K, known in searches.known.items()} == {1: 2, 2: 6, 3: 5}
    for K, known in searches.known.items():
        assert known[0] is walked.parameters[K]
        assert all(len(each.weights) == K for each in known)
        assert found.parameters[K] is not walked.parameters[K]
        # Fewer have been searched before, and more have not.
        for k, parameters in searches.beside[K].items():
            assert parameters is (found if k < K else walked).parameters[k]
    assert set(searches.beside[2]) == {1, 2, 3}


def test_without_fresh_starts_a_search_starts_from_what_was_found_alone(
    problem, walked, searches
):
    refine.refine(problem, FULL, walked, [2, 3], Effort(2, 8.0, 0.0, 0, 3))
    for K in (2, 3):
        assert len(searches.known[K]) == 1
        assert searches.known[K][0] is walked.parameters[K]
    assert searches.split == [] and searches.beside == {}


def test_a_search_that_fails_leaves_what_was_found_as_a_start(
    problem, walked, searches
):
    searches.fails.add(2)
    effort = Effort(0, 10.0, 0.0, 8, 1)
    found = refine.refine(problem, FULL, walked, [2, 3], effort)
    assert [each.mixture is None for each in found.candidates] == [False, True, False]
    assert found.candidates[0] is walked.candidates[0]
    assert found.parameters[2] is walked.parameters[2]
    assert searches.beside[3][2] is walked.parameters[2]


def test_the_time_of_a_search_is_added_to_that_of_the_path(
    problem, walked, searches, monkeypatch
):
    monkeypatch.setattr(refine, "time", SimpleNamespace(perf_counter=count().__next__))
    found = refine.refine(problem, FULL, walked, [2], Effort(0, 10.0, 0.0, 8, 1))
    before = walked.walked.seconds[2]
    assert found.candidates[1].seconds == pytest.approx(before + 1)


def test_quick_searches_have_three_times_as_many_fresh_starts_and_go_on(monkeypatch):
    seen = {}

    def many(em, K, most, rng):
        seen["most"] = most
        return ["fresh"]

    def best_end(em, starts, finish, best):
        seen.update(starts=starts, best=best)
        return "best end"

    search = SimpleNamespace(
        n_components=2,
        n_starts=8,
        rng=None,
        known=["present", "other"],
        finish=lambda em, start: f"end of {start}",
        improved=lambda em, best: f"{best}, improved",
    )
    monkeypatch.setattr(refine, "affordable", lambda em, K, most: most)
    monkeypatch.setattr(refine, "many", many)
    monkeypatch.setattr(refine, "best_end", best_end)
    assert refine.among_many(search, None) == "best end, improved"
    assert seen == {
        "most": 24,
        "starts": ["other", "fresh"],
        "best": "end of present",
    }
