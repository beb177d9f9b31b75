"""Which rows components own."""

import numpy as np
import pytest

from skem.core.blocks import arrays as blocks_module
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.members import members


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_are_those_of_the_most_probable_component(
    structure, make_blocks, rng, monkeypatch, weighted
):
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 7)
    y = rng.integers(0, 3, 100)
    X = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])[y] + rng.normal(size=(100, 2))
    weight = rng.integers(0, 2, 100).astype(float) if weighted else None
    em = EMMap.prepare(make_blocks(X, weight), structure, 3, "auto")
    means = np.array([X[y == k].mean(axis=0) for k in range(3)])
    unit, _ = structure.factor(
        {
            "full": np.stack([np.eye(2)] * 3),
            "tied": np.eye(2),
            "diag": np.ones((3, 2)),
            "spherical": np.ones(3),
        }[structure.name]
    )
    start = em.coordinates.inward(structure, Parameters(np.full(3, 1 / 3), means, unit))
    found = members(em.of_points(start), em.blocks, [2, 0])
    observed = np.ones(100, bool) if weight is None else weight > 0
    for k in (2, 0):
        np.testing.assert_array_equal(found[k], np.flatnonzero((y == k) & observed))
