"""Whole steps in compiled code against those of NumPy and LAPACK."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import FOURTEEN, STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture import plan as plan_module
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.mixture.step import Limits
from skem.core.passes.forms import CONDITION, condition
from skem.core.search.climb import climb
from skem.core.search.follow import CONSTANTS
from skem.core.search.initialize import initialize, of_rows
from skem.core.search.move import CERTAIN, Moves
from skem.core.search.sketch import NO_ACCOUNT, Sketch
from skem.kernels import native

pytestmark = pytest.mark.skipif(
    native.library() is None, reason="there is no compiled pass"
)


def starts(em, K, n):
    random = INITIALIZERS["random"]
    return [initialize(em, random, K, np.random.RandomState(s)) for s in range(n)]


def in_numpy(em):
    """The same map, without steps of compiled code."""
    em = replace(em)
    em.__dict__.update(_stepper=None, _wide=None)
    return em


def assert_same_step(em, parameters):
    """To rounding of float64: both ways do the same arithmetic in another order."""
    fast, slow = em.evaluate(parameters), in_numpy(em).evaluate(parameters)
    assert "successor" in vars(fast)
    assert "successor" not in vars(slow)
    for name in ("loglik", "objective"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-12)
    np.testing.assert_allclose(
        fast.statistics.sums, slow.statistics.sums, rtol=1e-11, atol=1e-10
    )
    if parameters.means.ndim == 2:
        np.testing.assert_allclose(
            fast.complete.sums, slow.complete.sums, rtol=1e-11, atol=1e-10
        )
    for name in ("weights", "means", "precisions_cholesky"):
        found, expected = (getattr(way.successor, name) for way in (fast, slow))
        atol = 1e-11 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=atol)


@pytest.mark.each_pair
@pytest.mark.parametrize(("n", "d", "K"), [(50, 1, 1), (301, 2, 3), (200, 5, 6)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reg_covar", ["auto", 0.3])
def test_a_step_is_that_of_numpy(
    structure, n, d, K, weighted, reg_covar, make_blocks, rng
):
    X = rng.normal(size=(n, d)) + 3 * rng.integers(0, 3, size=(n, 1))
    weight = rng.integers(0, 3, n) * 0.7 if weighted else None
    em = EMMap.prepare(make_blocks(X, weight), structure, K, reg_covar)
    (start,) = starts(em, K, 1)
    assert_same_step(em, start)


@pytest.mark.parametrize("name", sorted(FOURTEEN.keys() - STRUCTURES.keys()))
@pytest.mark.parametrize(("n", "d", "K"), [(50, 1, 2), (301, 2, 3), (200, 7, 6)])
@pytest.mark.parametrize("reg_covar", ["auto", 0.3])
def test_a_step_of_a_shape_is_that_of_numpy(name, n, d, K, reg_covar, make_blocks, rng):
    """Along a path, of one mixture and of a stack."""
    X = rng.normal(size=(n, d)) + 3 * rng.integers(0, 3, size=(n, 1))
    blocks = make_blocks(X, rng.integers(0, 3, n) * 0.7)
    em = EMMap.prepare(blocks, FOURTEEN[name], K, reg_covar)
    path = starts(em, K, 1)
    for _ in range(4):
        assert_same_step(em, path[-1])
        path.append(in_numpy(em).evaluate(path[-1]).successor)
    assert_same_step(em, Parameters.stacked(path))


def test_many_proportional_components_take_the_other_way(make_blocks, rng):
    blocks = make_blocks(rng.normal(size=(200, 2)))
    em = EMMap.prepare(blocks, FOURTEEN["VEI"], 2, "auto")
    (few,), (many,) = starts(em, 2, 1), starts(em, plan_module.MOST_TOGETHER + 1, 1)
    assert "successor" in vars(em.evaluate(few))
    assert "successor" not in vars(em.evaluate(many))


@pytest.mark.parametrize("kind", WEIGHT_PRIORS)
@pytest.mark.parametrize(("n", "d", "K"), [(50, 1, 1), (301, 2, 6), (200, 5, 30)])
@pytest.mark.parametrize("more", [0, 4])
@pytest.mark.parametrize("reg_covar", ["auto", 1e-3])
def test_a_step_of_variational_bayes_is_that_of_numpy(
    structure, kind, n, d, K, more, reg_covar, make_blocks, rng
):
    """Of all components, and of those of a truncation beyond them."""
    X = rng.normal(size=(n, d)) + 3 * rng.integers(0, 3, size=(n, 1))
    blocks = make_blocks(X, rng.integers(0, 3, n) * 0.7)
    beliefs = Beliefs(WEIGHT_PRIORS[kind](1 / K, K + more), 0.7, np.ones(d), d + 0.5)
    em = VariationalMap.of_data(blocks, structure, beliefs, reg_covar)
    (start,) = starts(em, K, 1)
    for _ in range(3):
        start = in_numpy(em).evaluate(start).successor
    following = in_numpy(em).evaluate(start).successor
    for q in (start, Parameters.stacked([start, following])):
        assert_same_step(em, q)
        fast, slow = em.evaluate(q).successor, in_numpy(em).evaluate(q).successor
        for name in ("counts", "log_effective"):
            np.testing.assert_allclose(
                getattr(fast, name), getattr(slow, name), rtol=1e-10, atol=1e-10
            )


def test_concentrations_beyond_all_measure_take_the_other_way(make_blocks, rng):
    """Logarithms of weights are infinite then, or as good as that."""
    blocks = make_blocks(rng.normal(size=(60, 2)))
    for gamma in (1e-300, 1e-200, 1e200):
        beliefs = Beliefs(WEIGHT_PRIORS["dirichlet_process"](gamma))
        em = VariationalMap.of_data(blocks, STRUCTURES["full"], beliefs, "auto")
        (start,) = starts(em, 2, 1)
        found = em.evaluate(start)
        assert found.objective == pytest.approx(in_numpy(em).evaluate(start).objective)


def test_mixtures_of_a_stack_take_their_steps_together(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(rng.normal(size=(80, 3))), structure, 4, "auto")
    several = starts(em, 4, 5)
    assert_same_step(em, Parameters.stacked(several))
    together = em.evaluate(Parameters.stacked(several))
    for i, start in enumerate(several):
        alone = em.evaluate(start)
        assert alone.objective == together.objective[i]
        np.testing.assert_array_equal(
            alone.successor.means, together.successor.means[i]
        )


@pytest.mark.parametrize("constant", [1, [0, 2]])
def test_constant_features_have_no_covariance(structure, constant, make_blocks, rng):
    X = rng.normal(size=(90, 3))
    X[:, constant] = 1e5 / 3
    em = EMMap.prepare(make_blocks(X), structure, 2, "auto")
    (start,) = starts(em, 2, 1)
    for parameters in (start, Parameters.stacked([start, em.advanced(start, 3)])):
        assert_same_step(em, parameters)


@pytest.mark.parametrize("atoms", [False, True])
def test_values_that_rows_share_have_their_widths(structure, atoms, make_blocks, rng):
    X = rng.normal(size=(200, 2))
    X[:, 0] = np.where(rng.random(200) < 0.3, 0, X[:, 0]) if atoms else X[:, 0].round()
    em = EMMap.prepare(make_blocks(X), structure, 2, "auto")
    assert em.coordinates.ties is not None
    (start,) = starts(em, 2, 1)
    assert_same_step(em, start)


def test_an_empty_component_keeps_its_mean(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(rng.normal(size=(60, 2))), structure, 2, "auto")
    (start,) = starts(em, 2, 1)
    means = np.array([[0.0, 0.0], [300.0, 0.0]])
    start = replace(start, means=means, weights=np.array([1.0, 0.0]))
    assert_same_step(em, start)
    successor = em.evaluate(start).successor
    np.testing.assert_array_equal(successor.means[1], means[1])


def test_types_of_data_are_read_in_place(structure, make_blocks, rng):
    X = rng.integers(0, 50, size=(90, 2))
    em = EMMap.prepare(make_blocks(X), structure, 2, "auto")
    (start,) = starts(em, 2, 1)
    for data in (X.astype(np.int8), np.asfortranarray(X), X[:, ::-1][:, ::-1]):
        other = EMMap.prepare(make_blocks(data), structure, 2, "auto")
        assert other.evaluate(start).objective == em.evaluate(start).objective


@pytest.mark.parametrize(
    "hinder",
    [
        "constant column of a shape",
        "collinear columns",
        "ill-conditioned",
        "far sample",
        "many rows",
    ],
)
def test_what_needs_care_takes_the_other_way(hinder, make_blocks, rng, monkeypatch):
    X, name = rng.normal(size=(60, 2)), "full"
    if hinder == "constant column of a shape":
        X[:, 1], name = 3, "VEE"
    elif hinder == "collinear columns":
        X[:, 1] = 2 * X[:, 0]
    elif hinder == "ill-conditioned":
        name = "tied"
    elif hinder == "many rows":
        monkeypatch.setattr(plan_module, "MOST_VALUES", 100)
    em = EMMap.prepare(make_blocks(X), FOURTEEN[name], 2, "auto")
    (start,) = starts(em, 2, 1)
    if hinder == "ill-conditioned":
        start = replace(start, means=start.means + 1e5)
    elif hinder == "far sample":
        start = replace(start, precisions_cholesky=1e3 * start.precisions_cholesky)
    evaluation = em.evaluate(start)
    assert "successor" not in vars(evaluation)
    assert np.isfinite(evaluation.objective)
    assert evaluation.objective == in_numpy(em).evaluate(start).objective


@pytest.mark.parametrize("name", ["full", "diag", "spherical", "VVE", "VEI"])
@pytest.mark.parametrize("tied_values", [False, True])
def test_narrow_components_are_seen_from_their_means(
    name, tied_values, make_blocks, rng
):
    """In a stack with others that are not narrow, too."""
    X = rng.normal(size=(200, 3)) + 3 * rng.integers(0, 3, size=(200, 1))
    if tied_values:
        X[:, 1] = X[:, 1].round()
    structure = FOURTEEN[name]
    em = EMMap.prepare(make_blocks(X), structure, 2, 1e-10)
    start, other = starts(em, 2, 2)
    factors = start.precisions_cholesky.copy()
    factors[0] *= 1e4
    means = np.array([every_row(em).Z[7] + 1e-4, start.means[1]])
    narrow = replace(start, means=means, precisions_cholesky=factors)
    assert condition(structure, narrow) > CONDITION[np.dtype(float)]
    assert_same_step(em, narrow)
    assert em.evaluate(narrow).statistics.reference.any()
    assert_same_step(em, Parameters.stacked([narrow, other]))
    fast, slow = (way.advanced(narrow, 5) for way in (em, in_numpy(em)))
    assert_same_mixtures(fast, slow)


def test_without_a_constant_a_component_on_one_row_is_refused(make_blocks, rng):
    em = EMMap.prepare(make_blocks(rng.normal(size=(60, 2))), STRUCTURES["full"], 2, 0)
    (start,) = starts(em, 2, 1)
    start = replace(start, means=start.means + np.array([[0, 0], [40, 0]]))
    for way in em, in_numpy(em):
        with pytest.raises(IllDefinedCovarianceError):
            way.advanced(start, 20)


def test_a_stack_that_is_not_light_has_the_same_winners(make_blocks, rng, monkeypatch):
    em = EMMap.prepare(
        make_blocks(rng.normal(size=(3000, 3))), STRUCTURES["full"], 5, "auto"
    )
    stack = Parameters.stacked(starts(em, 5, 20))
    light = climb(em, stack, 8)
    monkeypatch.setattr(plan_module, "MOST_STACKED", 0)
    monkeypatch.setitem(vars(em), "contest", None)
    found = climb(em, stack, 8)
    assert len(found) == len(light) == 5
    for one, other in zip(found, light, strict=True):
        np.testing.assert_allclose(
            [one.objective, one.gain], [other.objective, other.gain], rtol=1e-8
        )
        assert_same_mixtures(one.parameters, other.parameters)


def with_threads(em, blocks, n_threads):
    """The same problem, whose steps so many threads share."""
    workers = Workers()
    workers.n_threads = n_threads
    return replace(em, blocks=replace(blocks, workers=workers))


@pytest.mark.each_pair
@pytest.mark.parametrize("n", [2048, 9001])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_that_share_a_step_find_what_one_does(
    structure, n, dtype, stacked, weighted, make_blocks, rng
):
    """To the bit; and what NumPy does, to rounding."""
    X = rng.normal(0, 3, (n, 3)) + 10 * rng.integers(0, 3, size=(n, 1))
    X[:, 1] = X[:, 1].round()
    blocks = make_blocks(X.astype(dtype), rng.uniform(0, 2, n) if weighted else None)
    em = EMMap.prepare(blocks, structure, 16, "auto")
    start = Parameters.stacked(starts(em, 16, 3)) if stacked else starts(em, 16, 1)[0]
    alone = with_threads(em, blocks, 1).evaluate(start)
    for n_threads in (2, 3, 8):
        several = with_threads(em, blocks, n_threads).evaluate(start)
        assert "successor" in vars(several)
        np.testing.assert_array_equal(several.objective, alone.objective)
        for one, other in zip(
            several.successor.arrays, alone.successor.arrays, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert native.library().functions.skem_helpers() >= 1
    if dtype != "f4":
        assert_same_step(with_threads(em, blocks, 2), start)


def test_a_sample_that_one_thread_leaves_takes_the_other_way(make_blocks, rng):
    X = rng.normal(size=(5000, 2))
    blocks = make_blocks(X)
    em = EMMap.prepare(blocks, STRUCTURES["full"], 16, "auto")
    (start,) = starts(em, 16, 1)
    X[4321] = np.nan
    evaluation = with_threads(em, blocks, 2).evaluate(start)
    assert "successor" not in vars(evaluation)


def test_many_callers_share_their_steps(make_blocks, rng):
    """One has the other threads at a time; nobody waits for them."""
    blocks = make_blocks(rng.normal(size=(4096, 2)))
    em = EMMap.prepare(blocks, STRUCTURES["full"], 16, "auto")
    em = with_threads(em, blocks, 3)
    several = starts(em, 16, 4) * 10
    expected = [em.evaluate(start).objective for start in several]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda start: em.evaluate(start).objective, several)
    assert list(found) == expected


def test_threads_may_share_a_map(make_blocks, rng):
    """Each has memory of its own."""
    em = EMMap.prepare(
        make_blocks(rng.normal(size=(500, 2))), STRUCTURES["full"], 3, "auto"
    )
    several = starts(em, 3, 8) * 25
    expected = [em.evaluate(start).objective for start in several]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda start: em.evaluate(start).objective, several)
    assert list(found) == expected


@pytest.mark.parametrize("d", [1, 3])
def test_several_steps_lead_where_each_of_them_does(structure, d, make_blocks, rng):
    X = rng.normal(size=(200, d)) + 3 * rng.integers(0, 3, size=(200, 1))
    em = EMMap.prepare(make_blocks(X), structure, 3, "auto")
    stack = Parameters.stacked(starts(em, 3, 4))
    fast, slow = em.advanced(stack, 7), in_numpy(em).advanced(stack, 7)
    for one, other in zip(fast.arrays, slow.arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.fixture(params=["1", "3", "3, numeric", "3, constant", "7"])
def light(request, structure, make_blocks, rng):
    """A problem with weights, and values that rows share."""
    n, d, reg_covar = 150, int(request.param[0]), "auto"
    X = rng.normal(size=(n, d)) + 3 * rng.integers(0, 3, size=(n, 1))
    X[:, 0] = X[:, 0].round()
    if "numeric" in request.param:
        reg_covar = 0.3
    elif "constant" in request.param:
        X[:, 1] = 3
    blocks = make_blocks(X, rng.uniform(0.5, 2, n))
    return EMMap.prepare(blocks, structure, 4, reg_covar)


def assert_same_mixtures(one, other):
    for a, b in zip(one.arrays, other.arrays, strict=True):
        atol = 1e-10 * max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=atol)


def every_row(em):
    return em.rows(1000, np.random.RandomState(0))


def test_labels_become_the_mixtures_of_numpy(light, rng):
    """An empty component among them."""
    rows = every_row(light)
    resp = rng.dirichlet(np.full(4, 0.2), (3, len(rows.Z))).swapaxes(1, 2).copy()
    resp[1, 2] = 0
    assert light.labelled(rows, resp) is not None
    assert in_numpy(light).labelled(rows, resp) is None
    ways = [
        [start for _, start in of_rows(em, rows, resp)]
        for em in (light, in_numpy(light))
    ]
    for one, other in zip(*ways, strict=True):
        assert_same_mixtures(one, other)


def test_responsibilities_are_those_of_numpy(light):
    (start,) = starts(light, 4, 1)
    block = every_row(light).block
    fast, slow = (em.responsibilities(start, block) for em in (light, in_numpy(light)))
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-14)


def test_no_call_takes_too_long_to_be_interrupted(light, monkeypatch):
    (start,) = starts(light, 4, 1)
    done = light.followed(start, Limits(10, 0.0), CONSTANTS, None) is not None
    assert done is not light.restores
    assert light.followed(start, Limits(10**9, 0.0), CONSTANTS, None) is None
    together, values = light.climbed(start, 5)
    monkeypatch.setattr(plan_module, "LONGEST_CALL", 1)
    one_by_one, its_values = light.climbed(start, 5)
    np.testing.assert_allclose(its_values, values, rtol=1e-12)
    assert_same_mixtures(one_by_one.parameters, together.parameters)


def test_a_sketch_is_that_of_numpy(light):
    """An empty component among its clusters."""
    (start,) = starts(light, 4, 1)
    means = start.means.copy()
    means[2, 0] = 20
    start = replace(start, means=means)
    assert light.sketched(start, NO_ACCOUNT) is not None
    assert in_numpy(light).sketched(start, NO_ACCOUNT) is None
    fast, slow = (Sketch.of_mixture(em, start) for em in (light, in_numpy(light)))
    for name in ("counts", "means", "covariances", "overlaps"):
        found, expected = getattr(fast, name), getattr(slow, name)
        some = slow.counts > 1
        np.testing.assert_allclose(found[some], expected[some], rtol=1e-8, atol=1e-11)
    assert fast.counts[2] < 1e-9
    assert np.isfinite(fast.covariances).all()


def test_rows_without_weight_are_not_sketched_in_one_call(make_blocks, rng):
    weight = np.r_[0.0, np.ones(99)]
    blocks = make_blocks(rng.normal(size=(100, 2)), weight)
    em = EMMap.prepare(blocks, STRUCTURES["full"], 2, "auto")
    (start,) = starts(em, 2, 1)
    assert em.quick
    assert em.sketched(start, NO_ACCOUNT) is None
    assert Sketch.of_mixture(em, start).counts.sum() == pytest.approx(99)


def test_moves_are_those_of_numpy(light, rng):
    (start,) = starts(light, 4, 1)
    moves = Moves.away_from(light, start, np.random.RandomState(0))
    gone, random = rng.integers(0, 4, 30), rng.random((3, 30))
    fast = light.moved(start, moves.rows, moves.resp, gone, random, CERTAIN)
    slow = moves._drawn(gone, random)
    assert len(fast.weights) == len(slow) == 30
    assert_same_mixtures(fast, Parameters.stacked(slow))
    one, other = np.random.RandomState(1), np.random.RandomState(1)
    drawn = moves.drawn(6, one)
    again = replace(moves, em=in_numpy(light)).drawn(6, other)
    assert_same_mixtures(drawn, Parameters.stacked(again))
    assert one.rand() == other.rand()


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("hopeless", [False, True])
def test_a_contest_has_the_winners_of_numpy(light, steps, hopeless):
    some = starts(light, 4, 7)
    least = -np.inf
    if hopeless:
        least = np.median([trial.objective for trial in climb(light, some, steps)])
    assert light.contest(Parameters.stacked(some), steps, 2.0, 1e-10, least) is not None
    fast, slow = (climb(em, some, steps, least) for em in (light, in_numpy(light)))
    assert len(fast) == len(slow)
    for one, other in zip(fast, slow, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-9)
        assert one.gain == pytest.approx(other.gain, abs=1e-6)
        assert_same_mixtures(one.parameters, other.parameters)


def test_a_stack_climbs_as_its_mixtures_do(light):
    some = starts(light, 4, 5)
    listed, stacked = climb(light, some, 8), climb(light, Parameters.stacked(some), 8)
    assert [t.objective for t in listed] == [t.objective for t in stacked]
