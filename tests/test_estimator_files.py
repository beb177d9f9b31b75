"""Estimators with mixtures inside, written to files and read again."""

import json

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureOutlierDetector,
    load,
)


@pytest.fixture
def X(rng):
    y = rng.integers(2, size=120)
    return np.column_stack([rng.normal(3 * y), rng.normal(2 * y), rng.normal(size=120)])


@pytest.fixture
def gaps(X, rng):
    found = X.copy()
    found[rng.random(X.shape) < 0.1] = np.nan
    return found


@pytest.fixture
def y(X):
    return (X[:, 0] > 1.5).astype(int)


@pytest.fixture
def again(tmp_path):
    """Return what is read of a file that was just written."""

    def read(estimator):
        path = tmp_path / "estimator.json"
        estimator.save(path)
        found = load(path)
        assert type(found) is type(estimator)
        assert repr(found) == repr(estimator)
        assert vars(found).keys() == vars(estimator).keys()
        return found

    return read


@pytest.mark.parametrize("n_targets", [0, 1, 2])
def test_regressors_predict_the_same(n_targets, X, again):
    targets = X[:, 0] if n_targets == 0 else X[:, :n_targets]
    features = X[:, max(1, n_targets) :]
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(features, targets)
    same = again(regressor)
    np.testing.assert_array_equal(same.predict(features), regressor.predict(features))
    assert same.n_targets_ == max(1, n_targets)
    assert same.predict(features).shape == targets.shape


def test_regressors_of_fitted_mixtures_keep_their_names(X, again):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    mixture = BayesianGaussianMixture(2, random_state=0).fit(frame)
    regressor = GaussianMixtureRegressor.from_mixture(mixture, "b")
    same = again(regressor)
    some = frame[["a", "c"]]
    np.testing.assert_array_equal(same.predict(some), regressor.predict(some))
    with pytest.raises(ValueError, match="feature names"):
        same.predict(frame[["a", "b"]])


@pytest.mark.parametrize("add_indicator", [False, True])
def test_imputers_fill_in_the_same(add_indicator, gaps, again):
    empty = np.column_stack([gaps, np.full(len(gaps), np.nan)])
    imputer = GaussianMixtureImputer(
        2, add_indicator=add_indicator, keep_empty_features=True, random_state=0
    )
    imputer.fit(empty)
    same = again(imputer)
    np.testing.assert_array_equal(same.transform(empty), imputer.transform(empty))
    names = imputer.get_feature_names_out()
    np.testing.assert_array_equal(same.get_feature_names_out(), names)
    assert len(names) == (8 if add_indicator else 4)


@pytest.mark.parametrize("add_indicator", [False, True])
def test_what_was_indicated_by_the_fit_is_in_the_file(add_indicator, gaps, again):
    imputer = GaussianMixtureImputer(1, add_indicator=add_indicator).fit(gaps)
    imputer.set_params(add_indicator=not add_indicator)
    same = again(imputer)
    np.testing.assert_array_equal(same.transform(gaps), imputer.transform(gaps))


