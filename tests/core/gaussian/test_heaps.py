"""Values that some rows were rounded to: which they are, and what width they have."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture, GaussianMixtureIC, StudentMixtureIC
from skem.core.gaussian.heaps import squares_of_heaps
from skem.core.gaussian.widths import find_ties
from skem.exceptions import DegenerateComponentsWarning


def squares(rows, origin=0.0, step=1.0, least=5.0):
    """Of a column that has so many rows of each value."""
    values = np.flatnonzero(rows)
    return 12 * squares_of_heaps(
        origin + step * values, np.asarray(rows, float)[values], step, least
    )


def widths(found):
    return {value: np.sqrt(12 * square) for value, square in zip(*found, strict=True)}


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 10, 12, 25])
@pytest.mark.parametrize("phase", [0, 1])
def test_heaps_are_as_wide_as_their_rows_are_in_the_mean(period, phase):
    rows = np.full((8 if period > 3 else 15) * period, 40.0)
    rows[phase::period] += 60
    expected = np.zeros(len(rows))
    expected[phase::period] = 0.4 + 0.6 * period**2
    for origin, step in ((0.0, 1.0), (1e6, 0.5), (-3.0, 1e-6)):
        found = squares(rows, origin, step)
        np.testing.assert_allclose(found, step**2 * expected, rtol=1e-6)


def test_tens_among_fives_are_wider():
    rows = np.full(100, 20.0)
    rows[::5] += 60
    rows[::10] += 120
    # The share that was rounded to fives is that of all of these together.
    five, found = (20 + 120 * 25) / 140, squares(rows)
    np.testing.assert_allclose(found[5::10], five, rtol=0.05)
    np.testing.assert_allclose(found[::10], 0.4 * five + 60, rtol=0.02)


def test_values_off_the_steps_are_no_heaps_and_hide_none():
    rows = np.full(40, 40.0)
    rows[::5] += 60
    expected = squares(rows)
    values = np.concatenate([[-0.7], np.arange(40.0), [40.3]])
    masses = np.concatenate([[9.0], rows, [99.0]])
    found = 12 * squares_of_heaps(values, masses, 1.0, 5.0)
    np.testing.assert_allclose(found, np.concatenate([[0], expected, [0]]))
    assert expected.any()


def test_narrow_clusters_at_equal_distances_are_no_heaps():
    # They have more rows right beside their centres than farther off.
    assert not squares(np.tile([60.0, 30, 5, 2, 2, 5, 30], 12)).any()
    assert squares(np.tile([60.0, 12, 13, 11, 11, 13, 12], 12)).any()


def test_one_value_of_many_rows_makes_no_heaps_of_others():
    rows = np.tile([8.0, 5, 5, 5, 5], 8)
    rows[20] = 400.0
    assert not squares(rows).any()


def test_heaps_of_few_rows_do_not_matter():
    rows = np.tile([4.0, 1, 1, 1, 1], 40)
    assert not squares(rows, least=5.0).any()
    assert squares(rows, least=4.0).any()


def test_few_tens_among_fives_are_wider_beside_any_other_values():
    values = np.round(np.arange(0, 75.01, 0.01), 2)
    masses = np.ones(len(values))
    masses[::500] += 300
    masses[::1000] += 600
    found = np.sqrt(12 * squares_of_heaps(values, masses, 0.0, 100.0))
    np.testing.assert_allclose(found[500::1000], 5, rtol=0.1)
    assert (found[:7001:1000] > 7).all()


def test_tens_alone_are_no_fives_or_twenties():
    rows = np.full(200, 20.0)
    rows[::10] += 80
    found = squares(rows)
    np.testing.assert_allclose(found[::10], 0.2 + 0.8 * 100)
    assert np.count_nonzero(found) == 20


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:20],
        lambda rows: np.where(np.arange(len(rows)) % 5, rows, 52),
        lambda rows: rows[:50] / 20,
        lambda rows: np.where(np.arange(len(rows)) < 30, rows, 40),
        lambda rows: np.convolve(np.where(rows > 40, 60, 0), [0.3, 0.4, 0.3]) + 2,
        lambda rows: np.where(np.arange(16) % 3, 12, 80),
        lambda rows: np.where(np.arange(12) % 2, 12, 80),
    ],
    ids=[
        "four",
        "few more",
        "few rows",
        "some of them",
        "clusters five apart",
        "clusters three apart",
        "clusters two apart",
    ],
)
def test_what_is_no_heap(change):
    rows = np.full(100, 40.0)
    rows[::5] += 60
    assert squares(rows).any()
    assert not squares(np.round(change(rows))).any()


@pytest.mark.parametrize("n", [100, 300, 2000])
def test_smooth_counts_have_none(n):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        means, sd = rng.normal(0, 50, 3), rng.choice([1, 3, 10, 30], 3)
        which = rng.integers(3, size=n)
        for counts in (
            np.round(rng.normal(means[which], sd[which])),
            rng.poisson(30, n),
            rng.geometric(0.05, n),
        ):
            assert not squares(np.bincount((counts - counts.min()).astype(int))).any()


def heaped(exact, share, step, rng):
    return np.where(
        rng.random(len(exact)) < share, step * np.round(exact / step), exact
    )


def amounts(rng, n=3000):
    """Half of them whole, among them many fives and tens, others with two digits."""
    exact = rng.gamma(8, 6, n).round(2)
    for share, step in ((0.5, 1.0), (0.3, 5.0), (0.2, 10.0)):
        exact = heaped(exact, share, step, rng)
    return exact


@pytest.mark.parametrize("shift", [0.0, -0.01])
def test_heaps_of_a_column_that_is_in_no_steps(shift, rng):
    data = (amounts(rng) + shift)[None]
    (atoms,) = find_ties(data, data, np.ones(data.shape[1])).atoms
    found = widths(atoms[1:])
    at = {round(value - shift): width for value, width in found.items()}
    assert 0.98 < np.median([width for value, width in at.items() if value % 5]) < 1.3
    assert 3 < at[35] < 5 and 3 < at[45] < 5
    assert 5.5 < at[30] < 10 and 5.5 < at[40] < 10


def test_defaults_of_a_column_are_not_as_wide_as_they_are_apart(rng):
    """They are in even steps, too, and most of the rows are nowhere near them."""
    data = rng.normal(50, 5, 4000)
    defaults = 100.0 * np.arange(-6, 7)
    data[:650] = np.repeat(defaults, 50)
    assert not squares_of_heaps(*np.unique(data, return_counts=True), 0.0, 20.0).any()


@pytest.mark.parametrize("far", [1e8, -1e12])
@pytest.mark.parametrize("whole", [True, False])
def test_outliers_are_at_any_distance(far, whole, rng):
    exact = rng.normal(45, 15, 1000)
    data = heaped(np.round(exact) if whole else exact, 0.4, 5 if whole else 1, rng)
    plain = find_ties(data[None], data[None], np.ones(1000)).atoms[0]
    data = np.append(data, [far, 2 * far])
    found = find_ties(data[None], data[None], np.ones(1002)).atoms[0]
    common, here, there = np.intersect1d(
        plain.values, found.values, return_indices=True
    )
    assert len(common) > 10
    # Of heaps in steps. A code far away makes the others' steps narrow.
    np.testing.assert_allclose(
        np.sqrt(found.squares[there]), np.sqrt(plain.squares[here]), rtol=0.15
    )


@pytest.mark.parametrize(
    "far", [[1e10], [-1e20], [1e300, -1e300], 1e12 * np.arange(20)]
)
@pytest.mark.parametrize("whole", [True, False])
def test_outliers_take_no_memory(far, whole, rng):
    exact = rng.normal(45, 15, 1000)
    data = heaped(np.round(exact) if whole else exact, 0.4, 5 if whole else 1, rng)
    data = np.append(data, far)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateComponentsWarning)
        mixture = GaussianMixture(3, random_state=0).fit(data)
    assert np.isfinite(mixture.score_samples(data)).all()


@pytest.mark.parametrize("apart", [3, 4, 6, 12])
def test_narrow_clusters_at_equal_distances_are_clusters(apart, rng):
    y = rng.integers(5, size=800)
    x = np.round(6 + apart * y + rng.normal(0, 0.4, 800))[:, None]
    assert (
        adjusted_rand_score(y, GaussianMixture(5, random_state=0).fit(x).labels_) > 0.98
    )


def test_weights_are_rows(rng):
    data = heaped(np.round(rng.normal(50, 12, 800)), 0.4, 5, rng)
    weight = rng.integers(1, 4, 800)
    one = find_ties(data[None], data[None], weight.astype(float))
    other = np.repeat(data, weight)[None]
    other = find_ties(other, other, np.ones(weight.sum()))
    np.testing.assert_allclose(one.atoms[0].squares, other.atoms[0].squares)
    np.testing.assert_array_equal(one.atoms[0].values, other.atoms[0].values)
    assert len(one.atoms[0].values) > 8


def patients(rng, n=1000):
    """Ages and blood pressures of two groups, some of them in fives and in tens."""
    y = (rng.random(n) < 0.4).astype(int)
    age = np.round(rng.normal(np.array([35, 60])[y], 8))
    pressure = np.round(rng.normal(np.array([120, 150])[y], 10))
    X = np.c_[heaped(age, 0.3, 5, rng), heaped(pressure, 0.3, 10, rng)]
    return X, y


@pytest.mark.parametrize("search", [GaussianMixtureIC, StudentMixtureIC])
@pytest.mark.parametrize("seed", range(3))
def test_heaps_are_no_clusters(search, seed):
    X, y = patients(np.random.default_rng(seed))
    found = search(range(1, 7), random_state=0).fit(X)
    assert found.n_components_ == 2
    assert adjusted_rand_score(y, found.labels_) > 0.9


@pytest.mark.parametrize("kind", ["float32", "fortran", "integers", "dask", "gaps"])
def test_heaps_are_the_same_however_data_come(kind, rng):
    X, _ = patients(rng)
    options = dict(n_components=2, covariance_type="diag", random_state=0)
    if kind == "gaps":
        X[rng.random(X.shape) < 0.1] = np.nan
    expected = GaussianMixture(**options).fit(X).lower_bound_
    if kind == "dask":
        X = pytest.importorskip("dask.array").from_array(X, chunks=(173, 2))
    elif kind == "gaps":
        X = X[rng.permutation(len(X))]
    else:
        dtype = {"float32": np.float32, "integers": int}.get(kind, float)
        X = np.asarray(X, dtype, order="F")
    rtol = 1e-5 if kind == "float32" else 1e-8
    found = GaussianMixture(**options).fit(X).lower_bound_
    assert found == pytest.approx(expected, rel=rtol)


@pytest.mark.parametrize("distance", [5, 6])
def test_every_second_one_of_narrow_clusters_is_no_heap_either(distance):
    """The cluster half-way had counted as rows far from the centre."""
    rng = np.random.default_rng(0)
    centres = distance * rng.integers(12, size=4000)
    for deviation in (0.6, 0.8, 1.0):
        x = np.round(centres + deviation * rng.normal(size=4000))
        values, counts = np.unique(x, return_counts=True)
        assert not squares_of_heaps(values, counts.astype(float), 1.0, 20.0).any()
