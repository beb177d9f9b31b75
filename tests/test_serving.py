"""A fitted mixture in other hands: single rows, scikit-learn's class, other tools."""

import gc
import pickle
from functools import partial

import numpy as np
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skem
from skem import BayesianGaussianMixture, GaussianMixture, GaussianMixtureIC
from skem._fitted import kept as _kept
from skem._fitting.state import KIND, restored
from skem._saving.peer import DENSITY
from skem.core.gaussian.covariance import STRUCTURES

pytestmark = pytest.mark.usefixtures("short_search")


def wide(kind=GaussianMixture, *more):
    """Return a mixture of many features."""
    rng = np.random.default_rng(0)
    means, covariances = rng.normal(size=(5, 50)), np.tile(np.eye(50), (5, 1, 1))
    return kind.from_parameters(np.full(5, 0.2), means, covariances, *more)


PARTS = ["weights_", "means_", "precisions_cholesky_"]


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (wide, PARTS),
        (lambda: wide(skem.StudentMixture, 4.0), [*PARTS, "df_"]),
        (lambda: wide_bayesian(), [*PARTS[1:], "mean_precision_"]),
    ],
    ids=["GaussianMixture", "StudentMixture", "BayesianGaussianMixture"],
)
def test_a_mixture_is_prepared_once(monkeypatch, make, names):
    mixture = make()
    row = np.full((1, mixture.n_features_in_), 0.5)
    first, calls = mixture.score_samples(row), []
    found = mixture._parameters
    monkeypatch.setattr(mixture, "_parameters", lambda: calls.append(0) or found())
    assert mixture.score_samples(row) == first and not calls
    # Not so after an edit, in place or not, or of another type.
    for name in names:
        getattr(mixture, name)[0] *= 1.5
        edited, fresh = mixture.score_samples(row), make()
        for each in names[: names.index(name) + 1]:
            setattr(fresh, each, getattr(mixture, each).copy())
        assert edited != first and calls == [0]
        assert edited == fresh.score_samples(row)
        first = edited
        calls.clear()
    mixture.score_samples(row.astype(np.float32))
    mixture.score_samples(row)
    assert calls == [0]


def wide_bayesian():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 3)), rng.normal(4, 1, size=(40, 3))])
    return BayesianGaussianMixture(2, random_state=0).fit(X)


def test_what_is_prepared_goes_with_its_mixture():
    mixture = wide()
    mixture.predict(np.zeros((1, 50)))
    held = len(_kept._kept)
    del mixture
    gc.collect()
    assert len(_kept._kept) < held


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_few_rows_of_many_features_are_what_many_are(dtype):
    rng = np.random.default_rng(0)
    K, d = 15, 100
    roots = np.triu(rng.normal(size=(K, d, d)) / 10) + 2 * np.eye(d)
    mixture = GaussianMixture(K)
    mixture.weights_ = rng.dirichlet(np.ones(K))
    mixture.means_, mixture.precisions_cholesky_ = rng.normal(size=(K, d)), roots
    mixture.n_features_in_ = d
    X = rng.normal(size=(40, d)).astype(dtype)
    rtol = 1e-12 if dtype == np.float64 else 1e-4
    for name in ("score_samples", "predict_proba", "predict"):
        method = getattr(mixture, name)
        parts = [method(X[start : start + 3]) for start in range(0, 40, 3)]
        np.testing.assert_allclose(np.concatenate(parts), method(X), rtol, rtol)


BAYESIAN = [
    (name, prior)
    for name in STRUCTURES
    for prior in ("dirichlet_process", "dirichlet_distribution")
]


def bayesian(covariance_type, prior, X, **params):
    return BayesianGaussianMixture(
        3,
        covariance_type=covariance_type,
        weight_concentration_prior_type=prior,
        random_state=0,
        **params,
    ).fit(X)


