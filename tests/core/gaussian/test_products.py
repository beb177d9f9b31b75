"""Products in pieces."""

import numpy as np
import pytest

from skem.core.gaussian import products
from skem.core.gaussian.products import sum_over_columns, times_block


@pytest.mark.each_pair
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n_columns", [0, 1, 63, 64, 1000, 1001])
@pytest.mark.parametrize("step", [64, 999, 10**9])
def test_pieces_make_the_whole(monkeypatch, rng, dtype, n_columns, step):
    K, p = 3, 5
    monkeypatch.setattr(products, "UNPACKED", step * K * p)
    monkeypatch.setattr(products, "LEAST_SUMMED", 1)
    theta = rng.normal(size=(K, p)).astype(dtype)
    block = rng.normal(size=(p, n_columns)).astype(dtype)
    out = np.empty((K, n_columns), dtype)
    times_block(theta, block, out)
    # Sums of up to a thousand numbers of order one.
    atol = 1e-11 if dtype == "f8" else 1e-3
    assert np.allclose(out, theta @ block, atol=atol)
    total = sum_over_columns(out, block)
    assert total.dtype == np.float64
    assert np.allclose(total, out.astype(float) @ block.T.astype(float), atol=atol)
