"""Mixtures in files: what is written is what is read, and nothing else is."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import skem
from skem import BayesianGaussianMixture, GaussianMixture, GaussianMixtureIC
from skem._saving import files as _files
from skem.core.gaussian.covariance import FOURTEEN, STRUCTURES
from skem.datasets import load_faithful
from skem.exceptions import DegenerateComponentsWarning

pytestmark = pytest.mark.usefixtures("short_search")

PRIORS = ["dirichlet_process", "dirichlet_distribution"]


@pytest.fixture(scope="module")
def X():
    return load_faithful().data


@pytest.fixture(scope="module")
def fitted(X):
    return GaussianMixture(2, random_state=0).fit(X)


@pytest.fixture
def through_a_file(tmp_path):
    def through_a_file(mixture):
        mixture.save(tmp_path / "mixture.json")
        return skem.load(tmp_path / "mixture.json")

    return through_a_file


@pytest.fixture
def edited(fitted, tmp_path):
    """Load the file of a fit in which some entries are replaced."""
    path = tmp_path / "edited.json"

    def edited(change):
        fitted.save(path)
        document = json.loads(path.read_text("utf-8"))
        change(document)
        path.write_text(json.dumps(document), "utf-8")
        return skem.load(path)

    return edited


def assert_same(mixture, other):
    """Require the same class, parameters, attributes, predictions and draws."""
    assert type(mixture) is type(other)
    np.testing.assert_equal(other.get_params(), mixture.get_params())
    # Labels are of the rows, of which none are in the file.
    public = {name for name in vars(mixture) if name.endswith("_")} - {"labels_"}
    assert {name for name in vars(other) if name.endswith("_")} == public
    for name in public:
        value, same = getattr(mixture, name), getattr(other, name)
        assert type(same) is type(value), name
        np.testing.assert_equal(same, value, err_msg=name, strict=True)
        if isinstance(value, np.ndarray):
            assert same.dtype == value.dtype, name
    rows = np.asarray(mixture.means_, dtype=float) * 1.1
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(
            getattr(other, method)(rows), getattr(mixture, method)(rows)
        )
    drawn, same = mixture.sample(20, 0), other.sample(20, 0)
    np.testing.assert_array_equal(same[0], drawn[0])


@pytest.mark.each_value
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", FOURTEEN)
def test_every_structure_is_the_same_to_the_last_digit(
    covariance_type, dtype, X, through_a_file
):
    mixture = GaussianMixture(
        2, covariance_type=covariance_type, random_state=0, n_init=1, tol=1.0
    ).fit(X.astype(dtype))
    assert_same(mixture, through_a_file(mixture))


@pytest.mark.each_value
@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("prior", PRIORS)
def test_posteriors_are_the_same_to_the_last_digit(
    prior, covariance_type, X, through_a_file
):
    mixture = BayesianGaussianMixture(
        2,
        covariance_type=covariance_type,
        weight_concentration_prior_type=prior,
        random_state=0,
    ).fit(X[::4])
    assert_same(mixture, through_a_file(mixture))


def test_names_and_starts_are_kept(X, through_a_file):
    frame = pd.DataFrame(X, columns=["größe", "waiting"])
    start = [[2.0, 54.0], [4.3, 80.0]]
    mixture = GaussianMixture(2, means_init=np.array(start), tol=1e-3).fit(frame)
    other = through_a_file(mixture)
    assert other.feature_names_in_.tolist() == ["größe", "waiting"]
    np.testing.assert_array_equal(other.predict(frame), mixture.predict(frame))
    np.testing.assert_array_equal(other.means_init, mixture.means_init)


def test_chosen_mixtures_are_saved(X, through_a_file):
    selection = GaussianMixtureIC([1, 2], covariance_type="tied", random_state=0)
    assert_same(selection.fit(X).best_estimator_, through_a_file(selection))


def test_attributes_set_by_hand_are_kept(X, fitted, through_a_file):
    mixture = pickle.loads(pickle.dumps(fitted))
    # A square root that is not triangular, and draws by other covariances.
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    mixture.precisions_cholesky_ = mixture.precisions_cholesky_ @ turn
    mixture.covariances_ = 4 * mixture.covariances_
    assert_same(mixture, through_a_file(mixture))


def test_mixtures_at_the_limits_of_the_range_are_kept(X, through_a_file):
    # Covariances of such data are out of range, and their factors are not.
    mixture = GaussianMixture(2, random_state=0).fit(X * 1e-170)
    assert_same(mixture, through_a_file(mixture))


@pytest.mark.parametrize("covariance_type", ["full", "VVE", "VEV"])
def test_draws_of_many_features_are_kept(covariance_type, through_a_file):
    """Another order in memory had been another order of sums."""
    X = np.random.default_rng(0).normal(size=(60, 8)) @ np.triu(np.ones((8, 8)))
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    assert_same(mixture.fit(X), through_a_file(mixture))


def test_noise_is_kept(X, through_a_file):
    rows = np.concatenate([X, np.random.default_rng(0).uniform(0, 100, (40, 2))])
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(rows)
    other = through_a_file(mixture)
    assert_same(mixture, other)
    assert -1 in other.predict(rows)
    assert other.bic(rows) == mixture.bic(rows)


def test_noise_that_takes_all_rows_is_kept(X, through_a_file):
    """The weights of the components, which are next to zero, were refused."""
    with pytest.warns(DegenerateComponentsWarning):
        mixture = GaussianMixture(1, noise=1e5, random_state=0).fit(X)
    assert mixture.noise_weight_ == 1
    assert_same(mixture, through_a_file(mixture))


@pytest.mark.parametrize("fixed", ["means", {"means"}, {"means": [True, False]}])
def test_what_is_fixed_is_kept(fixed, X, through_a_file):
    mixture = GaussianMixture(
        2, fixed=fixed, means_init=[[2.0, 54.0], [4.3, 80.0]], random_state=0
    ).fit(X)
    other = through_a_file(mixture)
    assert_same(mixture, other)
    assert other._n_parameters() == mixture.n_parameters_


def test_starts_in_a_data_frame_had_not_been_saved(X, through_a_file):
    start = pd.DataFrame([[2.0, 54.0], [4.3, 80.0]])
    mixture = GaussianMixture(
        2, means_init=start, weights_init=pd.Series([0.4, 0.6]), random_state=0
    ).fit(X)
    other = through_a_file(mixture)
    np.testing.assert_array_equal(other.means_init, start)
    np.testing.assert_array_equal(other.weights_init, [0.4, 0.6])
    np.testing.assert_array_equal(other.means_, mixture.means_)


def test_streams_go_on_from_the_parameters(X, through_a_file):
    mixture = GaussianMixture(2, random_state=0).partial_fit(X)
    other = through_a_file(mixture)
    assert_same(mixture, other)
    other.partial_fit(X)
    np.testing.assert_allclose(other.means_, mixture.means_, rtol=0.02)


def test_file_is_standard_json_without_code(fitted, tmp_path):
    mixture = pickle.loads(pickle.dumps(fitted))
    mixture.lower_bound_ = -np.inf
    mixture.save(tmp_path / "mixture.json")

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "mixture.json").read_text("utf-8")
    document = json.loads(text, parse_constant=refuse)
    assert document["format"] == "skem mixture"
    assert document["skem"] == skem.__version__
    weights = document["attributes"]["weights_"]["values"]
    assert weights == fitted.weights_.tolist()
    assert skem.load(tmp_path / "mixture.json").lower_bound_ == -np.inf


EDITED = {
    "list": lambda m: {"weights_": list(m.weights_), "means_": m.means_.tolist()},
    "tuple": lambda m: {"weights_": tuple(m.weights_)},
    "single": lambda m: {"weights_": m.weights_.astype(np.float32)},
    "half": lambda m: {"weights_": np.array([0.5, 0.5], np.float16)},
    "whole": lambda m: {"weights_": np.array([1, 0])},
    "whole means": lambda m: {"means_": np.array([[2, 54], [4, 80]])},
    "frame": lambda m: {"means_": pd.DataFrame(m.means_)},
    "numbers": lambda m: {"n_iter_": np.int64(3), "lower_bound_": np.int64(-4)},
    "truth": lambda m: {"converged_": np.bool_(False)},
    "lists": lambda m: {"degenerate_components_": [], "lower_bounds_": (1.0, 2.0)},
    "names": lambda m: {"feature_names_in_": ["a", "b"]},
}


@pytest.mark.parametrize("edit", EDITED)
def test_edited_attributes_of_other_types_had_made_files_that_load_refused(
    edit, X, fitted, through_a_file
):
    mixture = pickle.loads(pickle.dumps(fitted))
    vars(mixture).update(EDITED[edit](fitted))
    frame = pd.DataFrame(X, columns=["a", "b"])
    X = frame if edit == "names" else X
    other = through_a_file(mixture)
    assert other.score(X) == mixture.score(X)
    for name in EDITED[edit](fitted):
        value, same = getattr(mixture, name), getattr(other, name)
        assert type(same) is type(getattr(fitted, name, np.empty(0)))
        np.testing.assert_array_equal(np.asarray(same), np.asarray(value))


def test_a_mixture_that_was_given_its_covariances_is_saved(X, fitted, through_a_file):
    mixture = pickle.loads(pickle.dumps(fitted))
    mixture.covariances_ = 2 * mixture.covariances_
    del mixture.precisions_cholesky_, mixture.precisions_
    other = through_a_file(mixture)
    assert other.score(X) == mixture.score(X)


# What is not written


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"weights_": np.array([0.3, 0.4])}, r"sum\(weights\) = 0\.7"),
        ({"weights_": [1.5, -0.5]}, "range"),
        ({"weights_": np.ones(3) / 3}, r"shape of \(2,\)"),
        ({"weights_": [np.nan, 1.0]}, "NaN"),
        ({"weights_": ["a", "b"]}, "could not convert string"),
        ({"means_": [[1, 2], [3]]}, "means_ should be an array"),
        ({"tol": -1}, "The 'tol' parameter"),
        ({"n_iter_": 10**400}, "n_iter_ is not of the right"),
        ({"degenerate_components_": [9]}, "degenerate_components_ is not of the"),
    ],
)
def test_a_good_file_had_been_replaced_by_one_that_load_refuses(
    edit, message, fitted, tmp_path
):
    path = tmp_path / "mixture.json"
    fitted.save(path)
    before = path.read_bytes()
    mixture = pickle.loads(pickle.dumps(fitted))
    vars(mixture).update(edit)
    with pytest.raises(ValueError, match=f"has not written .*mixture.json.*{message}"):
        mixture.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["mixture.json"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_weights_beside_noise_had_not_been_checked(dtype, X, tmp_path):
    path = tmp_path / "noisy.json"
    rows = np.concatenate([X, np.random.default_rng(0).uniform(0, 100, (40, 2))])
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(rows.astype(dtype))
    mixture.save(path)
    text = path.read_text("utf-8")
    for name, value in (
        ("weights_", {"dtype": "float64", "shape": [2], "values": [0.1, 0.2]}),
        ("weights_", {"dtype": "float64", "shape": [2], "values": [0.0, 0.0]}),
        ("noise_weight_", 0.5),
        ("noise_weight_", {"float": "nan"}),
        ("noise_weight_", None),
    ):
        document = json.loads(text)
        document["attributes"][name] = value
        path.write_text(json.dumps(document), "utf-8")
        with pytest.raises(ValueError, match="is damaged: noise_weight_"):
            skem.load(path)
    mixture.weights_ = mixture.weights_ / 2
    with pytest.raises(ValueError, match="noise_weight_ should be"):
        mixture.save(path)


def test_what_save_does_not_know_is_refused(fitted, tmp_path):
    class Own(GaussianMixture):
        pass

    path = tmp_path / "mixture.json"
    own = Own(1).fit([[1.0], [2.0], [4.0]])
    with pytest.raises(NotImplementedError, match="MixtureOutlierDetector, not Own"):
        own.save(path)
    mixture = pickle.loads(pickle.dumps(fitted))
    mixture.random_state = np.random.RandomState(0)
    with pytest.raises(NotImplementedError, match=r"it is a RandomState\. Set another"):
        mixture.save(path)
    mixture.random_state, mixture.novel_ = 0, 1.0
    with pytest.raises(NotImplementedError, match="attribute 'novel_'"):
        mixture.save(path)
    with pytest.raises(NotFittedError):
        GaussianMixture().save(path)
    assert not path.exists()


def test_failed_writes_leave_the_earlier_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "mixture.json"
    path.write_text("precious")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files.os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        fitted.save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["mixture.json"]
    assert path.read_text() == "precious"


# What is not read


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"{}", b"NaN", b"\x80\x04\x95", b"[" * 100_000, b"null"],
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.json"):
        skem.load(path)


def at(*keys, value):
    """Return what replaces an entry of a document."""

    def change(document):
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


def array(values, dtype="float64"):
    shape = list(np.shape(values))
    return {"dtype": dtype, "shape": shape, "values": np.ravel(values).tolist()}


def without(*keys):
    def change(document):
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


A = "attributes"
NOT_DEFINITE = array([[[1.0, 2.0], [2.0, 1.0]]] * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (at("format", value="onnx"), "not a file that a mixture's save"),
        (at("version", value=2), "version 2 of the format, of skem 0"),
        (at("class", value="os.system"), "unknown class 'os.system'"),
        (at("class", value=["a"]), "unknown class"),
        (at("hook", value=1), "'hook', which skem does not know"),
        (without("state"), "lacks 'state'"),
        (without("state", "noise"), "state should have fingerprint, n_given, noise"),
        (at("state", "fingerprint", value="a"), "fingerprint is not a whole number"),
        (at("state", "labelled", value=1), "labelled is not true or false"),
        (at("state", "noise", value={"corner": [1.0]}), "noise is not of the right"),
        (at("parameters", "novel", value=1), "no parameter 'novel'"),
        (at("parameters", "tol", value=-1.0), "The 'tol' parameter"),
        (at("parameters", "covariance_type", value="round"), "'covariance_type'"),
        (at("parameters", value=[]), "should be JSON objects"),
        (at(A, "fit", value=1), "no attribute 'fit'"),
        (without(A, "weights_"), "weights_ is missing"),
        (at(A, "weights_", value=array([0.5, 0.6])), r"sum\(weights\) = 1.1"),
        (at(A, "weights_", value=array([1.5, -0.5])), "range"),
        (at(A, "weights_", value=array([1.0])), r"shape of \(2,\)"),
        (at(A, "means_", value=array([1.0, 2.0])), "two dimensions"),
        (at(A, "means_", value=array([[1.0], [2.0]])), "n_features_in_ should be 1"),
        (at(A, "means_", value=3), "two dimensions"),
        (at(A, "covariances_", value=array([1.0, 2.0])), "covariances_ is not of the"),
        (at(A, "covariances_", value=NOT_DEFINITE), "positive-definite"),
        (at(A, "precisions_cholesky_", value=array(np.zeros((2, 2, 2)))), "singular"),
        (
            at(A, "precisions_cholesky_", "values", value=[{"float": "inf"}] * 8),
            "should be finite",
        ),
        (at(A, "means_", "values", value=[1.0]), "cannot reshape"),
        (at(A, "means_", "dtype", value="object"), "unknown kind of value"),
        (at(A, "means_", "values", value=[{"float": "__import__"}] * 4), "no number"),
        (at(A, "lower_bound_", value="high"), "lower_bound_ is not of the right type"),
        (at(A, "n_iter_", value=-1), "n_iter_ is not of the right type"),
        (at(A, "n_iter_", value=True), "n_iter_ is not of the right type"),
        (at(A, "n_parameters_", value=10**400), "n_parameters_ is not of the right"),
        (at(A, "lower_bound_", value=10**400), "lower_bound_ is not of the right type"),
        (at(A, "lower_bounds_", value=[10**400]), "lower_bounds_ is not of the right"),
        (at("state", "n_given", value=10**400), "n_given is not a whole number"),
        (at("state", "of_steps", value=array([1.0], "float64")), "of_steps is not"),
        (at(A, "degenerate_components_", value=array([7], "int64")), "degenerate"),
    ],
)
def test_files_that_are_not_as_they_should_be_are_refused(change, message, edited):
    with pytest.raises(ValueError, match=message) as caught:
        edited(change)
    assert "edited.json" in str(caught.value)


def test_an_edited_file_is_read_if_it_makes_sense(edited):
    covariances = np.array([np.eye(2), 2 * np.eye(2)])
    mixture = edited(at(A, "covariances_", value=array(covariances)))
    np.testing.assert_array_equal(mixture.covariances_, covariances)


def test_missing_files_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        skem.load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("covariance_type", "df"),
    [("full", "estimate"), ("VVE", "common"), ("spherical", 4.0), ("tied", 3)],
)
def test_student_mixtures_are_the_same_to_the_last_digit(
    covariance_type, df, X, through_a_file
):
    mixture = skem.StudentMixture(
        2, covariance_type=covariance_type, df=df, random_state=0, n_init=1, tol=1.0
    ).fit(X[::2])
    assert_same(mixture, through_a_file(mixture))


def test_degrees_of_freedom_are_checked(X, tmp_path):
    path = tmp_path / "student.json"
    skem.StudentMixture(1, random_state=0, tol=1.0).fit(X).save(path)
    document = json.loads(path.read_text("utf-8"))
    for value, message in [(-1.0, "df_"), (None, "df_ is missing")]:
        if value is None:
            del document["attributes"]["df_"]
        else:
            document["attributes"]["df_"]["values"] = [value]
        path.write_text(json.dumps(document), "utf-8")
        with pytest.raises(ValueError, match=message):
            skem.load(path)


def test_a_folder_that_is_not_there_is_named_as_it_was_given(tmp_path):
    path = tmp_path / "nowhere" / "mixture.json"
    mixture = GaussianMixture().fit(np.zeros((3, 1)))
    with pytest.raises(FileNotFoundError, match=r"nowhere.mixture\.json"):
        mixture.save(path)


@pytest.mark.parametrize("prior", PRIORS)
def test_concentrations_are_one_array_or_two(prior, X, tmp_path):
    path = tmp_path / "mixture.json"
    mixture = BayesianGaussianMixture(
        2, weight_concentration_prior_type=prior, random_state=0
    )
    mixture.fit(X).save(path)
    document = json.loads(path.read_text("utf-8"))
    found = document["attributes"]["weight_concentration_"]
    one = found["tuple"][0] if "tuple" in found else found
    document["attributes"]["weight_concentration_"] = {"tuple": [one] * 3}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match="weight_concentration_ is not of the right"):
        skem.load(path)


def test_names_of_features_are_text(X, tmp_path):
    path = tmp_path / "mixture.json"
    frame = pd.DataFrame(X, columns=["eruptions", "waiting"])
    GaussianMixture(2, random_state=0).fit(frame).save(path)
    document = json.loads(path.read_text("utf-8"))
    document["attributes"]["feature_names_in_"]["values"] = ["eruptions", 1]
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match="feature_names_in_ is not of the right"):
        skem.load(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_has_what_components_leave_of_one(dtype, X, tmp_path):
    path = tmp_path / "mixture.json"
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(X.astype(dtype))
    mixture.save(path)
    found = skem.load(path)
    assert found.noise_weight_ == mixture.noise_weight_
    document = json.loads(path.read_text("utf-8"))
    document["attributes"]["noise_weight_"] += 0.01
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match="noise_weight_ should be"):
        skem.load(path)
