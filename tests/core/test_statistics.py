"""Additivity, weights and moments, whoever makes the statistics."""

import numpy as np
import pytest

from skem.core.coordinates import Coordinates
from skem.core.em import total_statistics
from skem.core.expectation import Centred, Expanded, Expectation
from skem.core.statistics import Statistics

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
