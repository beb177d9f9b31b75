"""The compiled pass of t mixtures, against its twin in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.statistics import Statistics
from skem.core.student.expectation import StudentExpectation
from skem.core.student.parameters import StudentParameters, StudentStatistics

K, d = 3, 2
DF = np.array([1.5, 4.0, 50.0])


@pytest.fixture
def mixture(make_mixture, structure):
    return make_mixture(structure, K, d)


def expectation(mixture, df=DF, reach=np.inf):
    parameters = StudentParameters.of(mixture.parameters, df)
    plain = Coordinates(np.zeros(d), np.ones(d))
    return StudentExpectation(mixture.structure, parameters, plain, reach)


def block(X, weight=None):
    return Block(0, len(X), X.T, weight)


@pytest.mark.parametrize("noise", [False, True], ids=["alone", "with noise"])
@pytest.mark.parametrize(("n", "far"), [(1, 0.0), (1037, 1e9), (64, 1e200)])
def test_the_compiled_pass_is_its_twin_in_numpy(mixture, rng, n, far, noise):
    """Also of rows out of reach, and of those that it leaves to the twin."""
    X, weight = rng.normal(scale=4, size=(n, d)), rng.random(n)
    if far:
        X[:: n // 3] = far
    for reach in (np.inf, 1e6):
        step = expectation(mixture, np.array([1.5, 4.0, np.inf]), reach)
        if noise:
            shares = replace(step.parameters, weights=0.8 * step.parameters.weights)
            step = replace(step, parameters=shares, background=np.array([1.0, 2.0]))
        for here in (block(X), block(X, weight)):
            found = step.statistics(here, Workspace())
            twin = step._in_numpy(here, Workspace())
            if mixture.structure.shared:
                twin = twin.shared_out()
            largest = np.abs(twin.sums).max() * np.finfo(float).eps
            assert np.allclose(found.sums, twin.sums, rtol=1e-9, atol=100 * largest)
            assert np.allclose(found.owned, twin.owned, rtol=1e-9, atol=1e-12)
            assert found.loglik == pytest.approx(twin.loglik, rel=1e-11)
            assert found.noise == pytest.approx(twin.noise, rel=1e-9)
            for ours, theirs in zip(
                step._evaluated(here, Workspace()),
                step._in_parts(here, Workspace()),
                strict=True,
            ):
                assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_stacks_are_mixtures_by_themselves(mixture, rng):
    X = rng.normal(scale=4, size=(200, d))
    X[0] = 1e200
    steps = [expectation(mixture, df, 1e6) for df in (DF, DF + 3)]
    parameters = StudentParameters.stacked([step.parameters for step in steps])
    found = replace(steps[0], parameters=parameters).statistics(block(X), Workspace())
    for i, step in enumerate(steps):
        alone = step.statistics(block(X), Workspace())
        assert np.allclose(found.sums[i], alone.sums, rtol=1e-10)
        assert np.allclose(found.owned[i], alone.owned, rtol=1e-10)
        assert found.loglik[i] == pytest.approx(alone.loglik)


def test_a_scatter_that_is_shared_out_is_the_same_in_all(rng):
    """Sums of all components together, and what each needs of them, are as before."""
    structure = STRUCTURES["tied"]
    sums = Statistics.of_labels(
        structure.quadratic, rng.normal(size=(50, d)), rng.dirichlet(np.ones(K), 50).T
    )
    found = StudentStatistics(
        0.0, sums.sums, sums.reference, sums.quadratic, owned=np.ones((K, 3))
    )
    out = found.shared_out()
    np.testing.assert_allclose(out.sums.sum(axis=0), found.sums.sum(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(out.sums[:, : 1 + d], found.sums[:, : 1 + d])
    each = out.scatter_sums() / out.counts[:, None]
    np.testing.assert_allclose(each, np.broadcast_to(each[0], each.shape), rtol=1e-9)
