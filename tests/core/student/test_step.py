"""Whole steps of t mixtures in compiled code against those of NumPy and LAPACK."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import FOURTEEN
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.mixture.step import Limits
from skem.core.search.climb import climb
from skem.core.search.follow import CONSTANTS, follow
from skem.core.search.initialize import initialize, of_rows
from skem.core.search.move import CERTAIN, Moves
from skem.core.solve.lbfgs import LBFGS
from skem.core.student.em import StudentMap
from skem.core.student.parameters import Freedom
from skem.kernels import native

pytestmark = pytest.mark.skipif(
    native.library() is None, reason="there is no compiled pass"
)
K = 3
FREEDOMS = {
    "each": Freedom(np.full(K, 5.0), fixed=False),
    "common": Freedom(np.full(K, 5.0), fixed=False, common=True),
    "fixed": Freedom(np.array([0.5, 3.0, 1e9]), fixed=True),
}


def starts(em, n):
    random = INITIALIZERS["random"]
    return [initialize(em, random, K, np.random.RandomState(s)) for s in range(n)]


def in_numpy(em):
    """The same map, without steps of compiled code."""
    em = replace(em)
    em.__dict__.update(_stepper=None)
    return em


def every_row(em):
    return em.rows(10_000, np.random.RandomState(0))


def assert_close(found, expected, rtol=1e-10):
    atol = 1e-11 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def assert_same_mixtures(one, other, rtol=1e-9):
    for a, b in zip(one.arrays, other.arrays, strict=True):
        assert_close(a, b, rtol)


def assert_same_step(em, parameters):
    fast, slow = em.evaluate(parameters), in_numpy(em).evaluate(parameters)
    assert "successor" in vars(fast)
    assert "successor" not in vars(slow)
    for name in ("loglik", "objective"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-12)
    # A scatter that all share is shared out block by block, or at once.
    sums = [way.statistics.sums for way in (fast, slow)]
    if em.structure.shared:
        sums = [each.sum(axis=-2) for each in sums]
    assert_close(*sums)
    assert_close(fast.statistics.owned, slow.statistics.owned)
    assert_same_mixtures(fast.successor, slow.successor)


@pytest.fixture(params=FREEDOMS.values(), ids=FREEDOMS)
def freedom(request):
    return request.param


@pytest.fixture
def X(rng):
    return rng.standard_t(3, size=(200, 3)) + 4 * rng.integers(0, 3, size=(200, 1))


@pytest.fixture(params=["full", "tied", "diag", "spherical", "VEI", "EVE", "VEE"])
def structure(request):
    return FOURTEEN[request.param]


@pytest.fixture(params=["plain", "weights", "ridge", "shared values", "constant"])
def em(request, X, rng, structure, freedom, make_blocks):
    weight, reg_covar = None, "auto"
    if request.param == "weights":
        weight = rng.integers(0, 3, len(X)) * 0.7
    elif request.param == "ridge":
        reg_covar = 0.3
    elif request.param == "shared values":
        X[:, 1] = X[:, 1].round()
    elif request.param == "constant":
        X[:, 1] = 3
        if structure.constraint is not None:
            pytest.skip("shapes take the other way")
    blocks = make_blocks(X, weight)
    return StudentMap.of_data(blocks, structure, K, reg_covar, freedom)


def test_a_step_is_that_of_numpy(em):
    """Along a path, of one mixture and of a stack."""
    path = starts(em, 1)
    for _ in range(4):
        assert_same_step(em, path[-1])
        path.append(in_numpy(em).evaluate(path[-1]).successor)
    assert_same_step(em, Parameters.stacked(path))


def test_rows_out_of_reach_count_as_rows(structure, freedom, X, make_blocks):
    X[0] = 1e13
    em = StudentMap.of_data(make_blocks(X), structure, K, "auto", freedom)
    (start,) = starts(em, 1)
    assert_same_step(em, start)
    found = em.evaluate(start)
    assert found.statistics.owned[:, 2].sum() == pytest.approx(1)
    slow = in_numpy(em).evaluate(start)
    assert found.score == pytest.approx(slow.score, rel=1e-12)
    assert found.certainty == pytest.approx(slow.certainty, rel=1e-9)


def test_an_empty_component_keeps_its_location(structure, freedom, X, make_blocks):
    em = StudentMap.of_data(make_blocks(X), structure, K, "auto", freedom)
    (start,) = starts(em, 1)
    start = replace(start, weights=np.array([0.5, 0.5, 0.0]))
    assert_same_step(em, start)


def test_following_is_what_numpy_does(em):
    """Up to where rounding decides on what is accepted."""
    if em.restores or em.structure.constraint is not None:
        pytest.skip("its steps are followed one by one")
    (start,) = starts(em, 1)
    for n in (1, 5, 12, 25):
        fast = em.followed(start, Limits(n, 0.0), CONSTANTS, None)
        assert fast is not None
        slow = follow(LBFGS, 0.0, n, in_numpy(em), start)
        np.testing.assert_allclose(
            fast[1].values[1:, 0], slow.values, rtol=1e-7 if n > 5 else 1e-11
        )
    if em.coordinates.unit is not None or not em.regularization.repairs:
        return
    end = follow(LBFGS, 1e-4, 500, em, start)
    again = follow(LBFGS, 1e-6, 500, em, end.evaluation.successor, end)
    slow = follow(LBFGS, 1e-6, 500, in_numpy(em), end.evaluation.successor)
    assert again.converged
    assert again.evaluation.objective == pytest.approx(
        slow.evaluation.objective, abs=1e-4
    )


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_a_contest_has_the_winners_of_numpy(em, steps):
    some = starts(em, 7)
    stack = Parameters.stacked(some)
    assert em.contest(stack, steps, 2.0, 1e-10, -np.inf) is not None
    fast, slow = (climb(each, some, steps) for each in (em, in_numpy(em)))
    assert len(fast) == len(slow)
    for one, other in zip(fast, slow, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-9)
        assert_same_mixtures(one.parameters, other.parameters, rtol=1e-7)


def test_responsibilities_are_those_of_numpy(em):
    (start,) = starts(em, 1)
    block = every_row(em).block
    fast, slow = (each.responsibilities(start, block) for each in (em, in_numpy(em)))
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-14)


def test_threads_that_share_a_step_find_what_one_does(
    structure, freedom, make_blocks, rng
):
    """To the bit."""
    X = rng.standard_t(3, (5000, 3)) + 10 * rng.integers(0, 3, size=(5000, 1))
    blocks = make_blocks(X)
    em = StudentMap.of_data(blocks, structure, K, "auto", freedom)
    start = Parameters.stacked(starts(em, 6))
    found = []
    for n_threads in (1, 2, 3):
        workers = Workers()
        workers.n_threads = n_threads
        shared = replace(em, blocks=replace(blocks, workers=workers)).evaluate(start)
        assert "successor" in vars(shared)
        found.append([shared.objective, *shared.successor.arrays])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert_same_step(em, start)


def test_far_samples_take_the_other_way(freedom, X, make_blocks):
    em = StudentMap.of_data(make_blocks(X), FOURTEEN["tied"], K, "auto", freedom)
    (start,) = starts(em, 1)
    evaluation = em.evaluate(replace(start, means=start.means + 1e5))
    assert "successor" not in vars(evaluation)
    assert np.isfinite(evaluation.objective)


def test_labels_become_the_mixtures_of_numpy(em, rng):
    """An empty component among them, and outliers."""
    rows = every_row(em)
    resp = rng.dirichlet(np.full(K, 0.2), (4, len(rows.Z))).swapaxes(1, 2)
    resp = resp * rows.weight
    resp[1, 2] = 0
    # Of equal weights.
    resp[2] = resp[2] == resp[2].max(axis=0)
    ways = [[*of_rows(each, rows, resp)] for each in (em, in_numpy(em))]
    assert (em.labelled(rows, resp) is None) == (em.structure.constraint is not None)
    for (_, one), (_, other) in zip(*ways, strict=True):
        assert_same_mixtures(one, other)


def test_moves_are_those_of_numpy(em, rng):
    (start,) = starts(em, 1)
    moves = Moves.away_from(em, start, np.random.RandomState(0))
    gone, random = rng.integers(0, K, 30), rng.random((3, 30))
    fast = em.moved(start, moves.rows, moves.resp, gone, random, CERTAIN)
    bound = em.structure.constraint is not None
    assert (fast is None) == (bound or em.freedom.tells_apart)
    if fast is None:
        return
    slow = replace(moves, em=in_numpy(em))._drawn(gone, random)
    assert_same_mixtures(fast, Parameters.stacked(slow))


@pytest.mark.parametrize("n", [1, 2, 5, 64, 1001])
@pytest.mark.parametrize("weighted", [False, True])
def test_outliers_of_a_label_have_no_say(n, weighted, make_blocks, rng):
    """For any number of rows of a label, equal values among them."""
    X = np.r_[rng.normal(size=(n, 2)).round(1), rng.normal(size=(40, 2)), [[1e15, -4]]]
    weight = rng.uniform(0.5, 2, len(X)) if weighted else None
    em = StudentMap.of_data(
        make_blocks(X, weight), FOURTEEN["full"], 2, "auto", Freedom(np.ones(2), True)
    )
    rows = every_row(em)
    resp = np.zeros((1, 2, len(X)))
    resp[0, 0, :n], resp[0, 1, n:] = rows.weight[:n], rows.weight[n:]
    fast = em.labelled(rows, resp)
    slow = in_numpy(em).started(rows.labelled(em, resp))
    assert_same_mixtures(fast, slow)
    assert np.abs(fast.means).max() < 10
