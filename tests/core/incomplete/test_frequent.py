"""Patterns that many rows have, expanded, against rows completed one by one."""

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.incomplete import frequent
from skem.core.incomplete.expectation import Incomplete
from skem.core.incomplete.frequent import PatternStep
from skem.kernels import native


@pytest.mark.parametrize("name", ["full", "tied"])
@pytest.mark.parametrize("least", [1, 5, 1000])
def test_rows_of_rare_patterns_are_left(make_mixture, rng, monkeypatch, name, least):
    monkeypatch.setattr(native, "library", lambda: None)
    monkeypatch.setattr(frequent, "FREQUENT", least)
    mixture = make_mixture(STRUCTURES[name], 3, 3)
    X = mixture.sample(60, rng)
    X[rng.random(X.shape) < 0.3] = np.nan
    coordinates = Coordinates(np.zeros(3), np.ones(3))
    step = Incomplete(mixture.structure, mixture.parameters, coordinates)
    assert isinstance(step._step, PatternStep)
    block = Block(0, 60, X.T, rng.uniform(size=60), True)
    found, left = step._step.statistics(block, Workspace())
    codes = np.isnan(X) @ [1, 2, 4]
    counts = np.bincount(codes)[codes]
    assert sorted(left) == np.flatnonzero(counts < least).tolist()
    rest = np.delete(np.arange(60), left)
    expected = step._by_row(block.only(rest), Workspace())
    np.testing.assert_allclose(found.loglik, expected.loglik, rtol=1e-12)
    np.testing.assert_allclose(found.sums, expected.sums, atol=1e-11)
