"""Values that many rows share: what width they have, and what that does."""

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.far import evaluate_far
from skem.core.gaussian.steps import square_of_steps
from skem.core.gaussian.ties import Atoms, Ties
from skem.core.gaussian.widths import NARROWER, find_ties
from skem.core.mixture.em import EMMap
from skem.core.mixture.expectation import Expectation, total_statistics
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.passes.forms import Centred, Expanded
from skem.core.search.initialize import initialize

HERE = Coordinates(np.zeros(2), np.ones(2))


def ties_of(*columns, weight=None):
    X = np.stack(columns)
    weight = np.ones(X.shape[1]) if weight is None else weight
    return find_ties(X, X.astype(float), weight)


def width(squares):
    return np.sqrt(12 * squares)


def test_continuous_columns_have_none(rng):
    assert ties_of(rng.normal(size=500), rng.lognormal(size=500)) is None


def test_constant_columns_have_none():
    assert ties_of(np.full(50, 3.0)) is None


@pytest.mark.parametrize("step", [1.0, 0.1, 5.0, 1e-3])
def test_columns_in_even_steps_have_their_step(rng, step):
    values = np.round(rng.normal(0, 6, 400)) * step - 7 * step
    found = ties_of(values)
    assert found.atoms == ()
    assert width(found.steps) == pytest.approx(step)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_other_values_are_recorded_as_the_data_are(rng, dtype):
    """In steps, at shared values and between ends; continuous ones as they are."""
    tenths = np.round(rng.normal(0, 1, 400), 1) + 0.05
    scale = np.clip(np.round(rng.normal(2, 1, 400)), 1, 5)
    zeros = np.where(rng.random(400) < 0.2, 0, rng.uniform(-1, 3, 400))
    X = np.stack([tenths, scale, zeros, rng.normal(size=400)]).astype(dtype)
    shift, slope = np.array([0.1, 2.0, 1.0, 0.0]), np.array([1.0, 1.1, 0.9, 1.0])
    here = Coordinates(shift, slope)
    z = here.load(X, np.empty(X.shape))
    ties = find_ties(X, z, np.ones(400))
    here = Coordinates(shift, slope, ties=ties)
    drawn = rng.normal(1, 2, (4, 300))
    drawn[0, 0] = np.nan
    found = here.in_steps(drawn)
    rounding = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        found[0], np.round(drawn[0] - 0.05, 1) + 0.05, atol=rounding
    )
    # Many answers are the lowest one; few are the highest, so that a seven may be.
    np.testing.assert_allclose(
        found[1], np.maximum(np.round(drawn[1]), 1), atol=rounding
    )
    np.testing.assert_array_equal(found[2:], drawn[2:])
    ((atoms, place),) = here.near_shared(drawn)
    assert (atoms.feature, atoms.values.tolist()) == (2, [0])
    half = width(ties.atoms[0].squares[0]) / slope[2] / 2
    near = np.abs(drawn[2]) < half
    assert 0.02 < near.mean() < 0.5
    np.testing.assert_array_equal(place, np.where(near, 0, -1))
    assert Coordinates(shift, slope).in_steps(drawn) is drawn


def test_decimals_that_no_two_rows_share_are_recorded_in_steps(rng):
    X = np.stack([rng.normal(0, 100, 200), np.zeros(200)])
    X[1] = 100 - X[0] + rng.normal(0, 0.3, 200)
    X = np.round(X, 1)
    here = Coordinates(np.zeros(2), np.ones(2), ties=ties_of(*X))
    drawn = rng.normal(0, 100, (2, 50))
    np.testing.assert_allclose(here.in_steps(drawn), np.round(drawn, 1), atol=1e-9)


def test_bits_and_booleans_have_a_step_of_one(rng):
    bits = np.arange(300) < 150
    for column in (bits, bits.astype(np.int8), bits.astype(float)):
        assert width(ties_of(column).steps) == pytest.approx(1)


