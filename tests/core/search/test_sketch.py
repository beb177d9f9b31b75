import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.search.sketch import Sketch, stacked


@pytest.fixture
def X(rng):
    means = rng.normal(scale=3, size=(4, 3))
    return means[rng.integers(4, size=200)] + rng.normal(size=(200, 3)) * [1, 2, 0.5]


@pytest.fixture
def labelled(X, make_blocks):
    """Return an EM map, its rows, and one-hot labels of four clusters."""

    def make(structure, weight=None):
        em = EMMap.prepare(make_blocks(X, weight), structure, 1, "auto")
        Z = em.coordinates.load(X.T, np.empty(X.T.shape)).T.copy()
        rows = Rows(Block(0, len(X), X.T, None), Z, np.ones(len(X)), None)
        labels = np.arange(len(X)) % 4
        return em, rows, (labels == np.arange(4)[:, None]).astype(float)

    return make


def assert_same(a, b):
    # Sums of 200 numbers of order one, in another order.
    for name in ("counts", "means", "covariances", "overlaps"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-10)


def test_start_is_the_m_step_of_the_rows(structure, labelled):
    em, rows, resp = labelled(structure)
    sketch = Sketch.of_labels(em, rows, resp)
    got = em.started(sketch.statistics(em.structure.quadratic))
    expected = em.maximise(rows.labelled(em, resp))
    for a, b in zip(vars(got).values(), vars(expected).values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_sketch_of_a_mixture_is_that_of_its_responsibilities(
    structure, labelled, make_mixture, rng
):
    mixture = make_mixture(structure, 4, 3, separation=1.0)
    weight = rng.uniform(0.5, 2, 200)
    em, rows, _ = labelled(structure, weight)
    resp = mixture.responsibilities(rows.Z).T
    expected = Sketch.of_labels(em, rows, resp * weight)
    got = Sketch.of_mixture(em, mixture.parameters)
    np.testing.assert_allclose(got.overlaps, (resp * weight) @ resp.T, atol=1e-8)
    for name in ("counts", "means", "covariances"):
        # Responsibilities from the expanded form agree to about 1e-9.
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), atol=1e-8
        )


@pytest.mark.parametrize(
    ("quick", "noise"), [(False, None), (False, True), (True, None)]
)
def test_sketches_by_rows_and_by_a_pass_are_the_same(
    X, make_blocks, make_mixture, rng, monkeypatch, quick, noise
):
    """Of rows with weights, beside noise or not, where some share a value."""
    X[:40, 1], X[:, 2] = 0.5, np.round(X[:, 2])
    weight = rng.uniform(0.5, 2, 200)
    full = STRUCTURES["full"]
    em = EMMap.prepare(make_blocks(X, weight), full, 4, "auto", noise=noise)
    mixture = em.with_noise(make_mixture(full, 4, 3, separation=1.0).parameters)
    monkeypatch.setattr(EMMap, "sketched", lambda *_: None)
    monkeypatch.setattr(EMMap, "quick", quick)
    found = Sketch.of_mixture(em, mixture)
    rows = em.rows(200, np.random.RandomState(0))
    resp = em.responsibilities(mixture, rows.block)[:4]
    expected = Sketch.of_labels(em, rows, resp * weight)
    np.testing.assert_allclose(found.overlaps, (resp * weight) @ resp.T, atol=1e-8)
    for name in ("counts", "means", "covariances"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), atol=1e-8
        )


def test_labels_overlap_with_themselves_alone(labelled):
    em, rows, resp = labelled(STRUCTURES["full"])
    sketch = Sketch.of_labels(em, rows, 3 * resp)
    np.testing.assert_allclose(sketch.overlaps, 150 * np.eye(4))


def test_merger_is_the_sketch_of_the_union(labelled):
    em, rows, resp = labelled(STRUCTURES["full"])
    union = np.stack([resp[0], resp[2], resp[1] + resp[3]])
    merged = Sketch.of_labels(em, rows, resp).merge(1, 3)
    assert_same(merged, Sketch.of_labels(em, rows, union))


def test_unions_are_mergers_of_the_closest_pairs(structure, labelled, rng):
    em, rows, _ = labelled(structure)
    resp = rng.dirichlet(np.ones(4), len(rows.Z)).T
    whole = em.started(rows.labelled(em, resp))
    sketch, quadratic = Sketch.of_mixture(em, whole), em.structure.quadratic
    pairs = sketch.closest(5)
    unions = sketch.unions(pairs, quadratic)
    mergers = [sketch.merge(*pair) for pair in pairs]
    for place, merger in enumerate(mergers):
        expected = merger.statistics(quadratic)
        np.testing.assert_allclose(unions.sums[place], expected.sums, atol=1e-10)
        np.testing.assert_allclose(
            unions.reference[place], expected.reference, atol=1e-10
        )
    together = stacked(mergers, quadratic)
    np.testing.assert_allclose(together.sums, unions.sums, atol=1e-10)


def test_halves_of_a_split_merge_to_the_whole(labelled):
    em, rows, resp = labelled(STRUCTURES["full"])
    sketch = Sketch.of_labels(em, rows, resp)
    whole = sketch.split(3).merge(3, 4)
    for name in ("counts", "means", "covariances"):
        np.testing.assert_allclose(
            getattr(whole, name), getattr(sketch, name), atol=1e-10
        )


