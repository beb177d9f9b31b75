"""scikit-learn's own estimator checks, and life among its tools."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import GaussianMixture
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.seeds import INITIALIZERS

pytestmark = pytest.mark.usefixtures("short_search")

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]
INIT_PARAMS = ["kmeans", "k-means++", "random", "random_from_data"]


def configured(K, covariance_type, init_params):
    return GaussianMixture(K, covariance_type=covariance_type, init_params=init_params)


TYPICAL = [GaussianMixture(), GaussianMixture(2)]
# Each other value of a parameter once.
OTHERS = [
    configured(K, *params)
    for K, *params in zip([3, 2, 3], COVARIANCE_TYPES[1:], INIT_PARAMS[1:], strict=True)
]


WEIGHT_CHECK = "check_sample_weight_equivalence_on_dense_data"


def labels_by_place(Z, weight, n_components, rng):
    """Labels that do not depend on the order of rows, nor on how often they are."""
    bounds = np.linspace(-1, 1, n_components + 1)[1:-1]
    labels = np.digitize(Z[:, 0], bounds)
    return (labels == np.arange(n_components)[:, None]).astype(float)


ignoring_warnings = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::skem.exceptions.DegenerateComponentsWarning",
)


@ignoring_warnings
@parametrize_with_checks(TYPICAL)
def test_estimator_checks(estimator, check, monkeypatch):
    run_check(estimator, check, monkeypatch)


@pytest.mark.slow
@ignoring_warnings
@parametrize_with_checks(OTHERS)
def test_estimator_checks_of_other_configurations(estimator, check, monkeypatch):
    run_check(estimator, check, monkeypatch)


def run_check(estimator, check, monkeypatch):
    if estimator.n_components > 1 and check.func.__name__ == WEIGHT_CHECK:
        # Seeds are drawn at random from rows, and repeated rows are other rows: one
        # start is made of labels that are the same for both.
        monkeypatch.setitem(INITIALIZERS, estimator.init_params, labels_by_place)
        estimator = clone(estimator).set_params(n_init=1)
        if STRUCTURES[estimator.covariance_type].matrices:
            # There are more features than rows, and rows of weight zero are 1e9 nats
            # away where the others have no variance: probabilities are rounding.
            estimator.set_params(reg_covar=0.01)
    check(estimator)


def test_parameters_are_those_of_scikit_learn_and_more():
    ours, theirs = GaussianMixture().get_params(), Peer().get_params()
    assert set(ours) - set(theirs) == {
        "algorithm",
        "fixed",
        "learning_decay",
        "learning_window",
        "noise",
    }
    assert set(theirs) <= set(ours)


def test_attributes_and_methods_are_those_of_scikit_learn(X):
    ours, theirs = GaussianMixture(2).fit(X), Peer(2).fit(X)
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public <= set(dir(ours))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_shapes_and_dtypes_are_those_of_scikit_learn(X, covariance_type):
    for dtype in (np.float64, np.float32):
        params = {"covariance_type": covariance_type, "random_state": 0}
        ours = GaussianMixture(2, **params).fit(X.astype(dtype))
        theirs = Peer(2, **params).fit(X.astype(dtype))
        for name in (
            "weights_",
            "means_",
            "covariances_",
            "precisions_",
            "precisions_cholesky_",
        ):
            a, b = getattr(ours, name), getattr(theirs, name)
            assert a.shape == b.shape
            assert a.dtype == dtype
        for method in ("predict", "predict_proba", "score_samples"):
            a = getattr(ours, method)(X.astype(dtype))
            b = getattr(theirs, method)(X.astype(dtype))
            assert a.shape == b.shape
            # scikit-learn keeps float32 here since 1.7.
            assert a.dtype == (b.dtype if method == "predict" else dtype)
        assert ours.n_parameters_ == theirs._n_parameters()


def test_results_are_of_the_dtype_of_the_rows(X):
    for dtype in (np.float64, np.float32):
        mixture = GaussianMixture(2, random_state=0).fit(X.astype(dtype))
        for method in (mixture.predict_proba, mixture.score_samples):
            assert method(X.astype(np.float32)).dtype == np.float32
            assert method(X.astype(np.float64)).dtype == np.float64


def test_pipeline_grid_search_and_cross_validation(X):
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    grid = {
        "gaussianmixture__n_components": [1, 2, 3],
        "gaussianmixture__covariance_type": ["full", "diag"],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(X)
    assert search.best_params_["gaussianmixture__n_components"] == 2
    assert search.predict(X).shape == (100,)
    scores = cross_val_score(GaussianMixture(2, random_state=0), X, cv=4)
    assert np.isfinite(scores).all()


def test_sample_weight_is_routed_through_grid_search(X):
    weight = np.r_[np.ones(60), np.zeros(40)]
    with sklearn.config_context(enable_metadata_routing=True):
        mixture = GaussianMixture(1)
        mixture.set_fit_request(sample_weight=True)
        mixture.set_score_request(sample_weight=True)
        order = np.random.default_rng(0).permutation(100)
        search = GridSearchCV(mixture, {"n_components": [1]}, cv=2)
        search.fit(X[order], sample_weight=weight[order])
    assert np.allclose(search.best_estimator_.means_[0], X[:60].mean(axis=0))


def test_clone_pickle_set_params_and_repr(X):
    mixture = GaussianMixture(2, covariance_type="tied", random_state=0)
    assert clone(mixture).get_params() == mixture.get_params()
    copy = pickle.loads(pickle.dumps(mixture.fit(X)))
    assert np.array_equal(copy.predict_proba(X), mixture.predict_proba(X))
    assert mixture.set_params(n_components=3).fit(X).means_.shape == (3, 2)
    assert "GaussianMixture" in repr(mixture)
    assert "GaussianMixture" in mixture._repr_html_()


@pytest.mark.parametrize(
    "params",
    [
        {"n_components": 0},
        {"covariance_type": "round"},
        {"tol": -1.0},
        {"reg_covar": -1e-6},
        {"max_iter": -1},
        {"n_init": 0},
        {"init_params": "bad"},
        {"verbose_interval": 0},
        {"weights_init": [0.5, 0.7]},
        {"weights_init": [0.5, 0.3, 0.2]},
        {"means_init": [[0.0, 0.0]]},
        {"precisions_init": np.ones((2, 2))},
        {"precisions_init": -np.ones((2, 2, 2))},
    ],
)
def test_bad_parameters_get_the_words_of_scikit_learn(X, params):
    params = {"n_components": 2, **params}
    with pytest.raises(ValueError) as ours:
        GaussianMixture(**params).fit(X)
    with pytest.raises(ValueError) as theirs:
        Peer(**params).fit(X)
    extended = {"reg_covar", "n_init", "covariance_type"} & set(params)
    if extended:
        # They take "auto", or other shapes, as well.
        assert f"The {extended.pop()!r} parameter" in str(ours.value)
    elif "must be a str among" in str(theirs.value):
        # The names are listed in any order.
        assert sorted(str(ours.value)) == sorted(str(theirs.value))
    elif "weights" in str(theirs.value) and "range" in str(theirs.value):
        assert str(ours.value)[:70] == str(theirs.value)[:70]
    else:
        assert str(ours.value) == str(theirs.value)


def test_too_few_samples_gets_the_words_of_scikit_learn(X):
    for kind in (GaussianMixture, Peer):
        with pytest.raises(
            ValueError,
            match="Expected n_samples >= n_components but got "
            "n_components = 8, n_samples = 5",
        ):
            kind(8).fit(X[:5])


def test_collapse_under_a_numeric_reg_covar_gets_the_words_of_scikit_learn():
    X = np.zeros((10, 2))
    with pytest.raises(ValueError) as ours:
        GaussianMixture(2, reg_covar=0.0).fit(X)
    with pytest.raises(ValueError) as theirs, pytest.warns(ConvergenceWarning):
        Peer(2, reg_covar=0.0).fit(X)
    # scikit-learn advises to scale the data since 1.7.
    expected = str(theirs.value).replace(
        "or increase reg_covar.", "increase reg_covar, or scale the input data."
    )
    assert str(ours.value) == expected