@pytest.mark.parametrize(("covariance_type", "prior"), BAYESIAN)
def test_bayesian_mixture_of_scikit_learn_is_the_same(covariance_type, prior, X):
    ours = bayesian(covariance_type, prior, X)
    theirs = ours.to_sklearn()
    assert type(theirs) is sklearn.mixture.BayesianGaussianMixture
    assert np.array_equal(theirs.predict(X), ours.predict(X))
    np.testing.assert_allclose(theirs.score_samples(X), ours.score_samples(X))
    np.testing.assert_allclose(
        theirs.predict_proba(X), ours.predict_proba(X), atol=1e-12
    )
    again = BayesianGaussianMixture.from_sklearn(theirs)
    np.testing.assert_allclose(again.score_samples(X), ours.score_samples(X))
    # Copies: nothing is shared, and a fit of theirs takes the same prior.
    theirs.means_[:] = 0.0
    theirs.covariances_ = None
    assert ours.means_.any() and ours.covariances_ is not None
    refitted = theirs.fit(X)
    np.testing.assert_allclose(refitted.covariance_prior_, ours.covariance_prior_)
    np.testing.assert_allclose(
        refitted.degrees_of_freedom_prior_, ours.degrees_of_freedom_prior_
    )


def test_bayesian_prior_that_is_given_is_handed_on(X):
    given = {"covariance_prior": 2.0, "mean_prior": [0.0, 1.0]}
    ours = bayesian("spherical", "dirichlet_process", X, **given)
    params = ours.to_sklearn().get_params()
    assert {name: params[name] for name in given} == given
    with pytest.raises(NotFittedError):
        BayesianGaussianMixture().to_sklearn()


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_onnx_labels_rows_as_here(kind, covariance_type, X):
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    mixture = kind(2, covariance_type=covariance_type, random_state=0).fit(X)
    rows = X.astype(np.float32)
    model = skl2onnx.to_onnx(mixture.to_sklearn(), rows[:1])
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    labels = session.run(None, {session.get_inputs()[0].name: rows})[0]
    assert np.array_equal(labels.ravel(), mixture.predict(rows))


def kinds_within(value):
    """Return the types of what a pickle or a file of skops has to hold."""
    if isinstance(value, dict):
        # Of files of skops, which are JSON.
        assert all(isinstance(key, str | int) for key in value)
        return set().union(*map(kinds_within, value.values()))
    if isinstance(value, list | tuple):
        return {type(value)}.union(*map(kinds_within, value))
    if hasattr(value, "get_params"):
        return {type(value)} | kinds_within(value.__getstate__())
    return {type(value)}


VALUES = {bool, int, float, str, bytes, type(None), list, tuple, np.ndarray, np.float64}
PARAMS = [
    *({"covariance_type": name} for name in ("full", "tied", "diag", "VVE")),
    {"reg_covar": 1e-6, "algorithm": "em", "max_iter": 3},
]