@pytest.mark.parametrize(
    "shares",
    [[0.8, 0.2], [0.1, 0.05, 0.08, 0.18, 0.59], [0.45, 0.1, 0.45], [0.2] * 5],
)
def test_few_values_are_so_wide_that_splitting_them_gains_nothing(shares):
    """Answers from one to five, say, most of them at an end."""
    counts = np.round(1000 * np.array(shares)).astype(int)
    values = 0.5 * np.repeat(np.arange(len(counts)), counts)
    (square,) = ties_of(values).steps
    gain = 0.5 * np.log1p(values.var() / square) - entropy(counts)
    assert gain < 1e-6
    # No wider than that takes.
    assert gain > -1e-6 or width(square) == pytest.approx(0.5)
    # Values far from others, such as codes, do not widen these.
    coded = ties_of(np.append(values, np.full(20, 99.0)))
    np.testing.assert_allclose(coded.steps, square, rtol=1e-9)


@pytest.mark.parametrize("dropped", [0, 1])
@pytest.mark.parametrize("shares", [[0.2] * 5, [0.8, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1]])
def test_indicators_of_one_category_are_one_column(shares, dropped, rng):
    counts = np.round(1000 * np.array(shares)).astype(int)
    levels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    bits = (levels == np.arange(dropped, len(counts))[:, None]).astype(float)
    other = (rng.random(1000) < 0.5).astype(float)
    steps = ties_of(*(3 * bits), other).steps
    assert width(steps[-1]) == pytest.approx(1, rel=0.01)
    squares = steps[:-1] / 9
    np.testing.assert_allclose(squares, squares[0])
    _, log_det = np.linalg.slogdet(np.eye(len(bits)) + np.cov(bits, ddof=0) / squares)
    gain = 0.5 * log_det - entropy(counts)
    assert gain < 1e-6
    assert gain > -1e-6 or squares[0] == pytest.approx(1 / 12)


def entropy(counts):
    shares = counts / counts.sum()
    return -shares @ np.log(shares)


@pytest.mark.parametrize(("value", "expected"), [(20.0, 20), (1e4, 0), (1e20, 0)])
def test_outliers_beside_one_value_are_no_step_away_in_one_scale(rng, value, expected):
    """The width of all other rows would be their distance. A bit is no outlier."""
    X = np.stack([np.where(np.arange(400) < 2, value, 0), rng.normal(size=400)])
    X[1, 5] = np.nan
    X = np.vstack([X, np.full(400, np.nan)])
    assert width(find_ties(X, X, np.ones(400)).steps[0]) == pytest.approx(value, 0.1)
    found = find_ties(X, X, np.ones(400), one_scale=True)
    assert width(found.steps[0]) == pytest.approx(expected, 0.1)
    # Where enough rows are there, they are no outliers.
    X[0, :20] = value
    found = find_ties(X, X, np.ones(400), one_scale=True)
    assert width(found.steps[0]) == pytest.approx(value, 0.1)


def test_a_pair_of_close_values_does_not_hide_the_step(rng):
    values = rng.integers(0, 9, 400).astype(float)
    values[0] = values[1] + 1e-5
    assert width(ties_of(values).steps) == pytest.approx(1, 0.01)


def test_missing_steps_do_not_hide_the_step(rng):
    values = rng.choice([0, 1, 2, 3, 40, 41, 80], 400) * 0.5
    assert width(ties_of(values).steps) == pytest.approx(0.5, 0.01)


def others_within(values, at, distance):
    near = np.abs(values - at) <= distance * (1 + 1e-6)
    return np.sum(near & (values != at))


def test_an_atom_is_nearly_as_wide_as_that_many_other_rows(rng):
    """Or as half of the others, if they are fewer than the atom has rows."""
    values = np.where(rng.random(600) < 0.2, 0.5, rng.normal(size=600))
    (atoms,) = ties_of(values).atoms
    assert atoms.values.tolist() == [0.5]
    found = NARROWER * width(atoms.squares[0])
    own = np.sum(values == 0.5)
    assert others_within(values, 0.5, found) >= own
    assert others_within(values, 0.5, 0.99 * found) < own

    inflated = np.where(rng.random(600) < 0.7, 0.0, rng.lognormal(size=600))
    (atoms,) = ties_of(inflated).atoms
    half = np.median(inflated[inflated > 0])
    assert NARROWER * width(atoms.squares[0]) == pytest.approx(half, rel=0.1)

    # Beside other atoms it is as wide as the way to them.
    found = ties_of(np.log1p(rng.poisson(0.5, 600)))
    assert width(found.atoms[0].squares[0]) == pytest.approx(np.log(2))


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_a_heap_in_even_steps_is_as_wide_as_elsewhere(scale, rng):
    counts = rng.poisson(20, 600)
    inflated = np.where(rng.random(600) < 0.5, 0, counts)
    few = ties_of(scale * inflated)
    assert few.steps == pytest.approx([scale**2 / 12])
    (zeros,) = few.atoms
    assert zeros.values.tolist() == [0]
    smooth = np.where(inflated == 0, 0, inflated + rng.uniform(-0.5, 0.5, 600))
    (atoms,) = ties_of(scale * smooth).atoms
    np.testing.assert_allclose(zeros.squares, atoms.squares, rtol=0.1)
    # What the step accounts for has none but that.
    for plain in (counts, rng.poisson(0.1, 600), rng.geometric(0.4, 600)):
        assert not ties_of(scale * plain).atoms
    narrow = np.round(np.r_[rng.normal(0, 0.4, 300), rng.normal(90, 2, 300)])
    assert not ties_of(scale * narrow).atoms


