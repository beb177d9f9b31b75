"""MixtureDiscriminantAnalysis, beside QDA and scikit-learn's checks."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import GaussianMixture, GaussianMixtureIC, MixtureDiscriminantAnalysis
from skem.exceptions import DegenerateComponentsWarning

pytestmark = pytest.mark.usefixtures("short_search")


@pytest.mark.slow
@parametrize_with_checks([MixtureDiscriminantAnalysis(2, covariance_type="diag")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_checks(estimator, check):
    run_check(estimator, check)


@pytest.mark.slow
@parametrize_with_checks(
    [
        MixtureDiscriminantAnalysis(1),
        MixtureDiscriminantAnalysis(1, covariance_type="tied"),
    ],
)
def test_estimator_checks_of_other_configurations(estimator, check):
    run_check(estimator, check)


def objects(values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    "gap", [None, np.nan, pd.NA, pd.NaT], ids=["None", "NaN", "NA", "NaT"]
)
@pytest.mark.parametrize("container", [list, pd.Series, objects])
def test_classes_that_are_missing_had_been_told_of_in_other_words(gap, container, rng):
    y = container(["a", "b", gap, "b"] * 5)
    with pytest.raises(ValueError, match="Values of y are missing, and every row"):
        MixtureDiscriminantAnalysis(1).fit(rng.normal(size=(20, 2)), y)


def run_check(estimator, check):
    if "sample_weight_equivalence" in check.func.__name__:
        pytest.skip("as many features as rows, where densities are rounding; see below")
    check(estimator)


@pytest.fixture
def rings(rng):
    """Two classes, one around the other."""
    angle = rng.uniform(0, 2 * np.pi, 800)
    radius = np.where(np.arange(800) < 400, 1.0, 3.0) + 0.2 * rng.normal(size=800)
    X = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return X, np.repeat(["inner", "outer"], 400)


def test_one_full_component_is_quadratic_discriminant_analysis():
    X, y = load_iris(return_X_y=True)
    ours = MixtureDiscriminantAnalysis(1).fit(X, y)
    theirs = QuadraticDiscriminantAnalysis().fit(X, y)
    # Means are the same; the penalty widens covariances of 50 rows a little.
    for k, mixture in enumerate(ours.mixtures_):
        np.testing.assert_allclose(mixture.means_[0], theirs.means_[k], rtol=1e-9)
    assert np.mean(ours.predict(X) == theirs.predict(X)) > 0.98
    assert np.abs(ours.predict_proba(X) - theirs.predict_proba(X)).max() < 0.25


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_posteriors_are_those_of_the_densities(covariance_type):
    X, y = load_wine(return_X_y=True)
    X = X[:, :4]
    classifier = MixtureDiscriminantAnalysis(
        2, covariance_type=covariance_type, priors=[0.2, 0.3, 0.5], random_state=0
    ).fit(X, y)
    logs = np.log([0.2, 0.3, 0.5]) + np.stack(
        [mixture.score_samples(X) for mixture in classifier.mixtures_], axis=1
    )
    expected = np.exp(logs - logs.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(X), expected, atol=1e-9)
    np.testing.assert_allclose(
        classifier.mixture_.score_samples(X),
        np.log(np.exp(logs).sum(axis=1)),
        rtol=1e-9,
    )
    alone = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    alone.fit(X[y == 1])
    np.testing.assert_allclose(classifier.mixtures_[1].means_, alone.means_)


def test_priors_may_be_those_of_labels():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    priors = {"virginica": 0.2, "setosa": 0.7, "versicolor": 0.1}
    named = MixtureDiscriminantAnalysis(1, priors=priors).fit(X, names)
    listed = MixtureDiscriminantAnalysis(1, priors=[0.7, 0.1, 0.2]).fit(X, y)
    np.testing.assert_array_equal(named.priors_, [0.7, 0.1, 0.2])
    np.testing.assert_array_equal(named.predict_proba(X), listed.predict_proba(X))


def test_components_follow_classes_of_any_shape(rings):
    X, y = rings
    one = MixtureDiscriminantAnalysis(1).fit(X, y)
    several = MixtureDiscriminantAnalysis(random_state=0).fit(X, y)
    assert several.score(X, y) > 0.99
    assert several.score(X, y) >= one.score(X, y)
    assert (several.n_components_ > 1).all()


def test_classes_may_have_numbers_and_structures_of_their_own(rings):
    X, y = rings
    classifier = MixtureDiscriminantAnalysis(
        {"inner": 1, "outer": 6},
        covariance_type={"inner": "spherical", "outer": "tied"},
        random_state=0,
    ).fit(X, y)
    assert classifier.n_components_.tolist() == [1, 6]
    assert [each.covariance_type for each in classifier.mixtures_] == [
        "spherical",
        "tied",
    ]
    logs = np.log(0.5) + np.stack(
        [mixture.score_samples(X) for mixture in classifier.mixtures_], axis=1
    )
    np.testing.assert_allclose(
        classifier.decision_function(X), logs[:, 1] - logs[:, 0], rtol=1e-8, atol=1e-8
    )
    assert classifier.score(X, y) > 0.98


def test_rows_with_missing_values_go_by_what_is_observed():
    X, y = load_iris(return_X_y=True)
    classifier = MixtureDiscriminantAnalysis(1, covariance_type="diag").fit(X, y)
    rows = X[::25].copy()
    rows[:, [0, 3]] = np.nan
    rows[0] = np.nan
    logs = np.log(classifier.priors_) + np.stack(
        [
            stats.norm(m.means_[0, 1:3], np.sqrt(m.covariances_[0, 1:3]))
            .logpdf(rows[:, 1:3])
            .sum(axis=1)
            for m in classifier.mixtures_
        ],
        axis=1,
    )
    logs[0] = np.log(classifier.priors_)
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(rows), expected, atol=1e-10)


def test_far_rows_are_of_the_class_that_is_wider_there():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(0, 1, (100, 2)), rng.normal(0, 3, (100, 2))]
    y = np.repeat([0, 1], 100)
    classifier = MixtureDiscriminantAnalysis(1).fit(X, y)
    far = np.array([[1e7, 0.0], [1e160, 1.0], [-1e300, 1e300], [1e200, np.nan]])
    assert classifier.predict(far).tolist() == [1, 1, 1, 1]
    proba = classifier.predict_proba(far)
    np.testing.assert_allclose(proba, [[0, 1]] * 4, atol=1e-12)
    assert np.isfinite(classifier.decision_function(far)).all()
    assert np.isfinite(classifier.predict_log_proba(far)).all()


def test_predictions_follow_units_and_order_of_features(rings):
    X, y = rings
    plain = MixtureDiscriminantAnalysis(3, random_state=0).fit(X, y)
    scaled = MixtureDiscriminantAnalysis(3, random_state=0).fit(X * [1e-5, 1e5], y)
    np.testing.assert_allclose(
        scaled.predict_proba(X * [1e-5, 1e5]), plain.predict_proba(X), atol=1e-4
    )
    single = MixtureDiscriminantAnalysis(1).fit(X, y)
    turned = MixtureDiscriminantAnalysis(1).fit(X[:, ::-1], y)
    np.testing.assert_allclose(
        turned.predict_proba(X[:, ::-1]), single.predict_proba(X), atol=1e-9
    )


def test_weights_are_repetitions():
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = MixtureDiscriminantAnalysis(1).fit(X, y, sample_weight=weight)
    repeated = MixtureDiscriminantAnalysis(1)
    repeated.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.priors_, repeated.priors_)
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-7
    )


def test_a_class_of_prior_zero_is_never_predicted():
    X, y = load_iris(return_X_y=True)
    classifier = MixtureDiscriminantAnalysis(1, priors=[0.5, 0.5, 0.0]).fit(X, y)
    assert set(classifier.predict(X)) == {0, 1}
    np.testing.assert_array_equal(classifier.predict_proba(X)[:, 2], 0)


X3 = np.random.default_rng(0).normal(size=(9, 2))
Y3 = np.array(["a"] * 5 + ["b"] * 3 + ["c"])


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        (
            {"n_components": "auto"},
            Y3,
            "in each class, but got n_samples = 1 in class 'c'",
        ),
        ({"n_components": 2}, Y3, "n_components = 2, n_samples = 1 in class 'c'"),
        ({"n_components": 5}, np.where(Y3 == "c", "b", Y3), "but got n_components = 5"),
        ({}, np.repeat("a", 9), "number of classes has to be greater than one"),
        ({}, None, "requires y to be passed"),
        ({}, Y3[:4], "inconsistent numbers of samples"),
        ({"n_components": {"a": 1}}, np.where(Y3 == "c", "b", Y3), "entry for class"),
        (
            {"n_components": {"a": 1, "b": 0}},
            np.where(Y3 == "c", "b", Y3),
            "The 'n_comp",
        ),
        ({"priors": [0.5, 0.6]}, np.where(Y3 == "c", "b", Y3), "priors should sum to"),
        ({"priors": [1.5, -0.5]}, np.where(Y3 == "c", "b", Y3), "must be non-negative"),
        ({"priors": [1.0]}, np.where(Y3 == "c", "b", Y3), "for each of 2 classes"),
        ({"priors": {"a": 1.0}}, np.where(Y3 == "c", "b", Y3), "'priors' has no entry"),
        ({"covariance_type": "round"}, Y3, "The 'covariance_type' parameter"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(params, y, message):
    X, labels = load_iris(return_X_y=True)
    classifier = MixtureDiscriminantAnalysis(1).fit(X, labels)
    fitted = {name: v for name, v in vars(classifier).items() if name.endswith("_")}
    with pytest.raises(ValueError, match=message):
        classifier.set_params(**params).fit(X3, y)
    assert {name: vars(classifier)[name] for name in fitted} == fitted


@pytest.mark.parametrize(
    ("n_components", "category", "message"),
    [
        ("auto", UserWarning, "No candidate is eligible"),
        (1, DegenerateComponentsWarning, "Components .* rests on rows 0 and 1"),
    ],
)
def test_warnings_name_the_class(n_components, category, message):
    X, y = load_iris(return_X_y=True)
    X, y = X[:102], np.array(["a", "b", "c"])[y[:102]]
    wanted = f"In class 'c', of 2 rows counted from 0: {message}"
    with pytest.warns(category, match=wanted) as caught:
        MixtureDiscriminantAnalysis(n_components, random_state=0).fit(X, y)
    (one,) = caught
    assert one.category is category and one.filename == __file__


def test_names_of_features_are_known():
    X, y = load_iris(return_X_y=True, as_frame=True)
    classifier = MixtureDiscriminantAnalysis(1).fit(X, y)
    assert list(classifier.mixture_.feature_names_in_) == list(X.columns)
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(pd.DataFrame(X.to_numpy(), columns=list("abcd")))


class TestMissingValues:
    """Fits to rows that are not complete."""

    def test_missing_values_cost_little(self, rng):
        X, y = load_iris(return_X_y=True)
        X[rng.random(X.shape) < 0.1] = np.nan
        assert MixtureDiscriminantAnalysis(1).fit(X, y).score(X, y) > 0.93


def test_a_feature_without_values_in_a_class_is_named(rng):
    """It had values, but in the other class: "leave it out" was all that was said."""
    frame = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
    y = np.repeat(["ill", "well"], 40)
    frame.loc[40:, "b"] = np.nan
    with pytest.raises(ValueError, match=r"Feature 1 \('b'\) of X in class 'well'"):
        MixtureDiscriminantAnalysis(1).fit(frame, y)
    frame.loc[40:, "a"] = np.nan
    with pytest.raises(ValueError, match="Every row of X in class 'well'"):
        MixtureDiscriminantAnalysis(1).fit(frame, y)


@pytest.fixture
def spreads(rng):
    """Two classes about one centre, the second ten times as wide."""
    X = np.vstack([rng.normal(size=(300, 2)), 10 * rng.normal(size=(300, 2))])
    return X, np.repeat([0, 1], 300)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_columns_that_are_constant_say_nothing(spreads, structure):
    X, y = spreads
    rows = np.array([[1.0, 1.0], [3.0, 3.0], [2.5, -2.0]])
    plain = MixtureDiscriminantAnalysis(1, covariance_type=structure).fit(X, y)
    more = MixtureDiscriminantAnalysis(1, covariance_type=structure).fit(
        np.column_stack([X, np.ones((600, 3))]), y
    )
    np.testing.assert_allclose(
        more.predict_proba(np.column_stack([rows, np.ones((3, 3))])),
        plain.predict_proba(rows),
        atol=1e-6,
    )


def test_columns_that_others_determine_say_nothing(spreads):
    X, y = spreads
    rows = np.array([[1.0, 1.0], [3.0, 3.0], [2.5, -2.0]])
    summed = np.column_stack([X, X.sum(axis=1)])
    plain = MixtureDiscriminantAnalysis(1).fit(X, y)
    more = MixtureDiscriminantAnalysis(1).fit(summed, y)
    np.testing.assert_allclose(
        more.predict_proba(np.column_stack([rows, rows.sum(axis=1)])),
        plain.predict_proba(rows),
        atol=1e-6,
    )


@pytest.mark.parametrize("units", [[1.0, 1.0], [1e6, 1e-6], [1e100, 1e-100]])
def test_a_column_that_is_constant_in_one_class_is_as_with_known_labels(rng, units):
    y = np.repeat([0, 1], 100)
    X = np.column_stack([rng.normal(y), y * rng.integers(0, 2, 200)]) * units
    rows = np.array([[0.0, 0.0], [3.0, 0.0], [0.5, 0.0], [-2.0, 1.0]]) * units
    ours = MixtureDiscriminantAnalysis(1).fit(X, y).predict_proba(rows)
    known = GaussianMixture(2).fit(X, labels=y).predict_proba(rows)
    np.testing.assert_allclose(ours, known, atol=0.02)
    # By Bayes' rule: zeros are all of the one class, and half of the other.
    x = rows[[0, 2], 0] / units[0]
    odds = stats.norm.pdf(x) / (0.5 * stats.norm.pdf(x, 1))
    np.testing.assert_allclose(ours[[0, 2], 0], odds / (1 + odds), atol=0.1)
    assert ours[1, 0] < 0.5


def test_pixels_that_are_dark_in_all_rows_of_a_class():
    X, y = load_digits(return_X_y=True)
    classifier = MixtureDiscriminantAnalysis(1).fit(X[::2], y[::2])
    assert classifier.score(X[1::2], y[1::2]) > 0.97


def test_all_shapes_are_chosen_among_for_each_class(rng):
    """As a search of the rows of a class."""
    shape = np.array([[2.0, 0.0], [0.0, 0.3]])
    turned = shape @ np.array([[0.8, -0.6], [0.6, 0.8]])
    first = np.vstack(
        [rng.normal(size=(80, 2)) @ shape, [7, 0] + rng.normal(size=(80, 2)) @ shape]
    )
    second = np.vstack(
        [rng.normal(size=(80, 2)) @ turned, rng.normal(size=(80, 2)) @ shape + 9]
    )
    X, y = np.vstack([first, second]), np.repeat([0, 1], 160)
    options = dict(covariance_type="all", random_state=0)
    classifier = MixtureDiscriminantAnalysis(2, **options).fit(X, y)
    for k, mixture in enumerate(classifier.mixtures_):
        search = GaussianMixtureIC(2, **options).fit(X[y == k])
        assert mixture.covariance_type == search.covariance_type_
        np.testing.assert_allclose(mixture.means_, search.means_, rtol=1e-9)
    assert classifier.mixtures_[0].covariance_type not in ("full", "diag")
    # More than one shape: those of all components have none in common.
    assert classifier.mixture_.covariance_type in ("full", "diag")
