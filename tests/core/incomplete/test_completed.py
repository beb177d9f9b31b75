"""Factors of what rows lack, against dense matrices; rows are in test_incomplete."""

import numpy as np
import pytest
from scipy import stats

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.incomplete import completed
from skem.core.incomplete.completed import factored
from skem.core.incomplete.expectation import Incomplete


@pytest.mark.parametrize("pivot", [completed.PIVOT, 2.0], ids=["Cholesky", "QR"])
def test_gaps_are_factored_by_how_many_there_are(make_mixture, rng, monkeypatch, pivot):
    monkeypatch.setattr(completed, "PIVOT", pivot)
    mixture = make_mixture(STRUCTURES["full"], 2, 5)
    factors = mixture.parameters.precisions_cholesky
    observed = rng.random((12, 5)) < 0.6
    observed[3] = True
    found = list(factored(factors, observed))
    places = np.concatenate([gaps.which for gaps in found])
    assert sorted(places) == np.flatnonzero(~observed.all(axis=1)).tolist()
    for gaps in found:
        assert (gaps.given is None) == (pivot < 1)
        for i, p in enumerate(gaps.which):
            missing = np.flatnonzero(~observed[p])
            np.testing.assert_array_equal(gaps.missing[i], missing)
            for k, S in enumerate(mixture.dense):
                own = np.linalg.inv(S)[np.ix_(missing, missing)]
                np.testing.assert_allclose(
                    gaps.covariances[k, i], np.linalg.inv(own), atol=1e-11
                )
                _, log_det = np.linalg.slogdet(own)
                np.testing.assert_allclose(2 * gaps.log_det[k, i], log_det, atol=1e-11)
                basis = gaps.basis[k, i]
                np.testing.assert_allclose(
                    basis @ basis.T, np.eye(len(missing)), atol=1e-11
                )


def test_collinear_features_lose_no_digits(make_mixture):
    """Where a missing feature is all but known, and where what is left is."""
    tiny = 1e-6
    S = np.array([[1.0, 1.0, 0.5], [1.0, 1.0 + tiny**2, 0.5], [0.5, 0.5, 1.0]])
    # Its factor without the rounding of an inverse.
    lower = np.array(
        [[1.0, 0, 0], [1.0, tiny, 0], [0.5, 0, np.sqrt(0.75)]],
    )
    cholesky = np.linalg.inv(lower).T[None]
    parameters = Parameters(np.ones(1), np.zeros((1, 3)), cholesky)
    step = Incomplete(
        STRUCTURES["full"], parameters, Coordinates(np.zeros(3), np.ones(3))
    )
    assert not step._stable
    X = np.array([[0.3, np.nan, np.nan], [np.nan, np.nan, 2.0], [0.3, np.nan, 1.0]])
    log_density, _ = step.evaluate(Block(0, 3, X.T, None, incomplete=True), Workspace())
    for x, found in zip(X, log_density, strict=True):
        own = ~np.isnan(x)
        law = stats.multivariate_normal(np.zeros(own.sum()), S[np.ix_(own, own)])
        np.testing.assert_allclose(found, law.logpdf(x[own]), rtol=1e-9)
