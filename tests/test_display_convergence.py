"""ConvergenceDisplay: what it measures, and draws."""

import sys

import numpy as np
import pytest
import sklearn.mixture
from matplotlib.figure import Figure

from skem import ConvergenceDisplay, GaussianMixture, GaussianMixtureIC
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

X = load_faithful().data


@pytest.fixture
def ax():
    return Figure((3.4, 2.6)).add_subplot()


def test_all_solvers_start_at_the_same_point_and_never_fall(ax, structure):
    mixture = GaussianMixture(3, covariance_type=structure.name, random_state=0)
    algorithms = ("em", "squarem", "lbfgs")
    display = ConvergenceDisplay.from_estimator(
        mixture, X, algorithms=algorithms, ax=ax
    )
    assert tuple(display.gaps) == algorithms
    assert len({gaps[0] for gaps in display.gaps.values()}) == 1
    for gaps in display.gaps.values():
        assert (np.diff(gaps) <= 0).all()
    assert min(gaps[-1] for gaps in display.gaps.values()) == 0
    assert not hasattr(mixture, "means_")


def test_gaps_are_of_the_likelihood_where_nothing_is_added_to_it(ax):
    # With a vanishing ridge, there is no penalty, and plain steps are never in vain.
    mixture = GaussianMixture(
        2, algorithm="em", reg_covar=0, n_init=1, random_state=0, tol=1e-3
    )
    weight = np.random.default_rng(0).integers(1, 4, len(X))
    display = ConvergenceDisplay.from_estimator(
        mixture, X, weight, algorithms=["em"], floor=1e-3, ax=ax
    )
    mixture.fit(X, sample_weight=weight)
    loglik = np.array(mixture.lower_bounds_) * weight.sum()
    # Rounding of sums of about 2000 nats.
    np.testing.assert_allclose(display.gaps["em"][1:], loglik[-1] - loglik, atol=1e-9)


def test_acceleration_is_seen(ax):
    # Five components of these data overlap, and plain steps are short.
    mixture = GaussianMixture(5, random_state=0)
    display = ConvergenceDisplay.from_estimator(mixture, X, ax=ax)
    passes = [np.count_nonzero(gaps > 1e-3) for gaps in display.gaps.values()]
    assert passes[1] < passes[0] / 2


def test_given_starts_and_steps_are_used(ax):
    mixture = GaussianMixture(2, means_init=[[2, 50], [2, 60]], random_state=0)
    display = ConvergenceDisplay.from_estimator(mixture, X, max_iter=4, ax=ax)
    # The start, and four steps.
    assert [len(gaps) for gaps in display.gaps.values()] == [5, 5]
    other = ConvergenceDisplay.from_estimator(
        mixture.set_params(means_init=None), X, max_iter=4, ax=ax
    )
    assert display.gaps["em"][0] != other.gaps["em"][0]


def test_picture(ax):
    gaps = {"em": np.array([10.0, 1.0, 1e-2, 1e-7, 0.0]), "auto": np.array([10.0, 2.0])}
    display = ConvergenceDisplay(gaps=gaps, floor=1e-6, tol=0.01).plot(ax=ax)
    em, auto = display.lines_
    # Lines end at the floor.
    np.testing.assert_array_equal(em.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(em.get_ydata(), [10, 1, 1e-2, 1e-6])
    np.testing.assert_array_equal(auto.get_ydata(), [10, 2])
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.texts] == ["tol = 0.01"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["em", "auto"]


def test_time_is_shown_beside_passes(ax):
    mixture = GaussianMixture(3, random_state=0)
    display = ConvergenceDisplay.from_estimator(mixture, X, ax=ax)
    for name, seconds in display.seconds.items():
        assert seconds.shape == display.gaps[name].shape
        assert seconds[0] > 0 and (np.diff(seconds) > 0).all()
    for text, line in zip(ax.get_legend().get_texts(), display.lines_, strict=True):
        name, _, rest = text.get_text().partition(": ")
        n, last = len(line.get_xdata()), display.seconds[name]
        assert rest == f"{n} passes, {last[n - 1]:.2g} s"
    axes = Figure().subplots(1, 2)
    assert display.plot(ax=axes).ax_ is not ax
    *_, auto = display.lines_
    assert len(display.lines_) == 4
    n = len(auto.get_xdata())
    np.testing.assert_array_equal(auto.get_xdata(), display.seconds["auto"][:n])
    assert [each.get_xlabel() for each in axes] == ["passes over the data", "seconds"]
    single = display.plot(ax=Figure().add_subplot(), against="time")
    assert single.ax_.get_xlabel() == "seconds"
    with pytest.raises(ValueError, match=r"an array of two if times .* shape \(3,\)"):
        display.plot(ax=Figure().subplots(1, 3))
    with pytest.raises(ValueError, match="against should be one of"):
        display.plot(ax=ax, against="hours")
    without = ConvergenceDisplay(gaps=display.gaps)
    with pytest.raises(ValueError, match="times of the passes are not known"):
        without.plot(ax=ax, against="time")


def test_new_figure_has_both():
    display = ConvergenceDisplay.from_estimator(GaussianMixture(1), X)
    assert len(display.figure_.axes) == len(display.ax_) == 2


def test_a_fit_that_is_done_at_the_start_is_drawn(ax):
    display = ConvergenceDisplay.from_estimator(GaussianMixture(1), X, ax=ax)
    ax.figure.draw_without_rendering()
    assert all(gaps[-1] < 1e-9 for gaps in display.gaps.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithms": ("em", "newton")}, "algorithms should be some of"),
        ({"algorithms": ()}, "algorithms should be some of"),
        ({"floor": 0.0}, "floor should be positive"),
        ({"floor": np.inf}, "floor should be positive and finite"),
        ({"max_iter": -1}, "max_iter should be None or a non-negative integer"),
        ({"max_iter": "many"}, "max_iter should be None or a non-negative integer"),
        ({"sample_weight": -np.ones(272)}, "Negative values"),
    ],
)
def test_bad_input_is_refused(ax, arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvergenceDisplay.from_estimator(GaussianMixture(2), X, ax=ax, **arguments)
    assert not ax.has_data()


def test_other_estimators_are_refused(ax):
    with pytest.raises(TypeError, match=r"got skem.*GaussianMixtureIC\."):
        ConvergenceDisplay.from_estimator(GaussianMixtureIC(2), X, ax=ax)
    with pytest.raises(TypeError, match=r"a skem\.GaussianMixture, but got sklearn\."):
        ConvergenceDisplay.from_estimator(sklearn.mixture.GaussianMixture(2), X, ax=ax)


def test_missing_matplotlib_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = "ConvergenceDisplay.from_estimator requires matplotlib. You can install"
    with pytest.raises(ImportError, match=message):
        ConvergenceDisplay.from_estimator(GaussianMixture(2), X)
