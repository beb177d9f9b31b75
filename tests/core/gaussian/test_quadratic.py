"""The quadratic kinds against dense outer products."""

import numpy as np
import pytest

from skem.core.gaussian.quadratic import Norm, Nothing, Pairs, Squares

# What each kind keeps of Σ r z zᵀ, shape (d, d).
DENSE = {
    Pairs: lambda outer: outer,
    Squares: np.diag,
    Norm: np.trace,
    Nothing: lambda outer: np.empty(0),
}


@pytest.fixture(params=DENSE, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def expanded(quadratic, z):
    out = np.full((quadratic.size(len(z)), z.shape[1]), np.nan, z.dtype)
    quadratic.expand(z, out)
    return out


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_weighted_sums_are_those_of_dense_outer_products(kind, d, dtype, rng):
    quadratic = kind()
    z = rng.standard_normal((d, 40)).astype(dtype)
    resp = rng.uniform(size=(3, 40)).astype(dtype)
    outer = np.einsum("ib,jb,kb->kij", z, z, resp, dtype=float)
    expected = np.stack([DENSE[kind](matrix) for matrix in outer])

    # Sums of 40 terms of order one.
    tolerance = 100 * np.finfo(dtype).eps
    directly = np.stack([quadratic.weighted_sum(z, r) for r in resp])
    for sums in (directly, resp @ expanded(quadratic, z).T):
        assert sums.shape == (3, quadratic.size(d))
        np.testing.assert_allclose(
            quadratic.unpack(sums, d), expected, rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("d", [1, 2, 5])
def test_pack_undoes_unpack(kind, d, rng):
    quadratic = kind()
    sums = rng.standard_normal((3, quadratic.size(d)))
    np.testing.assert_array_equal(quadratic.pack(quadratic.unpack(sums, d)), sums)


def test_shift_to_the_mean_subtracts_that_of_the_mean(kind, rng):
    # The identity that Statistics.scatter_sums relies on.
    quadratic = kind()
    z = rng.standard_normal((4, 30)) + 2
    resp = rng.uniform(size=30)
    mean = z @ resp / resp.sum()
    about_mean = quadratic.weighted_sum(z - mean[:, None], resp)
    of_mean = expanded(quadratic, mean[:, None])[:, 0]
    np.testing.assert_allclose(
        quadratic.weighted_sum(z, resp) - resp.sum() * of_mean,
        about_mean,
        rtol=1e-12,
        atol=1e-12,  # the terms that cancel are of order 100
    )