@pytest.mark.parametrize(
    "classes",
    [
        ["a", "b"],
        [0, 1],
        [False, True],
        np.array([3, 200], np.uint8),
        np.array(["no", "yes"], object),
    ],
)
def test_classifiers_predict_the_same(classes, X, y, again):
    labels = np.asarray(classes)[y]
    first, second = np.unique(labels).tolist()
    classifier = MixtureDiscriminantAnalysis(
        {first: 1, second: 2},
        covariance_type={first: "full", second: "diag"},
        priors={first: 0.3, second: 0.7},
        random_state=0,
    )
    classifier.fit(X, labels)
    same = again(classifier)
    np.testing.assert_array_equal(same.predict(X), classifier.predict(X))
    np.testing.assert_array_equal(same.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_array_equal(same.priors_, [0.3, 0.7])
    if labels.dtype != object:
        assert same.classes_.dtype == classifier.classes_.dtype
    # A fit to other rows is the same, too.
    np.testing.assert_array_equal(
        same.fit(X[:80], labels[:80]).predict(X),
        classifier.fit(X[:80], labels[:80]).predict(X),
    )


@pytest.mark.parametrize("contamination", [None, 0.1])
def test_detectors_decide_the_same(contamination, X, gaps, again):
    detector = MixtureOutlierDetector(2, contamination=contamination, random_state=0)
    for data in (X, gaps):
        detector.fit(data)
        expected = detector.decision_function(gaps)
        same = again(detector)
        np.testing.assert_array_equal(same.decision_function(gaps), expected)
        assert same.support_threshold_ == detector.support_threshold_


def test_what_is_not_fitted_or_not_known_is_refused(X, y, tmp_path):
    path = tmp_path / "estimator.json"

    class Own(MixtureOutlierDetector):
        pass

    with pytest.raises(NotFittedError):
        MixtureOutlierDetector().save(path)
    with pytest.raises(NotImplementedError, match="not Own"):
        Own(1).fit(X).save(path)
    imputer = GaussianMixtureImputer(1, random_state=np.random.RandomState(0)).fit(X)
    with pytest.raises(NotImplementedError, match="random_state"):
        imputer.save(path)
    classifier = MixtureDiscriminantAnalysis(1).fit(X, y)
    classifier.priors_ = np.array([0.7, 0.7])
    with pytest.raises(ValueError, match="has not written"):
        classifier.save(path)
    assert not path.exists()


def _without(*keys):
    def change(document):
        *path, last = keys
        for key in path:
            document = document[key]
        del document[last]

    return change


def _with(value, *keys):
    def change(document):
        *path, last = keys
        for key in path:
            document = document[key]
        document[last] = value

    return change


INNER = ("state", "mixtures", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("attributes", "offset_"), "offset_ is missing"),
        (_with("far", "attributes", "offset_"), "offset_ is not of the right type"),
        (_with({"float": "nan"}, "attributes", "offset_"), "offset_ is not of the"),
        (_with(1.5, "attributes", "support_threshold_"), "support_threshold_ is not"),
        (_with(0, "attributes", "_draws"), "_draws is not of the right type"),
        (_with(2**40, "attributes", "_draws"), "_draws is not of the right type"),
        (_with(2**32, "attributes", "_seed"), "_seed is not of the right type"),
        (_with(1.0, "attributes", "loose_"), "no attribute 'loose_'"),
        (_with(1.0, "parameters", "loose"), "no parameter 'loose'"),
        (_with(2.0, "parameters", "false_alarm_rate"), "false_alarm_rate"),
        (_with({}, "state"), "state should have mixtures"),
        (_with([], "state", "mixtures"), "should be one mixture, and there are 0"),
        (_with(5, "state", "mixtures"), "mixtures should be a JSON array"),
        (_with(4, "attributes", "n_features_in_"), "should have 4 features, and has 3"),
        (_with("Loose", *INNER, "class"), "unknown class 'Loose'"),
        (_with("StudentMixture", *INNER, "class"), "damaged|cannot load"),
        (_without(*INNER, "attributes", "means_"), "means_ is missing"),
        (_without(*INNER, "attributes", "covariances_"), "covariances_ is missing"),
        (_without(*INNER, "state"), "lacks 'state'"),
        (_with(1, *INNER, "more"), "has 'more'"),
        (_with("no mixture", *INNER), "should be a JSON object"),
        (_without("skem"), "lacks 'skem'"),
    ],
)
def test_files_that_are_not_as_they_should_be_are_refused(change, message, X, tmp_path):
    path = tmp_path / "detector.json"
    MixtureOutlierDetector(2, random_state=0).fit(X).save(path)
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        _without(*INNER),
        _with([1, 2, 3], "attributes", "classes_", "values"),
        _with([0.5, 0.6], "attributes", "priors_", "values"),
        _with([1, 1], "attributes", "classes_", "values"),
        _with([1, 0], "attributes", "classes_", "values"),
        _with(
            {"dtype": "str", "shape": [2], "values": ["a", None]},
            *("attributes", "classes_"),
        ),
    ],
)
def test_classes_have_a_prior_and_a_mixture_each(change, X, y, tmp_path):
    path = tmp_path / "classifier.json"
    MixtureDiscriminantAnalysis(1).fit(X, y).save(path)
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def test_inner_mixtures_have_no_noise_that_predictions_cannot_have(X, tmp_path):
    path, inner = tmp_path / "estimator.json", tmp_path / "mixture.json"

    def with_noise(estimator, noise):
        GaussianMixture(1, noise=noise, random_state=0).fit(X).save(inner)
        mixture = json.loads(inner.read_text("utf-8"))
        estimator.save(path)
        document = json.loads(path.read_text("utf-8"))
        own = document["state"]["mixtures"][0]
        document["state"]["mixtures"][0] = {key: mixture[key] for key in own}
        path.write_text(json.dumps(document), "utf-8")
        return load(path)

    regressor = GaussianMixtureRegressor(1).fit(X[:, 1:], X[:, 0])
    for estimator, noise in (
        (regressor, True),
        (MixtureOutlierDetector(1).fit(X), 1e-3),
        (GaussianMixtureImputer(1).fit(X), 1e-3),
    ):
        with pytest.raises(ValueError, match="noise that the estimator cannot have"):
            with_noise(estimator, noise)
    # Along the features it is what `from_mixture` may have.
    found = with_noise(regressor, 1e-3)
    assert np.isfinite(found.predict(X[:, 1:])).all()


@pytest.mark.parametrize(
    ("n_features", "message"),
    [(0, "n_features_in_ is not of the"), (3, "should have 4 features, and has 3")],
)
def test_regressors_have_features_and_targets(n_features, message, X, tmp_path):
    path = tmp_path / "regressor.json"
    GaussianMixtureRegressor(1).fit(X[:, 1:], X[:, 0]).save(path)
    document = json.loads(path.read_text("utf-8"))
    _with(n_features, "attributes", "n_features_in_")(document)
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match=message):
        load(path)
