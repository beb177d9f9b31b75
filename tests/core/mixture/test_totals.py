"""Totals of data against sums of what scipy.stats says of each row."""

import sys

import numpy as np
import pytest

from skem.core.blocks import arrays as blocks_module
from skem.core.gaussian.coordinates import Coordinates
from skem.core.mixture.expectation import Expectation
from skem.core.mixture.totals import classified, scored
from skem.core.passes.forms import choose_form

N = 1500


def expectation_of(mixture):
    dtype = np.dtype(float)
    form = choose_form(mixture.structure, mixture.parameters, dtype)
    d = mixture.parameters.means.shape[1]
    return Expectation(form, Coordinates(np.zeros(d), np.ones(d)))


@pytest.fixture(params=[None, "counts", "fractions"])
def weight(request, rng):
    return {
        None: None,
        "counts": rng.integers(0, 4, N).astype(float),
        "fractions": rng.uniform(0.1, 2, N),
    }[request.param]


@pytest.fixture(params=["one block", "blocks"])
def cut(request, monkeypatch):
    if request.param == "blocks":
        monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)


@pytest.mark.each_pair
@pytest.mark.parametrize("fold", [scored, classified])
def test_totals_are_weighted_sums_over_the_rows(
    fold, structure, weight, cut, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, 3, 2, separation=1.0)
    X = mixture.sample(N, rng)
    totals = fold(expectation_of(mixture), make_blocks(X, weight))
    v = np.ones(N) if weight is None else weight
    # Log-densities are off by at most 1e-12 or so, and add up.
    close = {"rtol": 1e-11}
    np.testing.assert_allclose(totals.weight, v.sum(), **close)
    np.testing.assert_allclose(totals.loglik, v @ mixture.log_density(X), **close)
    largest = mixture.responsibilities(X).max(axis=1)
    expected = v @ np.log(largest) if fold is classified else 0.0
    np.testing.assert_allclose(totals.certainty, expected, **close)


@pytest.mark.parametrize("fold", [scored, classified])
def test_a_sum_that_overflows_is_at_the_limit(
    fold, structure, cut, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(N, rng)
    X[::100] = 1e200
    totals = fold(expectation_of(mixture), make_blocks(X))
    assert totals.loglik == -sys.float_info.max
    assert totals.weight == N
    assert np.isfinite(totals.certainty)
