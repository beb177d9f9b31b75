"""MixtureOutlierDetector: its rate on new rows, its threshold, its checks."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import GaussianMixture, MixtureOutlierDetector
from skem._estimators.calibration import cut, held_out_support, threshold
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")


# The checks want outliers of three clusters.
@pytest.mark.slow
@parametrize_with_checks([MixtureOutlierDetector(1, false_alarm_rate=0.2)])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [MixtureOutlierDetector(2, covariance_type="diag", contamination=0.1)]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_checks_of_a_contamination(estimator, check):
    if "sample_weight_equivalence" in check.func.__name__:
        pytest.skip("starts are drawn from rows, and repeated rows are other rows")
    check(estimator)


def two_clusters(seed, d=5):
    """A right model: two components of random shapes."""
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(2, d))
    shapes = np.eye(d) + 0.3 * rng.normal(size=(2, d, d))

    def draw(n):
        labels = rng.integers(2, size=n)
        noise = np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(n, d)))
        return means[labels] + noise

    return draw


def rates(n, repeats, rate=0.01, **params):
    """Share of new rows that are outliers, and that below the rate itself."""
    found = []
    for seed in range(repeats):
        draw = two_clusters(seed)
        X, new = draw(n), draw(20_000)
        detector = MixtureOutlierDetector(
            2, false_alarm_rate=rate, random_state=seed, **params
        ).fit(X)
        plain = detector.mixture_.hdr_level(1 - rate, random_state=0)
        found.append(
            (
                np.mean(detector.predict(new) < 0),
                np.mean(detector.score_samples(new) < plain),
            )
        )
    return np.transpose(found)


@pytest.mark.slow
def test_the_rate_is_kept_on_new_rows():
    own, plain = rates(400, 20)
    assert own.mean() == pytest.approx(0.01, rel=0.15)
    # In 100 simulations it is 90 or more; of 20, one in a thousand has less than 14.
    assert np.sum((own >= 0.007) & (own <= 0.015)) >= 14
    # The region of the mass itself leaves out a half more.
    assert plain.mean() > 1.25 * own.mean()


@pytest.mark.slow
def test_a_wrong_model_keeps_its_rate_by_counting(rng):
    """Heavy tails: of a right Gaussian 1 % are there, and of these rows 3 %."""
    X, new = rng.standard_t(4, size=(2, 4000, 3))
    detector = MixtureOutlierDetector(1, random_state=0).fit(X)
    rate = np.mean(detector.predict(new) < 0)
    # Four standard errors of two counts of 40.
    assert rate == pytest.approx(0.01, abs=4 * np.sqrt(2 * 0.01 / 4000))
    plain = detector.mixture_.hdr_level(0.99)
    assert np.mean(detector.score_samples(new) < plain) > 0.018


def test_rows_are_held_out_of_the_fits_that_judge_them(rng):
    """A row far away is not unusual for a fit that it has widened."""
    X = np.vstack([rng.normal(size=(40, 2)), [[30.0, 30.0]]])
    mixture = GaussianMixture(1).fit(X)
    weight = np.ones(len(X))
    u, _ = held_out_support(mixture, X, weight, 1000, np.random.RandomState(0))
    assert mixture.support_probability(X[-1:])[0] > 1e-12
    assert u[-1] < 1e-100
    assert (u[:-1] > 1e-6).all()


def test_equal_rows_are_held_out_together(rng):
    X = np.repeat(rng.normal(size=(30, 2)), 3, axis=0)
    mixture = GaussianMixture(1).fit(X)
    u, _ = held_out_support(mixture, X, np.ones(90), 1000, np.random.RandomState(0))
    np.testing.assert_allclose(u.reshape(30, 3), np.tile(u[::3, None], 3), rtol=1e-9)


def test_uniform_support_leaves_the_rate_as_it_is():
    u = (np.arange(2000) + 0.5) / 2000
    assert threshold(u, np.ones(2000), 0.01, 3) == pytest.approx(0.01, rel=0.02)


def test_the_threshold_is_exact_for_one_gaussian():
    """New rows beside a Gaussian fitted to 60 have distances by an F distribution."""
    d, n = 3, 60
    q = (np.arange(2000) + 0.5) / 2000
    law = stats.f(d, n - d)
    factor = d * (n + 1) / (n - d)
    u = stats.chi2.sf(factor * law.isf(q), d)
    found = threshold(u, np.ones(2000), 0.01, d)
    exact = stats.chi2.sf(factor * law.isf(0.01), d)
    # But for the mean, of 2000 places.
    assert found == pytest.approx(exact, rel=0.05)
    assert exact < 0.005


def test_alarms_that_refute_the_law_are_counted():
    u = np.r_[np.full(100, 1e-9), np.linspace(0.3, 1, 1900)]
    # Five in a hundred are far away, and one in a hundred is wanted.
    assert threshold(u, np.ones(2000), 0.01, 3) < 1e-8


def test_cut_is_between_the_rows_that_are_below_and_the_rest():
    values, weight = np.array([3.0, 1.0, 2.0, 4.0]), np.ones(4)
    assert cut(values, weight, 0.25) == 1.5
    assert cut(values, weight, 0.5) == 2.5
    assert cut(values, weight, 0.1) == 1.0
    assert cut(values, np.array([1.0, 3.0, 1.0, 4.0]), 1 / 3) == 1.5


def test_contamination_is_the_share_of_the_training_rows():
    X = load_faithful().data
    for share in (0.05, 0.1):
        detector = MixtureOutlierDetector(2, contamination=share, random_state=0)
        assert np.sum(detector.fit_predict(X) < 0) == int(share * len(X))
        # What the threshold is in terms of mass is the same.
        below = detector.mixture_.support_probability(X, random_state=0)
        outlying = below < detector.support_threshold_
        assert np.mean(outlying == (detector.predict(X) < 0)) > 0.99


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_contamination_is_that_of_incomplete_rows(share, rng):
    """Levels were of other draws than the mass of rows: 18 of 200 rows, and not 20."""
    X = rng.normal(size=(200, 3))
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    detector = MixtureOutlierDetector(1, contamination=share, random_state=0)
    assert abs(np.sum(detector.fit_predict(X) < 0) - share * 200) <= 1


def test_rows_with_missing_values_are_judged_by_what_they_have():
    X = load_faithful().data
    detector = MixtureOutlierDetector(2, random_state=0).fit(X)
    rows = np.array([[2.0, np.nan], [9.0, np.nan], [np.nan, 55.0], [np.nan, np.nan]])
    assert detector.predict(rows).tolist() == [1, -1, 1, 1]
    scores = detector.score_samples(rows)
    expected = detector.mixture_.marginal(0).score_samples([[2.0], [9.0]])
    np.testing.assert_allclose(scores[:2], expected)
    assert scores[3] == 0.0
    # The threshold is of the same mass of the marginal, which has no need of draws.
    level = detector.mixture_.marginal(0).hdr_level(1 - detector.support_threshold_)
    decision = detector.decision_function(rows)
    np.testing.assert_allclose(decision[:2], scores[:2] - level, rtol=1e-9)


def test_far_rows_are_outliers_and_scores_are_numbers():
    detector = MixtureOutlierDetector(2, random_state=0).fit(load_faithful().data)
    far = [[1e160, 0.0], [-1e300, 1e300], [np.nan, 1e200]]
    assert (detector.predict(far) == -1).all()
    assert np.isfinite(detector.decision_function(far)).all()


def test_weights_are_repetitions(rng):
    X = rng.normal(size=(60, 2))
    weight = rng.integers(0, 4, 60)
    weighted = MixtureOutlierDetector(1, random_state=0).fit(X, sample_weight=weight)
    repeated = MixtureOutlierDetector(1, random_state=0)
    repeated.fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-6
    )


def test_results_are_reproducible_and_survive_a_pickle():
    X = load_faithful().data
    detector = MixtureOutlierDetector(2, random_state=0).fit(X)
    again = clone(detector).fit(X)
    np.testing.assert_array_equal(
        detector.decision_function(X), again.decision_function(X)
    )
    copy = pickle.loads(pickle.dumps(detector))
    rows = np.array([[2.0, np.nan], [2.0, 50.0]])
    np.testing.assert_array_equal(
        copy.decision_function(rows), detector.decision_function(rows)
    )


def test_names_of_features_are_known():
    frame = pd.DataFrame(load_faithful().data, columns=["eruptions", "waiting"])
    detector = MixtureOutlierDetector(2, random_state=0).fit(frame)
    assert list(detector.mixture_.feature_names_in_) == ["eruptions", "waiting"]
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame[["waiting", "eruptions"]])


@pytest.mark.parametrize(
    ("params", "X", "message"),
    [
        ({"false_alarm_rate": 0}, [[0.0], [1.0]], "The 'false_alarm_rate' parameter"),
        ({"contamination": 0.7}, [[0.0], [1.0]], "The 'contamination' parameter"),
        ({"n_components": 3}, [[0.0], [1.0]], "n_components = 3, n_samples = 2"),
        ({}, [[0.0]], "minimum of 2 is required"),
        ({}, [[0.0], [np.inf]], "Input X contains infinity"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(params, X, message):
    detector = MixtureOutlierDetector(1, random_state=0).fit(load_faithful().data)
    fitted = {name: value for name, value in vars(detector).items() if "_" == name[-1]}
    with pytest.raises(ValueError, match=message):
        detector.set_params(**params).fit(X)
    assert {name: vars(detector)[name] for name in fitted} == fitted


class TestMissingValues:
    """Fits to rows that are not complete."""

    @pytest.mark.slow
    def test_the_rate_is_kept_with_missing_values(self):
        draw = two_clusters(0)
        X, new = draw(400), draw(4000)
        rng = np.random.default_rng(0)
        for rows in (X, new):
            rows[rng.random(rows.shape) < 0.1] = np.nan
        detector = MixtureOutlierDetector(2, random_state=0).fit(X)
        assert 0.004 < np.mean(detector.predict(new) < 0) < 0.025


@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentsWarning")
def test_borders_whose_mass_is_no_number_keep_the_rate(rng):
    """Of few rows of many features; the border was at minus infinity."""
    X = rng.normal(size=(40, 60))
    detector = MixtureOutlierDetector(1, random_state=0).fit(X)
    assert detector.support_threshold_ == 0
    new = rng.normal(size=(1000, 60))
    decision = detector.decision_function(new)
    assert np.isfinite(decision).all()
    assert np.mean(decision < 0) < 0.05
    assert detector.predict(X[:1] + 1e9) == -1


def test_borders_of_masses_below_a_rounding_are_exact(rng):
    """One less the mass was one, and the border at minus infinity."""
    d = 30
    detector = MixtureOutlierDetector(1, random_state=0).fit(rng.normal(size=(45, d)))
    mass = detector.support_threshold_
    assert 0 < mass < 1e-20
    peak = detector.score_samples(detector.mixture_.means_)[0]
    assert detector.offset_ == pytest.approx(peak - stats.chi2.isf(mass, d) / 2)


def test_a_value_that_overflows_when_squared_is_held_out(rng):
    """Fits without it begin at a mean and a width that are due to it."""
    X = rng.normal(size=(40, 2))
    X[0] = 1e160
    detector = MixtureOutlierDetector(random_state=0).fit(X)
    assert np.isfinite(detector.decision_function(X)).all()


def test_outliers_among_the_training_rows_are_found_by_their_share_or_as_noise():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    scattered = rng.uniform(-15, 25, size=(60, 2))
    apart = np.linalg.norm(scattered[:, None] - centres, axis=2).min(axis=1)
    clusters = centres[np.repeat([0, 1, 2], 200)] + rng.normal(size=(600, 2))
    X = np.vstack([clusters, scattered[apart > 4][:30]])

    def found(estimator):
        """How many of the outliers, and of the other rows, are labelled."""
        labels = estimator.fit_predict(X)
        return np.sum(labels[600:] == -1), np.sum(labels[:600] == -1)

    share = MixtureOutlierDetector(3, contamination=30 / 630, random_state=0)
    for estimator in (share, GaussianMixture(3, noise=True, random_state=0)):
        outliers, others = found(estimator)
        assert outliers >= 28
        assert others <= 5
    # By default the rate is that of new rows of the law with its outliers: as the guide
    # says, most of them pass.
    assert found(MixtureOutlierDetector(3, random_state=0))[0] < 15


def test_draws_of_its_mixture_had_been_the_same_each_time():
    X = load_faithful().data
    mixture = MixtureOutlierDetector(1).fit(X).mixture_
    assert (mixture.sample(5)[0] != mixture.sample(5)[0]).any()
    mixture = MixtureOutlierDetector(1, random_state=0).fit(X).mixture_
    assert mixture.random_state == 0