@pytest.mark.parametrize("params", PARAMS, ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_state_is_of_plain_values_and_resumes(params, X):
    mixture = GaussianMixture(2, random_state=0, **params).fit(X)
    early = GaussianMixture(2, random_state=0, **params).partial_fit(X[:20])
    for each in (mixture, early, early.partial_fit(X)):
        assert kinds_within(each) <= VALUES | {GaussianMixture}
        copy = pickle.loads(pickle.dumps(each))
        copy.partial_fit(X[:50])
        each.partial_fit(X[:50])
        assert np.array_equal(copy.means_, each.means_)


def test_state_of_a_mixture_with_noise_is_plain_too(X):
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(X)
    assert kinds_within(mixture) <= VALUES | {GaussianMixture}
    copy = pickle.loads(pickle.dumps(mixture))
    assert np.array_equal(copy.predict_proba(X), mixture.predict_proba(X))


def test_state_of_a_bayesian_mixture_is_plain_too(X):
    for _, prior in BAYESIAN[:2]:
        mixture = bayesian("diag", prior, X)
        assert kinds_within(mixture) <= VALUES | {BayesianGaussianMixture}
        copy = pickle.loads(pickle.dumps(mixture)).partial_fit(X)
        assert np.array_equal(copy.means_, mixture.partial_fit(X).means_)


def test_state_of_an_outlier_detector_is_plain_after_rows_with_gaps(X):
    detector = skem.MixtureOutlierDetector(2, random_state=0).fit(X)
    gaps = np.where(np.arange(X.shape[1]) == 0, np.nan, X[:3])
    before = detector.decision_function(gaps)
    plain = VALUES | {skem.MixtureOutlierDetector, GaussianMixture}
    assert kinds_within(detector) <= plain
    copy = pickle.loads(pickle.dumps(detector))
    assert np.array_equal(copy.decision_function(gaps), before)


def test_state_of_a_mixture_of_a_table_is_plain_too():
    rng = np.random.default_rng(0)
    numbers = [rng.normal(size=60), rng.normal(size=60), rng.poisson(3, 60)]
    table = np.array([*numbers, rng.choice(["red", "blue"], 60)], dtype=object).T
    for early in (False, True):
        mixture = skem.MixtureModel(2, random_state=0)
        if early:
            mixture.partial_fit(table[:5])
        mixture.partial_fit(table) if early else mixture.fit(table)
        kinds = VALUES | {skem.MixtureModel, np.str_}
        assert kinds_within(mixture) <= kinds
        copy = pickle.loads(pickle.dumps(mixture))
        assert np.array_equal(copy.predict_proba(table), mixture.predict_proba(table))
        assert list(copy.covariances_) == list(mixture.covariances_)
        copy.partial_fit(table)
        mixture.partial_fit(table)
        assert np.array_equal(copy.predict_proba(table), mixture.predict_proba(table))


def test_state_of_columns_of_pandas_is_plain_and_samples_have_their_types(X):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    columns = {
        "size": rng.normal(size=60),
        "count": pandas.array(rng.poisson(3, 60), dtype="Int64"),
        "name": rng.choice(["a", "b"], 60),
        "grade": pandas.Categorical(rng.choice([1, 2], 60), ordered=True),
    }
    table = pandas.DataFrame(columns)
    mixture = skem.MixtureModel(2, random_state=0).fit(table)
    plain = VALUES | {skem.MixtureModel, np.str_}
    assert kinds_within(mixture) <= plain
    copy = pickle.loads(pickle.dumps(mixture))
    drawn, _ = copy.sample(5, random_state=0)
    pandas.testing.assert_frame_equal(drawn, mixture.sample(5, random_state=0)[0])


@pytest.mark.parametrize(
    "name", ["os:system", "skem._fitting.state:import_module", "skem:x"]
)
def test_a_state_makes_no_other_objects(name):
    with pytest.raises(ValueError, match="is no class of skem"):
        restored({KIND: "dataclass", "name": name, "fields": {}})


@pytest.mark.parametrize("name", skem.__all__)
def test_skops_trusts_the_public_classes_at_most(name, X):
    sio = pytest.importorskip("skops.io")
    kind = getattr(skem, name)
    if not hasattr(kind, "get_params"):
        pytest.skip("is no estimator")
    y = np.repeat([0, 1], 50)
    estimator = kind().fit(X, y)
    data = sio.dumps(estimator)
    public = {
        f"{each.__module__}.{each.__qualname__}"
        for each in (getattr(skem, name) for name in skem.__all__)
    }
    untrusted = set(sio.get_untrusted_types(data=data))
    assert untrusted <= public
    loaded = sio.loads(data, trusted=sorted(untrusted))
    method = "transform" if hasattr(kind, "transform") else "predict"
    assert np.array_equal(getattr(loaded, method)(X), getattr(estimator, method)(X))


@pytest.fixture(params=["array_api_strict", "torch"])
def xp(request, monkeypatch):
    """Return a namespace that scikit-learn dispatches to."""
    library = pytest.importorskip(request.param)
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    try:
        context = sklearn.config_context(array_api_dispatch=True)
        context.__enter__()
    except ImportError as error:
        pytest.skip(str(error))
    yield library
    context.__exit__(None, None, None)


ROWWISE = [
    *("predict", "predict_proba", "transform", "score_samples"),
    *("component_log_density", "support_probability", "impute"),
]


@pytest.mark.parametrize(
    "mixture",
    [
        GaussianMixture(2, n_init=1, random_state=0),
        BayesianGaussianMixture(2, n_init=1, random_state=0),
        GaussianMixtureIC((1, 2), covariance_type="diag", n_init=1, random_state=0),
    ],
    ids=lambda each: type(each).__name__,
)
def test_arrays_of_other_libraries_come_back_as_they_came(mixture, X, xp):
    X[::9, 0] = np.nan
    mixture = clone(mixture)
    for dtype in (np.float64, np.float32):
        rows, weight = X.astype(dtype), np.arange(1.0, 101.0, dtype=dtype)
        given = xp.asarray(rows)
        labels = mixture.fit_predict(given, sample_weight=xp.asarray(weight))
        means = clone(mixture).fit(rows, sample_weight=weight).means_
        assert np.array_equal(mixture.means_, means)
        for name in ROWWISE:
            method = getattr(mixture, name)
            if name == "support_probability":
                method = partial(method, n_samples=100, random_state=0)
            found, expected = method(given), method(rows)
            assert type(found) is type(given), name
            found = np.asarray(found)
            assert found.dtype == expected.dtype, name
            assert np.array_equal(found, expected), name
        assert type(labels) is type(given)
        assert np.array_equal(np.asarray(labels), mixture.labels_)
        assert mixture.score(given) == mixture.score(rows)


def test_fitted_attributes_and_samples_are_of_the_library_of_the_data(X, xp):
    mixture = GaussianMixture(2, random_state=0).fit(xp.asarray(X))
    own = GaussianMixture(2, random_state=0).fit(X)
    for name in (*DENSITY, "labels_"):
        found = getattr(mixture, name)
        assert type(found) is type(xp.asarray(X)), name
        assert np.array_equal(np.asarray(found), getattr(own, name)), name
    for drawn, expected in zip(
        mixture.sample(5, random_state=0), own.sample(5, random_state=0), strict=True
    ):
        assert type(drawn) is type(xp.asarray(X))
        assert np.array_equal(np.asarray(drawn), expected)
    mixture.set_params(warm_start=True).fit(xp.asarray(X))
    # What they are for is there where nothing is dispatched, too.
    with sklearn.config_context(array_api_dispatch=False):
        check_alike(mixture, own, X)
    check_alike(mixture, own, X)


def check_alike(mixture, own, X):
    """Compare what is made of fitted attributes, those of NumPy and others."""
    copy = pickle.loads(pickle.dumps(mixture))
    assert np.allclose(copy.predict_proba(X), own.predict_proba(X))
    assert np.allclose(mixture.to_sklearn().means_, own.means_)
    assert np.allclose(mixture.marginal([1]).means_, own.marginal([1]).means_)
    assert np.allclose(mixture.conditional({0: 1.0}).means_, 0, atol=5)
    assert str(mixture.summary(X)).split()[:9] == str(own.summary(X)).split()[:9]
    found, expected = mixture.standard_errors(X), own.standard_errors(X)
    assert np.allclose(found.means, expected.means, rtol=0.1)
    again = GaussianMixture.from_sklearn(mixture.to_sklearn())
    assert np.allclose(again.means_, own.means_)


def test_a_file_of_arrays_of_other_libraries_has_numpys(X, xp, tmp_path):
    mixture = GaussianMixture(2, random_state=0).fit(xp.asarray(X))
    mixture.save(tmp_path / "mixture.json")
    loaded = skem.load(tmp_path / "mixture.json")
    assert isinstance(loaded.means_, np.ndarray)
    assert np.array_equal(loaded.predict(X), mixture.predict(X))


@pytest.mark.parametrize("xp", ["array_api_strict"], indirect=True)
def test_arrays_go_back_to_their_device(X, xp):
    rows = xp.asarray(X, device=xp.Device("device1"))
    mixture = GaussianMixture(2, random_state=0).fit(rows)
    drawn, _ = mixture.sample(3)
    for found in (mixture.means_, mixture.predict(rows), drawn):
        assert found.device == rows.device
    # And from there, as of a GPU, NumPy's are made.
    assert np.array_equal(mixture.predict(X), mixture.to_sklearn().predict(X))


def test_starts_and_streams_of_other_libraries_are_taken(X, xp):
    start = xp.asarray([[0.0, 0.0], [5.0, 5.0]])
    mixture = GaussianMixture(2, means_init=start, random_state=0).fit(xp.asarray(X))
    given = {"means_init": [[0.0, 0.0], [5.0, 5.0]], "random_state": 0}
    own = GaussianMixture(2, **given).fit(X)
    assert np.array_equal(mixture.means_, own.means_)
    stream = GaussianMixture(2, random_state=0).partial_fit(xp.asarray(X))
    stream.partial_fit(xp.asarray(X[:10]))
    assert stream.n_iter_ and type(stream.means_) is type(start)


def test_other_estimators_take_them_and_give_arrays_of_numpy(X, xp):
    y = xp.asarray(X[:, 1])
    regressor = skem.GaussianMixtureRegressor(2, random_state=0)
    found = regressor.fit(xp.asarray(X[:, :1]), y).predict(xp.asarray(X[:, :1]))
    assert isinstance(found, np.ndarray)
    classifier = skem.MixtureDiscriminantAnalysis(1)
    classes = xp.asarray(np.repeat([0, 1], [60, 40]))
    found = classifier.fit(xp.asarray(X), classes).predict(xp.asarray(X))
    assert np.mean(found == np.repeat([0, 1], [60, 40])) > 0.95
