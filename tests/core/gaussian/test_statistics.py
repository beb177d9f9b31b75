"""Additivity, weights and moments, whoever makes the statistics."""

import numpy as np
import pytest

from skem.core.gaussian import statistics as statistics_module
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.expectation import Expectation, total_statistics
from skem.core.passes.forms import Centred, Expanded

K, D = 3, 2
IDENTITY = Coordinates(np.zeros(D), np.ones(D))


def fold_form(form):
    def make(blocks, mixture):
        expectation = Expectation(
            form(mixture.structure, mixture.parameters, blocks.dtype), IDENTITY
        )
        return blocks.fold(expectation.statistics, expectation.values_per_sample)

    return make


def fold_total(blocks, mixture):
    return total_statistics(blocks, IDENTITY, mixture.structure)


MAKERS = {
    "expanded": fold_form(Expanded),
    "centred": fold_form(Centred),
    "total": fold_total,
}


@pytest.fixture(params=MAKERS)
def make_statistics(request, structure, make_mixture, make_blocks):
    mixture = make_mixture(structure, K, D)
    maker = MAKERS[request.param]
    return lambda X, weight=None: maker(make_blocks(X, weight), mixture)


def about(quadratic, X, resp, reference):
    """Statistics from their definition: Σ r [1, y, q(y)] with y = x − reference."""
    sums = []
    for r, centre in zip(resp, reference, strict=True):
        y = (X - centre).T
        features = np.empty((quadratic.size(len(y)), len(X)))
        quadratic.expand(y, features)
        sums.append(np.concatenate([[r.sum()], y @ r, features @ r]))
    return Statistics(0.0, np.stack(sums), reference, quadratic)


def assert_same(actual, expected, rtol=1e-12):
    # Sums of tens of terms of order ten.
    np.testing.assert_allclose(actual.loglik, expected.loglik, rtol=rtol, atol=1e-11)
    np.testing.assert_allclose(actual.sums, expected.sums, rtol=rtol, atol=1e-10)
    np.testing.assert_array_equal(actual.reference, expected.reference)


def test_merging_two_halves_gives_the_whole(make_statistics, rng):
    X, weight = rng.standard_normal((50, D)), rng.uniform(size=50)
    first = make_statistics(X[:20], weight[:20])
    second = make_statistics(X[20:], weight[20:])
    assert_same(first + second, make_statistics(X, weight))


