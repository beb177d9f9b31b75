"""GaussianMixtureRegressor, against the formulas and scikit-learn's own checks."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureRegressor,
    MixtureModel,
    StudentMixture,
    StudentMixtureIC,
    load,
)
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

ERUPTIONS, WAITING = load_faithful().data.T


@pytest.mark.slow
@parametrize_with_checks([GaussianMixtureRegressor(2, covariance_type="diag")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_checks(estimator, check):
    run_check(estimator, check)


@pytest.mark.slow
@parametrize_with_checks(
    [
        GaussianMixtureRegressor(1),
        GaussianMixtureRegressor(1, covariance_type="auto"),
    ],
)
def test_estimator_checks_of_other_configurations(estimator, check):
    run_check(estimator, check)


def run_check(estimator, check):
    if "sample_weight_equivalence" in check.func.__name__:
        pytest.skip("as many features as rows, where slopes are rounding; see below")
    check(estimator)


def two_branches(rng, n=600):
    """A response that is either x or -x."""
    x = rng.uniform(1, 3, n)
    return x[:, None], rng.choice([-1, 1], n) * x + 0.1 * rng.normal(size=n)


def test_one_component_is_least_squares():
    X, y = load_diabetes(return_X_y=True)
    regressor = GaussianMixtureRegressor(1).fit(X, y)
    linear = LinearRegression().fit(X, y)
    # The penalty of the covariance, and the widths of values that rows share, take no
    # more from the slopes than this.
    difference = regressor.predict(X) - linear.predict(X)
    assert np.abs(difference).max() < 0.12 * y.std()
    assert regressor.score(X, y) == pytest.approx(linear.score(X, y), abs=0.01)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_predictions_are_those_of_the_conditional_mixture(rng, covariance_type):
    X = rng.normal(size=(300, 3))
    y = np.column_stack([X[:, 0] ** 2, X[:, 1] - X[:, 2]]) + rng.normal(size=(300, 2))
    regressor = GaussianMixtureRegressor(
        3, covariance_type=covariance_type, random_state=0
    ).fit(X, y)
    rows = X[:4].copy()
    rows[0, 1] = rows[1, :2] = np.nan
    mean, std = regressor.predict(rows, return_std=True)
    again, cov = regressor.predict(rows, return_cov=True)
    np.testing.assert_array_equal(mean, again)
    quantiles = regressor.predict_quantiles(rows, [0.1, 0.7])
    log_density = regressor.log_density(rows, y[:4])
    for i, row in enumerate(rows):
        law = regressor.conditional(row)
        total = law.weights_ @ law.means_
        np.testing.assert_allclose(mean[i], total, rtol=1e-8, atol=1e-9)
        values = np.asarray(law.covariances_)
        matrices = {
            "full": lambda values=values: values,
            "tied": lambda values=values: np.stack([values] * 3),
            "diag": lambda values=values: values[..., None] * np.eye(2),
            "spherical": lambda values=values: values[:, None, None] * np.eye(2),
        }[covariance_type]()
        offset = law.means_ - total
        expected = np.einsum("k,kvw->vw", law.weights_, matrices) + np.einsum(
            "k,kv,kw->vw", law.weights_, offset, offset
        )
        np.testing.assert_allclose(cov[i], expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(std[i], np.sqrt(np.diag(expected)), rtol=1e-8)
        for j in range(2):
            of_one = law.marginal(j).quantile([0.1, 0.7])
            np.testing.assert_allclose(quantiles[i, j], of_one, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(
            log_density[i], law.score_samples(y[i : i + 1])[0], rtol=1e-8
        )


def test_density_is_that_of_both_over_that_of_the_row(rng):
    X, y = two_branches(rng)
    regressor = GaussianMixtureRegressor(3, random_state=0).fit(X, y)
    joint = regressor.mixture_.score_samples(np.column_stack([X, y]))
    row = regressor.mixture_.marginal(0).score_samples(X)
    np.testing.assert_allclose(regressor.log_density(X, y), joint - row, atol=1e-9)
    missing = regressor.log_density(X[:3], np.full(3, np.nan))
    np.testing.assert_allclose(missing, 0, atol=1e-12)


def test_quantiles_and_draws_know_of_both_branches(rng):
    X, y = two_branches(rng)
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    mean, std = regressor.predict([[2.0]], return_std=True)
    assert abs(mean[0]) < 0.3 and std[0] == pytest.approx(2.0, rel=0.1)
    low, high = regressor.predict_quantiles([[2.0]], [0.25, 0.75])[0]
    assert low == pytest.approx(-2, abs=0.1) and high == pytest.approx(2, abs=0.1)
    drawn = regressor.sample_y([[2.0], [3.0]], 2000, random_state=0)
    assert drawn.shape == (2, 2000)
    # Both branches, and nothing between them.
    assert (np.abs(np.abs(drawn[0]) - 2) < 0.6).all()
    assert np.mean(drawn[0] > 0) == pytest.approx(0.5, abs=0.08)
    assert (
        regressor.log_density([[2.0]], [2.0])[0]
        > regressor.log_density([[2.0]], [0.0])[0] + 20
    )


COLUMNS = {
    "coin": lambda rng, n: rng.integers(0, 2, n),
    "answers": lambda rng, n: np.clip(np.round(rng.normal(3, 1, n)), 1, 5),
    "counts": lambda rng, n: rng.poisson(2, n),
    "rounded": lambda rng, n: 1e6 * np.round(rng.normal(size=n)),
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "EEV"])
def test_the_width_of_steps_takes_nothing_from_slopes(rng, column, covariance_type):
    """Two answers have w²/12 = 1/12 beside a variance of 1/4: slopes lost a quarter."""
    x = COLUMNS[column](rng, 500).astype(float)
    other = rng.normal(size=500)
    y = x / x.std() + other + rng.normal(size=500)
    X = np.column_stack([x, other])
    ours = GaussianMixtureRegressor(1, covariance_type=covariance_type).fit(X, y)
    line = LinearRegression().fit(X, y)
    mean, sd = ours.predict(X, return_std=True)
    np.testing.assert_allclose(mean, line.predict(X), atol=2e-3)
    assert sd[0] == pytest.approx((y - line.predict(X)).std(), rel=2e-3)
    given = ours.mixture_.conditional(np.append(X[0], np.nan))
    assert given.means_[0, 0] == pytest.approx(mean[0], rel=1e-9)
    assert np.sqrt(np.ravel(given.covariances_)[0]) == pytest.approx(sd[0], rel=1e-9)


def test_indicators_of_groups_predict_the_means_of_these(rng):
    group = rng.integers(3, size=300)
    y = np.array([0.0, 2.0, 5.0])[group] + rng.normal(size=300)
    regressor = GaussianMixtureRegressor(1).fit(np.eye(3)[group], y)
    means = [y[group == k].mean() for k in range(3)]
    np.testing.assert_allclose(regressor.predict(np.eye(3)), means, atol=0.01)


def test_intervals_beside_steps_cover_as_they_say(rng):
    def rows(n):
        X = np.column_stack([rng.integers(0, 2, n), rng.integers(1, 6, n)])
        return X.astype(float), 3 * X[:, 0] - X[:, 1] + rng.normal(size=n)

    (X, y), (new, truth) = rows(2000), rows(20_000)
    regressor = GaussianMixtureRegressor(1).fit(X, y)
    low, high = regressor.predict_quantiles(new, [0.05, 0.95]).T
    assert ((low < truth) & (truth < high)).mean() == pytest.approx(0.9, abs=0.02)


def test_intervals_cover_as_they_say(rng):
    X, y = two_branches(rng, 4000)
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X[:2000], y[:2000])
    low, high = regressor.predict_quantiles(X[2000:], [0.05, 0.95]).T
    covered = np.mean((low < y[2000:]) & (y[2000:] < high))
    assert covered == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / 2000))


def test_shapes_follow_the_shape_of_y(rng):
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    for target, inner in ((y, ()), (y[:, None], (1,)), (np.c_[y, y**2], (2,))):
        regressor = GaussianMixtureRegressor(1).fit(X, target)
        assert regressor.predict(X).shape == (50, *inner)
        _, std = regressor.predict(X, return_std=True)
        assert std.shape == (50, *inner)
        _, cov = regressor.predict(X, return_cov=True)
        assert cov.shape == (50, regressor.n_targets_, regressor.n_targets_)
        assert regressor.predict_quantiles(X, 0.5).shape == (50, *inner)
        assert regressor.predict_quantiles(X, [0.5, 0.6]).shape == (50, *inner, 2)
        assert regressor.sample_y(X, 4).shape == (50, *inner, 4)
        assert regressor.log_density(X, target).shape == (50,)


def test_weights_are_repetitions(rng):
    X, y = two_branches(rng, 100)
    weight = rng.integers(0, 3, 100)
    weighted = GaussianMixtureRegressor(1).fit(X, y, sample_weight=weight)
    repeated = GaussianMixtureRegressor(1).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight)
    )
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-8)


@pytest.mark.slow
def test_auto_is_the_choice_by_bic(rng):
    X, y = two_branches(rng)
    regressor = GaussianMixtureRegressor(random_state=0).fit(X, y)
    joint = np.column_stack([X, y])
    selection = GaussianMixtureIC(covariance_type="full", random_state=0).fit(joint)
    assert regressor.n_components_ == selection.n_components_
    few = GaussianMixtureRegressor(random_state=0).fit(X[:3], y[:3])
    assert few.n_components_ <= 3


def test_a_mixture_that_is_there_predicts_what_is_asked():
    frame = pd.DataFrame({"waiting": WAITING, "eruptions": ERUPTIONS})
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    regressor = GaussianMixtureRegressor.from_mixture(mixture, targets="waiting")
    assert list(regressor.feature_names_in_) == ["eruptions"]
    X = frame[["eruptions"]]
    expected = mixture.impute(frame.assign(waiting=np.nan))["waiting"]
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-12)
    listed = GaussianMixtureRegressor.from_mixture(mixture, targets=[0])
    assert listed.predict(X).shape == (272, 1)


def test_names_of_features_are_those_of_both():
    frame = pd.DataFrame({"eruptions": ERUPTIONS})
    regressor = GaussianMixtureRegressor(2, random_state=0)
    regressor.fit(frame, pd.Series(WAITING, name="waiting"))
    assert list(regressor.mixture_.feature_names_in_) == ["eruptions", "waiting"]
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(pd.DataFrame({"waiting": WAITING}))


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_predictions_follow_units(rng, scale):
    X, y = two_branches(rng, 200)
    regressor = GaussianMixtureRegressor(1).fit(X, y)
    scaled = GaussianMixtureRegressor(1).fit(X * scale, y * scale)
    mean, std = regressor.predict(X, return_std=True)
    scaled_mean, scaled_std = scaled.predict(X * scale, return_std=True)
    np.testing.assert_allclose(scaled_mean / scale, mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(scaled_std / scale, std, rtol=1e-6)


def test_rows_far_away_are_predicted(rng):
    X, y = two_branches(rng)
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    far = [[1e160], [-1e300]]
    for values in (
        *regressor.predict(far, return_std=True),
        regressor.predict_quantiles(far, [0.1, 0.9]),
        regressor.log_density(far, [0.0, 0.0]),
    ):
        assert np.isfinite(values).all()


X2 = pd.DataFrame({"a": [1.0, 2.0, 4.0, 3.0], "b": [0.0, 1.0, 1.0, 5.0]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.fit(X2, X2["b"]), "The target 'b' is a column of X"),
        (lambda r: r.fit(X2, [1.0, 2.0]), "inconsistent numbers of samples"),
        (lambda r: r.fit(X2, None), "requires y to be passed"),
        (lambda r: r.fit(X2, [np.inf, 0, 0, 0]), "Input y contains infinity"),
        (lambda r: r.fit(X2[:0], []), "Found array with 0 sample"),
        (
            lambda r: r.set_params(n_components=7).fit(X2, [0.0, 1.0, 2.0, 3.0]),
            "n_components = 7, n_samples = 4",
        ),
        (
            lambda r: r.set_params(n_components="many").fit(X2, [0.0, 1.0, 2.0, 3.0]),
            "The 'n_components' parameter",
        ),
        (lambda r: r.predict(X2.assign(c=1.0)), "feature names"),
        (lambda r: r.predict_quantiles(X2, 2.0), r"q should be in the range \[0, 1\]"),
        (lambda r: r.conditional([1.0, 2.0, 3.0]), "x has 3 features, but Gaussian"),
        (lambda r: r.log_density(X2, np.ones((4, 3))), "4 rows and 1 targets"),
        (
            lambda r: r.from_mixture(r.mixture_, targets=[0, 1, 2]),
            "targets should leave at least one feature to predict from",
        ),
        (lambda r: r.from_mixture(r.mixture_, "z"), "Feature 'z' not in feature_names"),
    ],
)  # fmt: skip
def test_bad_input_is_told_and_changes_nothing(call, message):
    regressor = GaussianMixtureRegressor(1)
    regressor.fit(X2, pd.Series([0.0, 1.0, 2.0, 5.0], name="y"))
    before = {
        name: value
        for name, value in vars(regressor).items()
        if name not in regressor.get_params()
    }
    with pytest.raises(ValueError, match=message):
        call(regressor)
    after = {name: vars(regressor)[name] for name in before}
    assert after == before


def test_at_most_one_measure_of_spread_is_given():
    regressor = GaussianMixtureRegressor(1).fit([[0.0], [1.0], [2.0]], [0.0, 2.0, 1.0])
    with pytest.raises(RuntimeError, match="At most one of return_std or return_cov"):
        regressor.predict([[0.0]], return_std=True, return_cov=True)


class TestMissingValues:
    """Fits to rows that are not complete."""

    def test_rows_without_a_target_are_used(self, rng):
        X = rng.normal(size=(2000, 1))
        y = 2 * X[:, 0] + rng.normal(size=2000)
        y[100:] = np.nan
        regressor = GaussianMixtureRegressor(1).fit(X, y)
        assert regressor.mixture_.means_[0, 0] == pytest.approx(X.mean(), abs=1e-6)
        assert regressor.predict([[1.0]])[0] == pytest.approx(2.0, abs=0.5)

    def test_rows_without_a_target_could_not_be_scored(self, rng):
        X = rng.normal(size=(200, 2))
        y = np.column_stack([X.sum(axis=1), X[:, 0]]) + rng.normal(size=(200, 2))
        weight = rng.integers(0, 3, 200)
        y[:50, 0] = y[100:150, 1] = np.nan
        regressor = GaussianMixtureRegressor(1).fit(X, y)
        mean = regressor.predict(X)
        expected = []
        for j in range(2):
            there = ~np.isnan(y[:, j])
            known, own = y[there, j], mean[there, j]
            expected.append(r2_score(known, own, sample_weight=weight[there]))
        score = regressor.score(X, y, sample_weight=weight)
        assert score == pytest.approx(np.mean(expected))
        one = GaussianMixtureRegressor(1)
        assert np.isfinite(cross_val_score(one, X, y[:, 0], cv=2)).all()
        with pytest.raises(ValueError, match="y has no value at all"):
            one.fit(X, y[:, 0]).score(X[:50], y[:50, 0])
        with pytest.raises(ValueError, match="y should have 200 rows and 2 targets"):
            regressor.score(X, y[:, 0])

    def test_missing_features_are_used(self, rng):
        X, y = two_branches(rng)
        X = np.column_stack([X, X + rng.normal(size=X.shape)])
        X[rng.random(X.shape) < 0.2] = np.nan
        regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
        assert np.isfinite(regressor.predict(X)).all()


def test_quantiles_of_one_component_are_those_of_a_gaussian():
    regressor = GaussianMixtureRegressor(1).fit(ERUPTIONS[:, None], WAITING)
    mean, std = regressor.predict([[2.5]], return_std=True)
    q = np.array([1e-9, 0.2, 0.999])
    np.testing.assert_allclose(
        regressor.predict_quantiles([[2.5]], q)[0],
        stats.norm.ppf(q, mean, std),
        rtol=1e-10,
    )


def test_mixtures_of_another_kind_are_refused(rng):
    X = rng.normal(size=(80, 2))
    for mixture in (MixtureModel().fit(X), LinearRegression()):
        with pytest.raises(TypeError, match="mixture should be a GaussianMixture"):
            GaussianMixtureRegressor.from_mixture(mixture, 1)
    theirs = GaussianMixture(2, random_state=0).fit(X).to_sklearn()
    with pytest.raises(TypeError, match=r"got sklearn\.mixture.* from_sklearn makes"):
        GaussianMixtureRegressor.from_mixture(theirs, 1)
    selection = GaussianMixtureIC(1, refit=False).fit(X)
    with pytest.raises(ValueError, match="refit=False"):
        GaussianMixtureRegressor.from_mixture(selection, 1)
    bayesian = BayesianGaussianMixture(1, random_state=0).fit(X)
    slope = bayesian.covariances_[0, 0, 1] / bayesian.covariances_[0, 0, 0]
    found = np.diff(
        GaussianMixtureRegressor.from_mixture(bayesian, 1).predict([[0.0], [1.0]])
    )
    assert found == pytest.approx(slope)


def test_named_values_of_a_row_are_taken_by_their_names(rng):
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    regressor = GaussianMixtureRegressor(1).fit(frame, 3 * frame["a"])
    expected = regressor.predict(pd.DataFrame({"a": [1.0], "b": [5.0]}))[0]
    for row in (pd.Series({"b": 5.0, "a": 1.0}), {"b": 5.0, "a": 1.0}, [1.0, 5.0]):
        assert regressor.conditional(row).means_ == pytest.approx(expected)
    alone = regressor.predict(pd.DataFrame({"a": [1.0], "b": [np.nan]}))[0]
    assert regressor.conditional({"a": 1.0}).means_ == pytest.approx(alone)
    with pytest.raises(ValueError, match="c"):
        regressor.conditional({"c": 1.0})


@pytest.mark.parametrize("container", [np.asarray, pd.Series, pd.DataFrame])
def test_dates_had_been_predicted_as_whole_numbers(container):
    days = np.arange(5).astype("datetime64[D]")
    X = np.arange(5.0)[:, None]
    with pytest.raises(TypeError, match=r"y has dates, .* such as the days since"):
        GaussianMixtureRegressor(1).fit(X, container(days.astype("datetime64[s]")))
    durations = (days - days[0]).astype("timedelta64[s]")
    with pytest.raises(TypeError, match=r"y has durations, .* such as seconds"):
        GaussianMixtureRegressor(1).fit(X, container(durations))


@pytest.mark.parametrize("weight", [None, np.repeat([1.0, 0.0], 40)])
def test_a_target_without_values_is_named(rng, weight):
    X, y = rng.normal(size=(80, 2)), rng.normal(size=(80, 2))
    y[:40, 1] = np.nan
    if weight is None:
        y[:, 1] = np.nan
    with pytest.raises(ValueError, match="Target 'y1' has no value at all"):
        GaussianMixtureRegressor(1).fit(X, y, weight)
    with pytest.raises(ValueError, match=r"^y has no value at all"):
        GaussianMixtureRegressor(1).fit(X, y[:, 1], weight)
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"Feature 1 \('b'\) of X has no value"):
        GaussianMixtureRegressor(1).fit(pd.DataFrame(X, columns=["a", "b"]), y[:, 0])


@pytest.fixture
def heavy(rng):
    """Rows of two features and two targets, some of them outliers."""
    z = rng.integers(2, size=400)
    X = rng.normal(size=(400, 2)) + 5 * z[:, None]
    y = np.column_stack([X[:, 0] * (1 - 2 * z), X.sum(axis=1)])
    y += 0.3 * rng.standard_t(2, size=(400, 2))
    y[:5] += 40
    return np.hstack([X, y])


@pytest.mark.parametrize("noise", [None, 1e-6])
def test_t_mixtures_predict_as_their_conditional_laws(noise, heavy, tmp_path):
    mixture = StudentMixture(2, noise=noise, random_state=0).fit(heavy)
    regressor = GaussianMixtureRegressor.from_mixture(mixture, [2, 3])
    X = heavy[:20, :2].copy()
    X[3, 0] = X[4, 1] = np.nan
    X[5] = 30.0
    mean, std = regressor.predict(X, return_std=True)
    q = [0.0, 0.05, 0.5, 0.99]
    quantiles = regressor.predict_quantiles(X, q)
    drawn = regressor.sample_y(X[:6], 4000, random_state=0)
    for i, row in enumerate(X):
        law = regressor.conditional(row)
        assert isinstance(law, StudentMixture)
        if noise is None:
            weights = law.weights_
            np.testing.assert_allclose(mean[i], weights @ law.means_, rtol=1e-9)
            scales = np.diagonal(law.covariances_, axis1=1, axis2=2)
            inflated = scales * (law.df_ / (law.df_ - 2))[:, None]
            square = weights @ (inflated + law.means_**2) - mean[i] ** 2
            np.testing.assert_allclose(std[i], np.sqrt(square), rtol=1e-6)
        for t in range(2):
            own = law.marginal([t])
            np.testing.assert_allclose(quantiles[i, t], own.quantile(q), rtol=1e-7)
            if i < 6:
                below = (drawn[i, t] < quantiles[i, t, 1]).mean()
                assert below == pytest.approx(0.05, abs=0.02)
    rows = np.hstack([X, heavy[:20, 2:]])
    gaps = np.hstack([X, np.full((20, 2), np.nan)])
    expected = mixture.score_samples(rows) - mixture.score_samples(gaps)
    np.testing.assert_allclose(regressor.log_density(X, rows[:, 2:]), expected)
    path = tmp_path / "regressor.json"
    regressor.save(path)
    again = load(path)
    assert isinstance(again.mixture_, StudentMixture)
    np.testing.assert_array_equal(again.predict_quantiles(X, q), quantiles)


def test_outliers_hardly_change_a_curve_of_t_components(rng):
    x = rng.uniform(0, 10, 300)
    X = np.column_stack([x, 2 * x + rng.normal(size=300)])
    clean = GaussianMixtureRegressor(1).fit(X[:, :1], X[:, 1])
    X[:15, 1] += 60
    search = StudentMixtureIC(1, random_state=0).fit(X)
    robust = GaussianMixtureRegressor.from_mixture(search, 1)
    plain = GaussianMixtureRegressor(1).fit(X[:, :1], X[:, 1])
    grid = np.array([[1.0], [9.0]])
    expected = clean.predict(grid)
    np.testing.assert_allclose(robust.predict(grid), expected, atol=0.4)
    assert (np.abs(plain.predict(grid) - expected) > 1.5).all()
