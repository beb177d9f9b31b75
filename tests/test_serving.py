"""A fitted mixture in other hands: one row at a time, scikit-learn's class, other tools."""

import gc

import numpy as np
import pytest
import sklearn.mixture

from skem import BayesianGaussianMixture, GaussianMixture, _fitted
from skem.core.covariance import STRUCTURES


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(5, [1, 2], (40, 2))])


def wide():
    """Return a mixture of more values than are looked up by all of them."""
    rng = np.random.default_rng(0)
    return GaussianMixture.from_parameters(
        np.full(5, 0.2), rng.normal(size=(5, 50)), np.tile(np.eye(50), (5, 1, 1))
    )


def test_a_large_mixture_is_prepared_once(monkeypatch):
    mixture, row = wide(), np.zeros((1, 50))
    first = mixture.score_samples(row)
    calls = []
    prepared = _fitted._prepared
    monkeypatch.setattr(
        _fitted, "_prepared", lambda *args: calls.append(args) or prepared(*args)
    )
    assert mixture.score_samples(row) == first and not calls
    # Not so after an edit, in place or not, or of another type or structure.
    mixture.means_[0] += 1.0
    edited = mixture.score_samples(row)
    assert edited != first and len(calls) == 1
    fresh = wide()
    fresh.means_[0] += 1.0
    assert fresh.score_samples(row) == edited
    mixture.score_samples(row.astype(np.float32))
    assert len(calls) == 3


def test_what_is_prepared_goes_with_its_mixture():
    mixture = wide()
    mixture.predict(np.zeros((1, 50)))
    held = len(_fitted._last)
    del mixture
    gc.collect()
    assert len(_fitted._last) < held