def test_pooled_are_the_samples_as_one_component(structure, rng):
    X, resp = rng.standard_normal((50, D)) + 3, rng.dirichlet(np.ones(K), 50).T
    quadratic = structure.quadratic
    pooled = about(quadratic, X, resp, rng.standard_normal((K, D))).pooled()
    expected = about(quadratic, X, np.ones((1, 50)), X.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(pooled.reference, expected.reference, rtol=1e-12)
    np.testing.assert_allclose(pooled.sums, expected.sums, rtol=1e-12, atol=1e-10)


def test_pooled_are_nothing_where_noise_has_all_rows(structure):
    resp = np.zeros((K, 5))
    pooled = about(structure.quadratic, np.ones((5, D)), resp, np.ones((K, D))).pooled()
    assert not pooled.counts.any()
    assert np.isfinite(pooled.reference).all()


def test_integer_weights_repeat_rows(make_statistics, rng):
    X, weight = rng.standard_normal((30, D)), rng.integers(0, 4, size=30)
    repeated = make_statistics(np.repeat(X, weight, axis=0))
    assert_same(make_statistics(X, weight.astype(float)), repeated)


def test_weight_zero_leaves_the_row_out(make_statistics, rng):
    X, weight = rng.standard_normal((30, D)), rng.uniform(size=30)
    weight[::3] = 0
    kept = weight > 0
    expected = make_statistics(X[kept], weight[kept])
    X[::3] = 1e300  # not even overflow may come of them
    actual = make_statistics(X, weight)
    np.testing.assert_array_equal(actual.sums, expected.sums)
    assert actual.loglik == expected.loglik


def test_factor_multiplies_every_weight(make_statistics, rng):
    X, weight = rng.standard_normal((30, D)), rng.uniform(size=30)
    assert_same(make_statistics(X, weight) * 2.5, make_statistics(X, 2.5 * weight))


@pytest.mark.parametrize("form", ["expanded", "centred"])
def test_moments_are_weighted_averages(
    structure, form, make_mixture, make_blocks, dense, rng
):
    mixture = make_mixture(structure, K, D)
    X, weight = mixture.sample(80, rng), rng.uniform(size=80)
    blocks = make_blocks(X, weight)
    statistics = MAKERS[form](blocks, mixture)
    resp = mixture.responsibilities(X) * weight[:, None]

    np.testing.assert_allclose(statistics.counts, resp.sum(axis=0), rtol=1e-11)
    means = [np.average(X, axis=0, weights=r) for r in resp.T]
    np.testing.assert_allclose(statistics.means, means, rtol=1e-10, atol=1e-12)

    expected = [np.cov(X.T, aweights=r, ddof=0) * r.sum() for r in resp.T]
    if statistics.quadratic is structure.quadratic:
        scatter = statistics.scatter()
    else:
        scatter = statistics.within(fold_total(blocks, mixture))
        expected = [sum(expected)]
    packed = [
        structure.quadratic.weighted_sum(np.linalg.cholesky(matrix), np.ones(D))
        for matrix in expected
    ]
    np.testing.assert_allclose(
        structure.quadratic.pack(scatter.values), packed, rtol=1e-9, atol=1e-10
    )
    np.testing.assert_allclose(scatter.counts.sum(), weight.sum(), rtol=1e-12)


def test_reference_points_do_not_matter(structure, rng):
    X, resp = rng.standard_normal((40, D)), rng.uniform(size=(K, 40))
    quadratic = structure.quadratic
    near = about(quadratic, X, resp, np.zeros((K, D)))
    far = about(quadratic, X, resp, rng.normal(scale=30, size=(K, D)))
    np.testing.assert_allclose(far.counts, near.counts, rtol=1e-13)
    # A reference 30 standard deviations away costs three digits of the scatter.
    np.testing.assert_allclose(far.means, near.means, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        far.scatter_sums(), near.scatter_sums(), rtol=1e-10, atol=1e-9
    )


def test_empty_component_has_its_reference_for_mean_and_no_scatter(structure, rng):
    X, resp = rng.standard_normal((40, D)), np.vstack([np.ones(40), np.zeros(40)])
    reference = rng.standard_normal((2, D))
    statistics = about(structure.quadratic, X, resp, reference)
    np.testing.assert_array_equal(statistics.means[1], reference[1])
    np.testing.assert_array_equal(statistics.scatter().values[1], 0)


def test_pooled_scatter_is_the_sum_over_components(structure, make_blocks, rng):
    # What tied covariances need, though the E-step folded no quadratic part.
    X, resp = rng.standard_normal((40, D)), rng.uniform(size=(K, 40))
    resp /= resp.sum(axis=0)
    total = about(structure.quadratic, X, np.ones((1, 40)), np.zeros((1, D)))
    by_component = about(structure.quadratic, X, resp, np.zeros((K, D)))
    pooled = by_component.within(total)
    np.testing.assert_allclose(
        pooled.values[0], by_component.scatter().values.sum(axis=0), rtol=1e-11
    )
    np.testing.assert_allclose(pooled.counts, [40], rtol=1e-13)


def labelled(structure, rng, n=40, shift=0.0):
    """Statistics of random rows with random responsibilities, about random points."""
    X, resp = rng.standard_normal((n, D)) + shift, rng.dirichlet(np.ones(K), n).T
    reference = rng.standard_normal((K, D))
    return X, resp, about(structure.quadratic, X, resp, reference)


def test_another_reference_gives_the_sums_about_it(structure, rng):
    X, resp, statistics = labelled(structure, rng)
    reference = rng.standard_normal((K, D))
    expected = about(structure.quadratic, X, resp, reference)
    assert_same(statistics.about(reference), expected)


def test_merging_different_references_gives_the_whole_at_its_means(structure, rng):
    X, resp, first = labelled(structure, rng)
    Y, other, second = labelled(structure, rng, shift=3.0)
    merged = first.merged(second)
    rows, weights = np.concatenate([X, Y]), np.hstack([resp, other])
    np.testing.assert_allclose(
        merged.reference, weights @ rows / weights.sum(axis=1)[:, None], rtol=1e-12
    )
    expected = about(structure.quadratic, rows, weights, merged.reference)
    assert_same(merged, expected)


def test_merging_far_apart_loses_nothing_of_the_scatter(structure, rng):
    # Both sets at 1e8, about points near them: squares about zero would round by 1.
    X = 1e8 + rng.standard_normal((40, D))
    resp = rng.dirichlet(np.ones(K), 40).T
    parts = [
        about(structure.quadratic, X[half], resp[:, half], np.repeat(X[half][:1], K, 0))
        for half in (slice(20), slice(20, 40))
    ]
    merged = parts[0].merged(parts[1])
    centred = about(structure.quadratic, X - 1e8, resp, np.zeros((K, D))).scatter_sums()
    # Means of 1e8 are rounded by 1e-8.
    np.testing.assert_allclose(merged.scatter_sums(), centred, atol=1e-6)


def test_merging_with_an_empty_component_keeps_the_other(structure, rng):
    _, _, first = labelled(structure, rng)
    X, resp, _ = labelled(structure, rng)
    resp[1] = 0
    empty = about(structure.quadratic, X, resp, np.zeros((K, D)))
    for merged in (first.merged(empty), empty.merged(first)):
        np.testing.assert_allclose(merged.means[1], first.means[1], rtol=1e-12)
        np.testing.assert_allclose(
            merged.scatter_sums()[1], first.scatter_sums()[1], rtol=1e-10
        )
    assert np.isfinite(empty.merged(empty).sums).all()


def test_completed_statistics_have_the_pooled_scatter(make_mixture, make_blocks, rng):
    structure = STRUCTURES["tied"]
    mixture = make_mixture(structure, K, D)
    blocks = make_blocks(mixture.sample(60, rng))
    expanded, centred = (
        fold_form(form)(blocks, mixture) for form in (Expanded, Centred)
    )
    completed = expanded.completed(fold_total(blocks, mixture))
    assert completed.quadratic is structure.quadratic
    np.testing.assert_allclose(completed.means, centred.means, rtol=1e-10)
    np.testing.assert_allclose(
        completed.scatter().values.sum(axis=0),
        centred.scatter().values.sum(axis=0),
        rtol=1e-10,
        atol=1e-9,
    )


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize("squares", [None, "of features", "of values"])
def test_labels_of_a_stack(structure, squares, rng, monkeypatch):
    """Together or one component after the other: moments about the means."""
    n, d = 50, 3
    Z, resp = rng.normal(size=(n, d)), rng.dirichlet(np.ones(2), (4, n)).swapaxes(1, 2)
    resp[0, 1] = 0
    if squares is not None:
        squares = rng.uniform(size=(d, 1 if squares == "of features" else n))
    found = []
    for most in (statistics_module.TOGETHER, 0):
        monkeypatch.setattr(statistics_module, "TOGETHER", most)
        found.append(Statistics.of_labels(structure.quadratic, Z, resp, squares))
    counts = resp.sum(axis=-1)
    for each in found:
        np.testing.assert_allclose(each.counts, counts, rtol=1e-12)
        np.testing.assert_allclose(each.means * counts[..., None], resp @ Z, atol=1e-12)
        assert (each.offsets == 0).all()
    np.testing.assert_allclose(found[0].sums, found[1].sums, atol=1e-11)
