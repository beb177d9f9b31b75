"""Masks of what was observed, by each library and by NumPy, against products."""

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.quadratic import Norm, Squares
from skem.core.gaussian.widths import find_ties
from skem.core.incomplete import masks
from skem.core.incomplete.expectation import Incomplete
from skem.core.incomplete.masks import masked_step
from skem.kernels import native


@pytest.fixture(
    params=[None, *native.runnable()],
    ids=lambda library: f"level-{library.level}" if library else "NumPy",
)
def kernel(request, monkeypatch):
    monkeypatch.setattr(masks.native, "library", lambda: request.param)


@pytest.mark.parametrize("quadratic", [Norm(), Squares()], ids=repr)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_masks_say_what_is_missing(kernel, rng, quadratic, dtype, bounded, tied):
    M, K, d, b = 2, 3, 4, 150
    data = rng.normal(size=(d, b)).round(1).astype(dtype)
    data[rng.uniform(size=(d, b)) < 0.3] = np.nan
    data[:, 7] = np.nan
    ties = find_ties(np.nan_to_num(data), np.nan_to_num(data), np.ones(b))
    assert ties is not None
    coordinates = Coordinates(
        rng.normal(size=d), rng.uniform(1, 2, d), None, ties if tied else None
    )
    there = ~np.isnan(data)
    z = (data.astype(float) - coordinates.shift[:, None]) * coordinates.scale[:, None]
    z = np.where(there, z, 0)
    second = np.empty((quadratic.size(d), b))
    quadratic.expand(z, second)
    if tied:
        quadratic.add_squares(second, np.where(there, ties.squares(data), 0))
    features = np.vstack([np.ones(b), z, second, there])
    theta = rng.normal(size=(M, K, len(features)))
    theta[..., 1 + d : 1 + d + len(second)] = -1
    if bounded:
        theta[..., 0] -= 30
    logits = theta @ features
    weight = rng.uniform(size=b)
    found = masked_step(
        theta,
        quadratic,
        Block(0, b, data, weight),
        coordinates,
        Workspace(),
        bounded=bounded,
    )
    assert len(found.lost) == 0
    np.testing.assert_allclose(
        found.loglik, logsumexp(logits, axis=1) @ weight, rtol=1e-12
    )
    resp = np.exp(log_softmax(logits, axis=1)) * weight
    np.testing.assert_allclose(found.sums, resp @ features.T, atol=1e-11)


@pytest.mark.parametrize("name", ["diag", "spherical"])
def test_rows_that_are_lost_are_left_to_the_caller(kernel, make_mixture, rng, name):
    mixture = make_mixture(STRUCTURES[name], 2, 3)
    X = mixture.sample(40, rng)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    X[[7, 30], 0] = 1e170
    coordinates = Coordinates(np.zeros(3), np.ones(3))
    step = Incomplete(mixture.structure, mixture.parameters, coordinates)._step
    assert isinstance(step, masks.MaskedStep)
    whole, lost = step.statistics(Block(0, 40, X.T, None, True), Workspace())
    assert lost.tolist() == [7, 30]
    rest = np.delete(X, lost, axis=0)
    alone, lost = step.statistics(Block(0, 38, rest.T, None, True), Workspace())
    assert not len(lost)
    np.testing.assert_array_equal(whole.sums, alone.sums)
    assert whole.loglik == alone.loglik
