"""CriterionDisplay: what it draws of a search."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skem import CriterionDisplay, GaussianMixture, MixtureIC

pytestmark = pytest.mark.usefixtures("short_search")

K = np.tile([1, 2, 3, 4], 2)
SHAPES = np.repeat(["full", "diag"], 4)
VALUES = np.array([50.0, 20.0, 25.0, 30.0, 60.0, 40.0, 35.0, 38.0])


class Search(BaseEstimator):
    """A fitted search, as far as a picture of it is concerned."""

    def __init__(self, criterion="bic"):
        self.criterion = criterion

    def fit(self, values=VALUES, eligible=True):
        eligible = np.broadcast_to(eligible, K.shape)
        self.results_ = {
            "param_n_components": K,
            "param_covariance_type": SHAPES,
            "criterion": values,
            "eligible": eligible,
        }
        self.best_index_ = int(np.where(eligible, values, np.inf).argmin())
        return self


@pytest.fixture
def draw():
    return lambda search: CriterionDisplay.from_estimator(
        search, ax=Figure((3.4, 2.6)).add_subplot()
    )


def position(line):
    return line.get_xdata()[0], line.get_ydata()[0]


def test_a_choice_among_mixtures_of_a_table_is_drawn(draw):
    X = np.repeat([[0, 0, 0], [1, 1, 1]], 20, axis=0)
    search = MixtureIC((1, 2, 3), families="bernoulli", random_state=0).fit(X)
    display = draw(search)
    (line,) = display.lines_
    results = search.results_
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(
        line.get_ydata(), results["bic"] - results["bic"].min()
    )
    assert position(display.best_) == (2, 0)
    # There are no covariances.
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["chosen: 2"]
    assert results["rank"][1] == 1
    assert (results["fit_time"] > 0).all()


def test_one_line_for_each_covariance_type(draw):
    display = draw(Search().fit())
    assert [line.get_label() for line in display.lines_] == ["full", "diag"]
    for line, values in zip(display.lines_, VALUES.reshape(2, 4), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_array_equal(line.get_ydata(), values - 20)
    assert display.hollow_ == []
    assert position(display.best_) == (2, 0)
    assert display.ax_.get_xlabel() == "number of components"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["full", "diag", "chosen: 2, full"]
    looks = {(line.get_color(), line.get_marker()) for line in display.lines_}
    assert len(looks) == 2


@pytest.mark.parametrize(
    ("criterion", "label"),
    [("bic", "BIC"), ("aic", "AIC"), ("icl", "ICL"), ("mine", "mine")],
)
def test_criterion_is_named(criterion, label, draw):
    assert draw(Search(criterion).fit()).ax_.get_ylabel() == (
        f"{label} above the best, 20.0"
    )


def test_a_corrected_criterion_is_said_to_be_one(draw):
    search = Search().fit()
    search.results_["bic"] = VALUES.copy()
    assert "corrected" not in draw(search).ax_.get_ylabel()
    # The raw one would choose another.
    search.results_["bic"][5] = -500.0
    display = draw(search)
    assert display.ax_.get_ylabel() == (
        "BIC above the best, 20.0\n(corrected for values that rows share)"
    )
    assert min(line.get_ydata().min() for line in display.lines_) == 0
    assert position(display.best_) == (2, 0)


def test_candidates_in_any_order_are_drawn_by_number_of_components(draw):
    search = Search().fit()
    order = np.random.default_rng(0).permutation(len(K))
    search.results_ = {key: value[order] for key, value in search.results_.items()}
    search.best_index_ = int(np.flatnonzero(order == search.best_index_)[0])
    display = draw(search)
    for line in display.lines_:
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
    assert position(display.best_) == (2, 0)


def test_candidates_that_could_not_be_chosen_are_hollow(draw):
    values = VALUES.copy()
    # Just below the winner; far below it; and failed.
    values[[2, 3, 7]] = 15.0, -1e6, np.nan
    eligible = np.isin(np.arange(8), [2, 3, 7], invert=True)
    display = draw(Search().fit(values, eligible))
    assert position(display.best_) == (2, 0)
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), [1, 2])
    np.testing.assert_array_equal(display.lines_[1].get_xdata(), [1, 2, 3])
    low, high = display.ax_.get_ylim()
    assert list(map(position, display.hollow_)) == [(3, -5), (4, low), (4, high)]
    assert [line.get_marker() for line in display.hollow_] == ["o", "v", "^"]
    assert {line.get_markerfacecolor() for line in display.hollow_} == {"white"}
    # The far one does not flatten the others.
    assert -10 < low < -5
    assert 40 < high < 50
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[-1] == "not eligible"


def test_hopeless_candidates_are_cut_off_and_counted(draw):
    values = np.array([2000.0, 0.0, 5.0, 9.0, 1500.0, 400.0, 25.0, 28.0]) + 100
    display = draw(Search().fit(values))
    assert display.n_cut_off_ == 3
    low, high = display.ax_.get_ylim()
    assert low < 0 and 28 < high < 40
    assert [text.get_text() for text in display.ax_.texts] == [
        "3 candidates above, up to 2000"
    ]
    # Lines go on beyond the view.
    assert display.lines_[0].get_ydata()[0] == 2000
    everything = display.plot(ax=Figure().add_subplot(), limit=np.inf)
    assert (everything.n_cut_off_, len(everything.ax_.texts)) == (0, 0)
    assert everything.ax_.get_ylim()[1] > 2000
    closer = CriterionDisplay.from_estimator(
        Search().fit(values), limit=10, ax=Figure().add_subplot()
    )
    assert closer.n_cut_off_ == 5
    assert 10 <= closer.ax_.get_ylim()[1] < 12
    with pytest.raises(ValueError, match="limit should be positive"):
        display.plot(ax=Figure().add_subplot(), limit=0)


def test_many_good_candidates_are_all_in_view(draw):
    values = np.array([900.0, 0.0, 500.0, 600.0, 800.0, 450.0, 700.0, 610.0])
    display = draw(Search().fit(values))
    assert display.n_cut_off_ == 0
    assert display.ax_.get_ylim()[1] > 900


def test_one_candidate_is_in_view(draw):
    search = Search().fit(np.full(8, 7.0), np.arange(8) == 0)
    low, high = draw(search).ax_.get_ylim()
    assert low < 0 < high


def test_ticks_are_whole_numbers_even_if_there_is_but_one(draw):
    display = CriterionDisplay(
        n_components=np.array([3]),
        covariance_types=np.array(["full"]),
        values=np.array([7.0]),
        eligible=np.array([True]),
        best_index=0,
    ).plot(ax=Figure().add_subplot())
    np.testing.assert_array_equal(display.ax_.get_xticks() % 1, 0.0)


def test_plot_draws_again(draw):
    display = draw(Search().fit())
    other = Figure().add_subplot()
    assert display.plot(ax=other).ax_ is other
    assert len(display.lines_) == 2


def test_a_mixture_is_no_search():
    with pytest.raises(TypeError, match="shows a fitted search"):
        CriterionDisplay.from_estimator(GaussianMixture())


def test_unfitted_search_is_refused(draw):
    with pytest.raises(NotFittedError):
        draw(Search())


def test_missing_matplotlib_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = "CriterionDisplay.from_estimator requires matplotlib. You can install"
    with pytest.raises(ImportError, match=message):
        CriterionDisplay.from_estimator(Search().fit())
