"""The EM map of t mixtures: monotone, and its chart and stream."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.seeds import kmeans
from skem.core.search.initialize import initialize
from skem.core.student.em import StudentMap, StudentStream
from skem.core.student.parameters import Freedom

K = 2
FREEDOMS = {
    "each": Freedom(np.full(K, 5.0), fixed=False),
    "common": Freedom(np.full(K, 5.0), fixed=False, common=True),
    "fixed": Freedom(np.array([3.0, 8.0]), fixed=True),
}


@pytest.fixture(params=["full", "tied", "spherical"])
def structure(request):
    return STRUCTURES[request.param]


@pytest.fixture(params=FREEDOMS.values(), ids=FREEDOMS)
def freedom(request):
    return request.param


@pytest.fixture
def X(rng):
    y = rng.integers(0, K, 200)
    X = np.array([[0.0, 0.0], [4.0, 1.0]])[y] + rng.standard_t(2, size=(200, 2))
    X[0] = [1e160, -1e9]
    X[1:9] = np.round(X[1:9])
    return X


@pytest.fixture(params=[False, True], ids=["complete", "gaps"])
def em(request, X, rng, structure, freedom, make_blocks):
    blocks = make_blocks(X)
    if request.param:
        X[rng.random(X.shape) < 0.1] = np.nan
        blocks = type(blocks)(X, None, blocks.workers, blocks.dtype, incomplete=True)
    return StudentMap.of_data(blocks, structure, K, "auto", freedom)


def start(em):
    return initialize(em, kmeans, K, np.random.RandomState(0))


@pytest.mark.each_pair
def test_steps_never_fall(em, climbing):
    climbing(em, start(em), 12)


@pytest.mark.each_pair
def test_chart_is_undone(em):
    base = start(em)
    other = em.evaluate(base).successor
    chart = em.chart(base)
    vector = chart.pack(other)
    assert (
        len(vector)
        == sum(np.size(part) for part in (base.weights, base.means))
        + em.structure.n_parameters(K, 2)
        + em.freedom.size
    )
    back = chart.unpack(vector)
    for a, b in zip(back.arrays, other.arrays, strict=True):
        assert np.allclose(a, b, rtol=1e-9)
    assert np.allclose(chart.pack(base), 0, atol=1e-12)
    assert chart.farthest(vector) > 0


@pytest.mark.each_pair
def test_streams_go_on_where_fits_have_led(em):
    here = em.evaluate(start(em))
    stream = StudentStream.begin(here)
    assert stream.freedom is em.freedom
    averages = stream.averages * em.blocks.total_weight
    again = em.maximise(averages, here.parameters)
    for a, b in zip(again.arrays, here.successor.arrays, strict=True):
        assert np.allclose(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.each_value
def test_steps_do_not_ask_for_the_total(em):
    # That of a large mixture is of a sample, and `restricted` leaves it as it is.
    nothing = replace(em, total=replace(em.total, sums=0.0 * em.total.sums))
    one, other = em.evaluate(start(em)), nothing.evaluate(start(nothing))
    assert one.objective == other.objective
    np.testing.assert_array_equal(one.successor.means, other.successor.means)