def test_split_goes_across_the_main_axis():
    sketch = Sketch(
        np.array([10.0]), np.zeros((1, 2)), np.diag([1.0, 4.0])[None], np.eye(1)
    )
    means = sketch.split(0).means
    assert np.allclose(means[:, 0], 0)
    # The mean of half a normal of standard deviation 2.
    mean = 2 * np.sqrt(2 / np.pi)
    assert np.allclose(np.sort(means[:, 1]), [-mean, mean])
    # And across any other axis.
    axis = np.array([1.0, 2.0, 2.0]) / 3
    covariance = np.eye(3) + 3 * np.outer(axis, axis)
    other = Sketch(np.ones(1), np.zeros((1, 3)), covariance[None], np.eye(1))
    ends = other.split(0).means
    np.testing.assert_allclose(np.sort(ends @ axis), [-mean, mean])
    np.testing.assert_allclose(np.linalg.norm(ends, axis=1), mean)


def test_halves_overlap_with_others_half_as_much():
    sketch = Sketch(
        np.array([5.0, 10.0]),
        np.eye(2),
        np.stack([np.eye(2)] * 2),
        np.array([[4.0, 1.0], [1.0, 9.0]]),
    )
    overlaps = sketch.split(0).overlaps
    np.testing.assert_allclose(overlaps, [[1, 0.5, 1], [0.5, 9, 0.5], [1, 0.5, 1]])


def test_the_largest_have_many_rows_and_are_long():
    covariances = np.array([np.diag(v) for v in ([16.0, 1], [1.0, 9], [1.0, 0])])
    sketch = Sketch(
        np.array([10.0, 20.0, 25.0]), np.zeros((3, 2)), covariances, np.eye(3)
    )
    np.testing.assert_allclose(sketch.extents, [40, 60, 25])
    # The first is the longest, and the last has the most rows.
    assert sketch.largest(2).tolist() == [1, 0]


def test_clusters_without_rows_have_finite_moments_and_overlap_with_none(labelled):
    em, rows, resp = labelled(STRUCTURES["full"])
    resp[1] += resp[2]
    resp[2] = 0
    sketch = Sketch.of_labels(em, rows, resp)
    assert np.isfinite(sketch.means).all()
    assert (sketch.covariances[2] == 0).all()
    assert sketch.counts[2] == pytest.approx(0)
    overlaps = resp @ resp.T
    overlaps[0, 1] = overlaps[1, 0] = 1.0
    pairs = Sketch(sketch.counts, sketch.means, sketch.covariances, overlaps)
    assert pairs.closest(6)[0] == (0, 1)


def test_halves_of_one_spot_are_there_though_rounding_makes_variances_negative():
    spot = Sketch(np.ones(1), np.ones((1, 2)), -1e-20 * np.eye(2)[None], np.eye(1))
    np.testing.assert_array_equal(spot.split(0).means, 1)


def test_closest_pair_is_the_one_that_overlaps():
    overlaps = np.array([[5.0, 0.1, 2.0], [0.1, 5.0, 0.0], [2.0, 0.0, 5.0]])
    sketch = Sketch(np.full(3, 7.0), np.eye(3), np.stack([np.eye(3)] * 3), overlaps)
    assert sketch.closest(1) == [(0, 2)]


def test_small_clusters_on_one_spot_are_closer_than_the_tails_of_large_ones():
    # Cosines of 0.9 and 0.05.
    overlaps = np.array(
        [[100.0, 5, 0, 0], [5, 100, 0, 0], [0, 0, 1, 0.9], [0, 0, 0.9, 1]]
    )
    counts = np.array([105.0, 105.0, 1.9, 1.9])
    sketch = Sketch(counts, np.eye(4), np.stack([np.eye(4)] * 4), overlaps)
    assert sketch.closest(2) == [(2, 3), (0, 1)]


def test_other_coordinates_sketch_the_same_data(labelled):
    em, rows, resp = labelled(STRUCTURES["full"])
    other, others, _ = labelled(STRUCTURES["spherical"])
    moved = Sketch.of_labels(em, rows, resp).moved(em.coordinates, other.coordinates)
    assert_same(moved, Sketch.of_labels(other, others, resp))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e160])
def test_other_coordinates_of_other_scales_sketch_the_same_data(X, make_blocks, scale):
    maps = [
        EMMap.prepare(make_blocks(scale * X), STRUCTURES[name], 1, "auto")
        for name in ("full", "spherical")
    ]
    resp = (np.arange(200) % 4 == np.arange(4)[:, None]).astype(float)
    one, other = (
        Sketch.of_labels(em, em.rows(200, np.random.RandomState(0)), resp)
        for em in maps
    )
    here, there = (em.coordinates for em in maps)
    assert_same(one.moved(here, there), other)
    assert_same(other.moved(there, here), one)


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1e160])
def test_other_coordinates_at_any_scale_are_finite(X, make_blocks, scale):
    maps = [
        EMMap.prepare(make_blocks(X * [1.0, 1.0, scale]), STRUCTURES[name], 1, "auto")
        for name in ("full", "spherical")
    ]
    sketch = Sketch(np.ones(1), np.zeros((1, 3)), np.eye(3)[None], np.ones((1, 1)))
    for here, there in (maps, maps[::-1]):
        moved = sketch.moved(here.coordinates, there.coordinates)
        start = there.started(moved.statistics(there.structure.quadratic))
        assert np.isfinite(there.evaluate(start).objective)