def test_whole_numbers_among_hundredths_are_one_apart(rng):
    """As the ratios of cholesterol in scikit-learn's data on diabetes."""
    exact = rng.normal(4, 1.3, 600)
    values = np.where(rng.random(600) < 0.8, np.round(exact), np.round(exact, 2))
    found = ties_of(values)
    assert found.steps == pytest.approx([0.01**2 / 12])
    (atoms,) = found.atoms
    assert {2, 3, 4, 5, 6} <= set(atoms.values)
    np.testing.assert_allclose(width(atoms.squares), 1, rtol=0.25)


def test_a_value_far_from_all_others_is_no_wider_than_they_are(rng):
    values = np.where(rng.random(600) < 0.1, -9999, rng.normal(size=600))
    (atoms,) = ties_of(values).atoms
    # Twice what as many neighbours cover.
    assert width(atoms.squares[0]) < 8


@pytest.mark.parametrize("n_features", [2, 4, 8])
def test_values_that_rows_share_together_have_a_box(n_features, rng):
    """It is as dense, beside as many other rows, as an interval in one column."""
    X = rng.normal(size=(n_features, 1000))
    X[:, :50] = X[:, :1] = 0.3
    together = ties_of(*X)
    alone = [ties_of(row) for row in X]
    found = np.array([atoms.squares[0] for atoms in together.atoms])
    assert (found >= [each.atoms[0].squares[0] for each in alone]).all()
    shape = np.array([width(each.atoms[0].squares[0]) for each in alone])
    away = np.abs(X[:, 50:] - 0.3) / shape[:, None]
    near = X[:, 50:][:, np.argsort(away.max(axis=0))[:50]]
    sides = np.ptp(np.column_stack([near, np.full(n_features, 0.3)]), axis=1)
    # A Gaussian of variance w²/12 is 1.19 times as narrow as an even box that is as
    # dense, on the average of the logarithm.
    narrower = np.sqrt(2 * np.pi * np.e / 12)
    denser = np.prod(sides / (narrower * width(found)))
    assert denser == pytest.approx(NARROWER / narrower, rel=1e-6)
    # Columns that share values by chance are as wide as each of them is.
    X = np.where(rng.random((3, 2000)) < 0.5, 0, rng.lognormal(size=(3, 2000)))
    for atoms, row in zip(ties_of(*X).atoms, X, strict=True):
        expected = ties_of(row).atoms[0].squares
        np.testing.assert_allclose(atoms.squares, expected, rtol=0.1)


@pytest.mark.parametrize("n_features", [3, 5])
def test_a_record_among_rounded_numbers_has_a_box(n_features, rng):
    """In no column has its value four times the rows of its neighbours."""
    X = rng.normal(size=(n_features, 1000)).round(1)
    X[:, :50] = 0.3
    atoms = ties_of(*X).atoms
    assert [each.values.tolist() for each in atoms] == [[0.3]] * n_features
    # About as wide as the box of 50 others.
    half = np.sort(np.abs(X[:, 50:] - 0.3).max(axis=0))[49]
    for each in atoms:
        assert half < width(each.squares[0]) < 2 * half
    # Of one column, or among answers from one to five, nothing tells it.
    assert not ties_of(X[0], rng.normal(size=1000)).atoms
    answers = rng.integers(1, 6, size=(n_features, 1000)) * 1.0
    answers[:, :50] = 5
    assert not ties_of(*answers).atoms


