"""Mixtures of tables in files: what is written is what is read, and nothing else."""

import copy
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import skem
from skem import Family, MixtureModel
from skem.families.counts import Poisson
from skem.families.gaussian import Gaussian

pytestmark = pytest.mark.usefixtures("short_search")

FAMILIES = {
    "income": "lognormal",
    "wait": "exponential",
    "spend": "gamma",
    "visits": "poisson",
    "calls": "negative_binomial",
    "member": "bernoulli",
    "score": "student",
}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=120)
    frame = pd.DataFrame(
        {
            "age": rng.normal(30 + 20 * z, 5),
            "height": rng.normal(170 - 5 * z, 6),
            "income": np.exp(rng.normal(8 + z, 0.3)),
            "wait": rng.exponential(1 + 9 * z),
            "spend": rng.gamma(2 + 5 * z, 2.0),
            "visits": rng.poisson(1 + 9 * z),
            "calls": rng.negative_binomial(3, 3 / (5 + 20 * z)),
            "member": rng.random(120) < 0.2 + 0.6 * z,
            "plan": pd.Categorical.from_codes(
                rng.integers(3, size=120) * z, ["free", "größer", "pro"], ordered=True
            ),
            "score": 5 * z + rng.standard_t(3, 120),
        }
    )
    frame.loc[::9, "age"] = None
    return frame


@pytest.fixture(scope="module")
def fitted(table):
    return MixtureModel(2, families=FAMILIES, random_state=0, tol=1.0).fit(table)


@pytest.fixture
def through_a_file(tmp_path):
    def through_a_file(model):
        model.save(tmp_path / "model.json")
        return skem.load(tmp_path / "model.json")

    return through_a_file


def assert_same(model, other, X):
    # Labels of the rows of the fit are not written.
    public = {name for name in vars(model) if name.endswith("_")} - {"labels_"}
    assert {name for name in vars(other) if name.endswith("_")} == public
    for name in public:
        np.testing.assert_equal(getattr(other, name), getattr(model, name), name)
    for method in ("predict_proba", "score_samples"):
        np.testing.assert_array_equal(
            getattr(other, method)(X), getattr(model, method)(X)
        )
    drawn, same = (each.sample(30, 0)[0] for each in (model, other))
    if isinstance(drawn, pd.DataFrame):
        pd.testing.assert_frame_equal(same, drawn, check_exact=True)
        pd.testing.assert_frame_equal(other.impute(X), model.impute(X))
    else:
        np.testing.assert_array_equal(same, drawn)
    assert str(other.summary()) == str(model.summary())


@pytest.mark.filterwarnings("ignore:The mixture is not at a maximum")
def test_every_family_is_the_same_to_the_last_digit(table, fitted, through_a_file):
    other = through_a_file(fitted)
    assert_same(fitted, other, table)
    assert other.get_params() == fitted.get_params()
    few = table[:20]
    errors, same = (m.standard_errors(few).parameters for m in (fitted, other))
    np.testing.assert_equal(same, errors)


@pytest.mark.parametrize(
    "covariance_type",
    [
        "tied",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("full", "diag", "spherical", "VEE")
        ),
    ],
)
def test_structures_and_pairs_of_arrays(covariance_type, through_a_file):
    X = np.random.default_rng(1).normal(size=(60, 4))
    pairs = [(Gaussian(covariance_type), [0, 1, 2]), ("student", 3)]
    model = MixtureModel(2, families=pairs, random_state=0, n_init=1, tol=5.0).fit(X)
    other = through_a_file(model)
    assert_same(model, other, X)
    assert repr(other.families) == repr(model.families)


@pytest.mark.parametrize("family", ["categorical", "ordinal"])
def test_a_column_of_one_category_had_not_been_saved(family, through_a_file):
    X = np.array([[0.0], [np.nan], [0.0], [0.0]])
    model = MixtureModel(families=family).fit(X)
    assert model.parameters_["x0"]["proportions"] == 1
    assert_same(model, through_a_file(model), X)


def test_proportions_without_a_penalty_had_not_been_saved(through_a_file):
    """One of them is next to zero, and the other is rounded to one."""
    x = np.repeat([0, 1], 30)
    X = np.column_stack([x, x, np.tile([0, 0, 1], 20)])
    model = MixtureModel(
        2, families="categorical", pseudo_observations=0, tol=1e-9, random_state=0
    ).fit(X)
    assert model.parameters_["x0"]["proportions"].max() == 1
    assert_same(model, through_a_file(model), X)


def test_a_loaded_mixture_is_fitted_anew(table, fitted, through_a_file):
    other = through_a_file(fitted)
    with pytest.raises(
        ValueError, match="no statistics that a stream could go on from"
    ):
        other.partial_fit(table)
    few = table[["age", "plan"]]
    again = other.set_params(families="auto").fit(few)
    assert again.partial_fit(few).n_iter_ > 1


def test_what_cannot_be_written(table, tmp_path):
    with pytest.raises(NotFittedError):
        MixtureModel().save(tmp_path / "a")

    class Own(Poisson):
        name = "own"

    assert issubclass(Own, Family)
    model = MixtureModel(families=[(Own(), [0])]).fit([[1], [2]])
    with pytest.raises(NotImplementedError, match=r"does not know the family Own\(\)"):
        model.save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


ODD = {
    "tuple": pd.Categorical([("a", 1), ("b", 2)] * 20),
    "Interval": pd.cut(np.arange(40.0), 2),
    "Timestamp": pd.Categorical(list(pd.date_range("2020", periods=2)) * 20),
    "bytes": np.array([b"a", b"b"] * 20, dtype=object),
}


