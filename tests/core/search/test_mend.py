"""Numbers of components whose neighbours let expect more."""

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.search.mend import dents, mend, neighbours
from skem.core.search.path import Path
from skem.core.solve.lbfgs import LBFGS

CENTRES = np.array([[-8.0, 0], [0, 0], [8, 0], [0, 9], [0, -9]])


@pytest.fixture
def em(rng, make_blocks):
    X = CENTRES[rng.integers(5, size=400)] + rng.normal(size=(400, 2))
    return EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, "auto")


def found_by(em, components, seed=0):
    """A path whose starts are found one after the other, by cuts alone."""
    path = Path(em, components, LBFGS, 1e-2, 200)
    rng = np.random.RandomState(seed)
    path.improve(1, [], [em.admitted(em.started(em.total))])
    for K in components[1:]:
        present = {k: found.parameters for k, found in path.found.items()}
        starts = neighbours(em.for_components(K), K, present, 24, rng)
        path.improve(K, [], starts)
    return path


def test_a_dent_is_below_the_line_between_its_neighbours():
    assert dents({1: 0.0, 2: 50.0, 3: 90.0, 4: 100.0}) == []
    assert dents({1: 0.0, 2: 50.0, 3: 60.0, 4: 100.0}) == [3]
    # A third of the way from 0 to 90.
    assert dents({1: 0.0, 2: 27.0, 4: 90.0}) == [2]
    assert dents({1: 0.0, 2: 29.0, 4: 90.0}) == []
    assert dents({1: 0.0, 2: 1.0}) == []


def test_what_was_missed_is_found_from_the_neighbours(em):
    path = found_by(em, [1, 2, 3, 4, 5])
    best = path.found[4].objective
    # Four components, of which one only has a share of another's rows.
    poor = path.found[3].parameters
    halves = np.array([0, 1, 2, 2])
    weights = poor.weights[halves] * [1, 1, 0.5, 0.5]
    poor = type(poor)(weights, poor.means[halves], poor.precisions_cholesky[halves])
    here = em.for_components(4).evaluate(poor)
    path.found[4] = type(path.found[4])(
        poor, float(here.objective), path.found[3].sketch, [], 0, True
    )
    assert 4 in dents({K: f.objective for K, f in path.found.items()})
    mend(path, np.random.RandomState(0))
    # Within what the path leaves.
    assert path.found[4].objective > best - 1


def test_nothing_is_lost_where_nothing_lacks(em):
    path = found_by(em, [1, 2, 3, 4, 5])
    before = {K: found.objective for K, found in path.found.items()}
    mend(path, np.random.RandomState(0))
    assert all(path.found[K].objective >= before[K] for K in before)


def test_neighbours_have_the_number_of_components(em):
    path = found_by(em, [1, 2, 3])
    present = {K: found.parameters for K, found in path.found.items()}
    starts = neighbours(em, 2, present, 6, np.random.RandomState(0))
    # Six cuts of one component, and as many unions as three components have.
    assert [len(start.weights) for start in starts] == [2] * 9
