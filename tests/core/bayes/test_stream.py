"""The bound of a stream is that of the posterior there is."""

import numpy as np
import pytest
from scipy.special import xlogy

from skem import BayesianGaussianMixture
from skem.core.bayes.stream import expected
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.mixture.expectation import total_statistics

STRUCTURES = ["full", "tied", "diag", "spherical"]


def clusters(rng, n=500):
    places = [(0, 1), (8, 0.5), (-9, 2)]
    X = np.vstack([rng.normal(centre, sd, (n, 2)) for centre, sd in places])
    rng.shuffle(X)
    return X


def streamed(X, step, **params):
    mixture = BayesianGaussianMixture(3, random_state=0, learning_decay=1.0, **params)
    for start in range(0, len(X), step):
        mixture.partial_fit(X[start : start + step])
    return mixture


def evaluated(mixture, X):
    """Return the evaluation of rows at the posterior of a stream."""
    stream = mixture._stream
    incomplete = bool(np.isnan(X).any())
    blocks = ArrayBlocks(X, None, Workers(), np.dtype(float), incomplete)
    total = total_statistics(blocks, stream.coordinates, stream.structure)
    em = stream.map_of(blocks, stream.regularization, total)
    return em.evaluate(stream.parameters)


def bound(mixture, X):
    """L(q) of the posterior of a stream, with the best responsibilities for it."""
    found = evaluated(mixture, X)
    return found.objective + len(X) * mixture._stream.coordinates.log_slope


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("kind", ["dirichlet_process", "dirichlet_distribution"])
def test_bound_is_that_of_the_last_posterior(covariance_type, kind, rng):
    """It took the terms of each batch at the posterior before: 295 nats too low."""
    X = clusters(rng)
    params = {
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": kind,
    }
    mixture = streamed(X, 500, **params)
    # It is a bound, and responsibilities of clusters that are apart hardly change.
    assert mixture.lower_bound_ <= bound(mixture, X) + 1e-6
    assert mixture.lower_bound_ == pytest.approx(bound(mixture, X), abs=1)
    whole = streamed(X, len(X), **params)
    fitted = BayesianGaussianMixture(3, random_state=0, **params).fit(X)
    assert whole.lower_bound_ == pytest.approx(fitted.lower_bound_, rel=1e-9)


@pytest.mark.parametrize("gaps", [False, True])
def test_bounds_of_streams_compare_priors(gaps, rng):
    X = clusters(rng)
    if gaps:
        X[::7, 0] = X[3::11, 1] = np.nan
        X = X[~np.isnan(X).all(axis=1)]
    bounds = {}
    for prior in (None, "auto"):
        mixture = streamed(X, 500, covariance_prior=prior)
        assert mixture.lower_bound_ <= bound(mixture, X) + 1e-6
        fitted = BayesianGaussianMixture(3, covariance_prior=prior, random_state=0)
        bounds[prior] = mixture.lower_bound_, fitted.fit(X).lower_bound_
    differences = np.subtract(bounds["auto"], bounds[None])
    assert differences[0] == pytest.approx(differences[1], abs=15)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_expectation_and_entropy_are_the_data_term(covariance_type, rng):
    X = clusters(rng)
    X += 4 * rng.normal(size=X.shape)
    found = evaluated(streamed(X, 750, covariance_type=covariance_type), X)
    em, q = found.em, found.parameters
    resp = em.responsibilities(q, em.blocks.block(0, len(X)))
    entropy = -xlogy(resp, resp).sum()
    assert entropy > 1
    terms = expected(em.structure, found.complete, q) + entropy
    assert terms == pytest.approx(found.data_term)


def test_a_feature_that_varies_late_has_a_bound(rng):
    """Its width is among what is expected from then on."""
    X = clusters(rng)
    X[:750, 1] = 3.0
    mixture = streamed(X, 375)
    assert mixture.lower_bound_ <= bound(mixture, X) + 1e-6
