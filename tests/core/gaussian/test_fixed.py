"""What is given of a mixture: the M-step with it, and its count."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.gaussian.fixed import Fixed
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap


def some_fixed(structure, parameters, rng):
    K = len(parameters.weights)
    some = np.array([True] + [False] * (K - 1))
    covariances = np.zeros(K, bool) if structure.shared else some
    return Fixed(parameters, some, some, covariances)


def test_the_m_step_beats_any_change_of_what_is_free(
    structure, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(200, rng)
    em = EMMap.prepare(make_blocks(X), structure, 3, 0.0)
    start = em.coordinates.inward(structure, mixture.parameters)
    em = replace(em, fixed=some_fixed(structure, start, rng))
    found = em.evaluate(start)
    best = found.successor
    assert best.weights[0] == start.weights[0]
    assert best.weights.sum() == pytest.approx(1)
    np.testing.assert_array_equal(best.means[0], start.means[0])

    def expected_loglik(parameters):
        complete = found.complete
        means = complete.about(parameters.means)
        values = structure.quadratic.unpack(means.sums[:, 3:], 2)
        cholesky = parameters.precisions_cholesky
        total = complete.counts @ np.log(parameters.weights)
        for k in range(3):
            scatter = values[k]
            if scatter.ndim == 0:
                scatter = np.eye(2) * scatter / 2
            elif scatter.ndim == 1:
                scatter = np.diag(scatter)
            root = np.linalg.cholesky(scatter)
            white = structure.whiten(cholesky, k, root)
            log_det = np.broadcast_to(structure.log_det(cholesky, 2), 3)[k]
            total += complete.counts[k] * log_det - 0.5 * np.square(white).sum()
        return total

    top = expected_loglik(best)
    chart = em.chart(best)
    for _ in range(50):
        step = rng.normal(size=len(chart.pack(best))) * 0.3
        moved = chart.unpack(step)
        np.testing.assert_array_equal(moved.means[0], start.means[0])
        assert expected_loglik(moved) < top


def test_starts_come_in_the_order_of_what_is_given(
    structure, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, 4, 2)
    em = EMMap.prepare(make_blocks(mixture.sample(100, rng)), structure, 4, "auto")
    inward = em.coordinates.inward(structure, mixture.parameters)
    none = np.zeros(4, bool)
    em = replace(em, fixed=Fixed(inward, none, ~none, none))
    order = np.array([2, 0, 3, 1])
    cholesky = structure.ordered(inward.precisions_cholesky, order)
    shuffled = inward.ordered(order, cholesky)
    shuffled = replace(shuffled, means=shuffled.means + 0.01)
    admitted = em.admitted(shuffled)
    np.testing.assert_array_equal(admitted.means, inward.means)
    np.testing.assert_array_equal(admitted.weights, inward.weights)
    assert not em.movable(4).any()
    assert not em.exchangeable


def test_free_parameters_are_counted(structure, make_mixture, rng):
    parameters = make_mixture(structure, 3, 2).parameters
    all_of_them, none = np.ones(3, bool), np.zeros(3, bool)
    count = Fixed(parameters, all_of_them, all_of_them, all_of_them).n_parameters
    assert count(structure, 2) == structure.n_free(3, 2)
    assert Fixed(parameters, all_of_them, none, none).n_parameters(structure, 2) == 2
    some = np.array([False, True, False])
    assert Fixed(parameters, some, none, none).n_parameters(structure, 2) == 1
    assert Fixed(parameters, none, some, none).n_parameters(structure, 2) == 2


def test_equal_weights_do_not_tell_components_apart():
    parameters = Parameters(np.full(2, 0.5), np.zeros((2, 1)), np.ones(2))
    both, none = np.ones(2, bool), np.zeros(2, bool)
    assert Fixed(parameters, both, none, none).alike
    assert not Fixed(parameters, both, both, none).alike
    unequal = replace(parameters, weights=np.array([0.4, 0.6]))
    assert not Fixed(unequal, both, none, none).alike


@pytest.mark.parametrize("part", ["weights", "means"])
def test_starts_are_matched_by_what_is_given(part, structure, make_mixture):
    given = make_mixture(structure, 3, 2).parameters
    given = replace(given, weights=np.array([0.1, 0.3, 0.6]))
    masks = [np.full(3, part == name) for name in ("weights", "means", "covariances")]
    order = np.array([2, 0, 1])
    factors = structure.ordered(given.precisions_cholesky, order)
    distances = Fixed(given, *masks).distances(given.ordered(order, factors))
    nearest = distances.argmin(axis=1)
    np.testing.assert_array_equal(order[nearest], [0, 1, 2])
    np.testing.assert_allclose(distances[range(3), nearest], 0, atol=1e-20)
