"""Components without rows: left out and put back."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.bayes.alive import alive, order_of_size, ordered, with_empty
from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.gaussian.posterior import WEIGHT_PRIORS
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize

K, D, TRUNCATION = 3, 2, 8
# So little that an empty component has no part in any row.
CONCENTRATION = 1e-3


@pytest.fixture(params=WEIGHT_PRIORS)
def em(request, structure, make_blocks, rng):
    means = np.array([[0.0, 0.0], [6.0, 1.0], [0.0, 7.0]])
    X = means[rng.integers(3, size=300)] + rng.normal(size=(300, D))
    prior = WEIGHT_PRIORS[request.param](CONCENTRATION, TRUNCATION)
    return VariationalMap.of_data(make_blocks(X), structure, Beliefs(prior), "auto")


@pytest.fixture
def q(em):
    return initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))


@pytest.mark.parametrize("compiled", [True, False])
def test_bound_and_steps_are_those_with_the_empty_components(em, q, compiled):
    """To 1e-10: what rows have of empty components is beyond double precision."""
    if not compiled:
        em = replace(em)
        em.__dict__["_stepper"] = None
    few, all_of_them = em.evaluate(q), em.evaluate(with_empty(em, q, TRUNCATION))
    for _ in range(20):
        assert few.objective == pytest.approx(all_of_them.objective, rel=1e-10)
        few = em.evaluate(few.successor)
        all_of_them = em.evaluate(all_of_them.successor)
    own, other = few.parameters, all_of_them.parameters
    for name in ("counts", "means", "log_effective"):
        found = getattr(other, name)[:K]
        np.testing.assert_allclose(found, getattr(own, name), rtol=1e-10, atol=1e-10)
    cholesky = em.structure.ordered(other.precisions_cholesky, np.arange(K))
    np.testing.assert_allclose(cholesky, own.precisions_cholesky, atol=1e-10)


def test_an_empty_component_is_what_a_step_makes_of_no_rows(em, q):
    empty = with_empty(em, q, TRUNCATION)
    again = em.evaluate(empty).successor
    np.testing.assert_allclose(empty.means[K:], again.means[K:], atol=1e-10)
    if not em.structure.shared:
        np.testing.assert_allclose(
            empty.precisions_cholesky[K:], again.precisions_cholesky[K:], atol=1e-10
        )


def test_what_lives_comes_in_the_order_of_size(em, q):
    shuffled = ordered(em, with_empty(em, q, TRUNCATION), np.array([5, 1, 7, 0, 2, 3]))
    found = alive(em, shuffled)
    assert len(found.counts) == K
    order = order_of_size(q.counts)
    np.testing.assert_allclose(found.counts, q.counts[order])
    np.testing.assert_allclose(found.means, q.means[order])
    assert alive(em, found) is found


def test_one_component_lives_always(em, q):
    nothing = em.regularization.of_counts(
        em.structure, np.zeros(K), q.means, q.precisions_cholesky
    )
    assert len(alive(em, nothing).counts) == 1
