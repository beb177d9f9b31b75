"""Parameters and degrees of freedom of t mixtures."""

import numpy as np
import pytest
from scipy import stats

from skem.core.gamma import shape_information
from skem.core.gaussian.quadratic import Squares
from skem.core.student.parameters import (
    LEAST,
    MOST,
    Freedom,
    StudentParameters,
    StudentStatistics,
    correction,
    likeliest,
    tail_of,
)

NU = np.geomspace(LEAST, MOST, 25)


def test_likeliest_undoes_tails():
    assert np.allclose(likeliest(tail_of(NU)), NU, rtol=1e-8)


def test_likeliest_keeps_the_bounds():
    assert likeliest(np.array([-1.0, -1e9])).tolist() == pytest.approx([MOST, LEAST])


@pytest.mark.parametrize("nu", [0.7, 3.0, 40.0])
def test_tails_and_information_are_those_of_a_gamma(nu):
    # A grid of log τ, whose density falls off on both sides.
    log_tau = np.linspace(-60, 20, 20001)
    tau = np.exp(log_tau)
    step = 1e-4
    own, up, down = (
        stats.gamma(n / 2, scale=2 / n).logpdf(tau)
        for n in (nu, nu * np.exp(step), nu * np.exp(-step))
    )
    share = np.exp(own) * tau * (log_tau[1] - log_tau[0])
    assert tail_of(np.array(nu)) == pytest.approx(share @ (log_tau - tau), rel=1e-6)
    score = (up - down) / (2 * step)
    assert shape_information(np.array(nu / 2)) == pytest.approx(
        share @ score**2, rel=1e-6
    )


@pytest.mark.parametrize("d", [1, 4])
def test_correction_is_that_of_the_density(d):
    expected = [
        stats.multivariate_t(np.zeros(d), df=nu).logpdf(np.zeros(d))
        + d / 2 * np.log(2 * np.pi)
        for nu in NU[:20]
    ]
    assert np.allclose(correction(NU[:20], d), expected, atol=1e-8)
    assert correction(np.array([np.inf]), d) == 0


def test_freedom_that_is_common_or_fixed():
    sizes, tails = np.array([10.0, 30.0]), np.array([-20.0, -50.0])
    common = Freedom(np.full(2, 5.0), fixed=False, common=True)
    (first, second) = common.maximise(sizes, tails)
    assert first == second == pytest.approx(likeliest(np.array(-70 / 40)))
    fixed = Freedom(np.array([3.0, 9.0]), fixed=True)
    assert fixed.maximise(sizes, tails).tolist() == [3, 9]
    assert fixed.tells_apart and fixed.size == 0 and common.size == 1


def test_labels_lead_to_the_start():
    freedom = Freedom(np.array([3.0, 9.0]), fixed=False)
    sizes = np.array([10.0, 0.0])
    assert np.allclose(freedom.maximise(sizes, freedom.labelled(sizes)), [3, 9])


def test_common_freedom_without_rows_is_that_of_the_start():
    freedom = Freedom(np.full(2, 5.0), fixed=False, common=True)
    sizes, tails = np.array([[0.0, 0.0], [10.0, 30.0]]), np.array([[0.0, 0.0]] * 2)
    tails[1] = freedom.labelled(sizes[1])
    assert np.allclose(freedom.maximise(sizes, tails), np.full((2, 2), 5.0))


def test_parts_of_data_add_up(rng):
    parts = [
        StudentStatistics(
            1.0,
            rng.random((2, 5)),
            np.zeros((2, 2)),
            Squares(),
            owned=rng.random((2, 3)),
        )
        for _ in range(2)
    ]
    both = parts[0] + parts[1]
    assert np.array_equal(both.owned, parts[0].owned + parts[1].owned)
    assert both.loglik == 2
    assert np.array_equal((both * 2).sizes, 2 * both.sizes)
    assert np.array_equal(both[np.array([1, 0])].owned, both.owned[::-1])
    moved = both.about(np.ones((2, 2)))
    assert np.allclose(moved.means, both.means)
    assert np.array_equal(moved.owned, both.owned)


def test_order_takes_degrees_of_freedom_along(rng):
    parameters = StudentParameters(
        np.array([0.4, 0.6]), rng.random((2, 1)), np.ones((2, 1)), np.array([2.0, 7.0])
    )
    swapped = parameters.ordered(np.array([1, 0]), np.ones((2, 1)))
    assert swapped.df.tolist() == [7, 2]
    spliced = parameters.spliced(
        np.array([[0, 1]]), swapped[None], np.full((1, 2), 0.5), shared=False
    )[0]
    assert spliced.df.tolist() == [7, 2]
    assert np.array_equal(spliced.means, swapped.means)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6])
def test_a_peak_at_a_row_grows_without_bound_for_less_than_half_as_many_rows(rng, rows):
    d = 7
    X = rng.normal(size=(rows, d))
    low, lower = (
        stats.multivariate_t(X[0], df=df).logpdf(X).sum() for df in (1e-4, 1e-8)
    )
    one = np.ones(1)
    found = StudentParameters(one, X[:1], np.eye(d)[None], LEAST * one)
    assert found.peaked(rows * one, d).tolist() == [lower > low]
    elsewhere = StudentParameters(one, X[:1], np.eye(d)[None], 2 * LEAST * one)
    assert not elsewhere.peaked(rows * one, d).any()
