"""Logits that become responsibilities."""

import numpy as np
import pytest

from skem.core.blocks.threads import Workspace
from skem.core.passes import softmax
from skem.core.passes.softmax import exponentials


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
@pytest.mark.parametrize("wide", [False, True])
def test_exponentials_that_underflow_are_zero(share, wide, monkeypatch, rng):
    monkeypatch.setattr(softmax, "_wide_exponential", lambda: wide)
    logits = rng.uniform(-700, 1, (7, 60))
    logits[rng.random((7, 60)) < share] = -1e3
    logits[2, :4] = -np.inf, np.nan, -708.5, -745.0
    with np.errstate(under="ignore"):
        expected = np.exp(logits)
    found = logits.copy()
    exponentials(found, Workspace())
    # Only what has no normal number may be lost.
    np.testing.assert_allclose(found, expected, rtol=0, atol=np.finfo(float).tiny)
    normal = logits > -708
    np.testing.assert_allclose(found[normal], expected[normal], rtol=1e-15)
    assert np.isnan(found[2, 1])
