"""An E-step that is linear in T(x), by the compiled pass and by NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from skem.core import linear
from skem.core.blocks import Block
from skem.core.coordinates import Coordinates
from skem.core.linear import linear_step, masked_step
from skem.core.quadratic import Nothing, Pairs
from skem.core.threads import Workspace
from skem.core.ties import find_ties


@pytest.fixture(params=[True, False], ids=["compiled", "NumPy"])
def compiled(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(linear.native, "library", lambda: None)
    elif linear.native.library() is None:
        pytest.skip("nothing was compiled")


@pytest.mark.parametrize("quadratic", [Nothing(), Pairs()], ids=repr)
@pytest.mark.parametrize("squares", [None, "one", "each"])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_softmax_of_products(compiled, rng, quadratic, squares, weighted):
    M, K, d, b = 2, 3, 4, 50
    rows = rng.normal(size=(d, b))
    theta = rng.normal(size=(M, K, 1 + d + quadratic.size(d)))
    weight = rng.uniform(size=b) if weighted else None
    if squares is not None:
        squares = rng.uniform(size=(d, 1 if squares == "one" else b))
    features = np.ones((1 + d + quadratic.size(d), b))
    features[1 : 1 + d] = rows
    quadratic.expand(rows, features[1 + d :])
    if squares is not None:
        quadratic.add_squares(features[1 + d :], squares)
    logits = theta @ features
    v = np.ones(b) if weight is None else weight
    found = linear_step(theta, rows, weight, quadratic, squares, Workspace())
    assert len(found.lost) == 0
    np.testing.assert_allclose(found.loglik, logsumexp(logits, axis=1) @ v, rtol=1e-12)
    resp = np.exp(log_softmax(logits, axis=1)) * v
    np.testing.assert_allclose(found.sums, resp @ features.T, atol=1e-11)


def test_rows_that_overflow_are_lost(compiled, rng):
    rows = rng.normal(size=(2, 20))
    rows[1, 13] = 1e200
    theta = -np.ones((1, 2, 6))
    found = linear_step(theta, rows, None, Pairs(), None, Workspace())
    assert found.lost.tolist() == [13]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_masks_say_what_is_missing(compiled, rng, dtype, bounded, tied):
    M, K, d, b = 2, 3, 4, 150
    data = rng.normal(size=(d, b)).round(1).astype(dtype)
    data[rng.uniform(size=(d, b)) < 0.3] = np.nan
    data[:, 7] = np.nan
    ties = find_ties(np.nan_to_num(data), np.nan_to_num(data), np.ones(b))
    assert ties is not None
    coordinates = Coordinates(rng.normal(size=d), rng.uniform(1, 2, d), None, None)
    if tied:
        coordinates = replace(coordinates, ties=ties)
    there = ~np.isnan(data)
    z = (data.astype(float) - coordinates.shift[:, None]) * coordinates.scale[:, None]
    z = np.where(there, z, 0)
    second = z**2
    if tied:
        second += np.where(there, ties.squares(data), 0)
    features = np.vstack([np.ones(b), z, second, there])
    theta = rng.normal(size=(M, K, 1 + 3 * d))
    theta[..., 1 + d : 1 + 2 * d] = -1
    if bounded:
        theta[..., 0] -= 30
    logits = theta @ features
    weight = rng.uniform(size=b)
    found = masked_step(
        theta, Block(0, b, data, weight), coordinates, Workspace(), bounded=bounded
    )
    assert len(found.lost) == 0
    np.testing.assert_allclose(
        found.loglik, logsumexp(logits, axis=1) @ weight, rtol=1e-12
    )
    resp = np.exp(log_softmax(logits, axis=1)) * weight
    np.testing.assert_allclose(found.sums, resp @ features.T, atol=1e-11)