@pytest.mark.parametrize("move", [(1 / 3, 7.7), (-0.1, 0), (0.01, 1e4), (1.8, 32)])
def test_widths_are_the_same_in_other_units(move, rng):
    """Rounding must not decide which of two values is nearer."""
    scale, shift = move
    for _ in range(20):
        exact = rng.normal(50, 15, 300)
        heaped = np.where(
            rng.random(300) < 0.7, 5 * np.round(exact / 5), np.round(exact)
        )
        few = np.where(rng.random(300) < 0.8, 0.0, rng.choice([2, 3, 4, 5, 6], 300))
        X = np.stack([heaped, few, np.round(exact / 12, 1), np.where(few, exact, 40)])
        here, there = (
            find_ties(x, standard(x), np.ones(300)) for x in (X, X * scale + shift)
        )
        np.testing.assert_allclose(here.steps, there.steps, rtol=1e-6)
        for atoms, others in zip(here.atoms, there.atoms, strict=True):
            order = slice(None, None, 1 if scale > 0 else -1)
            np.testing.assert_allclose(atoms.squares, others.squares[order], rtol=1e-6)


def test_widths_are_the_same_with_the_other_sign():
    """Values within rounding are on either side as many."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = 100 + rng.normal(size=(1, 600)) * rng.choice([1, 10])
        values[0, rng.random(600) < 0.2] = values[0, 0]
        values[0, rng.random(600) < 0.2] = values[0, 1]
        values = values.astype(np.float16)
        z = standard(values.astype(float))
        here, there = (
            find_ties(sign * values, sign * z, np.ones(600)) for sign in (1, -1)
        )
        for atoms, others in zip(here.atoms, there.atoms, strict=True):
            np.testing.assert_allclose(atoms.squares, others.squares[::-1], rtol=1e-6)


def test_all_values_that_are_looked_up_are_told_apart():
    """Integers that are one number in floating point are not."""
    squares = np.array([0.5])
    for value, exact in ((2**53 - 1, True), (2**53, False), (-(2**63), False)):
        atoms = Atoms(0, np.array([value]), squares)
        table = Ties(np.zeros(1), (atoms,)).table(np.dtype(np.int64))
        assert (table is not None) == exact
    ties = Ties(np.zeros(1), (Atoms(0, np.array([0.1, 0.5]), np.array([1.0, 2.0])),))
    np.testing.assert_array_equal(
        ties.table(np.dtype(np.float32)), [[0, np.nan, 1, 0.5, 2]]
    )
    five = Atoms(0, np.arange(5.0), np.ones(5))
    assert Ties(np.zeros(1), (five,)).table(np.dtype(float)) is None


def standard(X):
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def test_few_equal_values_are_no_atom(rng):
    values = rng.normal(size=3000)
    values[:4] = values[0]
    assert ties_of(values) is None
    # Five of 3000 are less than one in 200.
    values[:14] = values[0]
    assert ties_of(values) is None
    values[:15] = values[0]
    assert len(ties_of(values).atoms) == 1


def test_integer_weights_are_repeated_rows(rng):
    values = np.where(rng.random(200) < 0.3, 1.0, rng.normal(size=200))
    steps = rng.integers(0, 4, 200).astype(float)
    weight = rng.integers(1, 5, 200)
    weighted = ties_of(values, steps, weight=weight.astype(float))
    repeated = ties_of(np.repeat(values, weight), np.repeat(steps, weight))
    np.testing.assert_array_equal(weighted.steps, repeated.steps)
    for a, b in zip(weighted.atoms, repeated.atoms, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.squares, b.squares)


def test_weights_that_differ_little_make_no_atoms(rng):
    weight = rng.uniform(0.5, 2, 300)
    assert ties_of(rng.normal(size=300), weight=weight) is None


def test_squares_are_looked_up_by_value():
    atoms = (
        Atoms(1, np.array([-1, 3]), np.array([2.0, 4.0])),
        Atoms(2, np.array([2]), np.array([8.0])),
        Atoms(3, np.array([2, 4]), np.array([3.0, 5.0])),
    )
    ties = Ties(np.array([0.5, 0.0, 1.5, 2.5]), atoms)
    data = np.array([[0, 1, 2, 3], [3, -1, 0, 9], [2, 0, 2, 1], [1, 2, 3, 4]])
    expected = np.array(
        [[0.5] * 4, [4, 2, 0, 0], [8, 1.5, 8, 1.5], [2.5, 3.0, 2.5, 5.0]]
    )
    np.testing.assert_array_equal(ties.squares(data), expected)
    np.testing.assert_array_equal(ties.squares(data.astype(np.float32)), expected)
    np.testing.assert_array_equal(ties.squares(data[:, :0]), np.empty((4, 0)))


@pytest.fixture(params=[Expanded, Centred], ids=lambda form: form.__name__)
def form(request):
    return request.param


TIES = Ties(np.array([0.3, 0.0]), (Atoms(1, np.array([0.0]), np.array([0.2])),))


def test_log_density_is_the_mean_over_the_width(structure, form, make_mixture, rng):
    """Of each component, before they are added up."""
    mixture = make_mixture(structure, 3, 2)
    X = rng.normal(size=(20, 2))
    X[::2, 1] = 0.0
    structure, parameters = mixture.structure, mixture.parameters
    # A uniform variable of this width has the variance that is asked for, and three
    # nodes are exact for polynomials of degree five.
    nodes, weights = np.polynomial.legendre.leggauss(3)
    halves = np.sqrt(3 * TIES.squares(X.T)).T
    joint = np.zeros((20, 3))
    for u, a in zip(nodes, weights / 2, strict=True):
        for v, b in zip(nodes, weights / 2, strict=True):
            joint += a * b * mixture.joint(X + halves * [u, v])
    expected = np.log(np.exp(joint).sum(axis=1))

    there = Coordinates(HERE.shift, HERE.scale, ties=TIES)
    expectation = Expectation(form(structure, parameters, np.dtype(float)), there)
    block = Block(0, 20, X.T, None)
    statistics = expectation.statistics(block, Workspace())
    if statistics.quadratic == structure.quadratic:
        assert statistics.loglik == pytest.approx(expected.sum(), rel=1e-10)
    resp = expectation.responsibilities(block, Workspace())
    np.testing.assert_allclose(
        resp.T, np.exp(joint - expected[:, None]), rtol=1e-9, atol=1e-12
    )


def test_both_forms_have_the_scatter_within_widths(structure, make_mixture, rng):
    mixture = make_mixture(structure, 3, 2)
    X = rng.normal(size=(50, 2))
    X[::2, 1] = 0.0
    there = Coordinates(HERE.shift, HERE.scale, ties=TIES)
    block = Block(0, 50, X.T, rng.uniform(size=50))
    found = []
    for form in (Expanded, Centred):
        kernel = form(structure, mixture.parameters, np.dtype(float))
        found.append(Expectation(kernel, there).statistics(block, Workspace()))
    expanded, centred = found
    if expanded.quadratic == structure.quadratic:
        np.testing.assert_allclose(
            expanded.scatter().values, centred.scatter().values, rtol=1e-9
        )
    # All of it: the widths of the rows, shared out among the components.
    plain = Expectation(
        Centred(structure, mixture.parameters, np.dtype(float)), HERE
    ).statistics(block, Workspace())
    assert centred.scatter().values.sum() > plain.scatter().values.sum()


def test_far_rows_have_widths_too(structure, make_mixture):
    parameters = make_mixture(structure, 2, 2).parameters
    z = np.array([[1.0, 1e200], [2.0, 0.0]])
    squares = np.array([[0.3, 0.3], [0.0, 0.2]])
    plain, _ = evaluate_far(structure, parameters, z)
    wide, resp = evaluate_far(structure, parameters, z, squares)
    assert wide[0] < plain[0]
    assert np.isfinite(wide).all()
    np.testing.assert_allclose(resp.sum(axis=0), 1)


def recorded(rng):
    """Two clusters in a plane; a column of zeros and others, and whole numbers."""
    y = rng.integers(0, 2, 300)
    inflated = np.where(rng.random(300) < 0.4, 0.0, rng.lognormal(size=300))
    return np.column_stack(
        [4 * y + rng.normal(size=300), inflated, rng.poisson(3, 300)]
    )


def test_em_never_falls_and_ends_where_the_gradient_is_zero(
    structure, make_blocks, rng
):
    em = EMMap.prepare(make_blocks(recorded(rng)), structure, 3, "auto")
    assert em.coordinates.ties is not None
    start = initialize(em, INITIALIZERS["kmeans"], 3, np.random.RandomState(0))
    evaluation = em.evaluate(start)
    values = [evaluation.objective]
    for _ in range(300):
        evaluation = em.evaluate(evaluation.successor)
        values.append(evaluation.objective)
    # Sums of 300 numbers of order ten are rounded by 1e-12.
    assert np.diff(values).min() > -1e-9
    chart = em.chart(evaluation.parameters)
    direction = rng.normal(size=len(chart.pack(evaluation.parameters)))
    direction /= np.linalg.norm(direction)
    step = 1e-3
    high, low = (
        em.evaluate(chart.unpack(sign * step * direction)).objective for sign in (1, -1)
    )
    assert abs(high - low) / (2 * step) < 1e-2


def test_total_has_the_scatter_within_widths(structure, make_blocks, rng):
    X = recorded(rng)
    em = EMMap.prepare(make_blocks(X), structure, 1, "auto")
    plain = Coordinates(em.coordinates.shift, em.coordinates.scale)
    within = total_statistics(em.blocks, plain, structure)
    squares = em.coordinates.squares(X.T).sum(axis=1)
    added = em.total.scatter().values[0] - within.scatter().values[0]
    expected = {
        "full": np.diag(squares),
        "tied": np.diag(squares),
        "diag": squares,
        "spherical": squares.sum(),
    }[structure.name]
    np.testing.assert_allclose(added, expected, atol=1e-9)


def test_users_see_the_likelihood_of_points(structure, make_blocks, rng):
    em = EMMap.prepare(make_blocks(recorded(rng)), structure, 2, "auto")
    start = initialize(em, INITIALIZERS["kmeans"], 2, np.random.RandomState(0))
    here = em.evaluate(start)
    plain = EMMap.prepare(em.blocks, structure, 2, 1e-6).evaluate(start)
    slope = em.blocks.total_weight * em.coordinates.log_slope
    assert here.score == pytest.approx(plain.loglik + slope, rel=1e-12)
    assert here.score == pytest.approx(plain.score, rel=1e-12)
    assert here.loglik + slope < here.score


def test_the_constant_of_scikit_learn_knows_no_widths(make_blocks, rng):
    em = EMMap.prepare(make_blocks(recorded(rng)), STRUCTURES["full"], 2, 1e-6)
    assert em.coordinates.ties is None


def test_rows_of_weight_zero_share_nothing(make_blocks, rng):
    X = rng.normal(size=(100, 2))
    X[:50] = 1.0
    weight = np.repeat([0.0, 1.0], 50)
    em = EMMap.prepare(make_blocks(X, weight), STRUCTURES["full"], 2, "auto")
    assert em.coordinates.ties is None


def test_a_code_far_away_is_no_step():
    """Bits, and 99 where one is unknown."""
    values = np.repeat([0.0, 1.0, 99.0], [500, 500, 20])
    found = ties_of(values)
    assert found.atoms == ()
    assert width(found.steps) == pytest.approx(1, 0.05)


def test_rounding_is_no_width(rng):
    """Where all rows are there several times, a value may have one neighbour alone."""
    X = np.repeat(rng.normal(size=(2, 60)), rng.integers(1, 9, 60), axis=1)
    weight = np.ones(X.shape[1])
    here = find_ties(X, X, weight)
    for scale in (1 / 3, 0.7, 1e-3):
        there = find_ties(X, scale * (X - 0.1), weight)
        for atoms, others in zip(here.atoms, there.atoms, strict=True):
            expected = scale**2 * atoms.squares
            np.testing.assert_allclose(others.squares, expected, rtol=1e-6, atol=1e-20)


def test_runs_of_values_that_weigh_next_to_nothing_have_no_part():
    """Rounding takes the weight of a run, by which NumPy had divided."""
    values = np.array([0.0, 1, 2, 5, 6, 7])
    masses = np.array([3.0, 1, 2, 0, 0, 0])
    found = square_of_steps(values, masses, 1.0)
    assert found == square_of_steps(values[:3], masses[:3], 1.0)
