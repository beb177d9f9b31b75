"""Storages by themselves; `test_covariance` has them with what they are for."""

import numpy as np
import pytest

from skem.core.gaussian.matrices import OneMatrix, OwnMatrices
from skem.core.gaussian.storage import Storage
from skem.core.gaussian.variances import Diagonals, Spheres


def storage(kind):
    """Return a storage as it is, without what its structures add."""
    return type(kind.__name__, (kind,), {})()


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (OwnMatrices, (3, 2, 2)),
        (OneMatrix, (2, 2)),
        (Diagonals, (3, 2)),
        (Spheres, (3,)),
    ],
)
def test_storages_are_complete_without_a_structure(kind, shape):
    found = storage(kind)
    assert found.shape(3, 2) == shape
    assert found.shared == (kind is OneMatrix)


def test_storage_says_what_it_lacks():
    with pytest.raises(TypeError, match="abstract"):
        Storage()


@pytest.mark.parametrize("kind", [OwnMatrices, OneMatrix, Diagonals, Spheres])
def test_log_cholesky_coordinates_undo_each_other(kind, rng):
    found = storage(kind)
    d = 2
    values = np.abs(rng.normal(size=found.shape(3, d))) + 0.5
    base = np.triu(values) if found.matrices else values
    coordinates = rng.normal(size=found.to_chart(base, base).shape)
    back = found.to_chart(base, found.from_chart(base, coordinates))
    np.testing.assert_allclose(back, coordinates, atol=1e-12)
