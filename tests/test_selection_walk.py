"""Paths of several structures, and what these tell each other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from joblib import Parallel

from skem._selection import walk
from skem._selection.grid import Candidate
from skem._selection.walk import Settled, fresh_clusterings, walked_down
from skem.core.gaussian.covariance import SHAPES
from skem.core.search.path import Path, narrowed
from skem.core.search.sketch import Sketch


def settled(*candidates):
    """Return candidates of such log-likelihoods, with what is taken off them."""
    mixture = SimpleNamespace(n_parameters_=1)
    return Settled(
        None,
        [
            Candidate(K, "full", mixture, 100.0, height, 0.0, excess)
            for K, (height, excess) in enumerate(candidates, 1)
        ],
        {},
    )


def test_what_gains_no_more_than_may_be_left_twice_is_no_better():
    before = settled((10.0, 0.0), (10.0, 0.0), (10.0, 0.0), (10.0, 0.0))
    # The third gains by shared values alone; of the last nothing is known any more.
    now = settled((11.9, 0.0), (12.1, 0.0), (15.0, 5.0), (np.nan, 0.0))
    assert now.no_better_than(before) == {1, 3, 4}


def test_what_is_found_takes_the_place_of_what_was():
    before = settled((1.0, 0.0), (2.0, 0.0))
    (_, better) = settled((1.0, 0.0), (3.0, 0.0)).candidates
    one, two, other = object(), object(), object()
    before.parameters.update({1: one, 2: two})
    after = before.updated({2: (better, other)})
    assert after.candidates == [before.candidates[0], better]
    assert after.parameters == {1: one, 2: other}
    assert before.parameters[2] is two


def assert_all_of_the_data(em, sketch):
    """A sketch, put together, is that of all rows as one cluster."""
    rows = em.all_rows
    whole, one = Sketch.of_labels(em, rows, rows.weight[None]), narrowed(sketch, 1)
    for name in ("counts", "means", "covariances"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(whole, name), rtol=1e-9, atol=1e-9
        )


def test_fresh_clusterings_are_of_standardised_features_and_of_one_scale(
    make_problem, rng
):
    # Two clusters by the first feature, which is small beside the second.
    X = rng.normal(size=(100, 2)) * [0.1, 50.0]
    X[:50, 0] += 2
    problem = make_problem(
        X, rng.uniform(0.5, 2, 100), components=(1, 2), reg_covar=1e-6
    )
    structures = [SHAPES["full"], SHAPES["spherical"]]
    fresh = fresh_clusterings(problem, structures, np.random.RandomState(0))
    assert {K: len(sketches) for K, sketches in fresh.sketches.items()} == {1: 1, 2: 2}
    for structure in structures:
        with problem.stages(structure) as (em,):
            sketches = fresh.seen_from(em.coordinates)
            for sketch in [*sketches[1], *sketches[2]]:
                assert_all_of_the_data(em, sketch)
            # What tells the clusters apart is one feature, and then the other.
            apart = [np.ptp(each.means, axis=0) for each in sketches[2]]
            spread = narrowed(sketches[1][0], 1).covariances[0].diagonal() ** 0.5
            assert {int(np.argmax(each / spread)) for each in apart} == {0, 1}


@pytest.mark.parametrize(("n_init", "count"), [(1, 1), (2, 2), (8, 2)])
def test_there_are_no_more_fresh_clusterings_than_starts(
    X, make_problem, n_init, count
):
    problem = make_problem(X, n_init=n_init, reg_covar=1e-6)
    fresh = fresh_clusterings(problem, [SHAPES["full"]], np.random.RandomState(0))
    assert [len(fresh.sketches[K]) for K in (1, 2)] == [1, count]


@pytest.fixture
def steps(monkeypatch):
    """Record the walks of each structure, and how many others it hears of."""
    seen = {}

    def record(name, note):
        original = getattr(Path, name)

        def recorded(path, *args, **kwargs):
            own = seen.setdefault(path.em.structure.name, [])
            own.append((name, note(path.em, *args, **kwargs)))
            return original(path, *args, **kwargs)

        monkeypatch.setattr(Path, name, recorded)

    def scouted(em, fresh, *, quick):
        for sketches in fresh.values():
            for sketch in sketches:
                assert_all_of_the_data(em, sketch)
        return quick

    record("scout", scouted)
    record("walk_down", lambda em, others=(): len(others))
    record("walk_up", lambda em, rng: None)
    return seen


@pytest.mark.parametrize("init_params", ["kmeans", "random"])
def test_structures_hear_of_each_other_and_shapes_of_all_that_came_before(
    make_problem, steps, init_params, rng
):
    X = rng.normal(size=(100, 2)) * [1.0, 50.0]
    X[:50] += [4.0, 0.0]
    problem = make_problem(X, components=(1, 2), init_params=init_params)
    # The same as full ones, EEV do not scout; EEI do, as there is no diag.
    names = ["EEV", "full", "EEI", "spherical"]
    structures = [SHAPES[name] for name in names]
    fresh = fresh_clusterings(problem, structures, np.random.RandomState(0))
    # Quick fits of three structures are fresh enough.
    assert len(fresh.sketches[2]) == (0 if init_params == "kmeans" else 2)
    with Parallel(n_jobs=1) as parallel:
        found = walked_down(parallel, problem, structures, fresh)
    walks = [("walk_up", None), ("walk_down", 0)]
    scouts = [("scout", init_params == "kmeans"), ("walk_down", 2), *walks]
    for name in ("full", "EEI", "spherical"):
        assert steps[name] == scouts
    # Three scouts, and where they have come to.
    assert steps["EEV"] == [("walk_down", 6), *walks]
    for name, each in zip(names, found, strict=True):
        assert [one.covariance_type for one in each.candidates] == [name, name]
        assert all(one.seconds > 0 for one in each.candidates)


def test_the_time_of_the_scouts_is_added(X, make_problem):
    problem, full = make_problem(X, components=(1, 2)), SHAPES["full"]
    fresh = fresh_clusterings(problem, [full], np.random.RandomState(0))
    long_ago = replace(walk._walk(problem, full, fresh), seconds={1: 1e3, 2: 2e3})
    found = walk._settle(problem, 0, full, long_ago, [])
    assert [each.seconds // 1e3 for each in found.candidates] == [1, 2]