@pytest.mark.parametrize("kind", ODD)
def test_categories_that_could_not_be_read_are_not_written(kind, tmp_path):
    frame = pd.DataFrame({"x": np.arange(40.0), "c": ODD[kind]})
    model = MixtureModel(covariance_type="diag").fit(frame)
    with pytest.raises(
        NotImplementedError, match=f"column 'c', such as .* of type {kind}. Make text"
    ):
        model.save(tmp_path / "a")
    assert not list(tmp_path.iterdir())
    model.fit(frame.assign(c=[str(label) for label in frame.c])).save(tmp_path / "a")
    assert len(skem.load(tmp_path / "a").categories_["c"]) == 2


@pytest.mark.parametrize("make", [list, tuple, lambda w: w.astype(np.float32)])
def test_edited_weights_are_kept(make, table, fitted, through_a_file):
    mixture = copy.deepcopy(fitted)
    mixture.weights_ = make(fitted.weights_)
    other = through_a_file(mixture)
    np.testing.assert_array_equal(other.weights_, np.asarray(mixture.weights_))
    assert other.score(table) == mixture.score(table)


@pytest.mark.parametrize(
    ("share", "message"),
    [(0.7, "normalized"), (-1.0, "range"), (np.nan, "NaN"), (None, "shape of")],
)
def test_weights_that_are_no_probabilities_are_neither_used_nor_saved(
    share, message, table, fitted, tmp_path
):
    fitted.save(tmp_path / "model.json")
    before = (tmp_path / "model.json").read_bytes()
    mixture = copy.deepcopy(fitted)
    mixture.weights_ = [1.0] if share is None else fitted.weights_ * share
    for use in (mixture.score, mixture.predict):
        with pytest.raises(ValueError, match=message):
            use(table)
    with pytest.raises(ValueError, match=message):
        mixture.sample()
    with pytest.raises(ValueError, match="has not written"):
        mixture.save(tmp_path / "model.json")
    assert (tmp_path / "model.json").read_bytes() == before


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("dictionary", ["u", "v", None, "u"] * 10),
        ("decimal", [Decimal(i) for i in range(40)]),
    ],
)
def test_dtypes_without_a_name_are_those_of_objects(dtype, values, through_a_file):
    pa = pytest.importorskip("pyarrow")
    made = {
        "dictionary": lambda: pa.dictionary(pa.int8(), pa.string()),
        "decimal": lambda: pa.decimal128(5, 2),
    }[dtype]()
    frame = pd.DataFrame({"x": pd.Series(values, dtype=pd.ArrowDtype(made))})
    mixture = MixtureModel(1).fit(frame)
    other = through_a_file(mixture)
    assert other.score(frame) == mixture.score(frame)
    assert list(other.sample(5, 0)[0].x) == list(mixture.sample(5, 0)[0].x)


def test_categories_without_rows_are_named_too(tmp_path):
    labels = pd.CategoricalDtype(["a", "b", pd.Timestamp("2020")])
    frame = pd.DataFrame({"c": pd.Categorical(["a", "b"] * 20, dtype=labels)})
    with pytest.raises(NotImplementedError, match="column 'c', such as Timestamp"):
        MixtureModel().fit(frame).save(tmp_path / "a")


def change_law(name, key, value):
    def change(document):
        for group in document["state"]["groups"]:
            if group["family"]["name"] == name:
                group["laws"][key]["values"][0] = value

    return change


def of_state(key, value):
    return lambda document: document["state"].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_law("poisson", "rate", -1.0), "rate of a poisson column is not"),
        (change_law("student", "df", {"float": "nan"}), "df of a student column"),
        (change_law("gaussian", "cholesky", -1.0), "the factor of a full covariance"),
        (lambda d: d["state"]["groups"].pop(), "every column should have one family"),
        (lambda d: d["state"]["groups"][0].pop("laws"), "something is missing: 'laws'"),
        (
            lambda d: d["state"]["groups"][0]["family"].update(name="x"),
            "unknown family",
        ),
        (of_state("labels", {"dict": {}}), "damaged"),
        (of_state("names", ["a"]), "n_features_in_ should be 1"),
        (of_state("container", "code"), "no table of the kind 'code'"),
        (lambda d: d["parameters"].update(other=1), "has no parameter 'other'"),
        (lambda d: d["attributes"].update(other_=1), "has no attribute 'other_'"),
        (lambda d: d["attributes"].update(n_iter_="1"), "n_iter_ should be"),
        (lambda d: d["attributes"].update(n_iter_=10**400), "n_iter_ should be"),
        (lambda d: d["attributes"].update(lower_bound_=10**400), "lower_bound_ should"),
        (
            lambda d: d["attributes"].update(search_bounds_=[0.5]),
            "search_bounds_ should",
        ),
        (lambda d: d["attributes"].update(n_parameters_=10**400), "n_parameters_ shou"),
        (of_state("dtypes", None), "dtypes should be those"),
        (of_state("dtypes", []), "dtypes should be those"),
        (of_state("dtypes", ["float64"]), "dtypes should be those"),
        (
            lambda d: d["state"]["dtypes"].__setitem__(0, "decimal128(5, 2)[pyarrow]"),
            "is damaged",
        ),
        (of_state("container", "array"), "dtypes should be those"),
    ],
)
def test_files_that_are_not_as_they_should_be(change, message, fitted, tmp_path):
    path = tmp_path / "model.json"
    fitted.save(path)
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match=message):
        skem.load(path)
